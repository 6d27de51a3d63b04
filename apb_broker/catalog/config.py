"""The operator's apb.yml: its model, and load(), which refuses whatever could not work.

Owns shapes and defaults. How a mistake is told is in mistakes.py, what the file's parts say of each other in references.py; whether a named
role or plan exists is catalog.py's question. Paths in the file are relative to it. No secret stands in the file: passwords, tokens and keys
are files of their own, read when they are needed.
"""

import ipaddress
import re
import typing
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from ansible_collections.apb.catalog.plugins.module_utils import service_yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from apb_broker.catalog import credentials, mistakes, references, secret_files
from apb_broker.catalog.errors import ConfigError

NAME = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
ROLE = r"^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*\.[a-z_][a-z0-9_]*)?$"
SERVICE = r"^[a-z][a-z0-9-]{0,39}$"
OFFER = r"^[a-z][a-z0-9-]{0,39}/[a-z][a-z0-9-]{0,39}$"
USER_NAME = r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$"
HOST_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.:-]*$"
LANGUAGE = r"^[a-z]{2}(-[A-Z]{2})?$"
IN_WORDS = {
    LANGUAGE: "a language, such as en or zh",
    NAME: "lower-case letters, digits and hyphens, at most 63",
    ROLE: "namespace.collection.role, or the folder name of a role in services_path",
    SERVICE: "the name of a service, such as redis",
    OFFER: "SERVICE/PLAN, such as redis/redis-standard",
    USER_NAME: "letters, digits and . _ @ -, at most 64",
    HOST_NAME: "the name of a host in the inventory",
}
LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
DNS_NAME = re.compile(rf"{LABEL}(\.{LABEL})*")
VARIABLE = re.compile(r"[a-z_][a-z0-9_]*")


def _path(value: Any, info: ValidationInfo) -> Path:
    if not isinstance(value, str | Path) or not str(value):
        raise ValueError("a path, relative to this file or absolute")
    return (typing.cast(Path, (info.context or {}).get("base", Path())) / Path(value).expanduser()).absolute()


def _ports(value: Any) -> range:
    found = re.fullmatch(r"(\d{1,5})(?:\s*-\s*(\d{1,5}))?", str(value), re.ASCII)
    first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if isinstance(value, bool) or not 1 <= first <= last <= 65535:
        raise ValueError("first and last port, such as 21000-21999, between 1 and 65535")
    return range(first, last + 1)


def _settings(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("variables of the role, by name")
    for name in value:
        if not VARIABLE.fullmatch(name) or name.startswith("apb_"):
            raise ValueError(f"names of role variables (a-z, 0-9, _); {name!r} is none, or is one of the apb_* that belong to the broker")
    return value


def _address(value: str) -> str:
    if not _is_ip(value) and (len(value) > 253 or not DNS_NAME.fullmatch(value)):
        raise ValueError("an IP address or a DNS name")
    return value


FilePath = Annotated[Path, PlainValidator(_path), WithJsonSchema({"type": "string", "minLength": 1})]
Ports = Annotated[
    range,
    PlainValidator(_ports),
    PlainSerializer(lambda ports: f"{ports.start}-{ports.stop - 1}"),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,5}-[0-9]{1,5}$", "description": "First and last port, such as 21000-21999"}),
]
RoleSettings = Annotated[
    dict[str, Any],
    PlainValidator(_settings),
    WithJsonSchema({"type": "object", "propertyNames": {"pattern": "^(?!apb_)[a-z_][a-z0-9_]*$"}}),
]
Repair = Annotated[
    Literal["off", "report", "run-again"],
    BeforeValidator(lambda value: "off" if value is False else value),  # what YAML 1.1 makes of an unquoted off
    WithJsonSchema({"enum": ["off", False, "report", "run-again"]}),
]
Seconds = Annotated[float, Field(gt=0, le=86400)]
Address = Annotated[str, AfterValidator(_address)]


