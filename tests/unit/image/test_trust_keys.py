"""Keys and what they sign: NaCl's published numbers, and pairs that are made here."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from dockyard.base.errors import Conflict, Invalid, Unsupported
from dockyard.base.oci.digest import Digest
from dockyard.node.image.trust import keys, secretbox
from dockyard.node.image.trust.payload import Claim, encode_claim, parse_claim

KEY = "1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389"
NONCE = "69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37"
PLAIN = (
    "be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffce5ecbaaf33bd751a1ac728d45e6c"
    "61296cdc3c01233561f41db66cce314adb310e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a024a838f"
    "21af1fde048977eb48f59ffd4924ca1c60902e52f0a089bc76897040e082f937763848645e0705"
)
SEALED = (
    "f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce48332ea7164d96a4476fb8c531a1"
    "186ac0dfc17c98dce87b4da7f011ec48c97271d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8ab9321645"
    "48e526ae90224368517acfeabd6bb3732bc0e9da99832b61ca01b6de56244a9e88d5f9b37973f622a43d14a6599b"
    "1f654cb45a74e355a5"
)
"""NaCl's own secretbox example ("Cryptography in NaCl", section 10)."""


def test_the_box_is_nacls() -> None:
    key, nonce = bytes.fromhex(KEY), bytes.fromhex(NONCE)
    assert secretbox.seal(bytes.fromhex(PLAIN), nonce, key).hex() == SEALED
    assert secretbox.unseal(bytes.fromhex(SEALED), nonce, key, "box").hex() == PLAIN


def test_a_changed_box_is_refused() -> None:
    key, nonce = bytes.fromhex(KEY), bytes.fromhex(NONCE)
    broken = bytearray.fromhex(SEALED)
    for at in (0, 16, len(broken) - 1):
        broken[at] ^= 1
        with pytest.raises(Invalid, match="passphrase"):
            secretbox.unseal(bytes(broken), nonce, key, "box")
        broken[at] ^= 1
    with pytest.raises(Invalid):
        secretbox.unseal(b"short", nonce, key, "box")


def test_a_pair_signs_and_verifies_and_its_file_is_its_owners(tmp_path: Path) -> None:
    private, public = keys.generate(str(tmp_path / "team"), b"secret")
    assert stat.S_IMODE(Path(private).stat().st_mode) == 0o600
    key = keys.load_private(keys.read_file(private), lambda: b"secret", "key")
    shown = keys.load_public(keys.read_file(public), "key")
    proof = keys.sign(key, b"data")
    assert keys.verifies(shown, proof, b"data")
    assert not keys.verifies(shown, proof, b"date")
    assert not keys.verifies(shown, b"\0" * 70, b"data")
    with pytest.raises(Invalid, match="passphrase"):
        keys.load_private(keys.read_file(private), lambda: b"wrong", "key")
    with pytest.raises(Conflict, match="not overwritten"):
        keys.generate(str(tmp_path / "team"), b"secret")


@pytest.mark.parametrize(
    "params", [{"N": 1 << 30, "r": 8, "p": 1}, {"N": 3, "r": 8, "p": 1}, {"N": 4, "r": 999, "p": 1}]
)
def test_a_key_file_does_not_choose_how_much_memory_it_takes(params: dict[str, int]) -> None:
    import base64

    document = {"kdf": {"name": "scrypt", "params": params, "salt": ""},
                "cipher": {"name": "nacl/secretbox", "nonce": ""}, "ciphertext": ""}  # fmt: skip
    body = base64.b64encode(json.dumps(document).encode()).decode()
    name = "ENCRYPTED SIGSTORE PRIVATE KEY"
    pem = f"-----BEGIN {name}-----\n{body}\n-----END {name}-----\n".encode()
    with pytest.raises(Unsupported, match="scrypt with"):
        keys.load_private(pem, lambda: b"", "key")


@pytest.mark.parametrize("pem", [b"", b"no key", b"-----BEGIN PUBLIC KEY-----\nAAAA\n"])
def test_what_is_no_key_is_told(pem: bytes) -> None:
    with pytest.raises(Invalid):
        keys.load_public(pem, "key: x")
    with pytest.raises(Invalid):
        keys.load_private(pem, lambda: b"", "key: x")


def test_a_claim_is_exactly_what_the_specification_says() -> None:
    claim = Claim("h.io/a:1", Digest("sha256:" + "0" * 64))
    data = encode_claim(claim, "dockyard", 1.5)
    assert parse_claim(data, "claim") == claim
    value = json.loads(data)
    assert value["optional"] == {"creator": "dockyard", "timestamp": 1}
    for change in (
        {**value, "more": 1},
        {"optional": {}},
        {"critical": {**value["critical"], "type": "atomic container signature"}},
        {"critical": {**value["critical"], "more": 1}},
        {"critical": {**value["critical"], "image": {"docker-manifest-digest": "sha256:zz"}}},
        {"critical": {**value["critical"], "identity": {"docker-reference": 7}}},
    ):
        with pytest.raises(Invalid):
            parse_claim(json.dumps(change).encode(), "claim")
