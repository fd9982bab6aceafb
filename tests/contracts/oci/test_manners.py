"""Flags, help, logs and errors: runc's, which shims, engines and scripts have learned."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from helpers.ociruntime import Oci

pytestmark = pytest.mark.root

VERBS = (
    "checkpoint create delete events exec kill list pause ps restore resume run spec start state"
    " update features"
).split()


@pytest.mark.parametrize("words", [["-h"], ["--help"], ["help"], []])
def test_help(runclike: Oci, words: list[str]) -> None:
    out = runclike(*words).stdout
    for heading in ("NAME:", "USAGE:", "VERSION:", "COMMANDS:", "GLOBAL OPTIONS:"):
        assert f"{heading}\n" in out
    rows = {line.split()[0] for line in out.partition("COMMANDS:\n")[2].splitlines()
            if line.startswith("   ")}  # fmt: skip
    assert {verb for verb in VERBS if verb != "features"} <= rows


def test_help_of_each_verb_names_what_runcs_does(ours: Oci, tmp_path: Path) -> None:
    """The flags of runc's manual pages (runc-VERB(8)), so far as a verb does something here."""
    flags = {
        "create": "--bundle -b --console-socket --pid-file --no-pivot --no-new-keyring"
        " --preserve-fds",
        "run": "--bundle -b --console-socket --detach -d --keep --pid-file --no-subreaper"
        " --no-pivot --no-new-keyring --preserve-fds",
        "exec": "--console-socket --cwd --env -e --tty -t --user -u --additional-gids -g"
        " --process -p --detach -d --pid-file --process-label --apparmor --no-new-privs --cap -c"
        " --preserve-fds --cgroup --ignore-paused",
        "kill": "--all -a", "delete": "--force -f", "list": "--format -f --quiet -q",
        "ps": "--format -f", "events": "--interval --stats", "spec": "--bundle -b --rootless",
        "update": "--resources -r --blkio-weight --cpu-period --cpu-quota --cpu-share"
        " --cpu-rt-period --cpu-rt-runtime --cpuset-cpus --cpuset-mems --memory"
        " --memory-reservation --memory-swap --pids-limit --l3-cache-schema --mem-bw-schema"
        " --cpu-idle --cpu-burst",
        "pause": "", "resume": "", "start": "", "state": "", "features": "",
    }  # fmt: skip
    for verb, wanted in flags.items():
        words = set(ours(verb, "--help").stdout.replace(",", " ").split())
        assert set(wanted.split()) <= words, verb


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "features"])
def test_help_of_a_verb(runclike: Oci, verb: str) -> None:
    for words in ([verb, "-h"], [verb, "--help"], ["help", verb]):
        out = runclike(*words).stdout
        assert out.startswith("NAME:\n")
        assert f" {verb} - " in out.splitlines()[1]
        assert "\nUSAGE:\n" in out


@pytest.mark.parametrize("words", [["frob"], ["frob", "-h"], ["help", "frob"]])
def test_a_verb_that_is_none(runclike: Oci, words: list[str]) -> None:
    done = runclike(*words, check=False)
    assert done.returncode == 3
    assert "No help topic for 'frob'" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--frob"], "flag provided but not defined: -frob"),
        (["create", "--frob", "x"], "flag provided but not defined: -frob"),
        (["ps", "-td", "x"], "flag provided but not defined: -td"),
        (["create", "--pid-file"], "flag needs an argument: -pid-file"),
        (["events", "--interval", "x", "y"], 'invalid value "x" for flag -interval: parse error'),
        (["run", "--preserve-fds", "x", "y"], 'invalid value "x" for flag -preserve-fds'),
    ],
)
def test_flags_that_are_none(runclike: Oci, words: list[str], said: str) -> None:
    done = runclike(*words, check=False)
    assert done.returncode == 1
    assert done.stdout.startswith("Incorrect Usage")
    assert said in done.stdout
    assert said.replace('"', '\\"') in done.stderr


@pytest.mark.parametrize("words", [["create"], ["create", "a", "b"], ["state"], ["list", "x"],
                                   ["pause", "a", "b"]])  # fmt: skip
def test_how_many_arguments(runclike: Oci, words: list[str]) -> None:
    done = runclike(*words, check=False)
    assert done.returncode == 1
    assert done.stdout.startswith("Incorrect Usage.\n")
    count = 0 if words[0] == "list" else 1
    assert f'{words[0]}\\" requires exactly {count} argument(s)' in done.stderr


@pytest.mark.parametrize("form", ["-bundle", "--bundle"])
def test_flags_in_every_form_and_place(runclike: Oci, form: str) -> None:
    place = str(runclike.bundle("true"))
    for words in ([form, place, runclike.id], [f"{form}={place}", runclike.id],
                  [runclike.id, form, place]):  # fmt: skip
        runclike("run", *words)


def test_version(oci: Oci) -> None:
    first, *rest = oci("--version").stdout.splitlines()
    assert first.startswith(f"{oci.kind} version ")
    assert any(line.startswith("spec: 1.") for line in rest)
    assert oci("-v").stdout.splitlines()[0] == first


def test_the_root_folder(oci: Oci, tmp_path: Path) -> None:
    oci.up()
    assert oci("list", "-q").stdout.split() == [oci.id]
    assert oci("list", "-q", before=("--root", str(tmp_path / "other"))).stdout == ""
    assert oci("state", oci.id, before=("--root", str(tmp_path / "other")),
               check=False).returncode != 0  # fmt: skip


def test_a_relative_root_folder(runclike: Oci, tmp_path: Path) -> None:
    place = str(runclike.bundle("true"))
    runclike("create", "-b", place, runclike.id, before=("--root", "here"), cwd=tmp_path)
    assert (tmp_path / "here" / runclike.id).is_dir()
    runclike("delete", "-f", runclike.id, before=("--root", "here"), cwd=tmp_path)


