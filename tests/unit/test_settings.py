"""Settings are read once, every fault is told at once, and no fault repeats a secret."""

from __future__ import annotations

import traceback
from datetime import timedelta
from pathlib import Path
from secrets import token_hex

import pytest
from kombu.utils.url import parse_url

from config.master_key import generate_master_key
from config.settings import Settings, SettingsError, holds_secret, read_settings, setting_names

CANARY = f"canary{token_hex(8)}"


def _faults(**environment: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as refused:
        read_settings({f"ROTATOR_{name}": value for name, value in environment.items()})
    assert str(refused.value) == "\n".join(refused.value.faults)
    return refused.value.faults


def _read(**environment: str) -> Settings:
    return read_settings({f"ROTATOR_{name}": value for name, value in environment.items()})


def test_without_any_variable_everything_is_embedded() -> None:
    made = _read()
    assert made.embedded_database
    assert made.embedded_broker
    assert made.data_dir.name == "rotator"
    assert made.database().reveal().endswith("rotator/rotator.sqlite3")


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    faults = _faults(
        DATA_DIR="relative",
        TICK_S="soon",
        LEASE_S="1",
        LOG_FORMAT="xml",
        FLOWER_PORT="0",
        BROKER_URL="",
        MASTER_KEY_FILE=str(tmp_path / "missing"),
        MASTERKEY="x",
    )
    named = [fault.split(":")[0] for fault in faults]
    assert sorted(named) == [
        "ROTATOR_BROKER_URL",
        "ROTATOR_DATA_DIR",
        "ROTATOR_FLOWER_PORT",
        "ROTATOR_LEASE_S",
        "ROTATOR_LOG_FORMAT",
        "ROTATOR_MASTERKEY",
        "ROTATOR_MASTER_KEY_FILE",
        "ROTATOR_TICK_S",
    ]


def test_contradictions_are_told_at_once() -> None:
    faults = _faults(DATA_DIR="relative", DATABASE_URL="mysql://db", BROKER_URL="amqp://mq", FLOWER_BASIC_AUTH="nobody")
    assert [fault.split(":")[0] for fault in faults] == [
        "ROTATOR_DATA_DIR",
        "ROTATOR_DATABASE_URL",
        "ROTATOR_BROKER_URL",
        "ROTATOR_FLOWER_BASIC_AUTH",
    ]


BAD_BROKERS = [
    "redis://:SECRET/PW@h:1/0",
    "redis://:SECRET[PW@h:1/0",
    "redis://user:SECRET#PW@h:1/0",
    "redis://user:SECRET?PW@h:1/0",
    "redis://user:SECRET;PW@h:1/0",
    "redis://user:SECRET\tPW@h:1/0",
    "redis://:SECRET@h:notaport/0",
    "redis://:SECRET@h:99999/0",
    "redis://:SECRET@h/notanumber",
    "redis://:SECRET@h/0?ssl_ca_certs=/ca",
    "rediss://:SECRET@h/0?ssl_cert_reqs=SECRET",
    "rediss://:SECRET@h/0?ssl_cert_reqs=CERT_NONE",
    "rediss://:SECRET@h/0?SECRET",
    "rediss://:SECRET@h/0?ssl_ca_certs=/a&ssl_ca_certs=/b",
    "redis+socket://:SECRET@",
    "redis+socket:///a/b.sock?virtual_host=3",
]


@pytest.mark.parametrize("url", BAD_BROKERS)
def test_a_broker_url_that_cannot_be_used_is_refused_without_being_repeated(url: str) -> None:
    (fault,) = _faults(BROKER_URL=url.replace("SECRET", CANARY))
    assert fault.startswith("ROTATOR_BROKER_URL: ")
    assert "percent-encode special characters in the password" in fault
    assert CANARY not in fault


GOOD_BROKERS = [
    "redis://h",
    "redis://h/",
    "redis://:p%2Fw%23@h:6379/15",
    "redis://user:p@w@h/0",
    "redis://[::1]:6379/0",
    "rediss://user:pw@h/0?ssl_ca_certs=/ca.pem&ssl_cert_reqs=CERT_REQUIRED",
    "redis+socket:///a/b.sock",
]


@pytest.mark.parametrize("url", GOOD_BROKERS)
def test_a_broker_url_that_celery_takes_is_taken(url: str) -> None:
    assert _read(BROKER_URL=url).broker().reveal() == url
    parse_url(url)


@pytest.mark.parametrize("value", ["nan", "inf", "-5", "1e400", "", "12h"])
def test_a_span_is_a_number_of_seconds_within_its_bounds(value: str) -> None:
    (fault,) = _faults(TICK_S=value)
    assert fault.startswith("ROTATOR_TICK_S: ")


def test_a_span_may_have_parts_of_a_second() -> None:
    assert _read(RETRY_BASE_S="0.25").retry_base_s == timedelta(milliseconds=250)


@pytest.mark.parametrize("name", sorted(n for n in Settings.model_fields if holds_secret(n)))
def test_a_secret_comes_from_a_variable_or_from_a_file(name: str, tmp_path: Path) -> None:
    text = {"database_url": "postgresql://u:p@db/n", "broker_url": "redis://:p@mq"}.get(name, "user:password")
    others = {"MASTER_KEY": generate_master_key().reveal()} if name == "database_url" else {}
    path = tmp_path / "secret"
    path.write_text(f"{text}\n", encoding="utf-8")
    by_variable = getattr(_read(**{name.upper(): text}, **others), name)
    by_file = getattr(_read(**{f"{name.upper()}_FILE": str(path)}, **others), name)
    assert by_variable == by_file
    assert by_file.reveal() == text


def test_a_variable_and_its_file_are_one_too_many(tmp_path: Path) -> None:
    (fault,) = _faults(BROKER_URL="redis://mq", BROKER_URL_FILE=str(tmp_path))
    assert fault == "ROTATOR_BROKER_URL: set it or ROTATOR_BROKER_URL_FILE, not both"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    faults = _faults(BROKER_URL_FILE=str(tmp_path), DATABASE_URL_FILE=str(binary))
    assert faults[0].startswith(f"ROTATOR_DATABASE_URL_FILE: cannot read {binary}: it is not UTF-8")
    assert faults[1].startswith(f"ROTATOR_BROKER_URL_FILE: cannot read {tmp_path}: ")


def test_an_empty_file_is_no_secret(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert _faults(BROKER_URL_FILE=str(tmp_path / "empty")) == ("ROTATOR_BROKER_URL: must not be empty",)


def test_what_holds_no_secret_has_no_file(tmp_path: Path) -> None:
    (fault,) = _faults(TICK_S_FILE=str(tmp_path))
    assert fault.startswith("ROTATOR_TICK_S_FILE: there is no such setting")


def test_a_misspelt_variable_is_refused_and_those_of_others_are_not() -> None:
    (fault,) = _faults(TICKS="5", TEST_REDIS_URL="redis://elsewhere")
    assert fault.startswith("ROTATOR_TICKS: there is no such setting")
    assert read_settings({"PATH": "/bin", "OTHER_TICK_S": "soon"}).tick_s == timedelta(seconds=10)


def test_postgresql_needs_a_master_key_that_is_not_beside_the_data() -> None:
    (fault,) = _faults(DATABASE_URL=f"postgresql://u:{CANARY}@db/n")
    assert fault.startswith("ROTATOR_MASTER_KEY: required with PostgreSQL")
    assert "rotator master-key generate" in fault


def test_a_master_key_file_that_cannot_be_read_is_one_fault_not_two(tmp_path: Path) -> None:
    (fault,) = _faults(DATABASE_URL="postgresql://u@db/n", MASTER_KEY_FILE=str(tmp_path / "missing"))
    assert fault.startswith("ROTATOR_MASTER_KEY_FILE: cannot read")


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_each_spelling_of_postgresql_means_our_driver(scheme: str) -> None:
    made = _read(DATABASE_URL=f"{scheme}://u:p@db/n", MASTER_KEY="x")
    assert made.database().reveal() == "postgresql+psycopg://u:p@db/n"
    assert not made.embedded_database


@pytest.mark.parametrize("name", ["DATABASE_URL", "BROKER_URL"])
@pytest.mark.parametrize(
    "url",
    [
        f"mysql://u:{CANARY}@db/n",
        f"postgresql://u:[{CANARY}@db/n",
        f"redis://u:{CANARY}℀@db/n",
        f"{CANARY}",
        f"://{CANARY}",
    ],
)
def test_no_fault_repeats_a_url(name: str, url: str) -> None:
    environment = {f"ROTATOR_{name}": url, "ROTATOR_STRAY": CANARY, "ROTATOR_MASTER_KEY": CANARY}
    with pytest.raises(SettingsError) as refused:
        read_settings(environment)
    assert CANARY not in "".join(traceback.format_exception(refused.value))


def test_settings_never_show_a_secret() -> None:
    made = _read(
        DATABASE_URL=f"postgresql://u:{CANARY}@db/n",
        BROKER_URL=f"redis://:{CANARY}@mq",
        MASTER_KEY=CANARY,
        FLOWER_BASIC_AUTH=f"user:{CANARY}",
    )
    for shown in (repr(made), str(made), str(made.model_dump()), made.model_dump_json(), repr(made.database())):
        assert CANARY not in shown


def test_settings_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        _read().tick_s = timedelta(seconds=1)  # type: ignore[misc]  # the point of the test


def test_every_setting_has_its_words() -> None:
    described = {n: f.description for n, f in Settings.model_fields.items() if not f.exclude}
    assert all(described.values())
    assert set(setting_names()) == {f"ROTATOR_{name.upper()}" for name in described}


def test_the_web_listens_off_loopback_only_with_tls_or_when_it_is_said_that_it_may() -> None:
    for address in ("127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"):
        _read(WEB_ADDRESS=address)
    for address in ("0.0.0.0", "::", "192.168.1.4", "rotator.internal"):
        (fault,) = _faults(WEB_ADDRESS=address)
        assert fault.startswith("ROTATOR_WEB_ADDRESS: ")
        assert "ROTATOR_WEB_PLAIN_HTTP" in fault
        _read(WEB_ADDRESS=address, WEB_PLAIN_HTTP="true")
        _read(WEB_ADDRESS=address, WEB_TLS_CERTIFICATE="/x.crt", WEB_TLS_KEY="/x.key")


@pytest.mark.parametrize(
    "address", ["", "127.0.0.1:80", "http://localhost", "a b", "-x", "1.2.3", "999.1.1.1", "x" * 64]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    assert _faults(WEB_ADDRESS=address) == (
        "ROTATOR_WEB_ADDRESS: must be an IP address or a host name, without a port",
    )


@pytest.mark.parametrize("given", ["WEB_TLS_CERTIFICATE", "WEB_TLS_KEY"])
def test_a_certificate_and_its_key_come_together(given: str) -> None:
    (missing,) = {"WEB_TLS_CERTIFICATE", "WEB_TLS_KEY"} - {given}
    assert _faults(**{given: "/x.pem"}) == (f"ROTATOR_{missing}: TLS takes both a certificate and its key, or neither",)


def test_trusted_proxies_are_addresses_and_networks_and_never_everybody_by_a_star() -> None:
    assert _read().web_trusted_proxies == ()
    assert _read(WEB_TRUSTED_PROXIES="10.0.0.1, 172.16.0.0/12,").web_trusted_proxies == ("10.0.0.1/32", "172.16.0.0/12")
    for wrong in ("*", "proxy.internal", "10.0.0.1/8", "10.0.0.0/99"):
        (fault,) = _faults(WEB_TRUSTED_PROXIES=wrong)
        assert fault.startswith("ROTATOR_WEB_TRUSTED_PROXIES: must be IP addresses")


def test_what_is_opened_to_http_is_nothing_until_it_is_named(tmp_path: Path) -> None:
    made = _read()
    assert (made.web_folders, made.web_variables, made.web_identities) == ((), (), False)
    made = _read(WEB_FOLDERS=f"{tmp_path}, /srv/app,", WEB_VARIABLES="CACHE_PASSWORD", WEB_IDENTITIES="true")
    assert (made.web_folders, made.web_variables) == ((tmp_path, Path("/srv/app")), ("CACHE_PASSWORD",))
    assert made.web_identities
    faults = _faults(WEB_FOLDERS="/srv/app,here", WEB_VARIABLES="ROTATOR_MASTER_KEY", WEB_IDENTITIES="aws")
    assert [fault.partition(":")[0] for fault in faults] == [
        "ROTATOR_WEB_FOLDERS",
        "ROTATOR_WEB_VARIABLES",
        "ROTATOR_WEB_IDENTITIES",
    ]


def test_what_is_ours_alone_is_known_by_its_place(tmp_path: Path) -> None:
    (tmp_path / "broker").write_text("redis://127.0.0.1:1/0")
    made = _read(DATA_DIR="/d", BROKER_URL_FILE=str(tmp_path / "broker"), WEB_TLS_CERTIFICATE="/c", WEB_TLS_KEY="/k")
    assert set(made.own_places) == {Path("/d"), Path("/d/rotator.sqlite3"), tmp_path / "broker", Path("/c"), Path("/k")}
