"""Whatever the environment says: settings, or every fault of theirs by name; nothing hangs and no secret is told."""

from __future__ import annotations

import os
import secrets
import traceback
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import short_file
from config.master_key import generate_master_key, master_key_source
from config.settings import Settings, SettingsError, holds_secret, read_settings, setting_names
from config.short_file import LARGEST_BYTES, read_short_file
from tasks.rotation.errors import InvalidInput
from tasks.store.database import make_engine
from tests.property.effort import effort
from tests.property.outcome import raised

CANARY = f"canary{secrets.token_hex(8)}"
NAMES = setting_names()
WITH_FILE = tuple(name for name in NAMES if holds_secret(name.removeprefix("ROTATOR_").lower()))
TLS = {"ROTATOR_WEB_TLS_CERTIFICATE", "ROTATOR_WEB_TLS_KEY"}
JUDGED_BY_WHO_USES_IT = {"ROTATOR_MASTER_KEY", "ROTATOR_OPENROUTER_BASE_URL", "ROTATOR_FLOWER_ADDRESS", *TLS}
HOLDS_NO_SECRET = (
    *("data_dir", "openrouter_base_url", "flower_address"),
    *("web_address", "web_hosts", "web_trusted_proxies", "web_tls_certificate", "web_tls_key"),
    *("web_folders", "web_variables"),
)
"""Shown as they are; the base URL is refused before its use when it has a password."""
SOON_S = 0.01

