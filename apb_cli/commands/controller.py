"""`apb controller`: the Kubernetes service catalog. The controller is imported only here, only when it runs."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from apb_cli import errors

PANEL = "Serve Kubernetes"
CLUSTER, BEHAVIOUR = "Which cluster", "What it does"
LONGEST_PORT = 65535


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(rich_help_panel=PANEL)(controller)


def controller(
    kubeconfig: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Default: $KUBECONFIG, else the pod's own account, else ~/.kube/config.", rich_help_panel=CLUSTER
        ),
    ] = None,
    context: Annotated[
        str | None, typer.Option(metavar="NAME", help="The context of the kubeconfig. Default: its current one.", rich_help_panel=CLUSTER)
    ] = None,
    namespace: Annotated[
        str | None,
        typer.Option(
            metavar="NAMESPACE",
            help="Where the Lease is and the ConfigMap cluster-info with the cluster's id. Default: the pod's own, else default.",
            rich_help_panel=CLUSTER,
        ),
    ] = None,
    lease: Annotated[
        bool,
        typer.Option(
            "--lease/--no-lease",
            help="Work only while holding a Lease, so that of several controllers one works. Without it you make sure that there is one.",
        ),
    ] = True,
    lease_seconds: Annotated[
        float, typer.Option(metavar="SECONDS", min=3, help="How long others wait when the leader has died. It gives up after two thirds.")
    ] = 15.0,
    metrics: Annotated[
        str, typer.Option(metavar="ADDRESS:PORT", help="Where /metrics, /livez and /readyz are served; empty for nowhere.")
    ] = "127.0.0.1:8790",
    calls: Annotated[
        int, typer.Option(metavar="NUMBER", min=1, help="How many calls to one broker there are at a time.", rich_help_panel=BEHAVIOUR)
    ] = 10,
    broker_timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=1, help="How long a broker has for an answer.", rich_help_panel=BEHAVIOUR)
    ] = 60.0,
    relist_hours: Annotated[
        float,
        typer.Option(metavar="HOURS", min=0.01, help="How often catalogs are read again that do not say it.", rich_help_panel=BEHAVIOUR),
    ] = 24.0,
    retry_days: Annotated[
        float,
        typer.Option(metavar="DAYS", min=0.01, help="How long what fails is tried again before it is Failed.", rich_help_panel=BEHAVIOUR),
    ] = 7.0,
    plan_defaults: Annotated[
        bool,
        typer.Option(
            "--plan-defaults/--no-plan-defaults",
            help="Add defaultProvisionParameters of classes and plans to the parameters of new instances.",
            rich_help_panel=BEHAVIOUR,
        ),
    ] = False,
    cascading_deletion: Annotated[
        bool,
        typer.Option(
            "--cascading-deletion/--no-cascading-deletion",
            help="Delete the bindings of an instance that is deleted, instead of waiting for somebody to do it.",
            rich_help_panel=BEHAVIOUR,
        ),
    ] = False,
    stop_seconds: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="How long calls that have begun may take after SIGTERM.")
    ] = 25.0,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log each call of a broker, also those that went well.")] = False,
) -> None:
    """Run the Kubernetes service catalog: brokers, instances and bindings as objects of the API server. See docs/controller.md."""
    from apb_controller.kube.errors import KubeError
    from apb_controller.kube.lease import Terms
    from apb_controller.process import main
    from apb_controller.process.options import Options
    from apb_controller.reconcilers.context import Settings
    from apb_controller.rules.steps import Limits

    limits = Limits(relist=timedelta(hours=relist_hours), retry_duration=timedelta(days=retry_days))
    options = Options(
        kubeconfig=kubeconfig,
        context=context,
        namespace=namespace,
        has_lease=lease,
        terms=Terms(lease_seconds, lease_seconds * 2 / 3, lease_seconds / 7.5),
        address=_address(metrics),
        calls_per_broker=calls,
        broker_timeout_seconds=broker_timeout,
        stop_seconds=stop_seconds,
        settings=Settings(limits, plan_defaults, cascading_deletion),
        is_verbose=verbose,
    )
    try:
        main.run(options)
    except KubeError as error:
        raise errors.Failure(str(error)) from error


def _address(text: str) -> tuple[str, int] | None:
    if not text:
        return None
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > LONGEST_PORT:
        raise errors.Usage(f"--metrics {text}: give ADDRESS:PORT, for example 0.0.0.0:8790, or an empty text")
    return host.removeprefix("[").removesuffix("]"), int(port)
