"""Why this machine cannot serve. Each message is one sentence for the operator, with the cure in it, and holds no secret."""


class MachineError(Exception):
    """This machine cannot be made ready."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or self.__class__.__doc__)


class StateDirectoryError(MachineError):
    """The state directory cannot be used."""


class AlreadyRunning(MachineError):
    """Another `apb up` works on this state directory."""


class ConfigurationError(MachineError):
    """The configuration of this machine is incomplete or contradicts what was asked for."""


class DatabaseError(MachineError):
    """The embedded PostgreSQL does not run."""


class PreparationError(MachineError):
    """The playbook that prepares this machine for instances failed."""


class ProcessError(MachineError):
    """A process of `apb up` did not start."""
