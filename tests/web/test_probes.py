"""What whoever watches the process is told, without a token."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from tests.upgrade.releases import NEWEST
from tests.web.served import Served


def test_health_and_readiness_are_told_to_everybody(web: Served) -> None:
    anonymous = web.client()
    assert anonymous.get("/healthz").json() == {"status": "ok"}
    assert anonymous.get("/readyz").json() == {"status": "ready"}
    assert anonymous.get("/nowhere").json()["error"] == "NotFound"


def test_a_server_that_cannot_work_says_why(web: Served) -> None:
    anonymous = web.client()
    with closing(sqlite3.connect(web.folder / "data" / "rotator.sqlite3", isolation_level=None)) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        refused = anonymous.get("/readyz")
        assert refused.status_code == 503
        assert refused.json()["status"] == "not ready"
        assert "schema 9999" in refused.json()["reason"]
        assert anonymous.get("/healthz").status_code == 200
        database.execute("UPDATE alembic_version SET version_num = ?", (NEWEST,))
    assert anonymous.get("/readyz").status_code == 200


def test_a_rotation_ends_beside_the_server(web: Served) -> None:
    web.connect()
    assert web.rotation().active_version == 1
