"""The broker: Open Service Broker calls become supervised ansible-runner executions, durably."""
