"""Why a request is not accepted. The class says the kind; who speaks a protocol gives it that protocol's form."""


class Refused(Exception):
    """The request cannot be carried out."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or self.__class__.__doc__)


class Invalid(Refused):
    """The request is malformed or asks for what the service does not take."""


class NotFound(Refused):
    """There is nothing of that id."""


class Gone(Refused):
    """There is nothing of that id any more; removing it again has nothing to do."""


class Conflict(Refused):
    """Something else of that id exists already."""


class Busy(Refused):
    """Another operation on it is in progress; try again when it has ended."""


class Unsupported(Refused):
    """The service does not offer this change, or its state forbids it."""


class AsyncRequired(Refused):
    """This takes its time: ask again with accepts_incomplete=true."""


class RequiresApp(Refused):
    """This service is bound to an application: name it in bind_resource.app_guid."""


class MaintenanceConflict(Refused):
    """The maintenance version asked for is not the catalog's: fetch the catalog again."""


class Protected(Refused):
    """This is protected from deletion: an operator has to lift that first."""


class Forbidden(Refused):
    """This is not offered to whoever it is asked for."""


class QuotaReached(Refused):
    """Whoever it is asked for has as many as they may."""


class NoCapacity(Refused):
    """No target has room for this."""


class Unfinished(Refused):
    """The operation did not end within the time a caller may wait; what it began is undone."""
