"""Puts the Ansible collection into the wheel, so that `pip install apb` alone finds `apb.catalog`.

Editable installs find the checkout itself through build/ansible_collections; a copy there would go stale and win over it.
"""

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PARTS = ("galaxy.yml", "README.md", "LICENSE", "LICENSES", "CHANGELOG.md", "requirements.txt", "meta", "plugins", "roles", "playbooks")


class CollectionHook(BuildHookInterface):
    def initialize(self, version, build_data):
        if version != "editable":
            for part in PARTS:
                build_data["force_include"][part] = f"ansible_collections/apb/catalog/{part}"
