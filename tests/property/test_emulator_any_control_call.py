"""Whatever the emulator's control paths are told, it is done or refused in words, and the emulator goes on."""

from __future__ import annotations

import json
import secrets
from types import SimpleNamespace
from typing import Final

import httpx
from hypothesis import given
from hypothesis import strategies as st

from tasks.providers.openrouter.emulator import Account, EmulatorTransport, FaultBook, FaultKind
from tasks.providers.openrouter.emulator.control import control
from tasks.providers.openrouter.emulator.faults import Fault
from tests.property.effort import effort
from tests.property.junk import junk
from tests.property.outcome import raised

MANAGEMENT_KEY: Final = f"emulator-{secrets.token_hex(8)}"


def _written(value: object) -> bytes:
    return json.dumps(value).encode()


_control_bodies = st.one_of(
    st.binary(max_size=20),
    st.just(b"[" * 100_000),
    junk.map(_written),
    st.fixed_dictionaries(
        {},
        optional={
            "seconds": st.floats() | st.integers() | junk,
            "management_key": st.sampled_from(["x", MANAGEMENT_KEY, "\ud800", "", None]) | junk,
            "kind": st.sampled_from([kind.value for kind in FaultKind]) | junk,
            **{name: junk for name in Fault.model_fields if name not in {"kind", "seconds"}},
        },
    ).map(_written),
)
_fault_rules = st.fixed_dictionaries(
    {"kind": st.sampled_from([kind.value for kind in FaultKind])},
    optional={
        "seconds": st.sampled_from([0, 0.5, 1e6, 1e300, 1e999]),
        "status": st.integers(90, 610),
        "retry_after": st.sampled_from([5, "7", "x\r\nSet-Cookie: a=b", "é", "\u2028", ""]),
        "body": st.sampled_from(["", "{}", "\u2028", "\r\n\r\n"]),
        "ending": st.sampled_from(["close", "reset", "silence"]),
        "size_bytes": st.integers(0, 5000),
        "path": st.sampled_from(["*", "[", "/keys"]),
        "method": st.sampled_from(["*", "get", "\0"]),
        "probability": st.sampled_from([0, 0.5, 1]),
        "effect": st.booleans(),
    },
).map(_written)
_paths = st.sampled_from(["/state", "/calls", "/faults", "/release", "/refuse", "/revoke", "", "/", "/../x", "/state/"])
_methods = st.sampled_from(["GET", "POST", "DELETE", "PATCH", "PUT", "HEAD", "x"])


@effort(100)
@given(
    method=_methods,
    path=_paths,
    after=st.sampled_from(["0", "-1", "x", "", "9" * 30]),
    body=_control_bodies | _fault_rules,
)
def test_any_control_call_is_done_or_refused_in_words(method: str, path: str, after: str, body: bytes) -> None:
    refused: list[float] = []
    emulator = SimpleNamespace(account=Account(), faults=FaultBook(), refuse=refused.append)
    answer = control(emulator, method, path, {"after": after}, body)
    json.dumps(answer.body, allow_nan=False).encode()
    assert answer.status in {200, 400, 404}
    assert answer.status == 200 or set(answer.body) == {"error"}
    assert all(0 <= seconds <= 86_400 for seconds in refused)


@effort(80)
@given(rule=_fault_rules)
def test_a_fault_that_was_taken_strikes_and_never_breaks_the_emulator_itself(rule: bytes) -> None:
    account, faults, slept = Account(), FaultBook(), [0.0]
    emulator = SimpleNamespace(account=account, faults=faults, refuse=lambda _seconds: None)
    if control(emulator, "POST", "/faults", {}, rule).status != 200:
        return
    transport = EmulatorTransport(account, faults, sleep=slept.append)
    with httpx.Client(base_url="https://openrouter.test/api/v1", transport=transport, trust_env=False) as client:
        for _ in range(2):
            failure = raised(
                httpx.TransportError, lambda: client.get("/keys", headers={"Authorization": f"Bearer {MANAGEMENT_KEY}"})
            )
            assert failure is None or str(failure)
    assert all(0 <= seconds <= 10**7 for seconds in slept)
    assert control(emulator, "GET", "/state", {}, b"").status == 200
