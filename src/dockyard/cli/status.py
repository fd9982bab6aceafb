"""``dockyard status``: how the cluster is."""

from __future__ import annotations

import json
import os

from dockyard.cli import common


def run(argv: list[str]) -> int:
    """Print it; exit code 1 where the cluster does not run or its node is not ready."""
    parser = common.Parser("status", "[OPTIONS]", "Show how the cluster is.",
                           "  dockyard status --output json\n")  # fmt: skip
    parser.add_argument("--data-dir", default="", metavar="DIR", help="which cluster")
    parser.add_argument("--output", choices=("text", "json"), default="text")
    options = parser.parse_args(argv)
    if options.data_dir:
        os.environ["DOCKYARD_ROOT"] = options.data_dir
    from dockyard.base.oci.instance import data_root
    from dockyard.boot import layout, supervisor, up

    place = layout.Layout(data_root())
    settings, pid = layout.load(place), supervisor.holder(str(place.lock))
    found: dict[str, object] = {"data_dir": str(place.data_root), "running": pid is not None}
    if settings is not None:
        found |= {
            "node": settings.node_name,
            "node_state": up.node_state(place, settings) if pid else "",
            "release": settings.release,
            "api": settings.api_url,
            "ingress_port": settings.ingress_port,
            "pod_cidr": settings.pod_cidr,
            "service_cidr": settings.service_cidr,
            "kubeconfig": str(place.kubeconfig),
        }
    if pid is not None:
        found["processes"] = {"supervisor": pid, **up.programs(pid)}
    if options.output == "json":
        print(json.dumps(found, indent=2))
    else:
        for name, value in found.items():
            shown = (
                ", ".join(f"{k} {v}" for k, v in value.items())
                if isinstance(value, dict)
                else value
            )
            print(f"{name.replace('_', ' '):<13} {shown}")
    return 0 if found.get("node_state") == "Ready" else 1
