"""The Kubernetes service catalog: custom resources become calls to Open Service Brokers.

It knows neither Ansible nor this project's broker.
"""
