"""What a user may call: by role, method, path, and slice of the catalog. Plain Python; who the user is, `authentication` knows."""

from dataclasses import dataclass

from apb_broker.catalog.config import Config

OPEN_PATHS = ("/livez", "/readyz")
READING = ("GET", "HEAD")


@dataclass(frozen=True)
class Area:
    """The paths below one, and the roles of which it takes one: to look, and to do anything."""

    path: str
    roles: tuple[str, ...]
    reading_roles: tuple[str, ...] = ()

    def needs(self, method: str) -> tuple[str, ...]:
        """One of these."""
        return self.roles + self.reading_roles if method in READING else self.roles

    def has(self, path: str) -> bool:
        """Whether the path is in it."""
        return f"{path}/".startswith(f"{self.path}/")


OSB = Area("/v2", ("platform",))
AREAS = (OSB, Area("/admin", ("operator",), ("viewer",)), Area("/metrics", ("operator",), ("viewer",)))


@dataclass(frozen=True)
class Rights:
    """What one user may call. Whoever is named in slices of the catalog calls those only."""

    user: str
    roles: frozenset[str]
    slices: frozenset[str]

    def refusal(self, method: str, path: str, slice_name: str | None) -> str | None:
        """Why not, in a sentence; None: it is allowed. `path` is that within the slice."""
        for area in AREAS:
            if area.has(path) and self.roles.isdisjoint(area.needs(method)):
                return f"user '{self.user}' lacks the role " + " or ".join(f"'{role}'" for role in area.needs(method))
        return self._wrong_slice(slice_name) if OSB.has(path) else None

    def _wrong_slice(self, name: str | None) -> str | None:
        if name is not None and name not in self.slices:
            return f"user '{self.user}' is not one of the users of broker '{name}'"
        if name is None and self.slices:
            own = " or ".join(f"/brokers/{one}/v2" for one in sorted(self.slices))
            return f"user '{self.user}' calls {own}, not the whole catalog"
        return None


def rights(config: Config) -> dict[str, Rights]:
    """Those of all users, by name."""
    return {
        user.name: Rights(
            user.name,
            frozenset(user.roles),
            frozenset(name for name, part in config.brokers.items() if user.name in part.users),
        )
        for user in config.users
    }
