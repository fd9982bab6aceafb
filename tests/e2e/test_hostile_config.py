"""What a stranger's image says of itself: its configuration is read, and steers nothing of ours."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers import leaks
from helpers.layouts import HERE, Layout
from helpers.program import Shell

pytestmark = pytest.mark.root

Load = Callable[..., None]
LABELS = {
    "dockyard.io/pause": "true", "dockyard.io/console": "true",
    "dockyard.io/restart": "always", "dockyard.restart": "always", "dockyard.owner": "cri",
    "dockyard.io/runtime": "/evil", "dockyard.io/storage-driver": "evil",
    "io.kubernetes.cri.container-type": "sandbox", "io.kubernetes.cri-o.ContainerType": "sandbox",
    "io.containerd.runtime.v2.group": "x", "containerd.io/restart.status": "running",
    "containerd.io/restart.logpath": "binary:///evil",
    "containerd.io/snapshot/cri.layer-digests": "x",
    "cdi.k8s.io/evil": "vendor.com/device=all", "org.criu.restore": "/evil",
    "run.oci.handler": "evil", "run.oci.keep_original_groups": "1",
    "module.wasm.image/variant": "compat", "com.docker.compose.project": "x",
}  # fmt: skip
ENV = ["DOCKYARD_ROOT=/evil", "DOCKYARD_STORAGE_DRIVER=evil", "DOCKYARD_STORAGE_CONF=/evil",
       "PYTHONPATH=/evil", "PYTHONSTARTUP=/evil/x.py", "LD_PRELOAD=/evil/x.so", "LISTEN_FDS=9",
       "LISTEN_PID=1", "NOTIFY_SOCKET=/evil", "CONTAINERS_REGISTRIES_CONF=/evil", "PATH=/bin",
       "DOCKER_CONFIG=/evil", "TMPDIR=/evil"]  # fmt: skip


@pytest.fixture
def load(shell: Shell, tmp_path: Path) -> Load:
    """An image of busybox whose configuration is ours to write; ``links`` are put into it."""

    def made(name: str, links: dict[str, str], marks: dict[str, str] | None = None,
             **config: object) -> None:  # fmt: skip
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as tar:
            tar.add(shell.tree, ".")
            for path, target in links.items():
                entry = tarfile.TarInfo(path)
                entry.type, entry.linkname = tarfile.SYMTYPE, target
                tar.addfile(entry)
            own = tarfile.TarInfo("own/file")
            own.size = 9
            tar.addfile(own, io.BytesIO(b"the image"))
        layout = Layout()
        image = layout.image(HERE, stream.getvalue(), **config)
        digest = image["digest"].removeprefix("sha256:")
        value = json.loads(layout.blobs.pop(digest)) | {"annotations": marks or {}}
        described = layout.put(json.dumps(value).encode(), image["mediaType"])
        described["annotations"] = {**(marks or {}), "org.opencontainers.image.ref.name": name}
        layout.entries.append(described)
        shell("image", "load", "-qi", str(layout.write(tmp_path / "image.tar")))

    return made


def test_b11_volumes_that_climb_or_lead_out_stay_in_the_root(
    shell: Shell, load: Load, tmp_path: Path
) -> None:
    """Nothing of the host is copied into a volume, and none is mounted on the host."""
    canary = tmp_path / "canary"
    canary.mkdir()
    (canary / "secret").write_text("of the host")
    before = leaks.tree_hash(canary)
    climbing = "../" * 40
    links = {"absolute": str(canary), "climbing": f"{climbing}{canary}", "inside": "/own",
             "etc-link": "/etc", "d": f"{canary}/secret"}  # fmt: skip
    volumes = ["/absolute", "/climbing", f"/{climbing}{canary}", f"/own/{climbing}{canary}/deep",
               "/inside", "/etc-link/x", "/d"]  # fmt: skip
    for number, volume in enumerate(volumes):
        name = f"localhost/v{number}:1"
        load(name, links, Volumes={volume: {}}, Env=["PATH=/bin"])
        target = volume.rstrip("/")
        done = shell.full("run", "--rm", "--network", "none", name, "sh", "-c",
                          f"find {target}/ -type f -exec cat {{}} \\; ; echo x >{target}/new; "
                          "ls /own")  # fmt: skip
        assert b"of the host" not in done.stdout + done.stderr, volume
        assert leaks.tree_hash(canary) == before, volume
    load("localhost/seen:1", links, Volumes={"/inside": {}}, Env=["PATH=/bin"])
    words = ("run", "--rm", "--network", "none", "localhost/seen:1", "cat", "/inside/file")
    assert shell(*words) == "the image"
    assert list((shell.root / "volumes").glob("*")) == []


@pytest.mark.parametrize("volume", ["relative", "", "/", "/a\0b", "../up", "."])
def test_b11_a_volume_that_is_no_path_is_refused(shell: Shell, load: Load, volume: str) -> None:
    try:
        load("localhost/bad:1", {}, Volumes={volume: {}}, Env=["PATH=/bin"])
    except AssertionError as error:  # as early as that is as good
        assert "Volumes" in str(error)
        return
    done = shell.full("create", "--network", "none", "localhost/bad:1", "true")
    assert done.returncode == 125 or done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert shell("ps", "-aq") == ""


def test_b12_names_like_our_own_steer_nothing(shell: Shell, load: Load) -> None:
    """Labels and annotations of an image are told, its variables are the program's alone."""
    load("localhost/evil:1", {}, LABELS, Labels=LABELS, Env=ENV)
    load("localhost/plain:1", {}, Env=["PATH=/bin"])
    text = "echo $DOCKYARD_ROOT $LD_PRELOAD; id -u; ls /dev | sort"
    outputs = {}
    for name in ("evil", "plain"):
        made = shell("create", "--network", "none", f"localhost/{name}:1", "sh", "-c", text).strip()
        done = shell.full("start", "-a", made)
        assert done.returncode == 0
        outputs[name] = done.stdout.decode().partition("\n")[2]
        assert shell("logs", made).encode() == done.stdout
        [found] = json.loads(shell("inspect", made))
        steered = {
            "runtime": found["HostConfig"]["Runtime"], "log": found["HostConfig"]["LogConfig"],
            "restart": found["HostConfig"]["RestartPolicy"], "count": found["RestartCount"],
            "devices": found["HostConfig"]["Devices"], "driver": found["Driver"],
            "privileged": found["HostConfig"]["Privileged"], "binds": found["Mounts"],
            "annotations": found["HostConfig"].get("Annotations"),
        }  # fmt: skip
        outputs[f"{name}-steered"] = json.dumps(steered)
        assert found["State"]["Status"] == "exited"
    assert outputs["evil"] == outputs["plain"]
    assert outputs["evil-steered"] == outputs["plain-steered"]
    [image] = json.loads(shell("image", "inspect", "localhost/evil:1"))
    assert image["Config"]["Labels"] == LABELS
    assert image["Annotations"] == LABELS


