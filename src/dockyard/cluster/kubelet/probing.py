"""Turns one probe or hook into one try: whether it went well, and what it said."""

from __future__ import annotations

import asyncio
import ssl
from typing import NamedTuple
from urllib.parse import quote, urljoin, urlsplit

from dockyard.base.aio.clock import Clock
from dockyard.base.errors import DockyardError
from dockyard.cluster.client.transport import Object
from dockyard.cluster.kubelet.backoff import go_duration
from dockyard.interfaces.cri import RuntimeService

LARGEST = 10 * 1024
"""Of an answer, in bytes: what goes into an event."""
LARGEST_HEAD = 64 * 1024
REDIRECTS, MOST_REDIRECTS = (301, 302, 303, 307, 308), 10


class Result(NamedTuple):
    """``errored``: the try itself could not be made; it counts as a failure only when repeated."""

    good: bool
    text: str = ""
    errored: bool = False


class Target(NamedTuple):
    """What is probed."""

    container_id: str
    spec: Object
    address: str
    """The pod's."""


class Prober:
    """Makes tries."""

    def __init__(self, runtime: RuntimeService, clock: Clock) -> None:
        self._runtime, self._clock = runtime, clock

    async def once(self, action: Object, target: Target, seconds: float) -> Result:
        """One try of a probe's (or hook's) action: exec, httpGet, tcpSocket or sleep."""
        try:
            if "exec" in action:
                return await self._exec(action["exec"], target, seconds)
            if "httpGet" in action:
                return await self._http(action["httpGet"], target, seconds)
            if "tcpSocket" in action:
                return await self._tcp(action["tcpSocket"], target, seconds)
            if "sleep" in action:
                await self._clock.sleep(min(seconds, float(action["sleep"]["seconds"])))
                return Result(True)
        except ValueError as error:
            return Result(False, str(error), errored=True)
        kind = next(iter(action), "nothing")
        return Result(False, f"{kind}: not implemented", errored=True)

    async def _exec(self, settings: Object, target: Target, seconds: float) -> Result:
        command = tuple(settings.get("command") or ())
        try:
            found = await self._runtime.exec_sync(target.container_id, command, seconds)
        except TimeoutError:
            shown = " ".join(command)
            return Result(
                False, f'command timed out: "{shown}" timed out after {go_duration(seconds)}'
            )
        except DockyardError as error:
            return Result(False, str(error), errored=True)
        text = (found.stdout + found.stderr)[:LARGEST].decode(errors="replace")
        return Result(found.exit_code == 0, text)

    async def _tcp(self, settings: Object, target: Target, seconds: float) -> Result:
        port = port_number(settings["port"], target.spec)
        host = settings.get("host") or target.address
        try:
            async with self._clock.timeout(seconds):
                _, writer = await asyncio.open_connection(host, port)
                writer.close()
        except TimeoutError:
            return Result(False, f"dial tcp {_joined(host, port)}: i/o timeout")
        except OSError as error:
            return Result(False, _dial_failure(host, port, error))
        return Result(True)

    async def _http(self, settings: Object, target: Target, seconds: float) -> Result:
        port = port_number(settings["port"], target.spec)
        host = settings.get("host") or target.address
        scheme = str(settings.get("scheme") or "HTTP").lower()
        path = settings.get("path") or "/"
        url = f"{scheme}://{_joined(host, port)}{path if path.startswith('/') else '/' + path}"
        try:
            async with self._clock.timeout(seconds):
                status, place = await _get(settings, url)
                asked = 1
                while status in REDIRECTS:
                    if asked == MOST_REDIRECTS:
                        return Result(False, f'Get "{url}": stopped after 10 redirects')
                    if not place:
                        return Result(False, f'Get "{url}": {status} response missing '
                                             "Location header")  # fmt: skip
                    there = urljoin(url, place)
                    if urlsplit(there).hostname != urlsplit(url).hostname:
                        return Result(True)  # somebody else's answer is not this container's
                    url = there
                    status, place = await _get(settings, url)
                    asked += 1
        except TimeoutError:
            return Result(False, f'Get "{url}": context deadline exceeded '
                                 "(Client.Timeout exceeded while awaiting headers)")  # fmt: skip
        except ssl.SSLError as error:
            return Result(False, f'Get "{url}": {error}')
        except ConnectionError as error:
            if error.errno is None:
                return Result(False, f'Get "{url}": EOF')
            return Result(False, f'Get "{url}": {_dial_failure(host, port, error)}')
        except OSError as error:
            return Result(False, f'Get "{url}": {_dial_failure(host, port, error)}')
        except (EOFError, asyncio.LimitOverrunError):
            return Result(False, f'Get "{url}": EOF')
        if 200 <= status < 400:
            return Result(True)
        return Result(False, f"HTTP probe failed with statuscode: {status}")


def port_number(port: int | str, spec: Object) -> int:
    """A port by number, or by the name that the container gives it."""
    if isinstance(port, int):
        return port
    if port.isdecimal() and 0 < int(port) < 65536:
        return int(port)
    for found in spec.get("ports") or ():
        if found.get("name") == port:
            return int(found["containerPort"])
    raise ValueError(f"couldn't find port: {port}")


async def _get(settings: Object, url: str) -> tuple[int, str]:
    """Status and Location. The certificate is not looked at, as in Kubernetes."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise ValueError(f'unsupported protocol scheme "{parts.scheme}"')
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~")
    path += f"?{parts.query}" if parts.query else ""
    headers = {"Host": _joined(host, port), "User-Agent": "kube-probe/1.33", "Accept": "*/*"}
    for each in settings.get("httpHeaders") or ():
        headers[str(each["name"]).title()] = str(each.get("value", ""))
    headers["Connection"] = "close"
    lines = [f"GET {path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if any("\r" in line or "\n" in line for line in lines):
        raise ValueError("probe: a header or path with a line break")
    context = _blind_context() if parts.scheme == "https" else None
    reader, writer = await asyncio.open_connection(host, port, ssl=context, limit=LARGEST_HEAD)
    try:
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1", "replace"))
        head = await reader.readuntil(b"\r\n")
        words = head.split(None, 2)
        if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
            raise ConnectionError("malformed HTTP response")
        place = ""
        while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
            name, _, value = line.decode("latin-1").partition(":")
            if name.lower() == "location":
                place = value.strip()
        return int(words[1]), place
    finally:
        writer.close()


def _blind_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _dial_failure(host: str, port: int, error: OSError) -> str:
    reason = {111: "connection refused", 113: "no route to host", 101: "network is unreachable",
              104: "connection reset by peer", 110: "i/o timeout"}  # fmt: skip
    said = reason.get(error.errno or 0, error.strerror or str(error))
    call = "" if error.errno == 104 else "connect: "
    verb = "read" if error.errno == 104 else "dial"
    return f"{verb} tcp {_joined(host, port)}: {call}{said}"
