"""One key in a dotenv file, Redis, OpenBao and AWS at once: an outage of one, and drift in each, with real workers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_hex
from typing import Any, cast
from urllib.parse import urlsplit

import httpx
import pytest

from config.secret import Secret
from tasks.operations.requests import RotationRequest, ScheduleRequest
from tasks.operations.views import DeliveryView
from tasks.rotation.model import VersionState
from tests.contract.places._openbao import running_openbao
from tests.contract.places.place import Place, Surroundings, places
from tests.integration.deployment import NAME, Deployment
from tests.integration.gate import Gate, gate_before
from tests.integration.processes import wait_for

DOWN = "vault"


@dataclass(frozen=True)
class Four:
    """The deployment, its four places by kind, and the only way to one of them."""

    deployment: Deployment
    places: dict[str, Place]
    gate: Gate

    def keys(self) -> dict[str, str | None]:
        """What applications read in each place."""
        return {kind: place.application_reads() for kind, place in self.places.items()}

    def refused(self) -> list[str]:
        """The places whose key OpenRouter does not accept; there must never be one."""
        return [kind for kind, key in self.keys().items() if not self._accepted(key)]

    def all_hold(self, number: int) -> Callable[[], bool]:
        """Whether the version is active, and is what applications read everywhere."""

        def hold() -> bool:
            view = self.deployment.operations.show_rotation(NAME)
            return view.active_version == number and set(self.keys().values()) == {
                self.deployment.operations.reveal_key(NAME).reveal()
            }

        return hold

    def delivery(self, kind: str) -> DeliveryView:
        """How things stand at one place."""
        return next(d for d in self.deployment.operations.deliveries(NAME) if d.kind == kind)

    def told(self, event: str) -> list[str]:
        """To which destinations this happened, by kind."""
        return [
            str(e.detail["destination"]).partition(":")[0]
            for e in self.deployment.operations.events(rotation=NAME, limit=1000)
            if e.name == event
        ]

    def _accepted(self, key: str | None) -> bool:
        headers = {"Authorization": f"Bearer {key}"}
        return httpx.get(f"{self.deployment.emulator.base_url}/key", headers=headers, timeout=5).is_success


@pytest.fixture
def four(deployment: Deployment, tmp_path: Path, redis_url: str) -> Iterator[Four]:
    with ExitStack() as stack:
        bao = stack.enter_context(running_openbao())
        gate = stack.enter_context(gate_before(cast(int, urlsplit(bao.address).port)))

        def once(name: str, start: Callable[[], Any]) -> object:
            return bao if name == "openbao" else stack.enter_context(start())

        opened: dict[str, Place] = {}
        for kind in ("dotenv", "redis", "vault", "aws-secrets-manager"):
            (tmp_path / kind).mkdir()
            opening = places()[kind](Surroundings(tmp_path / kind, redis_url, once))
            opened[kind] = next(opening)
            stack.callback(next, opening, None)
        behind = Secret(opened[DOWN].target.reveal().replace(bao.address, f"https://127.0.0.1:{gate.port}"))
        opened[DOWN] = replace(opened[DOWN], target=behind)
        deployment.environment |= {name: os.environ[name] for name in os.environ if name.startswith("AWS_")}
        deployment.environment["ROTATOR_DRIFT_CHECK_S"] = "3"
        yield Four(deployment, opened, gate)


@pytest.mark.timeout(240)
def test_four_places_through_an_outage_and_drift(four: Four) -> None:
    """Whatever happens, every place holds a key that OpenRouter accepts, and in the end all hold the newest."""
    deployment = four.deployment
    deployment.operations.create_connection("prod", Secret(deployment.management_key))
    deployment.operations.create_rotation(
        RotationRequest(
            name=NAME,
            connection="prod",
            key_name="web key",
            schedule=ScheduleRequest(every="1h"),
            overlap="1s",
            cooling="1s",
            publish=tuple(Secret(f"{place.kind}:{place.target.reveal()}") for place in four.places.values()),
        )
    )
    deployment.worker()
    deployment.beat()
    wait_for(four.all_hold(1), "all four hold version 1")
    first = four.keys()[DOWN]

    four.gate.close()
    deployment.operations.rotate(NAME)
    wait_for(lambda: four.delivery(DOWN).attempts >= 3, "OpenBao was tried three times")
    view = deployment.operations.show_rotation(NAME)
    assert (view.active_version, four.delivery(DOWN).due) == (1, 2)
    assert four.delivery(DOWN).error
    assert four.delivery(DOWN).next_attempt_at
    assert {kind: four.delivery(kind).error for kind in four.places if kind != DOWN} == dict.fromkeys(
        set(four.places) - {DOWN}
    )
    assert deployment.versions()[0].state is VersionState.ACTIVE
    assert (four.keys()[DOWN], four.refused()) == (first, [])

    four.gate.open()
    wait_for(four.all_hold(2), "all four hold version 2")
    wait_for(deployment.deleted(1), "version 1 is deleted")
    assert four.refused() == []
    assert four.delivery(DOWN).error is None

    for place in four.places.values():
        place.overwrite(f"not-ours-{token_hex(8)}")
    wait_for(four.all_hold(2), "all four hold version 2 again")
    assert sorted(four.told("drift_repaired")) == sorted(four.places)
    for place in four.places.values():
        place.empty()
    wait_for(four.all_hold(2), "and again, after it was taken away")

    (live,) = deployment.emulator.account.live()
    assert live == deployment.operations.show_rotation(NAME).active_hash
    assert len(deployment.emulator.account.minted) == 2
    keys = {version.number: version.key_hash for version in deployment.versions()}
    assert deployment.emulator.account.existing() == {keys[2]}
