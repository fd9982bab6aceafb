"""Builds with real containers: what steps make, what comes from the cache, what is denied."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.buildbench import Bench
from helpers.leaks import left_behind, tree_hash

pytestmark = pytest.mark.root


def test_configuration(bench: Bench) -> None:
    bench.build(
        """
        ARG BASE=busybox
        FROM $BASE AS base
        ARG VERSION=1
        ENV A="x y" B=$VERSION
        ENV A=new C=$A
        WORKDIR /one
        WORKDIR two
        USER 1000:33
        EXPOSE 80 9000-9001/udp
        LABEL a.b="c d" v=$VERSION
        VOLUME /data
        STOPSIGNAL SIGINT
        CMD ["lost"]
        ENTRYPOINT ["prog"]
        CMD ["arg", "$A"]
        """,
        "--build-arg", "VERSION=2",
    )  # fmt: skip
    config = bench.image.config
    assert config.env[-3:] == ("A=new", "B=2", "C=x y")
    assert config.working_dir == "/one/two"
    assert config.user == "1000:33"
    assert config.exposed_ports == ("80/tcp", "9000/udp", "9001/udp")
    assert dict(config.labels) == {"a.b": "c d", "v": "2"}
    assert (config.volumes, config.stop_signal) == (("/data",), "SIGINT")
    assert (config.entrypoint, config.cmd) == (("prog",), ("arg", "$A"))
    created = [step.created_by for step in config.history]
    assert created[1:3] == ["ARG VERSION=2", "ENV A=x y B=2"]


def test_entrypoint_drops_the_bases_cmd(bench: Bench) -> None:
    bench.build('FROM busybox\nENTRYPOINT ["prog"]\n')
    assert bench.image.config.cmd == ()


def test_copy_places_files_as_docker_does(bench: Bench) -> None:
    bench.write({"a.txt": "a", "b.txt": "b", "dir/in/deep": "d", "dir/top": "t", "x.log": "no",
                 ".dockerignore": "*.log\ndir/skip*\n", "dir/skipped": "no"})  # fmt: skip
    (bench.context / "dir" / "link").symlink_to("top")
    (bench.context / "a.txt").chmod(0o751)
    os.utime(bench.context / "a.txt", (1000, 1000))
    bench.build(
        """
        FROM busybox
        WORKDIR /w
        COPY a.txt renamed
        COPY *.txt many/
        COPY dir /d
        COPY dir/top .
        COPY --chown=7:8 --chmod=600 a.txt /owned/sub/
        COPY a.txt /bin/through-link
        """
    )
    seen = {}
    for depth in range(6):
        for path in sorted(bench.top(depth).rglob("*")):
            if not path.is_dir():
                seen[str(path.relative_to(bench.top(depth)))] = path
    assert sorted(seen) == [
        "d/in/deep", "d/link", "d/top", "owned/sub/a.txt", "usr/bin/through-link",
        "w/many/a.txt", "w/many/b.txt", "w/renamed", "w/top",
    ]  # fmt: skip
    renamed = seen["w/renamed"].stat()
    assert (renamed.st_mode & 0o777, renamed.st_mtime, renamed.st_uid) == (0o751, 1000, 0)
    owned = seen["owned/sub/a.txt"].stat()
    assert (owned.st_uid, owned.st_gid, owned.st_mode & 0o777) == (7, 8, 0o600)
    assert seen["owned/sub/a.txt"].parent.stat().st_uid == 7
    assert seen["d/link"].is_symlink()


def test_run_is_confined_as_a_container_is(bench: Bench) -> None:
    told = bench.build(
        """
        FROM busybox
        ARG WORD=hello
        WORKDIR /w
        RUN echo "$WORD" > said && pwd && id -u && ls /proc/self/fd | xargs
        RUN ["sh", "-c", "grep CapEff /proc/self/status; mount -t tmpfs x /mnt || echo denied"]
        RUN cat /proc/kcore || echo masked; hostname; ip -o addr | wc -l; ls /dev/kmsg || echo none
        USER www-data
        RUN id -un; touch /w/x || echo refused
        """
    )
    assert "/w\n0\n" in told
    assert "00000000a80425fb" in told  # Docker's default capabilities
    for word in ("denied", "buildkitsandbox", "none", "www-data", "refused"):
        assert word in told
    assert (bench.top(3) / "w/said").read_text() == "hello\n"


def test_a_layer_holds_only_what_run_changed(bench: Bench) -> None:
    bench.build("FROM busybox\nRUN echo x > /etc/new && rm /etc/group\n")
    found = {str(path.relative_to(bench.top())) for path in bench.top().rglob("*")}
    assert found == {"etc", "etc/new", "etc/group"}
    group = (bench.top() / "etc/group").lstat()
    assert (group.st_rdev, group.st_mode & 0o170000) == (0, 0o020000)


def test_a_failing_step_says_where(bench: Bench) -> None:
    told = bench.fail("FROM busybox\nRUN echo before\nRUN echo why && exit 3\n", "-q")
    assert "why\n" in told
    failed = 'process "/bin/sh -c echo why && exit 3" did not complete successfully: exit code: 3'
    assert f"Dockerfile:3: RUN: {failed}\n" in told
    assert "   2 |     RUN echo before\n   3 | >>> RUN echo why && exit 3\n" in told
    told = bench.fail('FROM busybox\nRUN ["/nothing"]\n')
    assert "Dockerfile:2: RUN: " in told
    assert "/nothing" in told


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        ("COPY missing .", "missing: is not in the build context"),
        ("COPY ../secret .", "../secret: lies outside the build context"),
        ("COPY out/secret .", "out/secret: is not in the build context"),
        ("COPY a b c", "c: with several sources it must end with /"),
        ("COPY --chown=nobodyhere a .", "--chown: unable to find user nobodyhere: no matching"),
        ("COPY fifo .", "fifo: is a device, FIFO or socket"),
        ("WORKDIR $NOTHING", "'$NOTHING' is empty"),
        ("EXPOSE 99999", "ports are 1 to 65535"),
        ("FROM nothing-here@x", "its algorithm is not sha256"),
    ],
)
def test_e01_mistakes_are_told_with_their_line(bench: Bench, step: str, reason: str) -> None:
    (bench.base / "secret").write_text("secret")
    bench.write({"a": "", "b": ""})
    (bench.context / "out").symlink_to(bench.base)
    os.mkfifo(bench.context / "fifo")
    first = "" if step.startswith("FROM") else "FROM busybox\n"
    told = bench.fail(f"{first}{step}\n")
    assert f"Dockerfile:{2 if first else 1}: " in told
    assert reason in told


def test_e01_a_target_stays_in_the_image(bench: Bench) -> None:
    canary = bench.base / "canary"
    canary.mkdir()
    (canary / "f").write_text("canary")
    before = tree_hash(canary)
    bench.write({"f": "hostile"})
    bench.build(
        f"""
        FROM busybox
        RUN ln -s {canary} /abs && ln -s ../../../../../../../../{canary} /up && mkdir -p {canary}
        COPY f /abs/f
        COPY f /up/f
        COPY f ../../../../etc/f
        """
    )
    assert tree_hash(canary) == before
    assert (bench.top(1) / str(canary)[1:] / "f").read_text() == "hostile"


CACHED = "FROM busybox\nARG V=1\nWORKDIR /w\nCOPY src .\nRUN echo $V > v\n"


def test_e05_the_same_build_is_the_same_image(bench: Bench) -> None:
    bench.write({"src/f": "1"})
    bench.build(CACHED)
    first = bench.image
    told = bench.build(CACHED)
    assert told.count("CACHED") == 3
    assert bench.image.id == first.id
    assert "CACHED" not in bench.build(CACHED, "--no-cache")


@pytest.mark.parametrize(
    ("change", "cached"),
    [
        (lambda bench: bench.write({"src/f": "2"}), 1),
        (lambda bench: bench.write({"src/g": ""}), 1),
        (lambda bench: (bench.context / "src/f").chmod(0o600), 1),
        (lambda bench: (bench.context / "src/f").rename(bench.context / "src/h"), 1),
        (lambda bench: os.utime(bench.context / "src/f", (1, 1)), 3),
        (lambda bench: bench.write({".dockerignore": "src/f"}), 1),
    ],
    ids=["bytes", "new-file", "mode", "name", "time", "ignored"],
)
def test_e05_every_input_counts(
    bench: Bench, change: Callable[[Bench], object], cached: int
) -> None:
    bench.write({"src/f": "1", "src/other": ""})
    bench.build(CACHED)
    change(bench)
    assert bench.build(CACHED).count("CACHED") == cached


@pytest.mark.parametrize(
    ("dockerfile", "words", "cached"),
    [
        (CACHED, ("--build-arg", "V=2"), 2),
        (CACHED.replace("echo $V", "echo  $V"), (), 2),
        (CACHED.replace("COPY src", "COPY --chmod=600 src"), (), 1),
        (CACHED.replace("RUN", "ENV X=1\nRUN"), (), 2),
        (CACHED.replace("RUN", "USER 5\nRUN"), (), 2),
        (CACHED.replace("RUN", 'SHELL ["sh", "-ec"]\nRUN'), (), 2),
        (CACHED.replace("RUN", "RUN --network=host"), ("--allow", "network.host"), 2),
        (CACHED.replace("RUN", "LABEL x=y\nRUN"), (), 3),
    ],
)
def test_e05_every_word_counts(
    bench: Bench, dockerfile: str, words: tuple[str, ...], cached: int
) -> None:
    bench.write({"src/f": "1"})
    bench.build(CACHED)
    if "USER" in dockerfile:
        dockerfile = dockerfile.replace("echo $V > v", "true")
    assert bench.build(dockerfile, *words).count("CACHED") == cached


def test_reproducible_layers(bench: Bench, tmp_path: Path) -> None:
    """The same files, copied in another place and store, are the same layers."""
    (tmp_path / "other").mkdir()
    other = Bench(tmp_path / "other")
    dockerfile = "FROM busybox\nWORKDIR /a/b\nCOPY src/ /a/c/\nCOPY src/f /usr/bin/f\n"
    for place in (bench, other):
        place.write({"src/f": "1", "src/d/g": "2"})
        for path in [*place.context.rglob("*"), place.context]:
            os.utime(path, (5000, 5000))
        place.build(dockerfile)
    assert bench.image.config.diff_ids == other.image.config.diff_ids
    assert [layer.digest for layer in bench.image.layers] == [
        layer.digest for layer in other.image.layers
    ]


def test_output_forms_and_no_leaks(bench: Bench) -> None:
    assert bench.build("FROM busybox\nRUN true\n", "-q").strip() == bench.image.id
    told, ident = bench.base / "told.json", bench.base / "id"
    bench.build("FROM busybox\nRUN true\n", "--metadata-file", str(told), "--iidfile", str(ident))
    assert ident.read_text() == bench.image.id
    metadata = json.loads(told.read_text())
    assert metadata["containerimage.config.digest"] == bench.image.id
    assert metadata["containerimage.digest"] == bench.image.digest
    assert metadata["image.name"] == "docker.io/library/out:latest"
    bench.fail("FROM busybox\nRUN false\n")
    assert left_behind(bench.base / "data") == []
    ingest = bench.base / "data" / "images" / "ingest"
    assert {path.name for path in ingest.iterdir()} == {"lock"}


def test_a_warning_for_arguments_that_nothing_declares(bench: Bench) -> None:
    bench.write({"Dockerfile": "FROM busybox\n"})
    done = bench.try_build("--build-arg", "NOBODY=1", "--build-arg", "http_proxy=x")
    assert done.returncode == 0
    assert "['NOBODY']" in done.stderr
