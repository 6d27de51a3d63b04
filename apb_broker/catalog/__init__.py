"""What is offered: roles and the operator's apb.yml become services, plans, schemas and targets.

`config` reads apb.yml, `roles` finds a role on disk, `catalog` puts both together, `schemas` publishes the JSON Schemas of both files. What
a service.yml means is the collection's knowledge (plugins/module_utils/service.py). Nothing here writes, and nothing imports Ansible.
"""
