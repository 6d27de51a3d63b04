"""What the parts of a node are told: files in its directory, and the list of parts that its first process starts."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.node import network, programs

NAME = "apb-node"  # also of the control group that all containers are in
KUBELET, PROXY, SCHEDULER = f"system:node:{NAME}", "system:kube-proxy", "system:kube-scheduler"
USERS = ((KUBELET, "system:nodes"), (PROXY, "system:authenticated"), (SCHEDULER, "system:authenticated"))  # name, group
PAUSE = "localhost/apb-pause:1"


def socket(directory: Path) -> Path:
    """Containerd's."""
    return directory / "containerd.sock"


def kubeconfig(directory: Path, user: str) -> Path:
    """Where that of a user of USERS is to be."""
    return directory / f"{user.replace(':', '-')}.kubeconfig"


def write(directory: Path, found: Mapping[str, Path], client_certificate: Path) -> None:
    """All of it. `client_certificate`: the one that the API server shows to the kubelet."""
    (directory / "containerd.toml").write_text(_toml(_containerd(directory)))
    network_of_pods = directory / "cni"
    network_of_pods.mkdir()
    (network_of_pods / "10-apb.conflist").write_text(json.dumps(_pods_network(), indent=2))
    (directory / "resolv.conf").touch()
    (directory / "kubelet.yaml").write_text(yaml.safe_dump(_kubelet(directory, client_certificate)))
    (directory / "parts.json").write_text(json.dumps(_parts(directory, found), indent=2))


def _parts(directory: Path, found: Mapping[str, Path]) -> list[dict[str, Any]]:
    containerd = {"name": "containerd", "program": shutil.which("containerd"), "until": str(socket(directory))}
    arguments = {
        "kubelet": [
            f"--config={directory / 'kubelet.yaml'}",
            f"--kubeconfig={kubeconfig(directory, KUBELET)}",
            f"--hostname-override={NAME}",
            f"--node-ip={network.NODE}",
            f"--root-dir={directory / 'kubelet'}",
            f"--cert-dir={directory / 'kubelet-certificates'}",
        ],
        "kube-proxy": [
            f"--kubeconfig={kubeconfig(directory, PROXY)}",
            f"--hostname-override={NAME}",
            "--proxy-mode=iptables",
            f"--cluster-cidr={network.PODS}",
            # How many connections a machine may have is the machine's own setting.
            "--conntrack-max-per-core=0",
            "--conntrack-tcp-timeout-established=0s",
            "--conntrack-tcp-timeout-close-wait=0s",
        ],
        "kube-scheduler": [
            f"--kubeconfig={kubeconfig(directory, SCHEDULER)}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            f"--cert-dir={directory / 'scheduler-certificates'}",
        ],
    }
    kubernetes = [{"name": name, "program": str(found[name]), "arguments": arguments[name]} for name in programs.PARTS]
    return [{**containerd, "arguments": [f"--config={directory / 'containerd.toml'}"]}, *kubernetes]


def _containerd(directory: Path) -> dict[str, Any]:
    return {
        "version": 2,
        "root": str(directory / "containerd" / "root"),
        "state": str(directory / "containerd" / "state"),
        "oom_score": 0,
        "grpc": {"address": str(socket(directory))},
        "plugins": {
            "io.containerd.internal.v1.opt": {"path": str(directory / "containerd" / "opt")},
            "io.containerd.grpc.v1.cri": {
                "sandbox_image": PAUSE,
                # Who may not lower a process' score (it takes CAP_SYS_RESOURCE) cannot start a pod otherwise.
                "restrict_oom_score_adj": True,
                "cni": {"bin_dir": str(programs.PLUGINS), "conf_dir": str(directory / "cni")},
                "containerd": {"runtimes": {"runc": {"runtime_type": "io.containerd.runc.v2"}}},
            },
        },
    }


def _toml(tree: Mapping[str, Any], path: tuple[str, ...] = ()) -> str:
    """Python reads this language and does not write it. JSON's words for texts, numbers and truth are its words too."""
    values = [f"{name} = {json.dumps(value)}\n" for name, value in tree.items() if not isinstance(value, Mapping)]
    head = f"[{'.'.join(json.dumps(name) for name in path)}]\n" if path and values else ""
    return head + "".join(values) + "".join(_toml(value, (*path, name)) for name, value in tree.items() if isinstance(value, Mapping))


def _pods_network() -> dict[str, Any]:
    addresses = {"type": "host-local", "ranges": [[{"subnet": network.PODS}]], "routes": [{"dst": "0.0.0.0/0"}]}
    bridge = {"type": "bridge", "bridge": "apb-pods", "isGateway": True, "ipMasq": True, "hairpinMode": True, "ipam": addresses}
    return {"cniVersion": "1.0.0", "name": NAME, "plugins": [bridge, {"type": "portmap", "capabilities": {"portMappings": True}}]}


def _kubelet(directory: Path, client_certificate: Path) -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": network.NODE,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": False},
            "x509": {"clientCAFile": str(client_certificate)},
        },
        "authorization": {"mode": "AlwaysAllow"},
        "containerRuntimeEndpoint": f"unix://{socket(directory)}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{NAME}",
        "cgroupsPerQOS": False,
        "enforceNodeAllocatable": [],
        "failSwapOn": False,
        "failCgroupV1": False,
        "resolvConf": str(directory / "resolv.conf"),  # there is no DNS in this cluster: what is called has an address
        "volumePluginDir": str(directory / "kubelet-plugins"),
        "evictionHard": {"memory.available": "100Mi"},
        "imageGCHighThresholdPercent": 100,  # never: images cannot be fetched again
    }
