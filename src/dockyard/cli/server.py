"""``dockyard server``: the API with controllers and scheduler, in the foreground."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from dockyard.base.errors import Invalid
from dockyard.cli import common

EXAMPLES = """  dockyard server --data-dir ./data --address 127.0.0.1:6443
  kubectl --kubeconfig ./data/cluster/kubeconfig get namespaces
"""


def run(argv: list[str]) -> int:
    """Serve until SIGTERM."""
    parser = common.Parser(
        "server", "[OPTIONS]",
        "Run an API server with controllers and scheduler, in the foreground, without a node.",
        EXAMPLES,
    )  # fmt: skip
    add = parser.add_argument
    add("--data-dir", default="", metavar="DIR", help="where everything is kept")
    add("--address", default="127.0.0.1:6443", metavar="HOST:PORT", help="where to listen")
    add("--token-auth-file", default="", metavar="CSV", help='token,user,uid,"group1,group2"')
    options = parser.parse_args(argv)
    if options.data_dir:
        os.environ["DOCKYARD_ROOT"] = options.data_dir
    host, _, port = options.address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise Invalid(f"server: --address {options.address}: not HOST:PORT")
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    import uvloop

    from dockyard.base.oci.instance import data_root
    from dockyard.boot import control, layout

    place = layout.Layout(data_root())
    settings = layout.load(place) or layout.choose(layout.look_at_host())
    settings = layout.replace(settings, api_port=int(port))

    def ready() -> None:
        print(f"serving on https://{options.address}, kubeconfig: {place.kubeconfig}", flush=True)

    tokens = Path(options.token_auth_file) if options.token_auth_file else None
    uvloop.run(control.serve(place, settings, host, tokens, ready))
    return 0
