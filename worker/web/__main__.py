"""``python -m worker.web``: the process behind `rotator serve`. What can be wrong is told before it serves."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import Final

from config.logging import configure_logging, get_logger, label_process
from config.redaction import redact
from config.settings import Settings, SettingsError, settings
from tasks.rotation.errors import InvalidInput, RotatorError
from tasks.wiring import Rotator, open_rotator
from worker.app import make_app
from worker.web.app import make_web
from worker.web.listening import listen, tls_of, url_of
from worker.web.server import server_for

log = get_logger("worker.web")

_DONE, _FAILED, _MISUSE = 0, 1, 2
_CONNECTIONS: Final = 16
"""To the database. Fewer than threads: most of those wait for OpenRouter, if for anything."""


def main() -> int:
    """Serve until SIGTERM or SIGINT; the exit code."""
    try:
        serve(settings())
    except SettingsError as error:
        return _say(_MISUSE, *error.faults)
    except InvalidInput as error:
        return _say(_MISUSE, error.message, error.remedy)
    except RotatorError as error:
        return _say(_FAILED, error.message, error.remedy)
    return _DONE


def serve(chosen: Settings) -> None:
    """Serve what these settings describe. Raises ``SettingsError`` or a ``RotatorError`` when it cannot begin."""
    label_process("web")
    configure_logging(chosen)
    tls = tls_of(chosen)
    make_app(chosen)  # where requests are passed on to workers
    with closing(open_rotator(chosen, actor="web", threads=_CONNECTIONS)) as rotator:
        _make_ready(rotator)
        with listen(chosen) as listening:
            server = server_for(
                make_web(rotator),
                address=chosen.web_address,
                port=chosen.web_port,
                tls=tls,
                trusted_proxies=chosen.web_trusted_proxies,
                stops_within=chosen.shutdown_s,
            )
            server.url = url_of(listening, chosen)
            _say_how_to_begin(rotator)
            server.run(sockets=[listening])


def _make_ready(rotator: Rotator) -> None:
    """An embedded database is made on first use; any other must suit this release."""
    if rotator.settings.embedded_database and rotator.store.schema() is None:
        rotator.store.upgrade()
    rotator.check()


def _say_how_to_begin(rotator: Rotator) -> None:
    if not rotator.store.tokens.all():
        log.warning("nobody_has_a_token_yet", remedy="rotator token create NAME --role admin")


def _say(code: int, *lines: str) -> int:
    """On standard error, as every command does; logging may not be set up yet."""
    first, *rest = [redact(line) for line in lines if line]
    sys.stderr.write("\n".join((f"error: {first}", *(f"       {line}" for line in rest))) + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
