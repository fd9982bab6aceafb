"""One suite for every way in which a container's root is made of its image's layers, on file
systems that have what overlayfs wants of them and on ones that have not.

What is expected is what docker's overlay2 shows of the same steps.
"""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockyard.node.network.bridges import BridgeNetworks
from helpers import leaks, rootfs
from helpers.program import PROGRAM, Shell, eventually

pytestmark = pytest.mark.root

SUBJECTS = [
    ("disk", "overlay2"), ("disk", "native"), ("disk", "fuse-overlayfs"),
    ("overlay", "fuse-overlayfs"), ("ramfs", "native"),
]  # fmt: skip
LONG = [("overlay", "native")]
DOCKERFILE = """FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "sh", "-c", "/bin/busybox --install -s /bin && mkdir -p /etc /a/b /c /tmp"]
RUN echo 'app:x:1000:1000::/:/bin/sh' >/etc/passwd && echo x >/a/f && ln /a/f /a/g && echo y >/c/z
RUN rm -r /a/b /c && mkdir /c && echo n >/c/n && chmod 700 /a && rm /a/f
"""
CHANGES = "echo hi >/new; rm /a/g; rm -r /c; mkdir /c; echo 2 >/etc/more; chmod 711 /a; echo ready"
DIFF = ["A /etc/more", "A /new", "C /a", "C /c", "C /etc", "D /a/g", "D /c/n"]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rootfs.make(tmp_path_factory.mktemp("tree"))


@contextlib.contextmanager
def place(kind: str, folder: Path) -> Iterator[Path]:
    """A folder on a file system of this kind."""
    if kind == "disk":
        yield folder
        return
    mounts = []
    ram, top = folder / "ram", folder / "top"
    layers = f"lowerdir={ram}/low,upperdir={ram}/up,workdir={ram}/work"
    below = "tmpfs" if kind == "overlay" else kind
    try:
        ram.mkdir()
        subprocess.run(["mount", "-t", below, below, str(ram)], check=True)
        mounts.append(ram)
        if kind == "overlay":
            for each in (top, ram / "low", ram / "up", ram / "work"):
                each.mkdir()
            subprocess.run(["mount", "-t", kind, "-o", layers, kind, str(top)], check=True)
            mounts.append(top)
        yield mounts[-1]
    finally:
        for mounted in reversed(mounts):
            subprocess.run(["umount", "-l", str(mounted)], check=True)


@contextlib.contextmanager
def yard(root: Path, tree: Path, driver: str) -> Iterator[Shell]:
    """The program with a driver, or with whatever it chooses itself."""
    found = Shell(root, tree)
    if driver:
        found.env["DOCKYARD_STORAGE_DRIVER"] = driver
    try:
        yield found
    finally:
        if left := found("ps", "-aq").split():
            found("rm", "-fv", *left)
        BridgeNetworks(str(root)).teardown()
        with contextlib.suppress(AssertionError):  # processes take a moment to end
            eventually(lambda: leaks.left_behind(root) == [], 5.0)
        assert leaks.left_behind(root) == []


@pytest.fixture(
    scope="module",
    params=[*SUBJECTS, *(pytest.param(each, marks=pytest.mark.long) for each in LONG)],
    ids="-".join,
)
def shell(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tree: Path
) -> Iterator[Shell]:
    """With the image ``base``."""
    kind, driver = request.param
    context = tmp_path_factory.mktemp("context")
    (context / "busybox").write_bytes((tree / "bin/busybox").read_bytes())
    (context / "busybox").chmod(0o755)
    (context / "Dockerfile").write_text(DOCKERFILE)
    with (
        place(kind, tmp_path_factory.mktemp("place")) as folder,
        yard(folder / "data", tree, driver) as found,
    ):
        found("build", "-t", "base", str(context))
        yield found


