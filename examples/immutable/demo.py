"""Turns one version of a program into the next and back, without changing any container.

    python examples/immutable/demo.py

builds version 1 and runs it; builds version 2, tests it on a volume of its own, then beside version
1 on the real one; switches under load; removes version 1; goes back. The notes live on in their
volume. Exits non-zero if any of it did not happen.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from load import Load

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from stage import Failed, Stage  # noqa: E402 - the examples share it

BIN = Path(sys.executable).parent
NETWORK, NOTES, TARGET, TRIAL = "notes", "notes-data", "notes-target", "notes-trial"
FRONT = "notes-front"
BASE = "localhost/python:3.11"


class Place:
    """The demo's own view of the machine: `dockyard`, and HTTP."""

    def __init__(self, stage: Stage, data: Path) -> None:
        self.stage = stage
        os.environ["DOCKYARD_ROOT"] = str(data)

    def dockyard(self, *words: str | Path) -> str:
        return self.stage.run(BIN / "dockyard", *words).strip()

    def build(self, version: str) -> str:
        """The image's ID."""
        words = ("--build-arg", f"VERSION={version}", "-t", f"notes:{version}")
        return self.dockyard("build", "-q", *words, HERE)

    def run(self, name: str, version: str, volume: str) -> str:
        """A container of this version, not published: its address in the network."""
        self.dockyard(
            "run", "-d", "--name", name, "--network", NETWORK, "--read-only",
            "-v", f"{volume}:/data", f"notes:{version}",
        )  # fmt: skip
        form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        address = f"{self.dockyard('inspect', '-f', form, name)}:8080"
        self.stage.until(
            lambda: self.get(address, "/version")["version"] == version, f"{name} answers", 20
        )
        return address

    def front_port(self) -> int:
        return int(self.dockyard("port", FRONT, "8080/tcp").splitlines()[0].rpartition(":")[2])

    def switch(self, address: str) -> None:
        self.dockyard("exec", FRONT, "python3", "front.py", "to", address)

    def get(self, address: str, path: str) -> Any:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=5) as answer:
            return json.loads(answer.read())

    def post(self, address: str, text: str) -> Any:
        url = f"http://{address}/notes"
        with urllib.request.urlopen(url, data=text.encode(), timeout=5) as answer:
            return json.loads(answer.read())

    def clean(self) -> str:
        """All of this data root, the images too: what is left of it in the kernel."""
        if left := self.dockyard("ps", "-aq").split():
            self.dockyard("rm", "-f", *left)
        return self.dockyard("down", "--purge")


def begin(place: Place) -> str:
    """Version 1 in service behind the published port: its address."""
    stage = place.stage
    with stage.step("a base image from this machine's Debian packages"):
        place.dockyard("image", "bootstrap", "debian", "--packages", "python3", "-t", BASE)
    with stage.step("dockyard build: version 1, and the front"):
        place.build("1")
        place.dockyard("build", "-q", "-t", "notes-front", HERE / "front")
    with stage.step("version 1 runs; a volume has the notes"):
        place.dockyard("network", "create", NETWORK)
        address = place.run("notes-1", "1", NOTES)
        place.dockyard(
            "run", "-d", "--name", FRONT, "--network", NETWORK, "--read-only",
            "-v", f"{TARGET}:/front", "-p", "127.0.0.1::8080", "notes-front",
        )  # fmt: skip
        place.switch(address)
        public = f"127.0.0.1:{place.front_port()}"
        stage.until(lambda: place.get(public, "/version")["version"] == "1", "it is in service", 20)
        stage.check(place.post(public, "the first note")["by"] == "1", "version 1 wrote it")
    return address


