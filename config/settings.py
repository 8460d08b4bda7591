"""Every process setting: name, unit, default, help. Read once, frozen; all faults are reported together.

The environment is read here and nowhere else. A setting ``NAME`` comes from ``ROTATOR_NAME``; one that holds a
secret also from the file that ``ROTATOR_NAME_FILE`` names.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal, cast
from urllib.parse import SplitResult, parse_qsl, urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError

from config.addresses import Address, Networks, is_loopback
from config.environment import PREFIX
from config.lists import Folders, HostNames, VariableNames
from config.secret import Secret
from config.short_file import read_short_file

_SECRETS: Final = frozenset({"database_url", "broker_url", "master_key", "flower_basic_auth"})
_DATABASE_NUMBER: Final = re.compile(r"(/[0-9]{0,5})?")
_TLS_FILES: Final = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})
_TLS_CHECKED: Final = ("ssl_cert_reqs", "CERT_REQUIRED")


class SettingsError(Exception):
    """One or more settings are wrong. ``faults`` has a line for each, with its remedy."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def _as_secret(value: object) -> Secret:
    if isinstance(value, Secret):
        return value
    if not isinstance(value, str) or not value.strip():
        raise ValueError("must not be empty")
    return Secret(value.strip())


SecretText = Annotated[
    Secret,
    BeforeValidator(_as_secret),
    PlainSerializer(str, return_type=str),
    Field(json_schema_extra={"secret": True}),
]


def _default_data_dir() -> Path:
    base = os.environ.get("XDG_DATA_HOME", "").strip()
    return (Path(base) if base else Path.home() / ".local" / "share") / "rotator"


