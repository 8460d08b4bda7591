"""Whatever the OpenAPI document allows and forbids, asked by everybody: each answer is as the document says.

schemathesis makes the requests: examples and borders of every parameter and body, one thing wrong at a time, methods
that are not there, then made-up ones. Its checks hold each answer against the document: status, form, headers, and that
nothing is told to who has no token. Where it makes up a name, every other request says one that is there instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.core.transport import Response
from schemathesis.generation.hypothesis.builder import HypothesisTestConfig, HypothesisTestMode, create_test
from schemathesis.schemas import APIOperation, BaseSchema

from tests.attacks.target import Target, wrong_token
from tests.property.effort import effort

EXAMPLES: Final = {"admin": 6, "operator": 6, "viewer": 6, "consumer": 4, "nobody": 3, "a stranger": 3}
"""Made-up requests for each operation; what is systematic is asked by the admin alone, whom nothing stops before."""
MAY_ANSWER_A_KEY: Final = frozenset({"read_secret", "infisical_generated_credentials"})
UNFIT: Final = {
    "positive_data_acceptance": "what the document allows may be refused for its meaning: a time zone, a name",
    "missing_required_header": "it wants 401 where no token is; Infisical's API says 403, and so do we: see below",
}

load_all_checks()
METHODS: Final[list[Any]] = [CHECKS.get_one("unsupported_method"), CHECKS.get_one("allow_header_conformance")]
SHARED: Final = {
    "GET /api/v1/app-connections/open-router/available": METHODS,
    "POST /api/rotator/v1/rotations/preview": METHODS,
}
"""Addresses that are also one of another route, with its methods: a rotation may be called `preview`."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("role", EXAMPLES)
def test_every_answer_is_as_the_document_says(target: Target, role: str) -> None:
    schema = _schema(target)
    faults = [fault for operation in _operations(schema) for fault in _faults(target, schema, operation, role)]
    assert not faults, "\n\n".join(faults)


def _schema(target: Target) -> BaseSchema:
    made = schemathesis.openapi.from_dict(target.ask("reading the documents", "GET", "/openapi.json").json())
    made.config.update(base_url=target.web.url)
    for name in UNFIT:
        getattr(made.config.checks, name).enabled = False
    return made


def _operations(schema: BaseSchema) -> Iterator[APIOperation[Any, Any, Any, Any]]:
    """Every operation; what deletes comes last."""
    found = [operation.ok() for operation in schema.get_all_operations() if isinstance(operation, Ok)]
    yield from sorted(found, key=lambda operation: operation.method == "delete")


def _faults(target: Target, schema: BaseSchema, operation: Any, role: str) -> Iterator[str]:
    """What is wrong with an operation's answers, if anything is: the first of it."""

    def ask(case: schemathesis.Case[Any]) -> None:
        response = case.call(headers=_shown(target, role))
        target.sent[f"the OpenAPI document, as {role}"] += 1
        case.validate_response(response, excluded_checks=SHARED.get(operation.label))
        _look_at(target, case.operation.definition.raw, response, role)

    made = create_test(
        operation=operation,
        test_func=ask,
        config=HypothesisTestConfig(
            project=schema.config,
            modes=list(HypothesisTestMode) if role == "admin" else [HypothesisTestMode.FUZZING],
            settings=effort(
                EXAMPLES[role],
                database=None,
                suppress_health_check=list(HealthCheck),
                phases=[Phase.explicit, Phase.generate],
            ),
            seed=1,
        ),
    )
    target.refill()
    try:
        made()
    except (Exception, FailureGroup) as fault:  # noqa: BLE001 - whatever schemathesis finds is told, and the next tried
        yield f"{role} {operation.label}: {fault}"


def _look_at(target: Target, definition: Mapping[str, Any], response: Response, role: str) -> None:
    """What schemathesis does not look at."""
    name, status = definition["operationId"], response.status_code
    assert status != 503, "nothing is out of order"
    if role in {"nobody", "a stranger"} and "security" in definition and status not in {404, 405}:
        assert status in {403, 429} or b"control character" in response.content, status
    target.look(f"headers of {name}", repr(response.headers))
    if name not in MAY_ANSWER_A_KEY or role not in {"admin", "consumer"}:
        target.look(name, response.content)


def _shown(target: Target, role: str) -> dict[str, str]:
    if role == "nobody":
        return {}
    token = wrong_token(target.tokens["admin"]) if role == "a stranger" else target.tokens[role]
    return {"Authorization": f"Bearer {token}"}
