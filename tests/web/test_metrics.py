"""What Prometheus is told: every metric of the table, the truth of each, and nothing secret."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from shutil import which

import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from redis import Redis

from tests.web.served import PATIENCE_S, Served, served
from worker.web.metrics.table import METRICS

PROMTOOL = which("promtool")


def scraped(web: Served) -> str:
    """The text, as a viewer's token gets it."""
    answer = web.client("viewer").get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return answer.text


def samples(text: str) -> Iterator[Sample]:
    for family in text_string_to_metric_families(text):
        yield from family.samples


def value(text: str, name: str, **labels: str) -> float:
    """The one figure with these labels."""
    (found,) = [s.value for s in samples(text) if s.name == name and labels.items() <= s.labels.items()]
    return found


@pytest.fixture
def busy(web: Served) -> Served:
    """A rotation that has rotated once, its keys without an end."""
    web.connect()
    web.rotation()
    web.operations.rotate("web")
    web.until_version("web", 2)
    web.rotator.store.record_tick()
    return web


def test_a_rotation_is_told(busy: Served) -> None:
    text = scraped(busy)
    assert 0 <= value(text, "rotator_key_age_seconds", rotation="web") < 60
    assert 29 * 86_400 < value(text, "rotator_rotation_due_seconds", rotation="web") <= 30 * 86_400
    assert value(text, "rotator_rotation_needs_attention", rotation="web") == 0
    assert value(text, "rotator_key_versions", rotation="web", state="active") == 1
    assert value(text, "rotator_key_versions", rotation="web", state="retiring") == 1
    assert value(text, "rotator_rotations_total", reason="manual") == 1
    assert value(text, "rotator_deliveries_total", outcome="done") == 2
    assert value(text, "rotator_version_transitions_total", state="created") == 2
    assert value(text, "rotator_connection_health", connection="prod", health="valid") == 1
    assert value(text, "rotator_connection_health", connection="prod", health="rejected") == 0
    assert 0 <= value(text, "rotator_tick_age_seconds") < 60
    assert value(text, "rotator_notice_targets_failing") == 0
    assert value(text, "rotator_schema_info") == 1
    for part in ("state", "events", "calls", "schema"):
        assert value(text, "rotator_metrics_readable", part=part) == 1


def test_pausing_ends_the_schedule_s_lag(busy: Served) -> None:
    busy.operations.pause_rotation("web")
    text = scraped(busy)
    assert value(text, "rotator_rotation_paused", rotation="web") == 1
    assert "rotator_rotation_due_seconds{" not in text


def test_what_workers_did_arrives(busy: Served) -> None:
    """The worker is another process as far as counting goes: its sums come by the database."""

    def minted() -> float:
        return value(scraped(busy), "rotator_openrouter_calls_total", call="create a key", outcome="answered")

    give_up_at = time.monotonic() + PATIENCE_S
    while minted() < 2:
        assert time.monotonic() < give_up_at
    text = scraped(busy)
    assert minted() == 2
    count = value(text, "rotator_openrouter_call_duration_seconds_count", outcome="answered")
    assert count == value(text, "rotator_openrouter_call_duration_seconds_bucket", outcome="answered", le="+Inf") >= 4
    assert value(text, "rotator_openrouter_call_duration_seconds_sum", outcome="answered") > 0


def test_the_server_s_own_answers_are_told_by_route_and_never_by_path(web: Served) -> None:
    anonymous = web.client()
    for path in ("/healthz", "/nowhere/one", "/nowhere/two"):
        anonymous.get(path)
    anonymous.get("/metrics")
    text = scraped(web)
    assert value(text, "rotator_web_request_duration_seconds_count", route="healthz", status="2xx") == 1
    assert value(text, "rotator_web_request_duration_seconds_count", route="unmatched", status="4xx") == 2
    assert value(text, "rotator_web_request_duration_seconds_count", route="metrics", status="4xx") == 1
    assert "nowhere" not in text


def test_a_broker_that_is_away_is_told(web: Served) -> None:
    text = scraped(web)
    assert value(text, "rotator_broker_up") == 0
    assert "rotator_broker_queue_depth " not in text


def test_what_waits_in_the_queue_is_told(broker_url: str, tmp_path: Path) -> None:
    with served(tmp_path, BROKER_URL=broker_url) as web, Redis.from_url(broker_url) as broker:
        assert value(scraped(web), "rotator_broker_queue_depth") == 0
        broker.lpush("rotations", "one", "two")
        text = scraped(web)
        assert (value(text, "rotator_broker_queue_depth"), value(text, "rotator_broker_up")) == (2, 1)


def test_prometheus_finds_no_fault(busy: Served) -> None:
    """With its own tool, where that is installed; CI brings it."""
    text = scraped(busy)
    assert {f.documentation for f in text_string_to_metric_families(text)} <= {m.help for m in METRICS}
    if PROMTOOL is not None:
        command = [PROMTOOL, "check", "metrics"]
        checked = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_no_other_metric_is_there_and_no_secret(busy: Served) -> None:
    text = scraped(busy)
    known = {metric.name for metric in METRICS}
    assert {line.split(" ")[2] for line in text.splitlines() if line.startswith("# TYPE ")} <= known
    assert busy.canary not in text
