"""What a broker can do to a message on its way from beat's tick to a worker."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from kombu.exceptions import OperationalError

from tests.faults.lives import Stage
from tests.faults.striking import Fault, after, before, calls_of, for_an_hour, raising

_put: Final = calls_of("broker.")


def _gone() -> OperationalError:
    return OperationalError("Error 111 connecting to the broker. Connection refused.")


def _gone_for_an_hour(stage: Stage) -> None:
    for_an_hour(stage, lambda p: p.name.startswith("broker."), _gone)
    raise _gone()


def _repeated(stage: Stage) -> None:
    messages = stage.installation.broker.messages
    messages.extend(tuple(messages))


def _repeated_later(stage: Stage) -> None:
    """As after a visibility timeout."""
    messages = stage.installation.broker.messages
    copies = tuple(messages)
    stage.installation.clock.later(timedelta(minutes=5), lambda: messages.extend(copies))


def _late(stage: Stage) -> None:
    messages = stage.installation.broker.messages
    waiting = tuple(messages)
    messages.clear()
    stage.installation.clock.later(timedelta(minutes=10), lambda: messages.extend(waiting))


FAULTS: Final = (
    Fault("gone", _put, before(raising(_gone))),
    Fault("gone for 1 h", _put, before(_gone_for_an_hour)),
    Fault("answer lost", _put, after(raising(_gone))),
    Fault("wiped", _put, after(lambda stage: stage.installation.broker.messages.clear())),
    Fault("repeated", _put, after(_repeated)),
    Fault("repeated later", _put, after(_repeated_later)),
    Fault("delayed", _put, after(_late)),
    Fault("reordered", _put, after(lambda stage: stage.installation.broker.messages.reverse())),
)
