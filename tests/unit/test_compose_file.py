"""docker-compose.yml is valid, and keeps what it promises about every container."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft7Validator

ROOT = Path(__file__).parents[2]
SCHEMA = Path(__file__).with_name("data") / "compose_spec.json"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ["migrate", "worker", "beat", "web", "flower"]


def test_the_file_fits_the_compose_schema() -> None:
    schema = json.loads(SCHEMA.read_text())
    schema.pop("$schema")  # it claims a draft whose "id" it does not use
    errors = [f"{'/'.join(map(str, e.path))}: {e.message}" for e in Draft7Validator(schema).iter_errors(COMPOSE)]
    assert errors == []


def test_the_schema_would_notice() -> None:
    schema = json.loads(SCHEMA.read_text())
    schema.pop("$schema")
    broken = {**COMPOSE, "services": {"worker": {"image": "x", "restrat": "always"}}}
    assert list(Draft7Validator(schema).iter_errors(broken))


def test_the_services_are_those_of_the_readme() -> None:
    assert sorted(SERVICES) == ["beat", "flower", "migrate", "postgres", "valkey", "web", "worker"]


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_is_unprivileged_and_cannot_write_its_own_root(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", service["user"])
    assert "privileged" not in service


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_is_pinned_to_a_full_version(name: str) -> None:
    assert re.fullmatch(r"[\w/.-]+:\d+\.\d+(\.\d+)?(-\w+)?", SERVICES[name]["image"])


def test_the_base_image_is_pinned_and_one_image_serves_all_of_ours() -> None:
    bases = re.findall(r"^FROM (\S+)", (ROOT / "worker/Dockerfile").read_text(), re.MULTILINE)
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:\d+\.\d+\.\d+-slim-\w+", bases[0])
    assert len({SERVICES[name]["image"] for name in OURS}) == 1
    assert {SERVICES[name]["build"]["dockerfile"] for name in OURS} == {"worker/Dockerfile"}


def test_the_image_is_built_from_a_lock_that_there_is() -> None:
    """The base's, or that with the clients of every destination."""
    (lock,) = {SERVICES[name]["build"]["args"]["LOCK"] for name in OURS}
    locks = ("requirements.lock", "requirements-all.lock")
    assert lock == f"${{LOCK:-{locks[0]}}}"
    assert f"ARG LOCK={locks[0]}\n" in (ROOT / "worker/Dockerfile").read_text()
    kept = (ROOT / ".dockerignore").read_text().splitlines()
    assert all((ROOT / each).is_file() and f"!{each}" in kept for each in locks)


@pytest.mark.parametrize("name", [n for n in SERVICES if n != "migrate"])
def test_what_runs_on_is_restarted_and_has_a_health_check(name: str) -> None:
    assert SERVICES[name]["restart"] == "unless-stopped"
    assert SERVICES[name]["healthcheck"]["test"]


def test_the_migration_runs_once_and_the_rest_waits_for_it() -> None:
    assert SERVICES["migrate"]["restart"] == "no"
    for name in ("worker", "beat", "web"):
        assert SERVICES[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}


def test_secrets_are_files_and_each_service_is_given_what_it_reads() -> None:
    for service in SERVICES.values():
        wanted = {v.removeprefix("/run/secrets/") for v in service.get("environment", {}).values() if "/run/" in v}
        wanted |= {part.removeprefix("/run/secrets/") for part in service.get("command", []) if "/run/" in part}
        assert wanted == set(service.get("secrets", []))
    assert all(set(source) == {"file"} for source in COMPOSE["secrets"].values())


def test_flower_has_neither_the_database_nor_the_master_key_but_a_password() -> None:
    assert sorted(SERVICES["flower"]["secrets"]) == ["broker_url", "flower_basic_auth"]


def test_only_flower_and_the_web_are_published_and_only_on_loopback() -> None:
    published = {name: s["ports"] for name, s in SERVICES.items() if "ports" in s}
    assert published == {"flower": ["127.0.0.1:5555:5555"], "web": ["127.0.0.1:8765:8765"]}


def test_the_web_tries_destinations_where_the_worker_writes_them() -> None:
    assert SERVICES["web"]["volumes"] == SERVICES["worker"]["volumes"]
    assert SERVICES["web"]["networks"] == SERVICES["worker"]["networks"]
    assert SERVICES["web"]["environment"]["ROTATOR_WEB_FOLDERS"] == "/published"


def test_database_and_broker_reach_nothing_outside() -> None:
    assert COMPOSE["networks"]["inside"]["internal"] is True
    assert all(SERVICES[name]["networks"] == ["inside"] for name in ("postgres", "valkey", "migrate", "beat"))


@pytest.mark.parametrize("name", ["worker", "web"])
def test_what_has_running_steps_gets_more_time_to_stop_than_they_take(name: str) -> None:
    service = SERVICES[name]
    assert int(service["stop_grace_period"].removesuffix("s")) > int(service["environment"]["ROTATOR_SHUTDOWN_S"])


def test_the_final_image_has_no_build_tools_and_no_root() -> None:
    final = (ROOT / "worker/Dockerfile").read_text().rsplit("\nFROM ", 1)[1]
    assert "pip" not in final
    assert "apt" not in final
    assert re.search(r"^USER 10001:10001$", final, re.MULTILINE)
