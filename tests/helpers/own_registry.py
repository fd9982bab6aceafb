"""Turns ``dockyard registry serve`` into a registry for one test: own port, own folder."""

import base64
import contextlib
import http.client
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

PROGRAM = Path(sys.executable).parent / "dockyard"
START_SECONDS = 30.0


class Server:
    """A running registry. ``address`` is ``127.0.0.1:port``."""

    def __init__(self, process: "subprocess.Popen[str]", url: str, root: Path, log: Path) -> None:
        self.process, self.url, self.root, self.log = process, url, root, log
        self.address = urlsplit(url).netloc

    def kill(self) -> None:
        """As a power cut: nothing is finished."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)


class Reply(NamedTuple):
    """An answer, independent of our client."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def header(self, name: str) -> str:
        value = self.headers.get(name)
        assert value is not None, f"no {name} in {self.headers.items()}"
        return value


@contextlib.contextmanager
def serve(root: Path, *flags: str, address: str = "127.0.0.1:0") -> Iterator[Server]:
    """The program, as a user starts it."""
    root.parent.mkdir(parents=True, exist_ok=True)
    log = root.parent / f"{root.name}.log"
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [PROGRAM, "registry", "serve", "--address", address, "--root", root, *flags],
            stdout=subprocess.PIPE, stderr=errors, text=True,
        )  # fmt: skip
    try:
        yield Server(process, _url(process, log), root, log)
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _url(process: "subprocess.Popen[str]", log: Path) -> str:
    late = threading.Timer(START_SECONDS, process.kill)
    late.start()
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
    finally:
        late.cancel()
    assert line.startswith("serving on "), log.read_text()
    return line.split()[2].rstrip(",")


def ask(
    url: str, method: str, path: str, body: Any = None, context: ssl.SSLContext | None = None,
    **headers: str,
) -> Reply:  # fmt: skip
    """One request on a connection of its own. ``content_type`` becomes ``Content-Type``."""
    parts = urlsplit(url)
    target = path
    if "://" in path:
        split = urlsplit(path)
        target = f"{split.path}?{split.query}" if split.query else split.path
    if parts.scheme == "https":
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            parts.netloc, timeout=30, context=context or ssl._create_unverified_context()
        )
    else:
        connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    try:
        named = {key.replace("_", "-").title(): value for key, value in headers.items()}
        connection.request(method, target, body=body, headers=named)
        answer = connection.getresponse()
        return Reply(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


def basic(user: str, password: str = "") -> str:
    pair = f"{user}:{password or 'secret of ' + user}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)