def prepare(place: Place) -> str:
    """Version 2 built and tested, not in service: its address."""
    stage = place.stage
    with stage.step("dockyard build: version 2"):
        before = place.dockyard("images", "-q", "notes:1")
        place.build("2")
        stage.check(place.dockyard("images", "-q", "notes:1") == before, "version 1 has changed")
    with stage.step("version 2 is tested on a volume of its own, then removed"):
        trial = place.run("notes-2-trial", "2", TRIAL)
        place.post(trial, "a trial")
        found = place.get(trial, "/notes?trial")
        stage.check([note["text"] for note in found] == ["a trial"], f"it found {found}")
        place.dockyard("rm", "-f", "notes-2-trial")
        place.dockyard("volume", "rm", TRIAL)
    with stage.step("version 2 runs beside version 1 and reads its notes"):
        address = place.run("notes-2", "2", NOTES)
        found = place.get(address, "/notes?first")
        stage.check(len(found) == 1 and found[0]["by"] == "1", f"it found {found}")
        public = f"127.0.0.1:{place.front_port()}"
        stage.check(place.get(public, "/version")["version"] == "1", "it is in service already")
    return address


def switch_and_back(place: Place, two: str) -> None:
    """Under load: version 2 takes over, version 1 goes; then a new container of version 1."""
    stage, port = place.stage, place.front_port()
    public = f"127.0.0.1:{port}"
    with Load(port) as load:
        stage.until(lambda: load.tally.versions["1"] > 50, "version 1 answers", 20)
        with stage.step("the switch to version 2; version 1 drains and is removed"):
            place.switch(two)
            retire(place, "notes-1")
            stage.check(place.get(public, "/version")["version"] == "2", "version 2 is in service")
            answered = load.tally.versions["2"]
            stage.until(lambda: load.tally.versions["2"] > answered + 50, "version 2 answers", 20)
        with stage.step("and back: a new container of version 1 takes over"):
            place.switch(place.run("notes-1-again", "1", NOTES))
            retire(place, "notes-2")
            stage.check(place.get(public, "/version")["version"] == "1", "version 1 is in service")
            answered = load.tally.versions["1"]
            stage.until(lambda: load.tally.versions["1"] > answered + 50, "version 1 answers", 20)
    tally = load.tally
    stage.say(
        f"{tally.sent} requests, by version 1: {tally.versions['1']}, "
        f"by version 2: {tally.versions['2']}, longest wait {tally.gap * 1000:.0f} ms"
    )
    for failure in tally.failures[:10]:
        stage.say(f"  {failure}")
    stage.check(not tally.failures, f"{len(tally.failures)} requests failed")
    stage.say("0 failed requests")
    with stage.step(f"the volume has all {len(tally.notes)} notes, of both versions"):
        kept = place.get(public, "/notes")
        texts = [note["text"] for note in kept]
        stage.check(texts[0] == "the first note", f"the first is {texts[0]!r}")
        stage.check(sorted(texts[1:]) == sorted(tally.notes), "a note is lost, or there twice")
        stage.check({note["by"] for note in kept} == {"1", "2"}, "both versions wrote")


def retire(place: Place, name: str) -> None:
    """It says goodbye to who is connected, ends by itself, and goes."""
    began = time.monotonic()
    place.dockyard("stop", "-t", "20", name)
    status = place.dockyard("inspect", "-f", "{{.State.ExitCode}}", name)
    took = time.monotonic() - began
    place.stage.check(status == "0", f"{name} ended with {status} after {took:.1f} s")
    place.dockyard("rm", name)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--data-dir", type=Path, help="where all is kept meanwhile")
    options.add_argument("--verbose", action="store_true", help="show each command")
    chosen = options.parse_args()
    stage = Stage(verbose=chosen.verbose)
    with tempfile.TemporaryDirectory(prefix="dockyard-immutable-") as scratch:
        place = Place(stage, chosen.data_dir or Path(scratch) / "data")
        try:
            try:
                begin(place)
                switch_and_back(place, prepare(place))
            finally:
                with stage.step("containers, network, volumes and images are removed"):
                    report = place.clean()
                stage.show(report)
        except (Failed, urllib.error.URLError) as failure:
            stage.fail(str(failure))
            return 1
    stage.done()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
