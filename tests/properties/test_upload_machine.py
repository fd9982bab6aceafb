"""Uploads as a machine of states: whatever is sent, in whatever order, a model tells the answer."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from helpers import own_registry
from helpers.own_registry import Reply, Server, ask

NAMES = ("app", "team/other")
PIECES = st.binary(max_size=12) | st.integers(1, 3).map(lambda n: b"x" * (n * 700_000))
MAKERS = {"sha256": hashlib.sha256, "sha512": hashlib.sha512}


class Upload:
    """What the model knows of a session."""

    def __init__(self, name: str, location: str) -> None:
        self.name, self.location = name, location
        self.data = b""
        self.ended = False


class Uploads(RuleBasedStateMachine):
    """Clients of one registry, which restarts now and then."""

    sessions = Bundle("sessions")
    server: Server

    @initialize()
    def begin(self) -> None:
        self.blobs: dict[tuple[str, str], bytes] = {}
        self.open: list[Upload] = []
        self.folder = tempfile.TemporaryDirectory()
        self._serve()

    def _serve(self) -> None:
        self.context = own_registry.serve(Path(self.folder.name) / "root")
        self.server = self.context.__enter__()

    def teardown(self) -> None:
        if hasattr(self, "context"):
            self.context.__exit__(None, None, None)
            self.folder.cleanup()

    def _ask(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        return ask(self.server.url, method, path, body, **headers)

    @rule(target=sessions, name=st.sampled_from(NAMES), algorithm=st.sampled_from([*MAKERS, ""]))
    def start(self, name: str, algorithm: str) -> Upload:
        query = f"?digest-algorithm={algorithm}" if algorithm else ""
        reply = self._ask("POST", f"/v2/{name}/blobs/uploads/{query}")
        assert reply.status == 202
        upload = Upload(name, reply.header("Location"))
        self.open.append(upload)
        return upload

    @rule(upload=sessions, data=PIECES, ranged=st.booleans(), chunked=st.booleans())
    def patch(self, upload: Upload, data: bytes, ranged: bool, chunked: bool) -> None:
        headers = {}
        if ranged and data:
            start = len(upload.data)
            headers["content_range"] = f"{start}-{start + len(data) - 1}"
        body = iter([data[:5], data[5:]]) if chunked else data
        reply = self._ask("PATCH", upload.location, body, **headers)
        if upload.ended:
            assert reply.status == 404
            return
        assert reply.status == 202
        upload.data += data
        assert reply.header("Range") == f"0-{max(len(upload.data) - 1, 0)}"

    @rule(upload=sessions, data=PIECES.filter(bool), shift=st.integers(-9, 9).filter(bool))
    def patch_elsewhere(self, upload: Upload, data: bytes, shift: int) -> None:
        start = max(len(upload.data) + shift, 0)
        if start == len(upload.data):
            return
        span = f"{start}-{start + len(data) - 1}"
        reply = self._ask("PATCH", upload.location, data, content_range=span)
        assert reply.status == (404 if upload.ended else 416)

    @rule(upload=sessions, data=PIECES.filter(bool), extra=st.integers(-1, 3).filter(bool))
    def patch_of_another_length(self, upload: Upload, data: bytes, extra: int) -> None:
        start = len(upload.data)
        span = f"{start}-{max(start + len(data) - 1 + extra, start)}"
        if span == f"{start}-{start + len(data) - 1}":
            return
        reply = self._ask("PATCH", upload.location, iter([data]), content_range=span)
        assert reply.status == (404 if upload.ended else 416)

    @rule(upload=sessions, data=PIECES, algorithm=st.sampled_from([*MAKERS]))
    def put(self, upload: Upload, data: bytes, algorithm: str) -> None:
        whole = upload.data + data
        digest = f"{algorithm}:{MAKERS[algorithm](whole).hexdigest()}"
        reply = self._ask("PUT", f"{upload.location}?digest={digest}", data)
        if upload.ended:
            assert reply.status == 404
            return
        assert reply.status == 201
        upload.ended = True
        self.blobs[upload.name, digest] = whole

    @rule(upload=sessions, data=PIECES, wrong=st.sampled_from(["", "sha256:1", "md5:x", "sha256"]))
    def put_of_another_digest(self, upload: Upload, data: bytes, wrong: str) -> None:
        query = wrong or f"sha256:{hashlib.sha256(upload.data + data + b'!').hexdigest()}"
        reply = self._ask("PUT", f"{upload.location}?digest={query}", data)
        assert reply.status == (404 if upload.ended else 400)

    @rule(upload=consumes(sessions))
    def cancel(self, upload: Upload) -> None:
        reply = self._ask("DELETE", upload.location)
        assert reply.status == (404 if upload.ended else 204)
        upload.ended = True

    @rule(upload=sessions)
    def look(self, upload: Upload) -> None:
        reply = self._ask("GET", upload.location)
        if upload.ended:
            assert reply.status == 404
        else:
            assert reply.status == 204
            assert reply.header("Range") == f"0-{max(len(upload.data) - 1, 0)}"

    @rule(upload=sessions)
    def foreign(self, upload: Upload) -> None:
        other = next(name for name in NAMES if name != upload.name)
        path = upload.location.replace(f"/v2/{upload.name}/", f"/v2/{other}/")
        assert self._ask("PATCH", path, b"x").status == 404

    @rule(source=st.sampled_from(NAMES), into=st.sampled_from(NAMES), data=st.data())
    def mount(self, source: str, into: str, data: st.DataObject) -> None:
        known = sorted({digest for _, digest in self.blobs})
        digest = data.draw(st.sampled_from([*known, f"sha256:{'0' * 64}"]))
        reply = self._ask("POST", f"/v2/{into}/blobs/uploads/?mount={digest}&from={source}")
        if (source, digest) in self.blobs:
            assert reply.status == 201
            self.blobs[into, digest] = self.blobs[source, digest]
        else:
            assert reply.status == 202

    @rule()
    def restart(self) -> None:
        self.server.kill()
        self.context.__exit__(None, None, None)
        self._serve()

    @invariant()
    def what_was_created_is_there(self) -> None:
        for (name, digest), data in list(getattr(self, "blobs", {}).items())[-2:]:
            assert self._ask("GET", f"/v2/{name}/blobs/{digest}").body == data


@pytest.mark.parametrize("examples", [6, pytest.param(150, marks=pytest.mark.long)])
def test_uploads_follow_the_model(examples: int) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Uploads,
        settings=settings(
            max_examples=examples, stateful_step_count=25, deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip
