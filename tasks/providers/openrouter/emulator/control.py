"""The emulator's own paths, outside the API: how other processes steer it and read the truth.

======================== ================================================================================
``GET  state``           every key ever minted, the live ones, counts, what is pending or held; no key text
``GET  calls?after=N``   the call log after line N; ``&caller=management`` (``key``, ``nobody``) for theirs alone
``POST faults``          put one fault rule in force (the JSON of ``Fault``)
``DELETE faults``        take all out of force, release what is held
``POST release``         let every held reply go
``POST refuse``          ``{"seconds": S}``: refuse every connection for that long
``POST revoke``          ``{"management_key": K}``: answer it with 401 from now on
======================== ================================================================================
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Final, Protocol

from .account import Account
from .bodies import read_count
from .faults import FaultBook, parse_fault
from .keys import stamp
from .messages import Answer, ApiError, JsonObject, error_answer

CONTROL_PATH: Final = "/_emulator"
"""Where the control paths stand below the host."""

_REFUSAL_LIMIT_S: Final = 86_400


class Steered(Protocol):
    """What can be steered: an emulator that is being served."""

    account: Account
    faults: FaultBook

    def refuse(self, seconds: float) -> None:
        """Refuse connections for ``seconds``."""


def control(emulator: Steered, method: str, path: str, query: Mapping[str, str], body: bytes) -> Answer:
    """Answer one control call; ``path`` is relative to ``CONTROL_PATH``. 400 says what the body lacks."""
    try:
        return _dispatch(emulator, method, path, query, body)
    except ApiError as error:
        return error.answer()
    except ValueError as error:
        return error_answer(400, str(error))


def _dispatch(emulator: Steered, method: str, path: str, query: Mapping[str, str], body: bytes) -> Answer:
    match method, path:
        case "GET", "/state":
            return Answer(200, _state(emulator))
        case "GET", "/calls":
            return Answer(200, _calls(emulator.account, read_count(query, "after", 0), query.get("caller")))
        case "POST", "/faults":
            emulator.faults.add(parse_fault(body))
        case "DELETE", "/faults":
            emulator.faults.clear()
        case "POST", "/release":
            return Answer(200, {"released": emulator.faults.release()})
        case "POST", "/refuse":
            emulator.refuse(_seconds(_field(body, "seconds")))
        case "POST", "/revoke":
            emulator.account.revoke_management_key(str(_field(body, "management_key")))
        case _:
            return error_answer(404, "the emulator has no such control path")
    return Answer(200, {"done": True})


def _field(body: bytes, name: str) -> object:
    try:
        return json.loads(body)[name]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ValueError(f"the body must be a JSON object with {name!r}") from None


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _REFUSAL_LIMIT_S:
        raise ValueError(f"seconds: must be a number from 0 to {_REFUSAL_LIMIT_S}")
    return float(value)


def _state(emulator: Steered) -> JsonObject:
    minted = emulator.account.minted
    by_state = Counter(facts.state for facts in minted)
    return {
        "now": stamp(emulator.account.now()),
        "keys": [_plain(asdict(facts)) for facts in minted],
        "live": [facts.hash for facts in minted if facts.state == "live"],
        "counts": {"minted": len(minted), **{s: by_state[s] for s in ("live", "disabled", "expired", "deleted")}},
        "pending_effects": emulator.account.pending_effects,
        "held": emulator.faults.held,
    }


def _calls(account: Account, after: int, caller: str | None) -> JsonObject:
    wanted = (call for call in account.calls if call.number > after and caller in {None, call.caller})
    return {"calls": [_plain(asdict(call)) for call in wanted]}


def _plain(value: object) -> object:
    """Times as text, tuples as lists, so that the JSON of a dataclass is plain."""
    match value:
        case datetime():
            return stamp(value)
        case dict():
            return {name: _plain(item) for name, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case _:
            return value
