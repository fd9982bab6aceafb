"""``dockyard`` verbs against a server, called as :class:`helpers.kubectl.Kubectl` is."""

from __future__ import annotations

from pathlib import Path

from helpers.kubectl import BIN, DOCKYARD, Kubectl


class Dockyard(Kubectl):
    """``dockyard("get", "pods")``: its output; a failure fails the test."""

    def __init__(self, kubeconfig: Path, home: Path) -> None:
        self.program = str(DOCKYARD)
        self.environment = {
            "PATH": f"{BIN}:/usr/bin:/bin",
            "HOME": str(home),
            "KUBECONFIG": str(kubeconfig),
        }