class Model(BaseModel):
    """Everything in apb.yml: no unknown keys, no conversions between types, never changed after loading."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, arbitrary_types_allowed=True)


class User(Model):
    """Someone who may call the broker over HTTP."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["password_file"]}, {"required": ["token_file"]}]})

    name: Annotated[str, Field(pattern=USER_NAME)]
    password_file: Annotated[
        FilePath | None, Field(description="A file (0600) with the password, or with its hash as `apb hash-password` makes it")
    ] = None
    token_file: Annotated[
        FilePath | None,
        Field(description="Instead: a file (0600) with a bearer token, or with sha256: and its SHA-256 in hexadecimal digits"),
    ] = None
    roles: Annotated[list[Literal["platform", "operator", "viewer"]], Field(min_length=1)]

    @model_validator(mode="after")
    def _proves_one_way(self) -> "User":
        if (self.password_file is None) == (self.token_file is None):
            raise ValueError("either a password_file or a token_file")
        return self

    def credential(self) -> credentials.Credential:
        """What the user proves to be with, read now. Raises ConfigError when it is unusable, or others could read it too."""
        if self.token_file is not None:
            return self._understood(self.token_file, "token", credentials.token)
        return self._understood(typing.cast(Path, self.password_file), "password", credentials.password)

    def _understood(self, file: Path, kind: str, meaning: Callable[[str], credentials.Credential]) -> credentials.Credential:
        whose = f"user '{self.name}'"
        try:
            return meaning(secret_files.read(file, kind, whose))
        except ValueError as error:
            raise ConfigError(file, [f"the {kind} of {whose} {error}"]) from None


class Role(Model):
    """A role whose service is offered."""

    name: Annotated[str, Field(pattern=ROLE)]
    settings: RoleSettings = {}


class Host(Model):
    """One host of a target: its inventory name, and the address clients use."""

    name: Annotated[str, Field(min_length=1, max_length=253, pattern=HOST_NAME)]
    address: Address
    memory_gb: Annotated[float | None, Field(gt=0, description="Memory for instances; without it only ports limit their number")] = None


class HostTarget(Model):
    """Hosts on which instances get server processes of their own."""

    name: Annotated[str, Field(exclude=True, repr=False)] = ""  # its key in `targets`
    mode: Literal["host"]
    inventory: FilePath | None = None
    hosts: Annotated[list[Host], Field(description="The hosts, unless `group` names them")] = []
    group: Annotated[str | None, Field(pattern=HOST_NAME, description="Instead of `hosts`: a group of the inventory")] = None
    ports: Ports
    directory: Path = Path("/var/lib/apb/host")
    settings: RoleSettings = {}

    @field_validator("directory", mode="before")
    @classmethod
    def _is_absolute(cls, value: Any) -> Path:
        if not isinstance(value, str | Path) or not Path(value).is_absolute() or ".." in Path(value).parts:
            raise ValueError("an absolute path on the target's hosts, without ..")
        return Path(value)


class SharedTarget(Model):
    """A server that the operator has, on which instances get an account, a database, a prefix of their own."""

    name: Annotated[str, Field(exclude=True, repr=False)] = ""  # its key in `targets`
    mode: Literal["shared"]
    address: Address
    port: Annotated[int, Field(ge=1, le=65535)]
    username: Annotated[str, Field(min_length=1, max_length=128, description="The account apb uses on it")]
    password_file: FilePath
    instances: Annotated[int | None, Field(ge=1, description="How many instances it takes at most")] = None
    settings: RoleSettings = {}

    def password(self) -> str:
        """The password of that account, read now. Raises ConfigError when others could read it too."""
        return secret_files.read(self.password_file, "password", f"target '{self.name}'")


Target = HostTarget | SharedTarget
MODES: dict[str, type[Target]] = {"host": HostTarget, "shared": SharedTarget}
AnyTarget = Annotated[Target, Field(discriminator="mode")]


class BindingExpiry(Model):
    """How long a binding is valid, and how long before its end it should be rotated."""

    after_seconds: Annotated[float, Field(gt=0, le=10 * 366 * 86400)]
    renew_seconds: Annotated[float, Field(ge=0)] = 0

    @field_validator("renew_seconds")
    @classmethod
    def _is_before(cls, value: float, info: ValidationInfo) -> float:
        if value > info.data.get("after_seconds", value):
            raise ValueError("at most after_seconds")
        return value


class Audience(Model):
    """To whom a plan is offered: whoever is in one of these."""

    organizations: list[Annotated[str, Field(min_length=1)]] = []
    spaces: list[Annotated[str, Field(min_length=1)]] = []


class Quota(Model):
    """How many instances an organization or a space may have."""

    per: Literal["organization", "space"]
    name: Annotated[str | None, Field(min_length=1, description="Only for the one of this id, instead of the quota for each")] = None
    plan: Annotated[str | None, Field(pattern=OFFER, description="SERVICE/PLAN; without it all instances count")] = None
    instances: Annotated[int, Field(ge=0)]


