"""`apb doctor`: compares what the broker knows with what exists on all targets, and removes what is left over.

`places` says where to look, `surveys` looks (a playbook, run through `execution` as any action is), `findings` compares, `removal` removes.
"""