def test_b12_what_runs_around_a_container_has_the_host_s_variables(
    shell: Shell, load: Load
) -> None:
    """exec, a health check, what follows its end: nothing of ours reads an image's variables."""
    load("localhost/evil:1", {}, Labels=LABELS, Env=ENV,
         Healthcheck={"Test": ["CMD-SHELL", "echo $DOCKYARD_ROOT"], "Interval": 10**9})  # fmt: skip
    made = shell("run", "-d", "--restart", "on-failure:1", "--network", "none", "localhost/evil:1",
                 "sh", "-c", "sleep 1000").strip()  # fmt: skip
    assert shell("exec", made, "sh", "-c", "echo $PYTHONPATH").strip() == "/evil"
    shell("stop", "-t", "0", made)
    assert shell("inspect", "-f", "{{.State.Status}}", made).strip() == "exited"
    shell("rm", made)
    assert not Path("/evil").exists()


def test_b12_a_build_on_it_is_steered_by_nothing(shell: Shell, load: Load, tmp_path: Path) -> None:
    load("localhost/evil:1", {}, LABELS, Labels=LABELS, Env=ENV)
    (tmp_path / "context").mkdir()
    (tmp_path / "context/Dockerfile").write_text(
        "FROM localhost/evil:1\nENV DOCKYARD_ROOT=/worse\nRUN echo $DOCKYARD_ROOT >/said\n"
    )
    shell("build", "-t", "built", str(tmp_path / "context"))
    assert shell("run", "--rm", "--network", "none", "built", "cat", "/said") == "/worse\n"
    assert not Path("/worse").exists()
