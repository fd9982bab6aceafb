"""SPDY/3.1 from a stranger: whatever comes, frames or one clear end; pieces change nothing."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dockyard.base.wire import spdyframes as frames

HEADERS = {"streamtype": "data", "port": "80", "requestid": "0"}


def decoded(data: bytes, size: int) -> tuple[list[tuple[int, int, bool]], dict[int, bytes], bool]:
    """Control frames, the data of each stream, and whether the peer broke the protocol."""
    decoder, control, payload = frames.Decoder(), list[tuple[int, int, bool]](), dict[int, bytes]()
    try:
        for start in range(0, len(data), size):
            for frame in decoder.feed(data[start : start + size]):
                if frame.kind == 0:
                    payload[frame.stream] = payload.get(frame.stream, b"") + frame.data
                else:
                    control.append((frame.kind, frame.stream, frame.fin))
    except frames.Broken:
        return control, payload, True
    return control, payload, False


@given(st.binary(max_size=300), st.integers(1, 40))
def test_any_bytes(data: bytes, size: int) -> None:
    assert decoded(data, size) == decoded(data, max(1, len(data)))


@given(
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4),
    st.binary(max_size=100), st.integers(1, 60),
)  # fmt: skip
def test_a_conversation_with_bytes_changed(
    changes: list[tuple[int, int]], payload: bytes, size: int
) -> None:
    encoder = frames.Encoder()
    said = bytearray(encoder.open(1, HEADERS) + frames.data(1, payload) + frames.ping(1))
    said += encoder.open(3, HEADERS, fin=True) + frames.data(1, b"", fin=True) + frames.away(3)
    for place, value in changes:
        said[place % len(said)] = value
    assert decoded(bytes(said), size) == decoded(bytes(said), len(said))
    if not changes:
        control, data, broken = decoded(bytes(said), size)
        assert not broken
        assert data == {1: payload}
        assert control == [(frames.OPEN, 1, False), (frames.PING, 1, False),
                           (frames.OPEN, 3, True), (frames.AWAY, 3, False)]  # fmt: skip
