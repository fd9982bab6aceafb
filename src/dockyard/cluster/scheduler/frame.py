"""Turns Nodes and the pods on them into NumPy columns: one row a node.

A plugin never loops over nodes: it combines columns. Strings are interned, so that a label test is
a comparison of whole numbers. Rows of removed nodes are reused. One writer: the scheduler's loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dockyard.cluster.scheduler.podinfo import HostPort, PodInfo, amount_of

Mask = NDArray[np.bool_]
Amounts = NDArray[np.int64]
Ids = NDArray[np.int32]

ABSENT = -1
"""Id of a label that a node does not have."""

Taint = tuple[str, str, str]
"""Key, value, effect."""


class Frame:
    """All nodes as columns. ``alive`` marks the rows in use."""

    def __init__(self) -> None:
        self._size = 64
        self.names: list[str] = [""] * self._size
        self.rows: dict[str, int] = {}
        self._free: list[int] = list(range(self._size - 1, -1, -1))
        self.alive: Mask = np.zeros(self._size, bool)
        self.unschedulable: Mask = np.zeros(self._size, bool)
        self.allocatable: dict[str, Amounts] = {}
        self.requested: dict[str, Amounts] = {}
        self.scored_cpu: Amounts = np.zeros(self._size, np.int64)
        self.scored_memory: Amounts = np.zeros(self._size, np.int64)
        self.labels: dict[str, Ids] = {}
        self.taints: dict[Taint, Mask] = {}
        self.ports: dict[HostPort, Amounts] = {}
        self._values: dict[str, int] = {}
        self._texts: list[str] = []
        self._pods: dict[str, tuple[str, PodInfo]] = {}
        for resource in ("cpu", "memory", "pods"):
            self._resource(resource)

    def __len__(self) -> int:
        return len(self.rows)

    # nodes

    def set_node(self, node: Mapping[str, Any]) -> None:
        """Take over a Node as it is now; pods placed on it stay counted."""
        name = node["metadata"]["name"]
        row = self.rows.get(name)
        if row is None:
            row = self._take_row(name)
        self._clear_node(row)
        self.unschedulable[row] = bool(node.get("spec", {}).get("unschedulable"))
        for resource, text in node.get("status", {}).get("allocatable", {}).items():
            self._resource(resource)
            self.allocatable[resource][row] = amount_of(resource, text)
        for key, value in node["metadata"].get("labels", {}).items():
            self.label(key)[row] = self.intern(value)
        for taint in node.get("spec", {}).get("taints", ()):
            self._taint((taint["key"], taint.get("value", ""), taint["effect"]))[row] = True

    def remove_node(self, name: str) -> None:
        """Forget a Node. Its pods stay known, and count again if it comes back."""
        row = self.rows.pop(name, None)
        if row is None:
            return
        self._clear_node(row)
        for column in (*self.requested.values(), *self.ports.values()):
            column[row] = 0
        self.scored_cpu[row] = self.scored_memory[row] = 0
        self.alive[row] = False
        self._free.append(row)

    def _take_row(self, name: str) -> int:
        if not self._free:
            self._grow()
        row = self._free.pop()
        self.rows[name], self.names[row] = row, name
        self.alive[row] = True
        for node, pod in self._pods.values():
            if node == name:
                self._count(row, pod, 1)
        return row

    def _clear_node(self, row: int) -> None:
        for amounts in self.allocatable.values():
            amounts[row] = 0
        for ids in self.labels.values():
            ids[row] = ABSENT
        for mask in self.taints.values():
            mask[row] = False
        self.unschedulable[row] = False

    # pods

    def place(self, pod: PodInfo, node: str) -> None:
        """Count a pod on a node; placing it again moves it."""
        self.remove_pod(pod.uid)
        self._pods[pod.uid] = (node, pod)
        row = self.rows.get(node)
        if row is not None:
            self._count(row, pod, 1)

    def remove_pod(self, uid: str) -> None:
        """Stop counting a pod."""
        node, pod = self._pods.pop(uid, ("", None))
        row = self.rows.get(node)
        if pod is not None and row is not None:
            self._count(row, pod, -1)

    def node_of(self, uid: str) -> str | None:
        """The node that a pod is counted on."""
        found = self._pods.get(uid)
        return found[0] if found else None

    def _count(self, row: int, pod: PodInfo, sign: int) -> None:
        for resource, amount in pod.requests.items():
            self._resource(resource)
            self.requested[resource][row] += sign * amount
        self.scored_cpu[row] += sign * pod.scored_cpu
        self.scored_memory[row] += sign * pod.scored_memory
        for port in pod.host_ports:
            if port not in self.ports:
                self.ports[port] = np.zeros(self._size, np.int64)
            self.ports[port][row] += sign

    # columns

    def label(self, key: str) -> Ids:
        """Each node's value id of a label, or ``ABSENT``."""
        if key not in self.labels:
            self.labels[key] = np.full(self._size, ABSENT, np.int32)
        return self.labels[key]

    def intern(self, value: str) -> int:
        """The id of a label value."""
        if value not in self._values:
            self._values[value] = len(self._texts)
            self._texts.append(value)
        return self._values[value]

    def text(self, value_id: int) -> str:
        """The label value of an id."""
        return self._texts[value_id]

    def known(self, value: str) -> int:
        """The id of a label value, or an id that no node has."""
        return self._values.get(value, ABSENT - 1)

    def _taint(self, taint: Taint) -> Mask:
        if taint not in self.taints:
            self.taints[taint] = np.zeros(self._size, bool)
        return self.taints[taint]

    def _resource(self, resource: str) -> None:
        if resource not in self.allocatable:
            self.allocatable[resource] = np.zeros(self._size, np.int64)
            self.requested[resource] = np.zeros(self._size, np.int64)

    def _grow(self) -> None:
        """Double every column."""
        old, self._size = self._size, self._size * 2
        more = self._size - old
        self.names += [""] * more
        self._free = list(range(self._size - 1, old - 1, -1))
        self.alive = np.concatenate([self.alive, np.zeros(more, bool)])
        self.unschedulable = np.concatenate([self.unschedulable, np.zeros(more, bool)])
        self.scored_cpu = np.concatenate([self.scored_cpu, np.zeros(more, np.int64)])
        self.scored_memory = np.concatenate([self.scored_memory, np.zeros(more, np.int64)])
        for amounts in (self.allocatable, self.requested):
            for resource, column in amounts.items():
                amounts[resource] = np.concatenate([column, np.zeros(more, np.int64)])
        for port, column in self.ports.items():
            self.ports[port] = np.concatenate([column, np.zeros(more, np.int64)])
        for key, ids in self.labels.items():
            self.labels[key] = np.concatenate([ids, np.full(more, ABSENT, np.int32)])
        for taint, mask in self.taints.items():
            self.taints[taint] = np.concatenate([mask, np.zeros(more, bool)])
