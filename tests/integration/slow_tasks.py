"""A Celery application with our settings and tasks that only take time; run by ``test_broker_loss``."""

from __future__ import annotations

import os
import time
from pathlib import Path

from config.settings import settings
from worker.app import make_app

celery = make_app(settings())
celery.conf.include = []


@celery.task(name="slow")  # type: ignore[untyped-decorator]  # celery ships no types
def slow(mark: str, seconds: float) -> None:
    """Say when it begins and when it is done."""
    folder = Path(os.environ["MARKS"])
    (folder / f"{mark}.begun").touch()
    time.sleep(seconds)
    (folder / f"{mark}.done").touch()
