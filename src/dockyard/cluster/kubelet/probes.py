"""Turns a probe's settings into results: how often, how many in a row, and what counts as good."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from dockyard.base.aio.clock import Clock
from dockyard.base.errors import Unsupported
from dockyard.cluster.client.transport import Object
from dockyard.interfaces.cri import RuntimeService

LARGEST = 10 * 1024
Report = Callable[[bool, str], Awaitable[None]]
"""Called when a probe's verdict changes, or with each failure beyond the threshold."""


class Prober:
    """Performs probes of one container."""

    def __init__(self, runtime: RuntimeService, clock: Clock) -> None:
        self._runtime, self._clock = runtime, clock

    async def watch(
        self, probe: Object, container_id: str, container: Object, address: str, report: Report
    ) -> None:
        """Probe until cancelled. Each verdict needs its number of equal results in a row."""
        await self._clock.sleep(float(probe.get("initialDelaySeconds", 0)))
        good = bad = 0
        while True:
            success, text = await self.once(probe, container_id, container, address)
            good, bad = (good + 1, 0) if success else (0, bad + 1)
            if success and good == int(probe.get("successThreshold", 1)):
                await report(True, text)
            elif not success:
                await report(bad < int(probe.get("failureThreshold", 3)), text)
            await self._clock.sleep(float(probe.get("periodSeconds", 10)))

    async def once(
        self, probe: Object, container_id: str, container: Object, address: str
    ) -> tuple[bool, str]:
        """One try: whether it was good, and what it said."""
        seconds = float(probe.get("timeoutSeconds", 1))
        try:
            async with self._clock.timeout(seconds):
                if "exec" in probe:
                    command = tuple(probe["exec"].get("command") or ())
                    result = await self._runtime.exec_sync(container_id, command, seconds)
                    text = (result.stdout + result.stderr).decode(errors="replace")
                    return result.exit_code == 0, text[:LARGEST]
                if "httpGet" in probe:
                    return await _http(probe["httpGet"], container, address)
                if "tcpSocket" in probe:
                    settings = probe["tcpSocket"]
                    port = port_number(settings["port"], container)
                    _, writer = await asyncio.open_connection(settings.get("host") or address, port)
                    writer.close()
                    return True, ""
        except TimeoutError:
            return False, "context deadline exceeded"
        except (OSError, EOFError, ValueError) as error:
            return False, str(error) or type(error).__name__
        return False, "probe: grpc: not implemented"


def port_number(port: int | str, container: Object) -> int:
    """A port by number, or by the name that the container gives it."""
    if isinstance(port, int):
        return port
    for found in container.get("ports") or ():
        if found.get("name") == port:
            return int(found["containerPort"])
    raise ValueError(f"couldn't find port: {port}")


async def _http(settings: Object, container: Object, address: str) -> tuple[bool, str]:
    if settings.get("scheme", "HTTP") != "HTTP":
        raise ValueError("probe: HTTPS: not implemented")
    host, port = settings.get("host") or address, port_number(settings["port"], container)
    path = settings.get("path") or "/"
    headers = {h["name"]: h["value"] for h in settings.get("httpHeaders") or ()}
    lines = [f"GET {path} HTTP/1.1", f"Host: {headers.pop('Host', f'{host}:{port}')}",
             "User-Agent: kube-probe/1.33", "Accept: */*", "Connection: close",
             *(f"{name}: {value}" for name, value in headers.items())]  # fmt: skip
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        status_line = await reader.readuntil(b"\r\n")
        words = status_line.split()
        status = int(words[1]) if len(words) > 1 else 0
        if 200 <= status < 400:
            return True, ""
        return False, f"HTTP probe failed with statuscode: {status}"
    finally:
        writer.close()


def check_supported(container: Object) -> None:
    """Refuse probes and hooks that nobody here performs."""
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if "grpc" in (container.get(name) or {}):
            raise Unsupported(f"{name}: grpc: not implemented")
