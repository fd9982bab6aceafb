"""Who changes what many share is found out."""

from __future__ import annotations

import pytest

from dockyard.cluster.client.mutations import Mutated, MutationDetector


def test_a_change_in_place_is_told_with_its_object() -> None:
    detector = MutationDetector()
    shared = {"kind": "Pod", "metadata": {"name": "a", "namespace": "shop", "labels": {"x": "1"}}}
    other = {"kind": "Pod", "metadata": {"name": "b"}}
    detector.handed_out(shared)
    detector.handed_out(other)
    detector.check()
    shared["metadata"]["labels"]["x"] = "2"  # type: ignore[index]
    with pytest.raises(Mutated, match="Pod shop/a"):
        detector.check()
