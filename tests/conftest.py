"""House rules of the test run: a skip needs a listed reason, root tests need root."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from dockyard.base.oci.instance import RUN_ROOT

# Timings decide nothing: a machine may be busy. Nor does chance: `make test` tries the same cases
# each time, and `make fuzz` looks for new ones.
_always = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fuzz", _always)
settings.register_profile("dockyard", _always, derandomize=True, database=None)
settings.load_profile(os.environ.get("DOCKYARD_CASES", "dockyard"))

REASONS = {
    line.strip()
    for line in (Path(__file__).parent / "skips.txt").read_text().splitlines()
    if line.strip() and not line.startswith("#")
}
_unlisted: list[str] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.geteuid() == 0:
        return
    for item in items:
        if item.get_closest_marker("root"):
            item.add_marker(pytest.mark.skip(reason="needs root"))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if not report.skipped or not isinstance(report.longrepr, tuple):
        return
    reason = report.longrepr[2].removeprefix("Skipped: ")
    if reason not in REASONS:
        _unlisted.append(f"{report.nodeid}: {reason}")


@pytest.fixture(scope="session", autouse=True)
def _run_directories_end_with_their_data_roots(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[None]:
    """Each data root of a test has one below /run; pytest removes only the first."""
    yield
    ours = f"{tmp_path_factory.getbasetemp().resolve()}/"
    for folder in Path(RUN_ROOT).glob("*"):
        link = folder / "root"
        if link.is_symlink() and str(link.readlink()).startswith(ours):
            shutil.rmtree(folder)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _unlisted and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in _unlisted:
        terminalreporter.write_line(
            f"skipped for a reason not in tests/skips.txt: {line}", red=True
        )
