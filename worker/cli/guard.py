"""What stands around every command: expected errors become one clear line, unexpected ones never a traceback."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import typer
from typer.core import TyperGroup

from config.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

DONE, FAILED, MISUSE = 0, 1, 2
_ORDER: Final = (
    "demo", "up", "serve", "connection", "rotation", "rotate", "undo", "secret", "run", "token", "notify",
    "status", "watch", "reconcile", "doctor", "master-key", "db", "emulator",
)  # fmt: skip


class MisuseError(Exception):
    """The command was called in a way that cannot work; the message says how it can. Exit code 2."""


class Commands(TyperGroup):
    """The root of the command line; turns whatever a command raises into a message and an exit code."""

    def list_commands(self, ctx: Any) -> list[str]:
        """In the order in which a person meets them."""
        return sorted(super().list_commands(ctx), key=_ORDER.index)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # Typer's type for ctx is private
        """Refuse what is no text, up to a `--`: what stands behind it belongs to another program."""
        ours = args[: args.index("--")] if "--" in args else args
        if not all(_is_text(argument) for argument in ours):
            raise typer.Exit(complain(MisuseError("an argument is not UTF-8 text")))
        with _discreet():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:  # Typer's types for both are private
        """Run the command. Raises ``typer.Exit``; usage errors and a broken pipe are left to Typer."""
        try:
            with _discreet():
                return super().invoke(ctx)
        except (typer.Exit, typer.Abort, typer.TyperException, BrokenPipeError):
            raise
        except Exception as error:  # noqa: BLE001 - the last line of defence: a traceback could print a secret
            raise typer.Exit(complain(error)) from None


def _is_text(argument: str) -> bool:
    """Whether it came in UTF-8; Python marks bytes that did not."""
    return not any("\ud800" <= character <= "\udfff" for character in argument)


@contextmanager
def _discreet() -> Iterator[None]:
    """Let no usage error of Typer's repeat a key that was given where none belongs."""
    try:
        yield
    except typer.TyperException as error:
        error.message = _fit_to_show(error.message)
        raise


def _fit_to_show(text: str) -> str:
    """``text`` without what looks like a key, and without what would steer a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in redact(text))


def complain(error: Exception) -> int:
    """Say on stderr what failed and what to do; return the exit code that it deserves."""
    from config.settings import SettingsError
    from tasks.rotation.errors import Conflict, InvalidInput, NotFound, RotatorError

    match error:
        case MisuseError():
            return _say(MISUSE, (str(error),))
        case SettingsError():
            return _say(MISUSE, error.faults)
        case InvalidInput() | NotFound() | Conflict():
            return _say(MISUSE, (error.message, error.remedy))
        case RotatorError():
            return _say(FAILED, (error.message, error.remedy))
        case _:
            return _say(FAILED, _unexpected(error))


def example(*lines: str) -> str:
    """The end of a command's help: how it is called."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)


def note(message: str) -> None:
    """Tell the person something that is no result: stderr, so that stdout stays fit for a pipe."""
    typer.echo(_fit_to_show(message), err=True)


def fail_if(messages: Sequence[str]) -> None:
    """Say on stderr what failed, and end with the exit code for it, unless nothing did."""
    for message in messages:
        _say(FAILED, (message,))
    if messages:
        raise typer.Exit(FAILED)


def _say(code: int, lines: Iterable[str]) -> int:
    first, *rest = [line for text in lines for line in text.splitlines() if line]
    note(f"error: {first}")
    for line in rest:
        note(f"       {line}")
    return code


def _unexpected(error: Exception) -> tuple[str, ...]:
    """Never the message of a foreign exception, which may hold key material, unless redacted for whoever debugs."""
    headline = f"unexpected {type(error).__name__}: this is a fault of rotator, not of what you asked for."
    if not _debugging():
        return headline, "No key is lost by it. Run it again with ROTATOR_LOG_LEVEL=debug to see where it happened."
    return headline, _where(error)


def _where(error: Exception) -> str:
    from config.redaction import format_traceback

    return format_traceback(error)


def _debugging() -> bool:
    from config.settings import SettingsError, settings

    try:
        return settings().log_level == "debug"
    except SettingsError:
        return False
