"""What ``kubectl logs`` shows of a log in the CRI's format."""

import asyncio
from pathlib import Path

import pytest

from dockyard.base.aio.clock import RealClock, TurnableClock, run_turnable
from dockyard.base.errors import Invalid
from dockyard.cluster.kubelet import logfiles, strays
from dockyard.cluster.kubelet.logs import Wanted, parse, read

ALL = Wanted()
LINES = (
    b"2026-01-01T00:00:00.000000000Z stdout F one\n"
    b"2026-01-01T00:00:01.000000000Z stderr F two\n"
    b"2026-01-01T00:00:02.000000000Z stdout P thr\n"
    b"2026-01-01T00:00:02.500000000Z stdout F ee\n"
    b"2026-01-01T00:00:03.000000000Z stdout F \n"
)


def shown(tmp_path: Path, wanted: Wanted = ALL, content: bytes = LINES) -> bytes:
    path = tmp_path / "0.log"
    path.write_bytes(content)

    async def main() -> bytes:
        pieces = [piece async for piece in read(path, wanted, RealClock(), lambda: False)]
        return b"".join(pieces)

    return asyncio.run(main())


def test_all_of_it(tmp_path: Path) -> None:
    assert shown(tmp_path) == b"one\ntwo\nthree\n\n"


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(tail=2), b"ee\n\n"),
        (Wanted(tail=0), b""),
        (Wanted(tail=99), b"one\ntwo\nthree\n\n"),
        (Wanted(most=5), b"one\nt"),
        (Wanted(after=1767225602.0), b"three\n\n"),
        (Wanted(stream=b"stderr"), b"two\n"),
        (Wanted(timestamps=True, tail=1), b"2026-01-01T00:00:03.000000000Z \n"),
    ],
)
def test_a_part_of_it(tmp_path: Path, wanted: Wanted, expected: bytes) -> None:
    assert shown(tmp_path, wanted) == expected


@pytest.mark.parametrize(
    "content",
    [LINES + b"2026-01-01T00:00:04.0Z stdout F cut o", LINES + b"garb", LINES + b"\xff\x00"],
)
def test_a_line_that_is_not_whole_is_not_shown(tmp_path: Path, content: bytes) -> None:
    """F24, G01: a monitor that was killed in the middle of a line."""
    assert shown(tmp_path, content=content) == b"one\ntwo\nthree\n\n"


def test_a_line_that_is_none_of_ours_hurts_nobody(tmp_path: Path) -> None:
    """F24: what a program puts into its log is data."""
    strange = b"\n no stamp here\n2026 stdout\n" + LINES
    assert shown(tmp_path, Wanted(after=1.0), strange) == b"one\ntwo\nthree\n\n"


def test_bytes_come_as_they_were(tmp_path: Path) -> None:
    content = b"2026-01-01T00:00:00.0Z stdout F \x1b[31m\xff\xfe\x00\r\n"
    assert shown(tmp_path, content=content) == b"\x1b[31m\xff\xfe\x00\r\n"


def test_queries() -> None:
    found = parse(
        {"follow": "true", "tailLines": "5", "sinceSeconds": "10", "limitBytes": "7",
         "timestamps": "true", "previous": "true", "stream": "Stderr"}, 100.0,
    )  # fmt: skip
    assert found == Wanted(True, True, True, 5, 90.0, 7, b"stderr")
    assert parse({"sinceTime": "1970-01-01T00:00:42Z"}, 100.0).after == 42.0
    assert parse({}, 100.0) == Wanted()


@pytest.mark.parametrize(
    "query", [{"tailLines": "x"}, {"sinceTime": "yesterday"}, {"limitBytes": "1e"}]
)
def test_queries_that_are_none(query: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        parse(query, 0.0)


def test_following_across_a_rotation_to_the_end(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_bytes(LINES[:44])
    clock, runs = TurnableClock(), [True]
    got: list[bytes] = []
    put = got.append

    async def follow() -> None:
        async for piece in read(path, Wanted(follow=True), clock, lambda: runs[0]):
            put(piece)

    async def main() -> None:
        task = asyncio.ensure_future(follow())
        await clock.advance(1)
        assert b"".join(got) == b"one\n"
        with path.open("ab") as log:
            log.write(b"2026-01-01T00:00:05.0Z stdout F four\n")
            await clock.settle()
        path.rename(tmp_path / "0.log.1")
        path.write_bytes(b"2026-01-01T00:00:06.0Z stdout F five\n2026-01-01T00:00:07.0Z stdout F s")
        await clock.advance(1)
        assert b"".join(got) == b"one\nfour\nfive\n"
        with path.open("ab") as log:
            log.write(b"ix\n")
        runs[0] = False  # its last words are not missed
        await clock.advance(1)
        assert task.done()
        await task
        assert b"".join(got) == b"one\nfour\nfive\nsix\n"

    run_turnable(clock, main())


def test_attempts(tmp_path: Path) -> None:
    for name in ("0.log", "2.log", "10.log", "10.log.20260101", "x.log"):
        (tmp_path / name).write_text("")
    assert logfiles.attempt(tmp_path, previous=False) == tmp_path / "10.log"
    assert logfiles.attempt(tmp_path, previous=True) == tmp_path / "2.log"
    logfiles.remove(str(tmp_path / "10.log"))
    assert logfiles.attempt(tmp_path, previous=False) == tmp_path / "2.log"
    assert not (tmp_path / "10.log.20260101").exists()
    assert logfiles.attempt(tmp_path / "none", previous=False) is None
    logfiles.remove("")


def test_logs_are_not_read_through_links(tmp_path: Path) -> None:
    """F24: a pod that can write to the folder points nowhere else."""
    secret = tmp_path / "secret"
    secret.write_bytes(LINES)
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "0.log").symlink_to(secret)
    assert logfiles.attempt(folder, previous=False) is None
    (tmp_path / "linked").symlink_to(folder)
    assert logfiles.attempt(tmp_path / "linked", previous=False) is None

    async def main() -> None:
        async for _ in read(folder / "0.log", Wanted(), RealClock(), lambda: False):
            pass

    with pytest.raises(OSError, match="symbolic links"):
        asyncio.run(main())


def test_folders_of_pods_that_nobody_knows(tmp_path: Path) -> None:
    pods, memory = tmp_path / "pods", tmp_path / "memory"
    for folder in ("pods/volumes/u1/v", "pods/volumes/u2", "pods/default_web_u1/c",
                   "pods/default_old_u3", "memory/u2/s"):  # fmt: skip
        (tmp_path / folder).mkdir(parents=True)
    found = strays.find(pods, memory)
    assert sorted(uid for _, uid in found) == ["u1", "u1", "u2", "u2", "u3"]
    strays.remove([folder for folder, uid in found if uid != "u1"])
    left = sorted(str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*"))
    assert left == ["memory", "pods", "pods/default_web_u1", "pods/default_web_u1/c",
                    "pods/volumes", "pods/volumes/u1", "pods/volumes/u1/v"]  # fmt: skip
    assert strays.find(tmp_path / "none", tmp_path / "none") == []
