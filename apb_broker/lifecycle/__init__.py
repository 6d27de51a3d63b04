"""What may happen to an instance or a binding: the rules, as plain Python over storage's units of work.

No Flask, no Ansible, no SQL. Accepting a request is one transaction; so is finishing an operation.
"""
