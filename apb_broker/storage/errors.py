"""What storage raises. Errors of the driver are wrapped at this door, their cause kept."""


class StorageError(Exception):
    """The database refused or failed."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or self.__class__.__doc__)


class Unavailable(StorageError):
    """The database cannot be reached at the moment; the same call may work later."""


class DuplicateName(StorageError):
    """An instance of that name exists in that space already."""


class Taken(Unavailable):
    """Somebody else has inserted a row with the same key meanwhile."""


class KeyFileError(StorageError):
    """The key file is missing, unreadable for us, readable for others, or not of the form `label base64key`."""


class WrongKey(StorageError):
    """A sealed value does not open: its key is not in the key file, or the value belongs to another row."""