@pytest.fixture
def changed(shell: Shell) -> Iterator[str]:
    """A container that runs, and has changed its root."""
    words = ("run", "-d", "--network", "none", "base", "sh", "-c", f"{CHANGES}; exec sleep 1000")
    made = shell(*words).strip()
    eventually(lambda: "ready" in shell("logs", made))
    yield made
    shell("rm", "-f", made)


def sh(shell: Shell, image: str, text: str, *words: str) -> str:
    return shell("run", "--rm", "--network", "none", *words, image, "sh", "-c", text)


def names(stream: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(stream)) as tar:
        return tar.getnames()


def test_layers_hide_what_lies_below(shell: Shell) -> None:
    text = "ls -A /a /c; cat /a/g; stat -c %a /a; ls /bin | wc -l"
    applets = len(subprocess.run(["busybox", "--list"], capture_output=True).stdout.split())
    shown = f"/a:\ng\n\n/c:\nn\nx\n700\n{applets}\n"
    assert sh(shell, "base", text) == shown


def test_a_layer_says_only_what_its_step_changed(shell: Shell, tmp_path: Path) -> None:
    shell("save", "-o", str(tmp_path / "saved.tar"), "base")
    with tarfile.open(tmp_path / "saved.tar") as tar:
        index = json.load(tar.extractfile("manifest.json"))  # type: ignore[arg-type]
        layers = [tar.extractfile(name).read() for name in index[0]["Layers"]]  # type: ignore[union-attr]
    last = set(names(layers[-1]))
    hidden = {name for name in last if ".wh." in name}
    gone = {"c/.wh..wh..opq"} if "c/.wh..wh..opq" in hidden else {"c/.wh.z"}
    assert hidden == {"a/.wh.b", "a/.wh.f", *gone}
    assert last - hidden <= {"a", "c", "c/n", "etc"}  # /etc/hosts was mounted in the last
    with tarfile.open(fileobj=io.BytesIO(layers[-2])) as tar:
        assert sorted(tar.getmember(f"a/{name}").type for name in "fg") == [b"0", b"1"]


def test_its_own_changes_are_listed(shell: Shell, changed: str) -> None:
    lines = shell("diff", changed).splitlines()
    assert sorted(line for line in lines if "/dev" not in line) == DIFF
    assert lines.index("C /c") < lines.index("D /c/n")


def test_its_image_has_its_changes(shell: Shell, changed: str) -> None:
    shell("commit", changed, "copy:1")
    text = "ls -A /a /c; cat /new /etc/more; stat -c %a /a; cat /etc/passwd"
    assert sh(shell, "copy:1", text) == "/a:\n\n/c:\nhi\n2\n711\napp:x:1000:1000::/:/bin/sh\n"
    listed = shell("image", "diff", "base", "copy:1").splitlines()
    assert sorted(listed) == DIFF
    assert shell("image", "verify", "copy:1") == "copy:1: ok\n"
    shell("image", "rm", "copy:1")


def test_what_was_built_verifies(shell: Shell) -> None:
    assert shell("image", "verify", "base") == "base:latest: ok\n"


def test_its_tree_is_exported(shell: Shell, changed: str) -> None:
    found = set(names(shell.full("export", changed).stdout))
    assert {"new", "etc/more", "etc/passwd", "a", "c", "bin/busybox"} <= found
    assert not any(name.startswith(("a/", "c/")) or ".wh." in name for name in found)


