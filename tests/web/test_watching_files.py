"""The files for Prometheus and Grafana speak of metrics that there are, and alerts fire when they should."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Any, Final

import pytest
import yaml

from config.settings import Settings
from tests.habits.house import TOP
from worker.web.access.table import READ, ROUTES
from worker.web.metrics.table import METRICS, Kind

PROMTOOL: Final = which("promtool")
DEPLOY: Final = TOP / "worker" / "deploy"
RULES: Final = DEPLOY / "prometheus" / "rotator.rules.yml"
_NAME: Final = re.compile(r"\brotator_[a-z_]+\b")
SERIES: Final = {m.name for m in METRICS} | {
    f"{m.name}_{part}" for m in METRICS if m.kind is Kind.HISTOGRAM for part in ("bucket", "count", "sum")
}

WELL: Final = {
    'up{job="rotator"}': "1x120",
    'rotator_rotation_needs_attention{rotation="web"}': "0x120",
    'rotator_rotation_due_seconds{rotation="web"}': "86400-60x120",
    'rotator_key_expires_seconds{rotation="web"}': "864000-60x120",
    'rotator_deliveries_failing{rotation="web"}': "0x120",
    "rotator_rotations_unreadable": "0x120",
    "rotator_tick_age_seconds": "5x120",
    'rotator_connection_health{connection="prod",health="valid"}': "1x120",
    'rotator_connection_health{connection="prod",health="rejected"}': "0x120",
    'rotator_connection_check_age_seconds{connection="prod"}': "3600+60x120",
    "rotator_orphans_deleted_total": "3x120",
    "rotator_drifts_found_total": "3x120",
    "rotator_ciphertexts_refused_total": "0x120",
    "rotator_notice_targets_failing": "0x120",
    "rotator_broker_up": "1x120",
    "rotator_broker_queue_depth": "3x120",
    'rotator_metrics_readable{part="state"}': "1x120",
    'rotator_openrouter_calls_total{call="create a key",outcome="answered"}': "100+10x120",
    'rotator_openrouter_calls_total{call="create a key",outcome="uncertain"}': "5+1x120",
    'rotator_web_request_duration_seconds_count{route="status",status="2xx"}': "100+100x120",
    'rotator_web_request_duration_seconds_count{route="status",status="5xx"}': "0x120",
    'rotator_web_request_duration_seconds_count{route="readyz",status="5xx"}': "0+60x120",
}
"""Two hours in which all is well, a figure a minute."""
ILL: Final = {
    "RotatorNotScraped": {'up{job="rotator"}': "0x120"},
    "RotatorNeedsAttention": {'rotator_rotation_needs_attention{rotation="web"}': "1x120"},
    "RotatorScheduleLags": {'rotator_rotation_due_seconds{rotation="web"}': "-60-60x120"},
    "RotatorTickSilent": {"rotator_tick_age_seconds": "5+60x120"},
    "RotatorConnectionRejected": {'rotator_connection_health{connection="prod",health="rejected"}': "1x120"},
    "RotatorConnectionUnchecked": {'rotator_connection_check_age_seconds{connection="prod"}': "200000x120"},
    "RotatorOrphansFound": {"rotator_orphans_deleted_total": "3x60 4x60"},
    "RotatorDeliveriesFailing": {'rotator_deliveries_failing{rotation="web"}': "1x120"},
    "RotatorDriftFound": {"rotator_drifts_found_total": "3x60 4x60"},
    "RotatorKeyExpires": {
        'rotator_key_expires_seconds{rotation="web"}': "80000-60x120",
        'rotator_rotation_due_seconds{rotation="web"}': "-700x120",
    },
    "RotatorCannotTell": {"rotator_notice_targets_failing": "1x120"},
    "RotatorBrokerDown": {"rotator_broker_up": "0x120"},
    "RotatorQueueGrows": {"rotator_broker_queue_depth": "400+50x120"},
    "RotatorOpenRouterFails": {
        'rotator_openrouter_calls_total{call="create a key",outcome="uncertain"}': "5+30x120",
    },
    "RotatorRowsUnreadable": {"rotator_rotations_unreadable": "1x120"},
    "RotatorCiphertextRefused": {"rotator_ciphertexts_refused_total": "0x60 1x60"},
    "RotatorWebErrors": {'rotator_web_request_duration_seconds_count{route="status",status="5xx"}': "0+6x120"},
    "RotatorFiguresMissing": {'rotator_metrics_readable{part="state"}': "0x120"},
}
"""For each alert what is otherwise than well."""
AT: Final = "90m"
"""When it must fire. What only happened did so half an hour before."""


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DEPLOY / "grafana" / "rotator.json").read_text())
    return found


def expressions() -> Iterator[str]:
    for rule in rules():
        yield rule["expr"]
    for panel in dashboard()["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))


def test_every_metric_that_they_name_is_there() -> None:
    """And every metric is on the dashboard, so that none is told for nobody."""
    assert {name for text in expressions() for name in _NAME.findall(text)} <= SERIES
    shown = {name for p in dashboard()["panels"] for t in p.get("targets", ()) for name in _NAME.findall(t["expr"])}
    assert {m.name for m in METRICS} - {name.removesuffix("_bucket").removesuffix("_count") for name in shown} == set()


def test_every_variable_of_the_dashboard_is_filled_from_a_label_of_ours() -> None:
    labels = {metric.name: metric.labels for metric in METRICS}
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            metric, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"]).groups()  # type: ignore[union-attr]  # it is, or the test fails
            assert label in labels[metric]
            assert label == variable["name"]


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    panels = dashboard()["panels"]
    assert len({p["id"] for p in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_says_what_is_wrong_what_is_safe_and_what_to_do(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert set(rule["annotations"]) == {"summary", "description", "runbook"}
    said = " ".join(rule["annotations"].values())
    for used in re.findall(r"\$labels\.(\w+)", said):
        assert used in rule["expr"] or any(used in m.labels for m in METRICS if m.name in rule["expr"])
    for command in re.findall(r"`rotator ([a-z-]+)", said):
        assert f"`rotator {command}" in (TOP / "README.md").read_text()


def test_the_scrape_is_of_the_port_where_the_server_listens_with_a_viewer_s_token() -> None:
    (job,) = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    port = Settings.model_fields["web_port"].default
    assert job["static_configs"] == [{"targets": [f"127.0.0.1:{port}"]}]
    assert job["metrics_path"] == "/metrics"
    assert job["authorization"]["type"] == "Bearer"
    assert ROUTES["metrics"] is READ


# --- with Prometheus's own tool, where it is installed; CI brings it ----------------------------------------------


def promtool(*arguments: object) -> None:
    if PROMTOOL is not None:
        command = [PROMTOOL, *map(str, arguments)]
        checked = subprocess.run(command, capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stdout + checked.stderr


def test_prometheus_reads_the_files(tmp_path: Path) -> None:
    promtool("check", "rules", RULES)
    (tmp_path / "rotator.token").touch()
    here = (DEPLOY / "prometheus" / "prometheus.yml").read_text()
    config = tmp_path / "prometheus.yml"
    config.write_text(here.replace("/etc/prometheus/rotator.token", str(tmp_path / "rotator.token")))
    (tmp_path / RULES.name).write_text(RULES.read_text())
    promtool("check", "config", config)


def _firing(changed: dict[str, str], expected: list[str]) -> dict[str, Any]:
    series = [{"series": name, "values": values} for name, values in (WELL | changed).items()]
    firing = 'count by (alertname) (ALERTS{alertstate="firing"})'
    samples = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in expected]
    return {
        "interval": "1m",
        "input_series": series,
        "promql_expr_test": [{"expr": firing, "eval_time": AT, "exp_samples": samples}],
    }


def test_each_alert_fires_for_its_reason_alone_and_none_when_all_is_well(tmp_path: Path) -> None:
    assert set(ILL) == {rule["alert"] for rule in rules()}
    cases = [_firing({}, []), *(_firing(changed, [alert]) for alert, changed in ILL.items())]
    for place, case in enumerate(cases):
        file = tmp_path / f"{place}.yml"
        file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "tests": [case]}))
        promtool("test", "rules", file)


def test_the_silence_of_the_server_and_a_tick_that_never_was_are_told(tmp_path: Path) -> None:
    never = {k: v for k, v in WELL.items() if k != "rotator_tick_age_seconds"}
    case = _firing({}, ["RotatorTickSilent"])
    case["input_series"] = [{"series": name, "values": values} for name, values in never.items()]
    gone = _firing({}, ["RotatorNotScraped"])
    gone["input_series"] = []
    file = tmp_path / "silence.yml"
    file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "tests": [case, gone]}))
    promtool("test", "rules", file)
