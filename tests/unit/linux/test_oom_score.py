"""Who is killed last when a machine has no memory left: proc(5), oom_score_adj."""

from __future__ import annotations

from pathlib import Path

import pytest

from dockyard.base.linux import oomscore


@pytest.mark.parametrize(
    ("own", "wanted", "then"), [(0, -999, -999), (500, -998, -998), (-999, -998, -999), (-5, 0, -5)]
)
def test_g11_a_score_is_lowered_never_raised(
    own: int, wanted: int, then: int, tmp_path: Path
) -> None:
    file = tmp_path / "oom_score_adj"
    file.write_text(f"{own}\n")
    assert oomscore.lower(wanted, str(file))
    assert int(file.read_bytes()[: len(str(then))]) == then


@pytest.mark.parametrize(("own", "then"), [(-999, 0), (0, 0), (300, 300)])
def test_g11_an_ordinary_process_is_no_better_off(own: int, then: int, tmp_path: Path) -> None:
    file = tmp_path / "oom_score_adj"
    file.write_text(str(own))
    oomscore.ordinary(str(file))
    assert int(file.read_bytes()[: len(str(then))]) == then


def test_g11_the_order_is_the_fields_own() -> None:
    """dockerd -500, containerd-shim -998, kubelet -999: all below every container's 0..1000."""
    assert -1000 < oomscore.NODE < oomscore.MONITOR < -500
