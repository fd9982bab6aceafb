"""Probes on a turned clock, and single tries over real sockets."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from dockyard.base.aio.clock import RealClock, TurnableClock, run_turnable
from dockyard.base.aio.tasks import Tasks
from dockyard.base.errors import NotFound
from dockyard.cluster.kubelet.probes import Context, Probes
from dockyard.cluster.kubelet.probing import Prober, Result, Target, port_number
from dockyard.cluster.kubelet.verdicts import Verdicts
from dockyard.interfaces import cri
from helpers.fakecri import FakeCri
from helpers.observations import ran

GOOD, BAD = cri.ExecResult(b"fine", b"", 0), cri.ExecResult(b"", b"bad", 1)


class Watched:
    """One container and its probes."""

    def __init__(self, clock: TurnableClock, tasks: Tasks) -> None:
        self.clock, self.cri, self.verdicts = clock, FakeCri(clock), Verdicts()
        self.said: list[str] = []
        self.changes = 0
        self.ending = False
        self.container = ran("c")
        self.cri.containers[self.container.id] = self.container
        context = Context(self.verdicts, lambda name, text: self.said.append(text), self._changed,
                          lambda: self.ending)  # fmt: skip
        self.probes = Probes(Prober(self.cri, clock), clock, tasks, context)

    def _changed(self) -> None:
        self.changes += 1

    def follow(self, **probes: Any) -> None:
        spec = {"name": "c", **{kind: {"exec": {"command": [kind]}, **rest}
                                for kind, rest in probes.items()}}  # fmt: skip
        self.probes.follow(spec, self.container, "10.0.0.1")

    def says(self, kind: str, what: cri.ExecResult | Exception) -> None:
        self.cri.answers[kind,] = what

    @property
    def tries(self) -> list[float]:
        start = self.clock.time() - self.clock.monotonic()
        return [when - start for when, _, _ in self.cri.executed]


def probing(test: Callable[[Watched], Awaitable[None]]) -> None:
    clock = TurnableClock(start=1.0)  # the container has started at 1.0

    async def main() -> None:
        async with Tasks() as tasks:
            await test(Watched(clock, tasks))

    run_turnable(clock, main())


def test_a_try_each_period_beginning_at_once() -> None:
    async def test(found: Watched) -> None:
        found.follow(readinessProbe={"periodSeconds": 7})
        await found.clock.advance(21)
        assert found.tries == [0, 7, 14, 21]
        assert found.verdicts.ready == {"c0": True}
        assert found.changes == 1

    probing(test)


def test_the_documented_defaults() -> None:
    """periodSeconds 10, timeoutSeconds 1, successThreshold 1, failureThreshold 3."""

    async def test(found: Watched) -> None:
        found.says("livenessProbe", BAD)
        found.follow(livenessProbe={})
        await found.clock.advance(19)
        assert found.verdicts.unhealthy == {}
        await found.clock.advance(1)
        assert found.tries == [0, 10, 20]
        assert found.verdicts.unhealthy == {"c0": "Liveness"}
        await found.clock.advance(100)
        assert len(found.tries) == 3  # on hold until there is another container
        assert found.said == ["Liveness probe failed: bad"] * 3

    probing(test)


def test_the_initial_delay_leaves_tries_out() -> None:
    async def test(found: Watched) -> None:
        found.follow(readinessProbe={"initialDelaySeconds": 12, "periodSeconds": 5})
        await found.clock.advance(20)
        assert found.tries == [15, 20]

    probing(test)


def test_a_verdict_needs_so_many_in_a_row() -> None:
    async def test(found: Watched) -> None:
        found.follow(readinessProbe={"periodSeconds": 1, "successThreshold": 3,
                                     "failureThreshold": 2})  # fmt: skip
        await found.clock.advance(1)
        found.says("readinessProbe", BAD)
        await found.clock.advance(1)
        found.says("readinessProbe", GOOD)
        await found.clock.advance(2)
        assert found.verdicts.ready == {}  # 2 good, 1 bad, 2 good
        await found.clock.advance(1)
        assert found.verdicts.ready == {"c0": True}
        found.says("readinessProbe", BAD)
        await found.clock.advance(1)
        assert found.verdicts.ready == {"c0": True}
        await found.clock.advance(1)
        assert found.verdicts.ready == {"c0": False}

    probing(test)


def test_while_it_starts_the_others_wait() -> None:
    async def test(found: Watched) -> None:
        found.says("startupProbe", BAD)
        found.says("livenessProbe", BAD)
        found.follow(startupProbe={"periodSeconds": 1, "failureThreshold": 30},
                     livenessProbe={"periodSeconds": 1, "failureThreshold": 1},
                     readinessProbe={"periodSeconds": 1})  # fmt: skip
        await found.clock.advance(5)
        assert {command for _, _, command in found.cri.executed} == {("startupProbe",)}
        found.says("startupProbe", GOOD)
        await found.clock.advance(2)
        assert found.verdicts.started == {"c0": True}
        assert found.verdicts.ready == {"c0": True}
        assert found.verdicts.unhealthy == {"c0": "Liveness"}
        count = sum(command == ("startupProbe",) for _, _, command in found.cri.executed)
        assert count == 7  # none after the first success

    probing(test)


def test_a_start_that_takes_too_long() -> None:
    async def test(found: Watched) -> None:
        found.says("startupProbe", BAD)
        found.follow(startupProbe={"periodSeconds": 2, "failureThreshold": 4})
        await found.clock.advance(5)
        assert found.verdicts.unhealthy == {}
        await found.clock.advance(1)
        assert found.verdicts.unhealthy == {"c0": "Startup"}

    probing(test)


def test_what_a_kubelet_before_has_seen_start_is_not_asked_again() -> None:
    async def test(found: Watched) -> None:
        status = {"containerID": "dockyard://c0", "ready": True, "started": True}
        found.verdicts.recall({"status": {"containerStatuses": [status]}})
        found.says("startupProbe", BAD)
        found.follow(startupProbe={"periodSeconds": 1, "failureThreshold": 1}, readinessProbe={})
        await found.clock.advance(30)
        assert found.verdicts.unhealthy == {}
        assert {command for _, _, command in found.cri.executed} == {("readinessProbe",)}

    probing(test)


def test_a_try_that_cannot_be_made_is_not_counted() -> None:
    async def test(found: Watched) -> None:
        found.says("livenessProbe", NotFound("exec: /alive: no such file"))
        found.follow(livenessProbe={"periodSeconds": 10, "failureThreshold": 1})
        await found.clock.advance(10)
        assert found.tries == [0, 0, 0, 10, 10, 10]  # each is made three times
        assert found.verdicts.unhealthy == {}
        words = ("Liveness probe errored and resulted in unknown state: "
                 "exec: /alive: no such file")  # fmt: skip
        assert found.said == [words] * 2
        found.says("livenessProbe", BAD)
        await found.clock.advance(10)
        assert found.verdicts.unhealthy == {"c0": "Liveness"}

    probing(test)


def test_a_command_that_takes_too_long_has_failed() -> None:
    async def test(found: Watched) -> None:
        found.cri.takes["livenessProbe",] = 60
        found.follow(livenessProbe={"failureThreshold": 1, "timeoutSeconds": 5})
        await found.clock.advance(5)
        assert found.verdicts.unhealthy == {"c0": "Liveness"}
        assert found.said == [
            'Liveness probe failed: command timed out: "livenessProbe" timed out after 5s'
        ]

    probing(test)


def test_slow_tries_do_not_pile_up() -> None:
    async def test(found: Watched) -> None:
        found.cri.takes["readinessProbe",] = 25
        found.follow(readinessProbe={"periodSeconds": 10, "timeoutSeconds": 30})
        await found.clock.advance(24)
        del found.cri.takes["readinessProbe",]
        await found.clock.advance(17)
        assert found.tries == [0, 25, 30, 40]  # one for those that were due, then as before

    probing(test)


def test_a_pod_that_is_ending_is_only_asked_whether_it_is_ready() -> None:
    async def test(found: Watched) -> None:
        found.says("livenessProbe", BAD)
        found.ending = True
        found.follow(livenessProbe={"failureThreshold": 1, "periodSeconds": 1},
                     readinessProbe={"periodSeconds": 1})  # fmt: skip
        await found.clock.advance(3)
        assert {command for _, _, command in found.cri.executed} == {("readinessProbe",)}

    probing(test)


def test_probes_end_with_their_container() -> None:
    async def test(found: Watched) -> None:
        found.follow(readinessProbe={"periodSeconds": 1})
        await found.clock.advance(2)
        found.probes.keep_only(set())
        await found.clock.advance(10)
        assert found.tries == [0, 1, 2]

    probing(test)


# single tries


def tried(
    action: dict[str, Any], *answers: bytes, seconds: float = 5.0, spec: Any = None
) -> tuple[Result, list[bytes]]:
    """One try against a server of 127.0.0.1 that gives these answers; and what it was asked."""
    asked: list[bytes] = []

    async def main() -> Result:
        left = list(answers)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            if left:
                writer.write(left.pop(0).replace(b"PORT", str(port).encode()))
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        kind = next(iter(action))
        given = {kind: {"port": port, **action[kind]}}
        clock = RealClock()
        target = Target("c0", spec or {"name": "c"}, "127.0.0.1")
        async with server:
            return await Prober(FakeCri(clock), clock).once(given, target, seconds)

    return asyncio.run(main()), asked


def answer(status: int, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status} X", *headers, "Content-Length: 0", "", ""]).encode()


@pytest.mark.parametrize(
    ("status", "good"), [(200, True), (204, True), (399, True), (400, False), (500, False)]
)
def test_http_by_status(status: int, good: bool) -> None:
    result, _ = tried({"httpGet": {}}, answer(status))
    expected = "" if good else f"HTTP probe failed with statuscode: {status}"
    assert result == Result(good, expected)


def test_http_headers() -> None:
    headers = [{"name": "host", "value": "shop.example"}, {"name": "X-Probe", "value": "1"}]
    _, asked = tried({"httpGet": {"path": "health?x=a b", "httpHeaders": headers}}, answer(200))
    lines = asked[0].decode().split("\r\n")
    assert lines[0].startswith("GET /health?x=a")
    assert "Host: shop.example" in lines
    assert "X-Probe: 1" in lines
    assert any(line.startswith("User-Agent: kube-probe/") for line in lines)
    assert "Connection: close" in lines


def test_a_header_cannot_smuggle_another() -> None:
    headers = [{"name": "X", "value": "a\r\nEvil: 1"}]
    result, asked = tried({"httpGet": {"httpHeaders": headers}}, answer(200))
    assert (result.good, result.errored, asked) == (False, True, [])


def test_redirects_on_the_same_host_are_followed() -> None:
    result, asked = tried({"httpGet": {}}, answer(302, "Location: /login"), answer(500))
    assert result == Result(False, "HTTP probe failed with statuscode: 500")
    assert [line.split(b" ")[1] for line in asked] == [b"/", b"/login"]


def test_a_redirect_to_another_host_is_a_success_and_not_followed() -> None:
    result, asked = tried({"httpGet": {}}, answer(302, "Location: http://192.0.2.9/"))
    assert (result, len(asked)) == (Result(True), 1)


def test_redirects_without_end() -> None:
    result, asked = tried({"httpGet": {}}, *[answer(301, "Location: /again")] * 20)
    assert not result.good
    assert result.text.endswith("stopped after 10 redirects")
    assert len(asked) == 10


@pytest.mark.parametrize("reply", [b"", b"hello\r\n", b"HTTP/1.1 200 OK\r\n" + b"x" * 100_000])
def test_what_is_no_http(reply: bytes) -> None:
    result, _ = tried({"httpGet": {}}, reply)
    assert not result.good
    assert not result.errored
    assert result.text.startswith('Get "http://127.0.0.1:')


def refused() -> int:
    """A port of this host that nobody listens on."""
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.mark.parametrize("kind", ["httpGet", "tcpSocket"])
def test_nobody_listens(kind: str) -> None:
    port = refused()
    result, _ = tried({kind: {"port": port}})
    dial = f"dial tcp 127.0.0.1:{port}: connect: connection refused"
    expected = f'Get "http://127.0.0.1:{port}/": {dial}' if kind == "httpGet" else dial
    assert result == Result(False, expected)


def test_tcp() -> None:
    async def main() -> Result:
        server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        clock = RealClock()
        async with server:
            target = Target("c0", {"name": "c"}, "127.0.0.1")
            return await Prober(FakeCri(clock), clock).once(
                {"tcpSocket": {"port": port}}, target, 5
            )

    assert asyncio.run(main()) == Result(True)


def test_an_answer_that_does_not_come() -> None:
    clock = TurnableClock()

    async def main() -> Result:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()  # and says nothing
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        target = Target("c0", {"name": "c"}, "127.0.0.1")
        prober = Prober(FakeCri(clock), clock)
        async with server:
            task = asyncio.ensure_future(prober.once({"httpGet": {"port": port}}, target, 2))
            while not task.done():
                await clock.advance(1)
            return task.result()

    result = run_turnable(clock, main())
    assert not result.good
    assert "context deadline exceeded" in result.text


def test_ports_by_name() -> None:
    spec = {"ports": [{"name": "web", "containerPort": 8080}]}
    assert (port_number(80, spec), port_number("81", spec), port_number("web", spec)) == (
        80, 81, 8080,
    )  # fmt: skip
    with pytest.raises(ValueError, match="couldn't find port: nope"):
        port_number("nope", spec)


def test_what_is_not_implemented_says_so() -> None:
    result, _ = tried({"grpc": {}})
    assert result == Result(False, "grpc: not implemented", errored=True)
