"""Where the server listens, and with which certificate: tried before anything else is promised."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Final

from config.settings import Settings, SettingsError
from tasks.rotation.errors import OperatorNeeded

_BACKLOG: Final = 2048


def listen(settings: Settings) -> socket.socket:
    """The socket, listening. Raises ``OperatorNeeded`` when it cannot be had."""
    address, port = settings.web_address, settings.web_port
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            address, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        made = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _refused(address, port, error) from None
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # after a restart the port is free at once
        made.bind(place)
        made.listen(_BACKLOG)
    except OSError as error:
        made.close()
        raise _refused(address, port, error) from None
    return made


def url_of(listening: socket.socket, settings: Settings) -> str:
    """Where a person finds it."""
    scheme = "http" if settings.web_tls_certificate is None else "https"
    host = f"[{settings.web_address}]" if ":" in settings.web_address else settings.web_address
    return f"{scheme}://{host}:{listening.getsockname()[1]}"


def tls_of(settings: Settings) -> ssl.SSLContext | None:
    """The certificate and its key, loaded; None for plain HTTP. Raises ``SettingsError``."""
    certificate, key = settings.web_tls_certificate, settings.web_tls_key
    if certificate is None or key is None:
        return None
    faults = [
        fault
        for name, path in (("WEB_TLS_CERTIFICATE", certificate), ("WEB_TLS_KEY", key))
        if (fault := _unreadable(name, path))
    ]
    if faults:
        raise SettingsError(tuple(faults))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key, password=_no_passphrase)
    except (ssl.SSLError, ValueError) as error:
        why = "the key asks for a passphrase" if isinstance(error, ValueError) else _reason(error)
        raise SettingsError(
            (f"ROTATOR_WEB_TLS_CERTIFICATE: {certificate} and the key {key} cannot be used: {why}",)
        ) from None
    return context


def _no_passphrase() -> str:
    """OpenSSL would ask for it on the terminal."""
    raise ValueError


def _reason(error: ssl.SSLError) -> str:
    return "they do not belong together" if "MISMATCH" in str(error.reason) else "they are not PEM, or are damaged"


def _unreadable(name: str, path: Path) -> str | None:
    try:
        with path.open("rb"):
            return None
    except OSError as error:
        return f"ROTATOR_{name}: cannot read {path}: {error.strerror}"


def _refused(address: str, port: int, error: OSError) -> OperatorNeeded:
    return OperatorNeeded(
        f"The HTTP API cannot listen on port {port} of {address}: {error.strerror}.",
        "End what listens there, or choose another place with ROTATOR_WEB_PORT and ROTATOR_WEB_ADDRESS.",
    )