def test_files_are_copied_in_and_out(shell: Shell, changed: str, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("here\n")
    shell("cp", str(tmp_path / "in"), f"{changed}:/a/running")
    assert shell("exec", changed, "cat", "/a/running") == "here\n"
    shell("stop", "-t", "0", changed)
    shell("cp", str(tmp_path / "in"), f"{changed}:/c/stopped")
    shell("cp", f"{changed}:/new", str(tmp_path / "out"))
    assert (tmp_path / "out").read_text() == "hi\n"
    assert {"A /a/running", "A /c/stopped"} <= set(shell("diff", changed).splitlines())
    shell("start", changed)
    eventually(lambda: "ready\n" * 2 in shell("logs", changed))
    assert shell("exec", changed, "ls", "/a").split() == ["running"]


def test_its_size_is_that_of_its_changes(shell: Shell, changed: str) -> None:
    [line] = [one for one in shell("ps", "-s").splitlines() if one.startswith(changed[:12])]
    assert "5B (virtual" in line


def test_containers_of_one_image_are_apart(shell: Shell, changed: str) -> None:
    """A root that is a copy shares no inode with the layers that others have."""
    before = leaks.tree_hash(shell.root / "images/layers")
    assert sh(shell, "base", "echo more >>/a/g; cat /a/g; chmod 0 /etc/passwd") == "x\nmore\n"
    assert leaks.tree_hash(shell.root / "images/layers") == before
    assert sh(shell, "base", "cat /a/g; ls /").startswith("x\na\nbin\nc\n")
    assert shell("exec", changed, "ls", "/a") == ""


def test_a_folder_as_root_stays_as_it_is(shell: Shell) -> None:
    before = leaks.tree_hash(Path(shell.tree))
    done = shell.run("--rm", "sh", "-c", "echo 1 >/etc/passwd; rm /etc/group; ls /etc")
    assert b"group" not in done.stdout
    assert done.returncode == 0
    assert leaks.tree_hash(Path(shell.tree)) == before


def test_users_are_the_root_s_own(shell: Shell) -> None:
    assert sh(shell, "base", "id -u", "-u", "app") == "1000\n"
    assert sh(shell, "base", "touch /x 2>&1; echo $?", "--read-only").endswith("1\n")


def test_its_driver_is_told(shell: Shell, changed: str) -> None:
    wanted = shell.env["DOCKYARD_STORAGE_DRIVER"]
    assert shell("inspect", "-f", "{{.Driver}} {{.GraphDriver.Name}}", changed) == (
        f"{wanted} {wanted}\n"
    )


def test_nothing_is_left_of_it(shell: Shell) -> None:
    shell("rm", "-f", shell("create", "base", "true").strip())
    assert list((shell.root / "containers").iterdir()) == []
    assert str(shell.root / "containers") not in Path("/proc/self/mountinfo").read_text()


def test_a_stage_s_files_are_mounted(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        "FROM base\nRUN --mount=type=bind,from=base,source=/a,target=/mnt,rw "
        "cat /mnt/g >/got && echo gone >/mnt/lost && ls /mnt >>/got\n"
        "FROM base\nCOPY --from=0 /got /got\n"
    )
    shell("build", "-t", "staged", str(tmp_path))
    assert sh(shell, "staged", "cat /got") == "x\ng\nlost\n"
    assert sh(shell, "base", "ls /a") == "g\n"
    shell("image", "rm", "staged")


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("disk", ""),
        ("overlay", "storage driver: fuse-overlayfs: overlayfs is not possible in"),
        ("ramfs", "storage driver: native: overlayfs is not possible in"),
    ],
)
def test_the_best_that_works_is_chosen_and_why_is_said_once(
    kind: str, said: str, tree: Path, tmp_path: Path
) -> None:
    """Nobody needs to know that overlayfs takes no overlay as its upper directory."""
    with place(kind, tmp_path) as folder, yard(folder / "data", tree, "") as shell:
        first = shell.run("sh", "-c", "rm /etc/group; ls /etc")
        assert first.stderr.decode().startswith(said)
        assert (first.stderr == b"") == (said == "")
        assert first.stdout == b"hostname\nhosts\npasswd\nresolv.conf\n"
        assert shell.run("true").stderr == b""
        chosen = {"disk": "overlay2", "overlay": "fuse-overlayfs", "ramfs": "native"}[kind]
        assert json.loads((folder / "data/storage.json").read_text())["driver"] == chosen


