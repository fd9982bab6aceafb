"""What this machine's kernel does not show: cgroup v2 and v1 whole, in a virtual machine.

Each case of ``inside`` is a test here; a machine is booted once a file of cases.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from helpers import guest

pytestmark = [pytest.mark.long]
FILES = (
    "cases_v1",
    "cases_mixed",
    "cases_v2",
    "cases_v2_devices",
    "cases_v2_life",
    "cases_v2_peers",
    "cases_v2_rootless",
    "cases_v2_user",
    "cases_system_systemd",
    "cases_systemd",
)


@pytest.fixture(scope="session")
def booted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, guest.Outcome]]:
    if reason := guest.missing():
        pytest.skip(reason)
    done: dict[str, dict[str, guest.Outcome] | AssertionError] = {}

    def get(cases: str) -> dict[str, guest.Outcome]:
        if cases not in done:
            try:
                done[cases] = guest.boot(tmp_path_factory.mktemp(cases), cases)
            except AssertionError as error:
                done[cases] = error
        found = done[cases]
        if isinstance(found, AssertionError):
            raise found
        return found

    return get


@pytest.mark.parametrize(
    ("cases", "name"), [(cases, name) for cases in FILES for name in guest.names(cases)]
)
def test_in_the_guest(
    booted: Callable[[str], dict[str, guest.Outcome]], cases: str, name: str
) -> None:
    outcome = booted(cases).get(name)
    assert outcome is not None, "the machine ended before this case"
    assert outcome.ok, outcome.text