@pytest.mark.parametrize("form", ["text", "json"])
def test_errors_go_to_the_log(oci: Oci, tmp_path: Path, form: str) -> None:
    log = tmp_path / "log"
    done = oci("state", "nobody", check=False,
               before=("--log", str(log), "--log-format", form))  # fmt: skip
    assert done.returncode != 0
    text = log.read_text()
    if form == "json":
        record = json.loads(text.splitlines()[-1])
        assert record["level"] == "error"
        assert {"msg", "time"} <= set(record)
    else:
        assert "nobody" in text or "does not exist" in text


def test_people_are_told_too(runclike: Oci, tmp_path: Path) -> None:
    log = tmp_path / "log"
    done = runclike("state", "nobody", check=False, before=("--log", str(log)))
    assert done.stderr.endswith("container does not exist\n")
    assert "level=error" not in done.stderr
    assert 'level=error msg="' in log.read_text()


def test_a_form_of_the_log_that_is_none(runclike: Oci) -> None:
    done = runclike("list", check=False, before=("--log-format", "xml"))
    assert done.returncode == 1
    assert "invalid log-format" in done.stderr


def test_debug(runclike: Oci) -> None:
    done = runclike("run", "-b", str(runclike.bundle("true")), runclike.id, before=("--debug",))
    assert "level=debug" in done.stderr
    done = runclike("run", "-b", str(runclike.bundle("true")), runclike.id)
    assert done.stderr == ""


def test_spec(oci: Oci, tmp_path: Path) -> None:
    oci("spec", "-b", str(tmp_path))
    found = json.loads((tmp_path / "config.json").read_text())
    assert found["process"]["args"] == ["sh"]
    assert found["root"]["path"] == "rootfs"
    assert {entry["type"] for entry in found["linux"]["namespaces"]} >= {
        "pid", "network", "ipc", "uts", "mount",
    }  # fmt: skip
    assert oci("spec", "-b", str(tmp_path), check=False).returncode != 0


def test_a_rootless_spec(runclike: Oci, tmp_path: Path) -> None:
    runclike("spec", "--rootless", cwd=tmp_path)
    found = json.loads((tmp_path / "config.json").read_text())
    kinds = {entry["type"] for entry in found["linux"]["namespaces"]}
    assert "user" in kinds
    assert "network" not in kinds
    assert [entry["size"] for entry in found["linux"]["uidMappings"]] == [1]


def test_a_spec_runs_as_it_is(oci: Oci, tmp_path: Path) -> None:
    oci("spec", "-b", str(tmp_path))
    found = json.loads((tmp_path / "config.json").read_text())
    found["process"] |= {"terminal": False, "args": ["echo", "made"]}
    found["root"]["path"] = str(oci.tree)
    found["linux"]["cgroupsPath"] = oci.group
    (tmp_path / "config.json").write_text(json.dumps(found))
    assert oci("run", "-b", str(tmp_path), oci.id).stdout == "made\n"


def test_features(runclike: Oci) -> None:
    """features.md of the specification."""
    found = json.loads(runclike("features").stdout)
    assert found["ociVersionMin"] == "1.0.0"
    assert {"prestart", "createRuntime", "poststop"} <= set(found["hooks"])
    assert {"bind", "ro", "rro", "rshared", "tmpcopyup"} <= set(found["mountOptions"])
    linux = found["linux"]
    assert {"cgroup", "ipc", "mount", "network", "pid", "user", "uts"} <= set(linux["namespaces"])
    assert len(linux["capabilities"]) == 41
    assert linux["cgroup"]["v1"] is linux["cgroup"]["v2"] is True
    assert {"SCMP_ACT_ERRNO", "SCMP_ACT_NOTIFY"} <= set(linux["seccomp"]["actions"])
    assert len(linux["seccomp"]["operators"]) == 7
    assert {"SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"} <= set(linux["seccomp"]["archs"])


def test_features_of_later_versions(ours: Oci) -> None:
    """features-linux.md: what came with 1.1 and 1.2."""
    found = json.loads(ours("features").stdout)
    assert found["ociVersionMax"] == "1.2.0"
    linux = found["linux"]
    assert "time" in linux["namespaces"]
    assert {"idmap", "ridmap"} <= set(found["mountOptions"])
    assert linux["mountExtensions"]["idmap"]["enabled"] is True
    assert set(linux["seccomp"]["supportedFlags"]) <= set(linux["seccomp"]["knownFlags"])
    assert "SECCOMP_FILTER_FLAG_LOG" in linux["seccomp"]["knownFlags"]
    for name in ("apparmor", "selinux", "intelRdt"):  # compiled in; the kernel may lack it
        assert isinstance(linux[name]["enabled"], bool)


@pytest.mark.parametrize("verb", ["checkpoint", "restore"])
def test_no_checkpoints(ours: Oci, verb: str) -> None:
    done = ours(verb, "--image-path", "/nowhere", "nobody", check=False)
    assert done.returncode == 1
    assert "not implemented" in done.stderr


def test_systemd_is_asked_for_where_there_is_none(runclike: Oci) -> None:
    if Path("/run/systemd/system").is_dir():
        return
    place = str(runclike.bundle("true"))
    done = runclike("run", "-b", place, runclike.id, check=False, before=("--systemd-cgroup",))
    assert done.returncode == 1
    assert "systemd" in done.stderr


def test_what_is_refused_says_so(ours: Oci) -> None:
    place = str(ours.bundle("true"))
    done = ours("run", "--no-pivot", "-b", place, ours.id, check=False)
    assert done.returncode == 1
    assert "--no-pivot: not implemented" in done.stderr
