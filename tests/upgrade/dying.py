"""Run as a process: lets a migration die at each of its statements, as from ``kill -9``, until one lives to its end.

``python -m tests.upgrade.dying upgrade|downgrade [MIGRATIONS]`` prints, as JSON, how many died, and after which of them
the database was not as before. With a folder of migrations it is the release that has these.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import closing
from itertools import count
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.pool import NullPool

from config.settings import settings
from tasks.store import schema
from tasks.store.sql_store import open_store
from tests.contract.state.scene import Rows

_MOST = 500


def content() -> str:
    """Everything in the database, its schema included."""
    engine = sa.create_engine(settings().database().reveal(), poolclass=NullPool)
    schema = {t: [str(c["name"]) for c in sa.inspect(engine).get_columns(t)] for t in Rows(engine).tables()}
    indexes = {t: sorted(str(i["name"]) for i in sa.inspect(engine).get_indexes(t)) for t in schema}
    return repr((schema, indexes, Rows(engine).all()))


def dies(act: str, at: int) -> bool:
    """Whether a process that is to die at this statement does; else it has done all it had to."""
    child = os.fork()
    if child:
        return os.WIFSIGNALED(os.waitpid(child, 0)[1])
    try:
        _die_at(at)
        with closing(open_store(settings())) as store:
            getattr(store, act)()
        os._exit(0)
    finally:
        os._exit(1)


def _die_at(number: int) -> None:
    """Statements count, and so does the commit behind them."""
    numbers = count(1)

    def step(*_: object) -> None:
        if next(numbers) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    for event in ("before_cursor_execute", "commit"):
        sa.event.listen(sa.Engine, event, step)


def _be(migrations: Path) -> None:
    schema.MIGRATIONS = migrations  # type: ignore[misc]  # a process of its own, for a release of the past


def play(act: str, look: Callable[[], str] = content) -> tuple[int, list[int]]:
    """How many died, and after whose death something was other than before."""
    before = look()
    changed: list[int] = []
    for number in range(1, _MOST):
        if not dies(act, number):
            return number - 1, changed
        if look() != before:
            changed.append(number)
    raise AssertionError("it never came to its end")


if __name__ == "__main__":
    act, *folder = sys.argv[1:]
    for each in folder:
        _be(Path(each))
    print(json.dumps(play(act)))
