"""What can be wrong with the operator's configuration, with the roles it names, or with a request for something that is not offered."""

from pathlib import Path


class ConfigError(Exception):
    """The operator's configuration is wrong: one line for each mistake, with file, field, value and what is allowed."""

    def __init__(self, path: Path, mistakes: list[str]) -> None:
        self.path, self.mistakes = path, mistakes
        super().__init__("\n".join(f"{path}: {mistake}" for mistake in mistakes))


class CatalogError(Exception):
    """The catalog cannot be made of the roles that apb.yml names."""


class NotOffered(KeyError):
    """The catalog has no such service or plan."""

    def __str__(self) -> str:
        return str(self.args[0])
