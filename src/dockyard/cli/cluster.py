"""Turns flags and the environment into a session with a cluster, and refusals into kubectl's words.

The cluster is the one that ``--kubeconfig`` names, or ``KUBECONFIG``, or the data root's own.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from dockyard.base.aio.clock import RealClock
from dockyard.base.errors import DockyardError, Unsupported
from dockyard.base.oci.instance import root_path
from dockyard.boot.layout import Layout
from dockyard.cli import common
from dockyard.cluster.client import catalog, kubeconfig
from dockyard.cluster.client.catalog import Catalog
from dockyard.cluster.client.client import Client
from dockyard.cluster.client.http import HttpTransport
from dockyard.cluster.meta.errors import ApiError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
FAILED = 1


def add_flags(parser: common.Parser) -> None:
    """The flags of every verb that talks to a cluster."""
    parser.add_argument("-n", "--namespace", default="", metavar="NAME", help="in this namespace")
    parser.add_argument("--kubeconfig", default="", metavar="FILE", help="the way to the cluster")
    parser.add_argument("--context", default="", metavar="NAME", help="one of the kubeconfig's")


class Session:
    """One way to the API for objects, one for tables, and what the server has."""

    def __init__(self, options: argparse.Namespace) -> None:
        access = kubeconfig.load(_files(options.kubeconfig), options.context)
        clock = RealClock()
        self.namespace = options.namespace or access.namespace
        self._json = HttpTransport(
            access.server, access.tls, clock, token=access.token, warned=warn
        )
        self.tables = HttpTransport(access.server, access.tls, clock, token=access.token,
                                    accept=TABLE, warned=warn)  # fmt: skip
        self.client = Client(self._json)
        self._catalog: Catalog | None = None

    async def catalog(self, *, fresh: bool = False) -> Catalog:
        """What the server has; asked once."""
        if self._catalog is None or fresh:
            documents = [
                await self._json.document(path, catalog.ACCEPT) for path in ("/api", "/apis")
            ]
            for document in documents:
                if document.get("kind") != "APIGroupDiscoveryList":
                    raise Unsupported("the server: has no aggregated discovery; Kubernetes has it "
                                      "since 1.26, older servers are not supported")  # fmt: skip
            self._catalog = Catalog(documents)
        return self._catalog

    async def close(self) -> None:
        await self._json.close()
        await self.tables.close()


def _files(flag: str) -> list[Path]:
    named = [Path(flag)] if flag else []
    from_environment = os.environ.get("KUBECONFIG", "")
    named = named or [Path(part) for part in from_environment.split(os.pathsep) if part]
    return named or [Layout(Path(root_path())).kubeconfig]


def run(options: argparse.Namespace, work: Callable[[Session], Awaitable[int]]) -> int:
    """Work in a session; its exit code. What the API refuses is told in kubectl's words."""

    async def main() -> int:
        session = Session(options)
        try:
            return await work(session)
        finally:
            await session.close()

    try:
        return asyncio.run(main())
    except ApiError as error:
        fail(told(error))
    except DockyardError as error:
        fail(f"error: {error}")
    return FAILED


def fail(text: str) -> None:
    """Say what went wrong, behind what was printed already."""
    sys.stdout.flush()
    print(text, file=sys.stderr)


def warn(text: str) -> None:
    print(f"Warning: {text}", file=sys.stderr)


def told(error: ApiError, doing: str = "") -> str:
    """A refusal, as kubectl words it; ``doing``: ``error when creating "web.yaml": ``."""
    if error.reason == "Invalid":
        details = error.details
        what = f'The {details.get("kind", "")} "{details.get("name", "")}" is invalid'
        faults = [f"{each.get('field')}: {each.get('message')}" for each in error.causes]
        if len(faults) > 1:
            return "\n".join([f"{what}: ", *(f"* {fault}" for fault in faults)])
        return f"{what}: {faults[0]}" if faults else f"Error from server (Invalid): {error}"
    if error.reason == "Unauthorized":
        return f"error: You must be logged in to the server ({error})"
    return f"Error from server ({error.reason}): {doing}{error}"