class OfferEntry(Model):
    """A plan and where its instances may go: targets in the order they are filled."""

    plan: Annotated[str, Field(pattern=OFFER, description="SERVICE/PLAN")]
    mode: Literal["host", "shared"]
    targets: Annotated[list[str], Field(min_length=1)]
    binding_expiry: Annotated[BindingExpiry | None, Field(description="Bindings end by themselves; without it they do not")] = None
    visible_to: Annotated[Audience | None, Field(description="Who may have instances of it; without it everybody")] = None
    deletion_protection: Annotated[
        bool, Field(description="Platforms cannot delete instances of it before an operator says so, of each (apb unprotect)")
    ] = False
    keep_deleted_seconds: Annotated[
        float | None,
        Field(
            gt=0, le=366 * 86400, description="How long a deleted server is kept with its data, stopped (mode host); else it goes at once"
        ),
    ] = None
    repair: Annotated[Repair | None, Field(description="What is done about an instance that fails; without it, as `settings` say")] = None


class BrokerSlice(Model):
    """A part of the catalog that platforms register as a broker of its own, at /brokers/NAME."""

    services: Annotated[list[Annotated[str, Field(pattern=SERVICE)]], Field(min_length=1, description="Names of the services it has")]
    users: Annotated[
        list[str], Field(min_length=1, description="Who calls it: users of role platform, who call nothing else below /v2 then")
    ]


class Tls(Model):
    """HTTPS by this server itself, TLS 1.2 or newer."""

    certificate_file: Annotated[FilePath, Field(description="PEM: the server's certificate, then those between it and its authority")]
    key_file: Annotated[FilePath, Field(description="PEM: its private key, without a passphrase, in a file of mode 0600")]


class RunLimits(Model):
    """How much of the worker's machine one run may take."""

    processes: Annotated[int, Field(ge=50, le=100_000, description="Processes of the run together")] = 500
    open_files: Annotated[int, Field(ge=256, le=1_000_000, description="Open files of each process")] = 4096
    memory_gb: Annotated[float, Field(ge=0.5, le=1024, description="Memory of each process, and of all of the run together")] = 2
    file_gb: Annotated[float, Field(ge=0.01, le=100_000, description="Size of each file that is written")] = 4


class Settings(Model):
    """How the broker works."""

    sync_wait_seconds: Annotated[float, Field(ge=0, le=3600)] = 50
    lease_seconds: Seconds = 15
    grace_seconds: Seconds = 5
    operation_deadline_seconds: Seconds = 1800
    max_attempts: Annotated[int, Field(ge=1, le=100)] = 5
    concurrency: Annotated[int, Field(ge=1, le=256)] = 4
    cancel_grace_seconds: Seconds = 10
    run_limits: Annotated[RunLimits, Field(description="What a run may take; one that takes more is ended")] = RunLimits()
    drain_seconds: Annotated[
        float,
        Field(ge=0, le=86400, description="How long a worker that is told to stop goes on with what it runs, before it hands it back"),
    ] = 30
    language: Annotated[str, Field(pattern=LANGUAGE, description="Language of the catalog's texts, where a role has them in it")] = "en"
    api_versions: Annotated[list[Literal["2.13", "2.14", "2.15", "2.16", "2.17"]], Field(min_length=1)] = [
        "2.13",
        "2.14",
        "2.15",
        "2.16",
        "2.17",
    ]
    missing_version_status: Annotated[
        Literal[400, 412], Field(description="Answer to a request without X-Broker-API-Version; some platforms expect 412")
    ] = 400
    deleted_operation_status: Annotated[
        Literal[200, 410], Field(description="Answer to last_operation when a removal succeeded; some platforms expect 410")
    ] = 200
    verify_every_seconds: Annotated[
        float, Field(ge=0, le=7 * 86400, description="How often each instance is looked at, give or take a quarter; 0: never")
    ] = 600
    verify_concurrency: Annotated[
        int, Field(ge=1, le=64, description="How many instances a worker looks at at a time, beside its operations")
    ] = 1
    repair: Annotated[
        Repair,
        Field(description="What is done about an instance that fails: nothing, told in log and audit, or its provision run again as well"),
    ] = "report"
    repair_attempts: Annotated[int, Field(ge=1, le=100, description="Provisions run again until the instance is well; then no more")] = 5
    failed_logins_per_minute: Annotated[
        int, Field(ge=1, le=100_000, description="Wrong passwords and tokens from one address; further ones are not looked at")
    ] = 30
    executor: Annotated[
        Literal["warm", "cold", "scripted"],
        Field(
            description="How actions run: `warm`, forked from a process of each worker that has loaded Ansible, and cold while there is "
            "none; `cold`, each in an ansible-playbook of its own; `scripted` is for tests and load only"
        ),
    ] = "warm"


