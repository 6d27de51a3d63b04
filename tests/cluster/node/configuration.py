"""What the parts of a node are told: files in its directory, and the list of parts that its first process starts."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.node import network, programs

NAME = "apb-node"
KUBELET, PROXY, SCHEDULER = f"system:node:{NAME}", "system:kube-proxy", "system:kube-scheduler"
USERS = ((KUBELET, "system:nodes"), (PROXY, "system:authenticated"), (SCHEDULER, "system:authenticated"))  # name, group
PAUSE = "localhost/apb-pause:1"
PLACE = Path("/run/apb-node")  # where the node sees its directory: names of sockets have to be short


SOCKET = PLACE / "containerd.sock"
CLIENT = "api-server"  # the certificate that the API server shows to the kubelet


def kubeconfig(user: str) -> str:
    """The name of the file for a user of USERS."""
    return f"{user.replace(':', '-')}.kubeconfig"


def write(directory: Path, found: Mapping[str, Path]) -> None:
    """All of it, into the directory that the node sees as PLACE."""
    (directory / "containerd.toml").write_text(_toml(_containerd()))
    network_of_pods = directory / "cni"
    network_of_pods.mkdir()
    (network_of_pods / "10-apb.conflist").write_text(json.dumps(_pods_network(), indent=2))
    (directory / "resolv.conf").touch()
    (directory / "kubelet.yaml").write_text(yaml.safe_dump(_kubelet()))
    (directory / "parts.json").write_text(json.dumps(_parts(found), indent=2))


def _parts(found: Mapping[str, Path]) -> list[dict[str, Any]]:
    containerd = {"name": "containerd", "program": shutil.which("containerd"), "until": str(SOCKET)}
    arguments = {
        "kubelet": [
            f"--config={PLACE / 'kubelet.yaml'}",
            f"--kubeconfig={PLACE / kubeconfig(KUBELET)}",
            f"--hostname-override={NAME}",
            f"--node-ip={network.NODE}",
            f"--root-dir={PLACE / 'kubelet'}",
            f"--cert-dir={PLACE / 'kubelet-certificates'}",
        ],
        "kube-proxy": [
            f"--kubeconfig={PLACE / kubeconfig(PROXY)}",
            f"--hostname-override={NAME}",
            "--proxy-mode=iptables",
            f"--cluster-cidr={network.PODS}",
            # How many connections a machine may have is the machine's own setting.
            "--conntrack-max-per-core=0",
            "--conntrack-tcp-timeout-established=0s",
            "--conntrack-tcp-timeout-close-wait=0s",
        ],
        "kube-scheduler": [
            f"--kubeconfig={PLACE / kubeconfig(SCHEDULER)}",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            f"--cert-dir={PLACE / 'scheduler-certificates'}",
        ],
    }
    kubernetes = [{"name": name, "program": str(found[name]), "arguments": arguments[name]} for name in programs.PARTS]
    return [{**containerd, "arguments": [f"--config={PLACE / 'containerd.toml'}"]}, *kubernetes]


def _containerd() -> dict[str, Any]:
    return {
        "version": 2,
        "root": str(PLACE / "containerd" / "root"),
        "state": str(PLACE / "containerd" / "state"),
        "oom_score": 0,
        "grpc": {"address": str(SOCKET)},
        "plugins": {
            "io.containerd.internal.v1.opt": {"path": str(PLACE / "containerd" / "opt")},
            "io.containerd.grpc.v1.cri": {
                "sandbox_image": PAUSE,
                # Who may not lower a process' score (it takes CAP_SYS_RESOURCE) cannot start a pod otherwise.
                "restrict_oom_score_adj": True,
                "cni": {"bin_dir": str(programs.PLUGINS), "conf_dir": str(PLACE / "cni")},
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


def _kubelet() -> dict[str, Any]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": network.NODE,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": False},
            "x509": {"clientCAFile": str(PLACE / f"{CLIENT}.crt")},
        },
        "authorization": {"mode": "AlwaysAllow"},
        "containerRuntimeEndpoint": f"unix://{SOCKET}",
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": False,
        "enforceNodeAllocatable": [],
        "failSwapOn": False,
        "failCgroupV1": False,
        "resolvConf": str(PLACE / "resolv.conf"),  # there is no DNS in this cluster: what is called has an address
        "volumePluginDir": str(PLACE / "kubelet-plugins"),
        "evictionHard": {"memory.available": "100Mi"},
        "imageGCHighThresholdPercent": 100,  # never: images cannot be fetched again
    }
