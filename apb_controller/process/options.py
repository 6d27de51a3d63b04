"""What the operator can choose when starting a controller."""

from dataclasses import dataclass, field
from pathlib import Path

from apb_controller.kube.lease import Terms
from apb_controller.reconcilers.context import Settings


@dataclass(frozen=True)
class Options:
    """All of it. `address`: where metrics and health are served, as (host, port); None for nowhere."""

    kubeconfig: Path | None = None
    context: str | None = None
    namespace: str | None = None  # of the Lease and of the cluster's id; the pod's own, or `default`
    lease: str = "apb-controller"
    has_lease: bool = True
    terms: Terms = field(default_factory=Terms)
    address: tuple[str, int] | None = ("127.0.0.1", 8790)
    calls_per_broker: int = 10
    broker_timeout_seconds: float = 60.0
    stop_seconds: float = 25.0  # a pod is given 30
    settings: Settings = field(default_factory=Settings)
    is_verbose: bool = False