class Config(Model):
    """The whole file."""

    path: Annotated[Path, Field(exclude=True, repr=False)] = Path("apb.yml")  # where it was read from
    apb: Literal[1]
    behind_proxy: Annotated[
        bool, Field(description="A proxy in front of this server terminates TLS, and says in X-Forwarded-For who calls")
    ] = False
    tls: Tls | None = None
    listen: str = "127.0.0.1:8780"
    users: Annotated[list[User], Field(min_length=1)]
    brokers: Annotated[dict[Annotated[str, Field(pattern=NAME)], BrokerSlice], Field(description="Slices of the catalog, by name")] = {}
    services_path: list[FilePath] = []
    roles: list[Role]
    targets: dict[Annotated[str, Field(pattern=NAME)], AnyTarget]
    offers: list[OfferEntry]
    quotas: list[Quota] = []
    settings: Settings = Settings()

    @field_validator("listen")
    @classmethod
    def _is_safe(cls, value: str, info: ValidationInfo) -> str:
        host, _port = split_address(value)
        has_tls = info.data.get("tls", True) is not None  # one that is wrong is told by itself
        if not _is_loopback(host) and not has_tls and not info.data.get("behind_proxy", False):
            raise ValueError(
                "an address of this machine only (127.0.0.1, ::1 or localhost): there is no TLS here. "
                "Give tls a certificate_file and a key_file, or, where a proxy terminates TLS in front of it, say behind_proxy: true"
            )
        return value

    @property
    def listen_host(self) -> str:
        """The host part of `listen`, without brackets."""
        return split_address(self.listen)[0]

    @property
    def listen_port(self) -> int:
        """The port part of `listen`."""
        return split_address(self.listen)[1]


def load(path: Path) -> Config:
    """The configuration in this file. Raises ConfigError with one line for every mistake in it."""
    path = Path(path).absolute()
    try:
        raw = service_yaml.read(path)
    except service_yaml.YamlError as error:
        raise ConfigError(path, [str(error)]) from error
    if not isinstance(raw, dict):
        raise ConfigError(path, ["must be names and values (apb: 1, users: …)"])
    _refuse_computed(path, raw)
    try:
        config = Config.model_validate({**raw, "path": path}, context={"base": path.parent})
    except ValidationError as error:
        raise ConfigError(
            path, [mistakes.sentence(detail, Config, MODES, IN_WORDS) for detail in error.errors(include_url=False)]
        ) from error
    if wrong := references.wrong(config):
        raise ConfigError(path, wrong)
    return config.model_copy(
        update={"targets": {name: target.model_copy(update={"name": name}) for name, target in config.targets.items()}}
    )


def credentials_of(users: Iterable[User]) -> dict[str, credentials.Credential]:
    """What users log in with, by name. Raises ConfigError for a file that is unusable, and for a token of two users."""
    found: dict[str, credentials.Credential] = {}
    for user in users:
        credential = user.credential()
        same = next((name for name, other in found.items() if isinstance(credential, credentials.Token) and other == credential), None)
        if same is not None and user.token_file is not None:
            raise ConfigError(user.token_file, [f"the token of user '{user.name}' is that of user '{same}', too: give each its own"])
        found[user.name] = credential
    return found


def split_address(value: str) -> tuple[str, int]:
    """("127.0.0.1", 8780) of HOST:PORT; an IPv6 host stands in brackets. Raises ValueError."""
    host, _, port = value.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    bracketed = host.startswith("[") and host.endswith("]")
    is_host = (_is_ip(bare) and (":" in bare) == bracketed) or (not bracketed and DNS_NAME.fullmatch(host) is not None)
    if not is_host or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError("HOST:PORT, such as 127.0.0.1:8780 or [::1]:8780")
    return bare, int(port)


def _is_ip(value: str) -> bool:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_ip(host) and ipaddress.ip_address(host).is_loopback)


def _refuse_computed(path: Path, raw: dict[str, Any]) -> None:
    """`path` and a target's `name` are ours to fill in."""
    targets = raw.get("targets")
    named = [name for name, target in targets.items() if isinstance(target, dict) and "name" in target] if isinstance(targets, dict) else []
    fields = ["path"] * ("path" in raw) + [f"targets.{name}.name" for name in named]
    if fields:
        raise ConfigError(path, [f"{field}: is unknown" for field in fields])
