"""The envelope: what stands in it, and that it opens nowhere but where it belongs."""

from __future__ import annotations

import hmac
import os
import secrets
from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st

from config.secret import Secret
from tasks.rotation.errors import CannotDecrypt
from tasks.store.cipher import Cipher, Place
from tasks.store.sealed import CHECK_PLACE, key_place, management_key_place, target_place

PLACE = Place("connections", "key_sealed", "row-1", 3)
TEXT = Secret("canary " + secrets.token_hex(8))


def _cipher(*ring: bytes) -> Cipher:
    return Cipher(lambda: ring, source="the test's ring")


KEY = secrets.token_bytes(32)


def test_what_is_sealed_opens_in_its_place() -> None:
    cipher = _cipher(KEY)
    assert cipher.open(cipher.seal(TEXT, PLACE), PLACE) == TEXT


def test_known_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The envelope as the module describes it, computed once by hand; it must open for ever."""
    master, nonce = bytes(range(32)), bytes(range(12))
    monkeypatch.setattr(os, "urandom", lambda n: nonce[:n])
    sealed = _cipher(master).seal(Secret("the text"), PLACE)
    key_id = bytes.fromhex("e9e0aec67c223572")
    assert sealed[:21] == b"\x01" + key_id + nonce
    assert sealed.hex() == "01e9e0aec67c223572000102030405060708090a0bb710cc51775aaa17af51692a7ff601b4068d9b52171b9dd1"
    encryption = bytes.fromhex("97a3565be034b9ddf4cc11aca89192af1e715edfaf88a77dc578ed6d33ec6117")
    place = b"connections\x1fkey_sealed\x1frow-1\x1f3"
    assert AESGCM(encryption).decrypt(nonce, sealed[21:], b"\x01" + key_id + place) == b"the text"
    assert _cipher(master).open(sealed, PLACE).reveal() == "the text"


def test_each_sealing_is_different() -> None:
    cipher = _cipher(KEY)
    assert cipher.seal(TEXT, PLACE) != cipher.seal(TEXT, PLACE)


@pytest.mark.parametrize(
    "elsewhere",
    [
        replace(PLACE, table="key_versions"),
        replace(PLACE, column="target_sealed"),
        replace(PLACE, row="row-2"),
        replace(PLACE, revision=2),
        replace(PLACE, row="row-13", revision=0),
    ],
    ids=["table", "column", "row", "revision", "row and revision run together"],
)
def test_a_ciphertext_that_was_moved_does_not_open(elsewhere: Place) -> None:
    cipher = _cipher(KEY)
    with pytest.raises(CannotDecrypt, match="was changed, or moved here from elsewhere") as refused:
        cipher.open(cipher.seal(TEXT, PLACE), elsewhere)
    assert "backup" in refused.value.remedy


def test_no_bit_may_flip() -> None:
    cipher = _cipher(KEY)
    sealed = cipher.seal(TEXT, PLACE)
    for position in range(len(sealed) * 8):
        flipped = bytearray(sealed)
        flipped[position // 8] ^= 1 << position % 8
        with pytest.raises(CannotDecrypt):
            cipher.open(bytes(flipped), PLACE)


def test_nothing_may_be_missing_or_added() -> None:
    cipher = _cipher(KEY)
    sealed = cipher.seal(TEXT, PLACE)
    for spoilt in (*(sealed[:end] for end in range(len(sealed))), sealed + b"\0", sealed[1:]):
        with pytest.raises(CannotDecrypt):
            cipher.open(spoilt, PLACE)


@settings(deadline=None)  # a loaded machine takes its time
@given(st.binary(max_size=200))
def test_no_bytes_do_anything_worse_than_not_opening(envelope: bytes) -> None:
    with pytest.raises(CannotDecrypt):
        _cipher(KEY).open(envelope, PLACE)


def test_another_master_key_is_named_as_the_reason() -> None:
    sealed = _cipher(secrets.token_bytes(32)).seal(TEXT, PLACE)
    with pytest.raises(CannotDecrypt) as refused:
        _cipher(KEY).open(sealed, PLACE)
    assert refused.value.message == (
        "connections.key_sealed of row-1: it was encrypted with a master key that the test's ring does not hold."
    )
    assert refused.value.remedy == "Put the master key that this database was written with into the test's ring."


def test_the_ring_seals_with_its_first_key_and_opens_with_any() -> None:
    old, new = secrets.token_bytes(32), secrets.token_bytes(32)
    before, during = _cipher(old), _cipher(new, old)
    sealed = before.seal(TEXT, PLACE)
    assert during.open(sealed, PLACE) == TEXT
    assert not during.is_current(sealed)
    resealed = during.seal(TEXT, PLACE)
    assert during.is_current(resealed)
    assert _cipher(new).open(resealed, PLACE) == TEXT
    with pytest.raises(CannotDecrypt):
        before.open(resealed, PLACE)


def test_a_ring_that_grows_is_seen_at_once() -> None:
    ring = [KEY]
    cipher = Cipher(lambda: tuple(ring), source="here")
    first = cipher.seal(TEXT, PLACE)
    ring.insert(0, secrets.token_bytes(32))
    assert cipher.open(first, PLACE) == TEXT
    assert not cipher.is_current(first)


def test_a_fingerprint_tells_secrets_apart_and_depends_on_the_master_key() -> None:
    one = _cipher(KEY).fingerprint(TEXT)
    assert one == _cipher(KEY).fingerprint(Secret(TEXT.reveal()))
    assert one != _cipher(KEY).fingerprint(Secret("other"))
    assert one != _cipher(secrets.token_bytes(32)).fingerprint(TEXT)
    assert TEXT.reveal() not in one


@pytest.mark.parametrize("show", [repr, str])
def test_errors_and_ciphertexts_never_hold_the_text(show: Callable[[object], str]) -> None:
    sealed = _cipher(KEY).seal(TEXT, PLACE)
    assert TEXT.reveal().encode() not in sealed
    with pytest.raises(CannotDecrypt) as refused:
        _cipher(KEY).open(sealed, replace(PLACE, row="x"))
    assert TEXT.reveal() not in show(refused.value)


# --- the format, for ever --------------------------------------------------------------------------------------

MASTER = bytes(range(32))
NONCE = bytes(range(12))


def _independently(master: bytes, nonce: bytes, text: bytes, place: bytes) -> bytes:
    """The envelope as README and module describe it, from the library's primitives and none of our code."""

    def derived(what: bytes, length: int) -> bytes:
        info = b"openrouter-rotator/v1/" + what
        return HKDF(algorithm=hashes.SHA256(), length=length, salt=None, info=info).derive(master)

    header = b"\x01" + derived(b"key id", 8)
    return header + nonce + AESGCM(derived(b"encryption", 32)).encrypt(nonce, text, header + place)


