"""Profiles become filters; what is wrong with one is an error, never a filter that allows more."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dockyard.base.errors import DockyardError
from dockyard.base.linux import seccomp
from dockyard.base.oci.defaultspec import CAPABILITIES
from dockyard.base.oci.seccompdefault import default_profile


def test_the_filter_is_kept_and_found_again(tmp_path: Path, monkeypatch: Any) -> None:
    profile = default_profile(CAPABILITIES)
    first = seccomp.filter_for(profile, str(tmp_path))
    assert len(first) % 8 == 0
    assert [path.stat().st_size for path in tmp_path.iterdir()] == [len(first)]
    monkeypatch.setattr(seccomp, "compile_profile", None)
    assert seccomp.filter_for(profile, str(tmp_path)) == first


def test_another_profile_is_another_filter(tmp_path: Path) -> None:
    seccomp.filter_for(default_profile(CAPABILITIES), str(tmp_path))
    seccomp.filter_for(default_profile(()), str(tmp_path))
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    "profile",
    [
        {},
        {"defaultAction": None},
        {"defaultAction": "SCMP_ACT_NOPE"},
        {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": -1},
        {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": "1"},
        {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_VAX"]},
        {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"]}]},
        {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/x"},
        {
            "defaultAction": "SCMP_ACT_ERRNO",
            "syscalls": [
                {
                    "names": ["read"],
                    "action": "SCMP_ACT_ALLOW",
                    "args": [{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}],
                }
            ],
        },
    ],
    ids=range(9),
)
def test_a15_a_bad_profile_is_an_error(profile: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(DockyardError, match="seccomp"):
        seccomp.filter_for(profile, str(tmp_path))
    assert list(tmp_path.iterdir()) == []
