"""The only door to the API server: how it is reached, objects, lists and watches, events, the Lease.

Objects are the dicts that JSON makes of them: models would cost more time and memory than all else that the controller does.
"""
