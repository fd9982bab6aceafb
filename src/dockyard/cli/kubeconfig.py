"""``dockyard kubeconfig``: the administrator's way in."""

from __future__ import annotations

import os

from dockyard.base.errors import NotFound
from dockyard.cli import common


def run(argv: list[str]) -> int:
    """Print the kubeconfig, or where it is."""
    parser = common.Parser("kubeconfig", "[OPTIONS]", "Print the administrator's kubeconfig.",
                           "  export KUBECONFIG=$(dockyard kubeconfig --path)\n")  # fmt: skip
    parser.add_argument("--path", action="store_true", help="only where the file is")
    parser.add_argument("--data-dir", default="", metavar="DIR", help="which cluster")
    options = parser.parse_args(argv)
    if options.data_dir:
        os.environ["DOCKYARD_ROOT"] = options.data_dir
    from dockyard.base.oci.instance import data_root
    from dockyard.boot.layout import Layout

    place = Layout(data_root())
    if not place.kubeconfig.exists():
        raise NotFound(
            f"kubeconfig: {place.kubeconfig}: there is no cluster; `dockyard up` makes one"
        )
    print(
        place.kubeconfig if options.path else place.kubeconfig.read_text(), end="\n" * options.path
    )
    return 0
