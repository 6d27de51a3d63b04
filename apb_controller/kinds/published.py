"""The definitions as files, one per kind."""

from pathlib import Path

import yaml

from apb_controller import kinds

FOLDER = Path("deploy") / "crds"
HEADER = "# Made by `python -m apb_controller.kinds`; a test compares.\n---\n"


def files() -> dict[str, str]:
    """File name -> content."""
    return {f"{plural}.yaml": HEADER + _yaml(manifest) for plural, manifest in kinds.definitions().items()}


def write(folder: Path = FOLDER) -> None:
    """Writes all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files().items():
        (folder / name).write_text(content, encoding="utf-8")


class _Plain(yaml.SafeDumper):
    """Repeats what is used twice instead of referring to it: people read and patch these files."""

    def ignore_aliases(self, data: object) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Indents lists as ansible-lint and most editors of manifests do."""
        super().increase_indent(flow, False)


def _yaml(manifest: object) -> str:
    return yaml.dump(manifest, Dumper=_Plain, sort_keys=False, width=120, allow_unicode=True)
