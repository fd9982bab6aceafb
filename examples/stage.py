"""Turns the steps of a demo into lines that a person enjoys reading, and commands into output."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

COLOURS = {"green": "32", "red": "31", "grey": "90", "bold": "1"}


class Failed(Exception):
    """Something that the demo promises did not happen."""


class Stage:
    """Where the demo speaks: a line for each step, with the time it took."""

    def __init__(self, verbose: bool = False) -> None:
        self._began = time.monotonic()
        self._verbose = verbose
        self._colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self._number = 0

    def elapsed(self) -> float:
        return time.monotonic() - self._began

    def paint(self, text: str, colour: str) -> str:
        return f"\033[{COLOURS[colour]}m{text}\033[0m" if self._colour else text

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[None]:
        """One step: its title while it runs, a tick or a cross and its time afterwards."""
        self._number += 1
        label = f"{self._number:>2}  {title}"
        if self._colour:
            print(f"   {label} ...", end="", flush=True)
        began = time.monotonic()
        try:
            yield
        except BaseException:
            self._line("✗", "red", label, began)
            raise
        self._line("✓", "green", label, began)

    def _line(self, mark: str, colour: str, label: str, began: float) -> None:
        took = self.paint(f"{time.monotonic() - began:6.1f} s", "grey")
        start = "\r\033[K" if self._colour else ""
        print(f"{start} {self.paint(mark, colour)} {label:<66} {took}", flush=True)

    def say(self, text: str) -> None:
        print(f"       {text}", flush=True)

    def show(self, text: str) -> None:
        for line in text.rstrip().splitlines():
            print(self.paint(f"       {line}", "grey"), flush=True)

    def check(self, true: bool, otherwise: str) -> None:
        """A promise of the demo; ``otherwise`` says how it was broken."""
        if not true:
            raise Failed(otherwise)

    def until(self, condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
        """Ask again and again until it is so."""
        deadline = time.monotonic() + seconds
        last = "it is not so"
        while time.monotonic() < deadline:
            try:
                if condition():
                    return
            except OSError as error:
                last = str(error)
            time.sleep(0.1)
        raise Failed(f"{what}: not within {seconds:g} s: {last}")

    def run(self, *command: str | Path) -> str:
        """A command's output; its failure ends the demo with what it said."""
        words = [str(word) for word in command]
        if self._verbose:
            self.say(self.paint("$ " + " ".join(words), "bold"))
        done = subprocess.run(words, capture_output=True, text=True, timeout=300)
        if done.returncode:
            said = (done.stderr or done.stdout).strip()
            raise Failed(f"{' '.join(words)}: exit status {done.returncode}: {said}")
        return done.stdout

    def fail(self, why: str) -> None:
        print(f"\n {self.paint('✗ the demo failed:', 'red')} {why}", flush=True)

    def done(self) -> None:
        print(f"\n {self.paint('✓ all of it happened', 'green')} in {self.elapsed():.1f} s")


class Registry:
    """Debian's docker-registry on a free port of loopback, with its files in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"

    def __enter__(self) -> Registry:
        program = shutil.which("docker-registry")
        if program is None:
            raise Failed("docker-registry is not installed; `make setup` installs it")
        self._folder.mkdir(parents=True, exist_ok=True)
        config = self._folder / "config.yml"
        config.write_text(
            "version: 0.1\n"
            "log: {level: error, accesslog: {disabled: true}}\n"
            f"storage: {{filesystem: {{rootdirectory: {self._folder}/data}}}}\n"
            f"http: {{addr: {self.address}}}\n"
        )
        self._log = (self._folder / "log").open("wb")
        self._process = subprocess.Popen(
            [program, "serve", str(config)], stdout=self._log, stderr=self._log
        )
        host, _, port = self.address.partition(":")
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 1):
                return self
            time.sleep(0.05)
        self.__exit__()
        raise Failed(f"docker-registry does not answer: {(self._folder / 'log').read_text()}")

    def __exit__(self, *error: object) -> None:
        self._process.terminate()
        self._process.wait(10)
        self._log.close()
