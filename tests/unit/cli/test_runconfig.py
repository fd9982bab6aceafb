"""The words after ``run``: what each becomes, and which are refused, as docker's client does."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest

from dockyard.base.errors import DockyardError, Invalid, Unsupported
from dockyard.cli import mountflags, mountwords, portflags
from dockyard.cli.runconfig import config
from dockyard.cli.runflags import NOT_IMPLEMENTED, declared, parse
from dockyard.cli.wholeparser import WholeParser
from dockyard.node.engine.config import ContainerConfig, MountSpec, PortSpec


def made(*words: str, verb: str = "run") -> ContainerConfig:
    return config(parse(verb, list(words)))


def test_what_follows_the_image_is_the_command() -> None:
    found = made("--rm", "-it", "alpine", "sh", "-c", "ls --all -it")
    assert found.image == "alpine"
    assert found.command == ("sh", "-c", "ls --all -it")
    assert (found.auto_remove, found.terminal, found.open_stdin, found.stdin_once) == (
        True, True, True, True,
    )  # fmt: skip


def test_a_rootfs_stands_for_the_image() -> None:
    found = made("--rootfs", "/tree", "true", "x")
    assert (found.image, found.rootfs, found.command) == ("", "/tree", ("true", "x"))


def test_two_dashes_end_the_options() -> None:
    assert made("--rm", "--", "alpine", "--", "x").command == ("--", "x")


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        (["-e", "A=1", "-e", "B", "-e", "A=2"], "env", ("A=2", "B=here")),
        (["--label", "a=b=c", "-l", "d"], "labels", (("a", "b=c"), ("d", ""))),
        (["-u", "1:2"], "user", "1:2"),
        (["-w", "/srv"], "workdir", "/srv"),
        (["--entrypoint", "/x"], "entrypoint", ("/x",)),
        (["--entrypoint", ""], "entrypoint", ()),
        (["--entrypoint="], "entrypoint", ()),
        (["-h", "box"], "hostname", "box"),
        (["--net", "none"], "network", "none"),
        (["--network=default"], "network", "bridge"),
        (["--stop-signal", "SIGQUIT"], "stop_signal", "SIGQUIT"),
        (["--stop-timeout", "3"], "stop_timeout", 3),
        (["--add-host", "db:10.0.0.1"], "extra_hosts", ("db:10.0.0.1",)),
        (["--ipc", "host", "--pid=container:web"], "join", (("ipc", "host"), ("pid", "web"))),
        (["--group-add", "7"], "groups", (7,)),
        (["--expose", "80-81"], "exposed", ("80/tcp", "81/tcp")),
        (["--shm-size", "1m"], "shm_bytes", 1 << 20),
        (["--sysctl", "net.core.somaxconn=9"], "sysctls", (("net.core.somaxconn", "9"),)),
        (["--oom-score-adj", "-500"], "oom_score_adj", -500),
        (["--cap-drop=ALL", "--cap-add", "KILL"], "cap_add", ("KILL",)),
    ],
)  # fmt: skip
def test_flags(words: list[str], field: str, value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("B", "here")
    assert getattr(made(*words, "alpine"), field) == value


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        (["-m", "64m"], "memory", 64 << 20),
        (["-m", "1.5g"], "memory", 3 << 29),
        (["--memory=6291456"], "memory", 6291456),
        (["-m", "64MB", "--memory-swap", "128m"], "memory_swap", 128 << 20),
        (["-m", "64m", "--memory-swap=-1"], "memory_swap", -1),
        (["--cpus", ".5"], "nano_cpus", 500_000_000),
        (["-c", "512"], "cpu_shares", 512),
        (["--pids-limit", "-1"], "pids", -1),
        (["--cpuset-cpus", "0,1"], "cpuset", "0,1"),
    ],
)
def test_limits(words: list[str], field: str, value: int | str) -> None:
    assert getattr(made(*words, "alpine").resources, field) == value


@pytest.mark.parametrize(
    "words",
    [
        ["-m", "lots"], ["-m", "1m"], ["--memory-swap", "1g"], 
        ["-m", "64m", "--memory-swap", "32m"],
        ["--cpus", "0"], ["--cpus", "x"], ["--cpus", "100000"], ["--cpus", "nan"],
        ["--cpus", "1", "--cpu-quota", "1000"], ["-p", "x"], ["-p", "0"], ["-p", "70000"],
        ["-p", "80-81:80-82"], ["-v", ":/x"], ["-v", "a:b:c:d"], ["-v", "a:/b:zz"],
        ["--stop-signal", "SIGNOTHING"], ["-e", "=x"], ["-l", "=x"], ["--oom-score-adj", "2000"],
        ["--env-file", "/nowhere"], ["--ipc", "shareable-what"], ["--group-add", "4294967295"],
        ["--expose", "x"],
    ],
)  # fmt: skip
def test_a13_what_makes_no_sense_is_refused(words: list[str]) -> None:
    with pytest.raises(Invalid):
        made(*words, "alpine")


def test_no_image_is_refused() -> None:
    with pytest.raises(SystemExit):
        made("--rm")


@pytest.mark.parametrize("flag", NOT_IMPLEMENTED)
def test_what_is_not_implemented_says_so(flag: str) -> None:
    with pytest.raises(Unsupported, match="not implemented"):
        made(flag, "x", "alpine")


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("80", [PortSpec(80, "tcp", "0.0.0.0", 0)]),
        ("8080:80", [PortSpec(80, "tcp", "0.0.0.0", 8080)]),
        ("127.0.0.1::80/udp", [PortSpec(80, "udp", "127.0.0.1", 0)]),
        ("0:80", [PortSpec(80, "tcp", "0.0.0.0", 0)]),
        ("127.0.0.1:0:80", [PortSpec(80, "tcp", "127.0.0.1", 0)]),
        ("127.0.0.1:8080:80/tcp", [PortSpec(80, "tcp", "127.0.0.1", 8080)]),
        ("8000-8001:80-81", [PortSpec(80, "tcp", "0.0.0.0", 8000),
                             PortSpec(81, "tcp", "0.0.0.0", 8001)]),
    ],
)  # fmt: skip
def test_published_ports(text: str, ports: list[PortSpec]) -> None:
    assert portflags.ports(text) == ports


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("/data", MountSpec("volume", "", "/data")),
        ("name:/data", MountSpec("volume", "name", "/data")),
        ("/host:/data:ro", MountSpec("bind", "/host", "/data", True)),
        ("/host:/data:rw,rslave", MountSpec("bind", "/host", "/data", False, ("rslave",))),
        ("name:/data:nocopy", MountSpec("volume", "name", "/data", False, ("nocopy",))),
    ],
)
def test_volumes(text: str, mount: MountSpec) -> None:
    assert mountflags.volume(text) == mount


def test_a_relative_path_is_of_this_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert mountflags.volume("./x:/data").source == str(tmp_path / "x")


@pytest.mark.parametrize(
    ("text", "mount"),
    [
        ("type=bind,source=/host,target=/data,readonly",
         MountSpec("bind", "/host", "/data", True, ("no-create", "rprivate"))),
        ("type=bind,src=/host,dst=/data,bind-propagation=rslave",
         MountSpec("bind", "/host", "/data", False, ("no-create", "rslave"))),
        ("source=name,destination=/data", MountSpec("volume", "name", "/data")),
        ("type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=1770",
         MountSpec("tmpfs", "", "/t", False, ("size=1048576", "mode=1770"))),
    ],
)  # fmt: skip
def test_mounts_in_words(text: str, mount: MountSpec) -> None:
    assert mountwords.mount(text) == mount


@pytest.mark.parametrize(
    "text", ["", "type=bind,dst=/x", "type=npipe,src=a,dst=b", "dst=/x,ro=maybe", "dst=/x,frob=1"]
)
def test_mounts_that_are_none(text: str) -> None:
    with pytest.raises(DockyardError):
        mountwords.mount(text)


def test_files_of_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERE", "yes")
    monkeypatch.delenv("NOT", raising=False)
    file = tmp_path / "env"
    file.write_text("# comment\n\n  A=1 # kept\nHERE\nNOT\nB=x=y\n")
    found = made("--env-file", str(file), "-e", "B=z", "alpine")
    assert found.env == ("A=1 # kept", "HERE=yes", "NOT", "B=z")
    file.write_text("NAME WITH SPACE=1\n")
    with pytest.raises(Invalid, match="whitespaces"):
        made("--env-file", str(file), "alpine")


ODD = ("--", "9" * 5000, "\udcff=:")


def test_no_flag_of_run_breaks_on_an_odd_word() -> None:
    """Each takes it, or says what is wrong with it."""
    for action in WholeParser(declared("run"))._actions:
        for word in ODD if action.nargs != 0 else ("--", "x"):
            flag = f"{action.option_strings[-1]}={word}" if action.option_strings else word
            with contextlib.suppress(DockyardError, SystemExit):
                made(flag, "alpine", "sh")