def _as_seconds(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    try:
        return timedelta(seconds=float(str(value)))
    except (ValueError, OverflowError):
        raise ValueError("must be a number of seconds") from None


def _seconds(default: float, *, at_least: float, at_most: float, text: str) -> Any:
    """A span, given in seconds."""
    return Field(
        default=timedelta(seconds=default),
        ge=timedelta(seconds=at_least),
        le=timedelta(seconds=at_most),
        description=f"{text} (seconds, {at_least:g} to {at_most:g})",
    )


Seconds = Annotated[timedelta, BeforeValidator(_as_seconds)]


class Settings(BaseModel):
    """How this process is set up. Build it with ``read_settings`` or, once a process, with ``settings``."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, validate_default=True)

    data_dir: Path = Field(
        default_factory=_default_data_dir,
        description="Folder of the embedded database, broker and master key",
        json_schema_extra={"shown_default": "$XDG_DATA_HOME/rotator"},
    )
    database_url: SecretText | None = Field(
        default=None,
        description="Database: `sqlite:///PATH` or `postgresql://USER:PASSWORD@HOST/NAME`",
        json_schema_extra={"shown_default": "SQLite in the data folder"},
    )
    broker_url: SecretText | None = Field(
        default=None,
        description="Celery's broker: `redis://`, `rediss://` or `redis+socket://`",
        json_schema_extra={"shown_default": "the embedded Valkey's socket in the data folder"},
    )
    master_key: SecretText | None = Field(
        default=None,
        description="Master key(s) that encrypt the database, comma-separated; the first encrypts",
        json_schema_extra={"shown_default": "made on first use in the data folder (SQLite only)"},
    )
    master_key_file: Path | None = Field(default=None, exclude=True)
    secret_files: tuple[Path, ...] = Field(default=(), exclude=True)
    openrouter_base_url: str = Field(
        default="https://openrouter.ai/api/v1", description="OpenRouter's API; https unless it is on loopback"
    )
    tick_s: Seconds = _seconds(10, at_least=1, at_most=300, text="How often beat looks for what is due")
    lease_s: Seconds = _seconds(
        90, at_least=15, at_most=600, text="How long a silent worker keeps a rotation to itself"
    )
    settle_s: Seconds = _seconds(
        900, at_least=2, at_most=86_400, text="How long a create whose answer was lost is looked for"
    )
    retry_base_s: Seconds = _seconds(5, at_least=0.1, at_most=600, text="First pause after a failure; it doubles")
    retry_max_s: Seconds = _seconds(600, at_least=1, at_most=86_400, text="Longest pause between two attempts")
    retry_attempts: int = Field(
        default=8, ge=1, le=100, description="Attempts before a rotation asks for attention (it goes on, slowly)"
    )
    attention_retry_s: Seconds = _seconds(3600, at_least=1, at_most=604_800, text="Pace of the attempts after that")
    drift_check_s: Seconds = _seconds(
        3600, at_least=0, at_most=604_800, text="How often every destination is read back between rotations; 0: never"
    )
    worker_concurrency: int = Field(default=4, ge=1, le=64, description="Child processes of `rotator up`'s worker")
    shutdown_s: Seconds = _seconds(60, at_least=1, at_most=600, text="How long running steps may finish at shutdown")
    log_format: Literal["console", "json"] = Field(default="console", description="Form of the log lines")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least level logged")
    flower_address: str = Field(default="127.0.0.1", description="Where Flower listens")
    flower_port: int = Field(default=5555, ge=1, le=65_535, description="Flower's port")
    flower_basic_auth: SecretText | None = Field(
        default=None,
        description="Flower's `user:password`",
        json_schema_extra={"shown_default": "`rotator up --flower` makes one in the data folder"},
    )
    flower_writable: bool = Field(default=False, description="Let Flower call tasks (`rotation.rotate`)")
    flower_open: bool = Field(default=False, description="Let Flower run without a password; never off loopback")
    web_address: Address = Field(
        default="127.0.0.1", description="Where the HTTP API and the console listen; off loopback they need TLS"
    )
    web_port: int = Field(default=8765, ge=0, le=65_535, description="Their port; 0 takes a free one")
    web_tls_certificate: Path | None = Field(
        default=None,
        description="File (PEM) with their certificate, and those between it and the root",
        json_schema_extra={"shown_default": "none: plain HTTP"},
    )
    web_tls_key: Path | None = Field(
        default=None,
        description="File (PEM) with the certificate's key, without a passphrase",
        json_schema_extra={"shown_default": "none"},
    )
    web_plain_http: bool = Field(
        default=False,
        description="Let them listen off loopback without TLS: behind a proxy that has it, or in a container",
    )
    web_trusted_proxies: Networks = Field(
        default=(),
        description="Addresses or networks, comma-separated, whose X-Forwarded-For and -Proto are believed",
        json_schema_extra={"shown_default": "none"},
    )
    web_hosts: HostNames = Field(
        default="",
        description="Names, comma-separated and without port, by which browsers and scripts reach the web server; "
        "loopback, addresses and `ROTATOR_WEB_ADDRESS` need not be named",
        json_schema_extra={"shown_default": "none"},
    )
    web_folders: Folders = Field(
        default=(),
        description="Folders, absolute and comma-separated: destinations asked for over HTTP may name files below "
        "them, to publish to and to read credentials from",
        json_schema_extra={"shown_default": "none"},
    )
    web_variables: VariableNames = Field(
        default=(),
        description="Variables of the environment, comma-separated, that such destinations may read credentials from",
        json_schema_extra={"shown_default": "none"},
    )
    web_identities: bool = Field(
        default=False,
        description="Let such destinations act as what this machine is to AWS, Azure, Google and Kubernetes, at any "
        "address that they name",
    )
    web_requests_per_minute: int = Field(
        default=600, ge=10, le=1_000_000, description="Requests a minute that each API token may make"
    )
    web_session_idle_s: Seconds = _seconds(
        1800, at_least=60, at_most=43_200, text="How long an unused session of the console lasts"
    )

    @property
    def embedded_database(self) -> bool:
        """Whether the database is the SQLite file in the data folder."""
        return self.database_url is None

    @property
    def embedded_broker(self) -> bool:
        """Whether the broker is the Valkey that ``rotator up`` runs."""
        return self.broker_url is None

    @property
    def broker_socket(self) -> Path:
        """The embedded broker's unix socket."""
        return self.data_dir / "broker" / "valkey.sock"

    @property
    def own_places(self) -> tuple[Path, ...]:
        """Files and folders that are for us alone, and no destination's: to replace or to send away."""
        given = (self.database_file, self.web_tls_certificate, self.web_tls_key)
        return (self.data_dir, *self.secret_files, *(path for path in given if path is not None))

    @property
    def database_file(self) -> Path | None:
        """The SQLite database's file; None with PostgreSQL."""
        scheme, _, path = self.database().reveal().partition(":///")
        return Path(path.partition("?")[0]) if scheme == "sqlite" else None

    def database(self) -> Secret:
        """The database's URL, with the driver that we use."""
        if self.database_url is None:
            return Secret(f"sqlite:///{self.data_dir / 'rotator.sqlite3'}")
        return Secret(_with_psycopg(self.database_url.reveal()))

    def broker(self) -> Secret:
        """The broker's URL as Celery takes it."""
        if self.broker_url is None:
            return Secret(f"redis+socket://{self.broker_socket}")
        return self.broker_url


def _with_psycopg(url: str) -> str:
    scheme, found, rest = url.partition("://")
    return f"postgresql+psycopg://{rest}" if found and scheme in {"postgres", "postgresql"} else url


def setting_names() -> tuple[str, ...]:
    """The environment variables that are settings, without the ``_FILE`` twins."""
    return tuple(f"{PREFIX}{name.upper()}" for name in _names())


def _names() -> tuple[str, ...]:
    return tuple(name for name, field in Settings.model_fields.items() if not field.exclude)


def holds_secret(name: str) -> bool:
    """Whether the setting (a field name of ``Settings``) has a ``_FILE`` twin."""
    return name in _SECRETS


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Settings from an environment. Raises ``SettingsError`` with every fault, each naming its variable.

    Variables of the prefix that are no setting are refused, since a misspelt one would silently not apply;
    those of our tests (``ROTATOR_TEST_...``) and the demo are not ours to judge.
    """
    faults: list[str] = []
    values: dict[str, object] = {}
    for name in _names():
        _read_one(name, environment, values, faults)
    faults += _unknown(environment)
    made, wrong = _validated(values)
    faults += wrong
    blamed = {_variable_of(fault) for fault in faults}
    faults += [fault for fault in _contradictions(made) if _variable_of(fault) not in blamed]
    if faults:
        raise SettingsError(tuple(faults))
    return made


def _validated(values: Mapping[str, object]) -> tuple[Settings, list[str]]:
    """The settings, with the default in place of each value that is wrong, and what is wrong."""
    try:
        return Settings.model_validate(values), []
    except ValidationError as error:
        found = [(str(e["loc"][0]), e["msg"]) for e in error.errors(include_input=False, include_url=False)]
    right = {name: value for name, value in values.items() if name not in dict(found)}
    return Settings.model_validate(right), [_fault(name, message) for name, message in found]


def _variable_of(fault: str) -> str:
    """The setting that a fault is about, whether its value or its file is wrong."""
    return fault.partition(":")[0].removesuffix("_FILE")


def _read_one(name: str, environment: Mapping[str, str], values: dict[str, object], faults: list[str]) -> None:
    variable = f"{PREFIX}{name.upper()}"
    text, path = environment.get(variable), environment.get(f"{variable}_FILE")
    if text is not None and path is not None:
        faults.append(f"{variable}: set it or {variable}_FILE, not both")
    elif path is not None and holds_secret(name):
        try:
            values[name] = read_short_file(Path(path)).strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            named = path if os.path.lexists(path) else "what it names"  # which may be the secret itself, by mistake
            faults.append(f"{variable}_FILE: cannot read {named}: {reason}")
        values["secret_files"] = (*cast("tuple[Path, ...]", values.get("secret_files", ())), Path(path))
        if name == "master_key":
            values["master_key_file"] = Path(path)
    elif text is not None:
        values[name] = text


def _unknown(environment: Mapping[str, str]) -> list[str]:
    known = set(setting_names())
    known |= {f"{PREFIX}{n.upper()}_FILE" for n in Settings.model_fields if holds_secret(n)}
    strays = sorted(v for v in environment if v.startswith(PREFIX) and v not in known)
    return [
        f"{v}: there is no such setting; see the README's table" for v in strays if not v.startswith("ROTATOR_TEST_")
    ]


def _fault(name: str, message: str) -> str:
    return f"{PREFIX}{name.upper()}: {message.removeprefix('Value error, ')}"


def _contradictions(made: Settings) -> list[str]:
    """What single fields cannot see."""
    faults = []
    if not made.data_dir.is_absolute():
        faults.append("ROTATOR_DATA_DIR: must be an absolute path")
    scheme = _scheme(made.database())
    if scheme not in {"sqlite", "postgresql+psycopg"}:
        faults.append("ROTATOR_DATABASE_URL: use sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME")
    if _scheme(made.broker()) not in {"redis", "rediss", "redis+socket"}:
        faults.append("ROTATOR_BROKER_URL: use redis://, rediss:// or redis+socket://")
    elif made.broker_url is not None and not _is_broker_url(made.broker_url):
        faults.append(
            "ROTATOR_BROKER_URL: it is not redis://USER:PASSWORD@HOST:PORT/NUMBER or redis+socket:///PATH; "
            "percent-encode special characters in the password (/ is %2F, # is %23, ? is %3F, @ is %40)"
        )
    if made.master_key is None and scheme.startswith("postgresql"):
        faults.append(
            "ROTATOR_MASTER_KEY: required with PostgreSQL, so that the key does not live beside the data; "
            "make one with `rotator master-key generate`"
        )
    if made.flower_basic_auth is not None and ":" not in made.flower_basic_auth.reveal():
        faults.append("ROTATOR_FLOWER_BASIC_AUTH: must be user:password")
    return faults + _web_contradictions(made)


def _web_contradictions(made: Settings) -> list[str]:
    given = {"CERTIFICATE": made.web_tls_certificate, "KEY": made.web_tls_key}
    missing = [name for name, path in given.items() if path is None]
    if len(missing) == 1:
        return [f"ROTATOR_WEB_TLS_{missing[0]}: TLS takes both a certificate and its key, or neither"]
    if missing and not made.web_plain_http and not is_loopback(made.web_address):
        return [
            "ROTATOR_WEB_ADDRESS: off loopback others could read tokens and keys on their way. Give "
            "ROTATOR_WEB_TLS_CERTIFICATE and ROTATOR_WEB_TLS_KEY; or, where a proxy has TLS or only a container's "
            "own network gets there, set ROTATOR_WEB_PLAIN_HTTP=true"
        ]
    return []


def _scheme(url: Secret) -> str:
    """What stands before ``://``. Parsing more would raise, for some URLs, errors that repeat their password."""
    return url.reveal().partition("://")[0]


def _is_broker_url(url: Secret) -> bool:
    """Whether Celery's parser makes of it what was meant, and raises no error that would repeat the password."""
    text = url.reveal()
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    if parts.fragment or ";" in text or not text.isprintable() or port == 0:  # Celery splits a list of URLs at ';'
        return False
    if parts.scheme == "redis+socket":
        return len(parts.path) > 1 and not parts.query
    return bool(_DATABASE_NUMBER.fullmatch(parts.path)) and _is_tls_query(parts)


def _is_tls_query(parts: SplitResult) -> bool:
    """Whether what follows '?' is about TLS, and Celery knows it. That a certificate is checked is not up to it."""
    options = parse_qsl(parts.query, keep_blank_values=True)
    known = {name for name, value in options if name in _TLS_FILES or (name, value) == _TLS_CHECKED}
    return parts.query.count("=") == len(options) == len(known) and (parts.scheme == "rediss" or not options)


@cache
def settings() -> Settings:
    """This process's settings, read from its environment once."""
    return read_settings(os.environ)
