"""The base of our Celery tasks: nothing but ids and names goes in, nothing but plain words comes out.

What a task is given and what it raises is shown by Celery's logs, its events and Flower. So arguments that are not
what the task declares are refused before they reach the broker, and again in the worker, since a message can be put
into the broker without this class; results are dropped; and every exception leaves as a ``PublicError`` that has
neither cause nor context.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from typing import Any, ClassVar, Final, cast

from celery import Task, shared_task
from celery.exceptions import SoftTimeLimitExceeded

from config.logging import bound, get_logger
from tasks.rotation.errors import InvalidInput, RotatorError

log = get_logger(__name__)

Check = Callable[[object], bool]
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SLUG: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_SLUG_LENGTH: Final = 64
_ALLOWED_OPTIONS: Final = frozenset({"expires", "retry", "retry_policy"})


class PublicError(Exception):
    """A task's failure as everybody may see it: the family of the error, and a message without key material."""

    def __init__(self, family: str, message: str) -> None:
        super().__init__(family, message)
        self.family = family
        self.message = message

    def __str__(self) -> str:
        return f"{self.family}: {self.message}"


def is_id(value: object) -> bool:
    """Whether it can be the id of a row."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def is_slug(value: object) -> bool:
    """Whether it can be the name of a connection or rotation."""
    return isinstance(value, str) and len(value) <= _SLUG_LENGTH and _SLUG.fullmatch(value) is not None


def is_slug_or_none(value: object) -> bool:
    """Whether it can be a name, or stands for all of them."""
    return value is None or is_slug(value)


def is_flag(value: object) -> bool:
    """Whether it is a plain true or false."""
    return isinstance(value, bool)


class SafeTask(Task):  # type: ignore[misc]  # celery ships no types
    """A task that declares in ``takes`` what each argument must be, in the order of its parameters."""

    abstract = True
    takes: ClassVar[Mapping[str, Check]] = {}

    def apply_async(  # noqa: PLR0917 - Celery's signature, by position too
        self,
        args: Sequence[object] | None = None,
        kwargs: Mapping[str, object] | None = None,
        task_id: str | None = None,
        producer: Any = None,
        link: Any = None,
        link_error: Any = None,
        shadow: str | None = None,
        **options: Any,
    ) -> Any:
        """Send the task. Raises ``InvalidInput`` for arguments or options that it does not take; nothing is sent."""
        arguments = self._named(args or (), kwargs or {})
        extra = {name for name in options if options[name] is not None} - _ALLOWED_OPTIONS
        if extra or link or link_error or shadow:
            raise InvalidInput("options", f"{self.name} takes no option but {', '.join(sorted(_ALLOWED_OPTIONS))}")
        return super().apply_async(
            None, arguments, task_id=task_id, producer=producer, argsrepr="", kwargsrepr=_shown(arguments), **options
        )

    def __call__(self, /, *args: object, **kwargs: object) -> None:
        """Do the work. Raises nothing but ``PublicError``; the details are in the log. What ends the process passes."""
        failure: BaseException | None
        with bound(task=self.name, task_id=self.request.id):
            try:
                failure = self._failure_of(args, kwargs)
            except BaseException as ending:  # noqa: BLE001 - it goes on from here, without its words
                failure = _silenced(ending)
        if failure is not None:
            raise failure from None

    def _failure_of(self, args: Sequence[object], kwargs: Mapping[str, object]) -> PublicError | None:
        """Run, and return what went wrong, so that it can be raised where no exception is being handled."""
        try:
            self.run(**self._named(args, kwargs))
        except RotatorError as error:
            log.warning("task_failed", family=error.family, error=str(error))
            return PublicError(error.family, str(error))
        except SoftTimeLimitExceeded:
            log.warning("task_ran_too_long", limit_s=self.app.conf.task_soft_time_limit)
            return PublicError("try-again", "It took too long and was stopped; the row says where to carry on.")
        except Exception as error:  # noqa: BLE001 - nothing may pass unchecked into Celery's log, events and Flower
            log.error("task_crashed", raised=error)
            return PublicError("broken", f"{type(error).__name__}; the worker's log has its traceback.")
        return None

    def _required(self) -> list[str]:
        """The arguments without a default."""
        return [name for name, one in signature(self.run).parameters.items() if one.default is one.empty]

    def _named(self, args: Sequence[object], kwargs: Mapping[str, object]) -> dict[str, object]:
        """The arguments by name, each checked. Raises ``InvalidInput``, without repeating what it was given."""
        if len(args) > len(self.takes):
            raise InvalidInput("arguments", f"{self.name} takes {', '.join(self.takes) or 'none'}")
        given = dict(zip(self.takes, args, strict=False))
        if set(kwargs) - set(self.takes) or set(kwargs) & set(given):
            raise InvalidInput("arguments", f"{self.name} takes {', '.join(self.takes) or 'none'}, each once")
        given.update(kwargs)
        if missing := [name for name in self._required() if name not in given]:
            raise InvalidInput(missing[0], "is missing", f"{self.name} takes {', '.join(self.takes)}.")
        for name, value in given.items():
            if not self.takes[name](value):
                raise InvalidInput(name, "is not what this task takes", f"{self.name} takes ids and names only.")
        return given


def task(task_name: str, /, **takes: Check) -> Callable[[Callable[..., None]], SafeTask]:
    """Make a function a ``SafeTask`` called ``task_name``, whose parameters are what ``takes`` says, in this order."""
    return cast("Callable[[Callable[..., None]], SafeTask]", shared_task(base=SafeTask, name=task_name, takes=takes))


def _silenced(ending: BaseException) -> BaseException:
    """What ends a process, without the words that it brings: Celery and Python print them as they are."""
    if isinstance(ending, BaseExceptionGroup):  # its own words cannot be taken from it
        return BaseExceptionGroup("several", [_silenced(one) for one in ending.exceptions])
    ending.args = ()
    ending.__cause__ = ending.__context__ = None
    vars(ending).pop("__notes__", None)
    if isinstance(ending, SystemExit) and not isinstance(ending.code, int | None):
        ending.code = 1  # the code with which Python ends after it has printed what it was given
    return ending


def _shown(arguments: Mapping[str, object]) -> str:
    return ", ".join(f"{name}={value}" for name, value in arguments.items())