KNOWN: dict[str, tuple[Place, bytes, str, str]] = {
    # what: the place, its bytes, the text, and the envelope as it was on 22 November 2026
    "check text": (
        CHECK_PLACE,
        b"installation\x1fcheck_sealed\x1f1\x1f0",
        "an installation",
        "01e9e0aec67c223572000102030405060708090a0ba21689186d4ca60217905677beff16beb4f75b07f5baf89aca54e5f9573ed9",
    ),
    "management key": (
        management_key_place("c-1", 7),
        b"connections\x1fkey_sealed\x1fc-1\x1f7",
        "a management key",
        "01e9e0aec67c223572000102030405060708090a0ba258c4106d5eb50616995977f7fb1d196cde4bb042837e0cceeba8a2a671fdb7",
    ),
    "key": (
        key_place("v-1"),
        b"key_versions\x1fkey_sealed\x1fv-1\x1f0",
        "a key",
        "01e9e0aec67c223572000102030405060708090a0ba258c2147a480f2f37d5bbed4c633e095971e964b8",
    ),
    "target": (
        target_place("d-1"),
        b"destinations\x1ftarget_sealed\x1fd-1\x1f0",
        "a target, with ä and 🔑",
        "01e9e0aec67c223572000102030405060708090a0ba258dd107158b71757dc406aa3f858a3efc38b618fd5d1a2bfd9eef11a4cba19d139fa755ae84ae30588",
    ),
}


@pytest.mark.parametrize("what", KNOWN)
def test_each_kind_of_ciphertext_is_byte_for_byte_as_it_was(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    place, place_bytes, text, pinned = KNOWN[what]
    monkeypatch.setattr(os, "urandom", lambda n: NONCE[:n])
    assert _cipher(MASTER).seal(Secret(text), place).hex() == pinned
    assert _independently(MASTER, NONCE, text.encode(), place_bytes).hex() == pinned
    assert _cipher(secrets.token_bytes(32), MASTER).open(bytes.fromhex(pinned), place).reveal() == text


def test_a_fingerprint_is_as_it_was() -> None:
    """It tells an operator which key a connection has, from one release to the next."""
    key = HKDF(hashes.SHA256(), 32, salt=None, info=b"openrouter-rotator/v1/fingerprint").derive(MASTER)
    pinned = "a9bb49425875512715980bd5aede290b"
    assert hmac.digest(key, b"a management key", "sha256").hex()[:32] == pinned
    assert _cipher(MASTER).fingerprint(Secret("a management key")) == pinned
