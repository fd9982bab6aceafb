"""``dockyard up``: a cluster on this machine, Ready when the command returns."""

from __future__ import annotations

import os
from typing import Any

from dockyard.base.aio.now import monotonic
from dockyard.base.errors import Invalid, Unsupported
from dockyard.cli import common

EXAMPLES = """  dockyard up
  export KUBECONFIG=$(dockyard kubeconfig --path)
  kubectl get nodes
"""
SETTINGS = {
    "kubernetesVersion": "release", "nodeName": "node_name", "nodeAddress": "node_address",
    "apiPort": "api_port", "kubeletPort": "kubelet_port", "ingressPort": "ingress_port",
    "podCIDR": "pod_cidr", "serviceCIDR": "service_cidr", "clusterDomain": "domain",
}  # fmt: skip


def run(argv: list[str]) -> int:
    """Start the cluster."""
    parser = common.Parser("up", "[OPTIONS]", "Start a cluster on this machine.", EXAMPLES)
    add = parser.add_argument
    add("--nodes", type=int, default=1, metavar="N", help="how many nodes (1 for now)")
    add("--data-dir", default="", metavar="DIR", help="where everything is kept")
    add("-f", "--file", default="", metavar="FILE", help="settings of a new cluster, as YAML")
    options = parser.parse_args(argv)
    if options.data_dir:
        os.environ["DOCKYARD_ROOT"] = options.data_dir
    if options.nodes != 1:
        raise Unsupported(f"up: --nodes {options.nodes}: more than one is not implemented")
    from dockyard.base.oci.instance import data_root
    from dockyard.boot import layout, up

    place = layout.Layout(data_root())
    began = monotonic()
    settings = up.up(place, _settings(options.file) if options.file else {})
    print(f"node {settings.node_name} is Ready ({monotonic() - began:.1f} s)")
    print(f"API      {settings.api_url}")
    print(f"Ingress  http://127.0.0.1:{settings.ingress_port}")
    print(f"export KUBECONFIG={place.kubeconfig}")
    return 0


def _settings(path: str) -> dict[str, Any]:
    import yaml

    try:
        with open(path, encoding="utf-8") as file:
            found = yaml.safe_load(file) or {}
    except (OSError, yaml.YAMLError) as error:
        raise Invalid(f"up: {path}: {error}") from error
    if not isinstance(found, dict):
        raise Invalid(f"up: {path}: holds no settings")
    if unknown := sorted(set(found) - set(SETTINGS)):
        raise Invalid(f"up: {path}: unknown settings {unknown}; known: {', '.join(SETTINGS)}")
    return {SETTINGS[name]: value for name, value in found.items()}