def test_without_the_program_a_root_is_a_copy(tree: Path, tmp_path: Path) -> None:
    with place("overlay", tmp_path) as folder, yard(folder / "data", tree, "") as shell:
        shell.env["PATH"] = str(tmp_path / "nothing")
        done = shell.run("/bin/sh", "-c", "rm /etc/group; ls /etc")
        assert done.returncode == 0
        assert b"storage driver: native: " in done.stderr
        assert b"fuse-overlayfs: is not installed" in done.stderr


def test_a_driver_that_is_demanded_and_impossible_is_an_error(tree: Path, tmp_path: Path) -> None:
    with place("overlay", tmp_path) as folder, yard(folder / "data", tree, "overlay2") as shell:
        done = shell.run("true")
        assert done.returncode == 125
        assert b"overlay" in done.stderr
        shell.env["DOCKYARD_STORAGE_DRIVER"] = "btrfs"
        done = shell.run("true")
        assert done.returncode == 125
        assert b"'btrfs': no such storage driver; there are overlay, overlay2, " in done.stderr


def test_storage_conf_names_the_driver(tree: Path, tmp_path: Path) -> None:
    """containers-storage.conf(5)."""
    with yard(tmp_path / "data", tree, "") as shell:
        shell.root.mkdir()
        (shell.root / "storage.conf").write_text('[storage]\ndriver = "vfs"\n')
        made = shell.run("-d", "true").stdout.decode().strip()
        assert shell("inspect", "-f", "{{.Driver}}", made) == "native\n"
        (shell.root / "storage.conf").write_text(
            '[storage]\ndriver = "overlay"\n[storage.options.overlay]\n'
            'mount_program = "/usr/bin/fuse-overlayfs"\n'
        )
        made = shell.run("-d", "true").stdout.decode().strip()
        assert shell("inspect", "-f", "{{.Driver}}", made) == "fuse-overlayfs\n"
        (shell.root / "storage.conf").write_text("[storage\n")
        done = shell.run("true")
        assert done.returncode == 125
        assert b"storage.conf: " in done.stderr


def test_in_a_container_of_its_own(tree: Path, tmp_path: Path) -> None:
    """Its data root lies on that container's overlay."""
    with yard(tmp_path / "data", tree, "overlay2") as shell:
        program = PROGRAM[0]
        text = (
            f"cp -a {tree} /inner && unset DOCKYARD_STORAGE_DRIVER && "
            f"{program} --data-dir /nested run --network none --rootfs /inner sh -c "
            "'rm /etc/group; ls /etc; echo here'"
        )
        done = shell.full("run", "--privileged", "--network", "none", "--rootfs", "/", "sh", "-c",
                          text)  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stdout == b"hostname\nhosts\npasswd\nresolv.conf\nhere\n"
        assert b"storage driver: " in done.stderr
        assert not Path("/nested").exists()


@pytest.mark.parametrize("driver", ["native", "fuse-overlayfs"])
def test_g09_a_container_whose_making_is_killed_leaves_nothing(
    driver: str, tree: Path, tmp_path: Path
) -> None:
    """Wherever in the copy of its root, or with its file system's process there, it is cut."""
    with yard(tmp_path / "data", tree, driver) as shell:
        containers = shell.root / "containers"
        for _ in range(3):
            words = [*PROGRAM, "run", "--network", "none", "--rootfs", str(tree), "sleep", "1000"]
            quiet = subprocess.DEVNULL
            process = subprocess.Popen(
                words, env=shell.env, stdin=quiet, stdout=quiet, stderr=quiet
            )
            try:
                eventually(lambda: containers.exists() and any(containers.glob("*/upper")))
            finally:
                process.kill()
                process.wait()
            shell("run", "--rm", "--network", "none", "--rootfs", str(tree), "true")
            if left := shell("ps", "-aq").split():  # it was quicker than the kill
                shell("rm", "-f", *left)
            assert list(containers.iterdir()) == []
