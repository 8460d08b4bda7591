"""``python -m worker.cli``: the `rotator` command where its script is not on the path."""

from __future__ import annotations

from worker.cli import main

main()