_numbers = st.sampled_from(
    ["0", "1", "-1", "1.5", "1e9", "1e400", "nan", "-inf", "Infinity", "9" * 400, "0x1", "1_0", " 7 ", "١", "²", "true"]
)
_urls = st.builds(
    "{}{}{}{}{}".format,
    st.sampled_from(
        ["redis", "rediss", "redis+socket", "postgresql", "sqlite", "http", "https", "amqp", "", "redis\0"]
    ),
    st.sampled_from(["://", ":///", ":", "//", ""]),
    st.sampled_from(
        ["", f"u:{CANARY}@", f":{CANARY}@", f"{CANARY}@", f"u:[{CANARY}@", f"u:{CANARY}%zz@", f"{CANARY};"]
    ),
    st.sampled_from(["h", "[::1]", "[::", "127.0.0.1", "h:99999", "h:-1", "h:x", "", "\u2028", "℀", "a" * 300, "ünï"]),
    st.sampled_from(["", "/0", "/x", "//", "/0?a=b", f"/0#{CANARY}", "?ssl_cert_reqs=CERT_NONE", "/\udcff", ";", "/%"]),
)
_texts = st.text(max_size=30) | st.text(st.characters(codec="latin-1"), max_size=10)
_likely = st.sampled_from(
    ["", " ", "\n", "debug", "json", "true", "no", "2", "/tmp", "relative", CANARY, f"user:{CANARY}", "~", "/" * 5000]
)
values = _numbers | _urls | _texts | _likely
_variables = st.sampled_from(
    [*NAMES, *(f"{name}_FILE" for name in NAMES), "ROTATOR_", "ROTATOR_TIK_S", "ROTATOR_\udcff"]
)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, ...]]:
    """What a ``_FILE`` may name, by mistake or not."""
    folder = tmp_path_factory.mktemp("places")
    contents = {
        "key": generate_master_key().reveal().encode(),
        "canary": CANARY.encode(),
        "empty": b"",
        "blank": b" \n\r\n",
        "binary": bytes(range(256)),
        "mark": "\ufeffredis://h/0".encode(),
        "url": f"redis://:{CANARY}@h/0\n".encode(),
        "huge": CANARY.encode() * LARGEST_BYTES,
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    (folder / "closed").write_text("x")
    (folder / "closed").chmod(0)
    os.mkfifo(folder / "fifo")
    (folder / "loop").symlink_to(folder / "loop")
    with patch.object(short_file, "PATIENCE_S", SOON_S):
        made = [str(path) for path in sorted(folder.iterdir())]
        yield (
            *made,
            str(folder),
            str(folder / "missing"),
            "/dev/zero",
            "/dev/null",
            "/proc/self/mem",
            "",
            "a" * 5000,
            "\0",
        )


@effort(500)
@given(data=st.data())
def test_any_environment_is_settings_or_named_faults(places: tuple[str, ...], data: st.DataObject) -> None:
    environment = data.draw(st.dictionaries(_variables, values | st.sampled_from(places), max_size=8))
    try:
        made = read_settings(environment)
    except SettingsError as error:
        _is_fit_to_show(error, environment)
    else:
        _are_usable(made)


def _is_fit_to_show(error: SettingsError, environment: dict[str, str]) -> None:
    shown = "".join(traceback.format_exception(error))
    assert CANARY not in shown, shown
    assert error.faults
    named = {fault.partition(":")[0] for fault in error.faults}
    known = {variable for given in environment for variable in (given, given.removesuffix("_FILE"))}
    assert named <= known | {"ROTATOR_MASTER_KEY", *TLS}  # which another setting may make necessary
    assert all(fault.partition(": ")[2].strip() for fault in error.faults)


def _are_usable(made: Settings) -> None:
    """What was taken can be used, or is refused by whoever uses it, in words of ours."""
    shown = made.model_copy(update=dict.fromkeys(HOLDS_NO_SECRET))
    assert CANARY not in repr(shown) + str(shown) + str(shown.model_dump(exclude=set(HOLDS_NO_SECRET)))
    assert CANARY not in str(raised(SettingsError, master_key_source(_elsewhere(made)).keys))
    if made.database().reveal().startswith("postgresql"):
        assert CANARY not in str(raised(InvalidInput, lambda: make_engine(made.database()).dispose()))


def _elsewhere(made: Settings) -> Settings:
    """The same, but that no master key is made in a folder that chance has named."""
    return made if made.master_key is not None else made.model_copy(update={"master_key": generate_master_key()})


@effort(100)
@given(st.sets(st.sampled_from(sorted({*NAMES} - JUDGED_BY_WHO_USES_IT)), min_size=2), st.data())
def test_every_wrong_setting_is_told_at_once(wrong: set[str], data: st.DataObject) -> None:
    """Each is given what it cannot be, and each is named, whatever is wrong with the others."""
    never = "\x00 never \x00"
    environment = {name: data.draw(st.sampled_from(_WRONG.get(name, [never]))) for name in wrong}
    with pytest.raises(SettingsError) as refused:
        read_settings(environment)
    assert {fault.partition(":")[0] for fault in refused.value.faults} >= wrong


_WRONG = {
    "ROTATOR_DATA_DIR": ["relative", ""],
    "ROTATOR_DATABASE_URL": ["", "mysql://h/n", "postgresql", "://"],
    "ROTATOR_BROKER_URL": ["", "amqp://h", "redis://h:x/0", "redis:"],
    "ROTATOR_FLOWER_BASIC_AUTH": ["", "no colon"],
}


@effort(60)
@given(st.binary(max_size=200), st.sampled_from([0, 1, LARGEST_BYTES - 300, LARGEST_BYTES, LARGEST_BYTES + 1]))
def test_a_short_file_is_read_whole_or_refused(tmp_path: Path, content: bytes, padding: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(content + b"a" * padding)
    if len(content) + padding > LARGEST_BYTES:
        with pytest.raises(OSError, match="it is larger than 64 KiB"):
            read_short_file(path)
    elif raised(UnicodeDecodeError, content.decode):
        with pytest.raises(UnicodeDecodeError):
            read_short_file(path)
    else:
        assert read_short_file(path).encode() == path.read_bytes()


def test_what_a_shell_hands_over_in_a_pipe_is_read() -> None:
    reading, writing = os.pipe()
    with open(writing, "wb") as writer:
        writer.write(CANARY.encode())
    with closing(open(reading, "rb")):
        assert read_short_file(Path(f"/dev/fd/{reading}")) == CANARY


def test_a_pipe_into_which_nobody_writes_is_left_after_a_while(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with patch.object(short_file, "PATIENCE_S", SOON_S), pytest.raises(OSError, match="did not come to its end"):
        read_short_file(tmp_path / "fifo")
