"""Turns node selectors and node affinity into masks over label columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dockyard.cluster.scheduler.frame import ABSENT, Frame, Ids, Mask
from dockyard.cluster.scheduler.framework import Event, Refusal, Scores, normalise
from dockyard.cluster.scheduler.podinfo import PodInfo

REASON = "node(s) didn't match Pod's node affinity/selector"


class NodeAffinity:
    """Refuses nodes that the required terms leave out; prefers those that preferred terms name."""

    weight = 2.0
    wakes = frozenset({Event.NODE})

    def refuse(self, pod: PodInfo, frame: Frame) -> Sequence[Refusal]:
        required = pod.affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
        if not pod.node_selector and not required:
            return ()
        match = np.ones_like(frame.alive)
        for key, value in pod.node_selector.items():
            match &= frame.label(key) == frame.known(value)
        if required:
            match &= matches_any(required.get("nodeSelectorTerms", ()), frame)
        return (Refusal(~match, REASON, evictions_help=False),)

    def score(self, pod: PodInfo, frame: Frame, feasible: Mask) -> Scores:
        total: Scores = np.zeros(len(feasible))
        for term in pod.affinity.get("preferredDuringSchedulingIgnoredDuringExecution", ()):
            total += int(term["weight"]) * matches(term["preference"], frame)
        return normalise(total, feasible)


def matches_any(terms: Sequence[Mapping[str, Any]], frame: Frame) -> Mask:
    """Nodes that match one of the terms; no terms match no node."""
    match = np.zeros_like(frame.alive)
    for term in terms:
        match |= matches(term, frame)
    return match


def matches(term: Mapping[str, Any], frame: Frame) -> Mask:
    """Nodes that match every requirement of a NodeSelectorTerm; an empty term matches none."""
    expressions, fields = term.get("matchExpressions", ()), term.get("matchFields", ())
    match = np.full_like(frame.alive, bool(expressions or fields))
    for expression in expressions:
        match &= _matches_label(expression, frame)
    for expression in fields:
        match &= _matches_name(expression, frame)
    return match


def _matches_label(expression: Mapping[str, Any], frame: Frame) -> Mask:
    column = frame.label(expression["key"])
    present: Mask = column != ABSENT
    values = expression.get("values", ())
    match expression["operator"]:
        case "In":
            return np.isin(column, [frame.known(value) for value in values])
        case "NotIn":
            return ~np.isin(column, [frame.known(value) for value in values])
        case "Exists":
            return present
        case "DoesNotExist":
            return ~present
        case "Gt":
            return present & (_numbers(column, frame) > int(values[0]))
        case "Lt":
            numbers = _numbers(column, frame)
            return present & ~np.isnan(numbers) & (numbers < int(values[0]))
        case unknown:
            raise ValueError(f"node selector operator {unknown!r}: validation lets none through")


def _numbers(column: Ids, frame: Frame) -> Scores:
    """Label values as numbers; NaN, which compares to nothing, where a value is none."""

    def number(value_id: int) -> float:
        try:
            return float(int(frame.text(value_id)))
        except ValueError:
            return float("nan")

    ids, places = np.unique(column, return_inverse=True)
    known = [number(int(value)) if value != ABSENT else float("nan") for value in ids]
    numbers: Scores = np.array(known)[places]
    return numbers


def _matches_name(expression: Mapping[str, Any], frame: Frame) -> Mask:
    """``matchFields`` knows ``metadata.name`` only."""
    named = np.zeros_like(frame.alive)
    for value in expression.get("values", ()):
        if (row := frame.rows.get(value)) is not None:
            named[row] = True
    return named if expression["operator"] == "In" else ~named
