"""``python -m tests.soak --minutes 10``: see ``--help``."""

from __future__ import annotations

import argparse
import secrets
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.soak.plant import COOLING_S, OVERLAP_S, Load
from tests.soak.run import Order, soak

REPORT = Path("build/soak.json")

_LONGEST_MIN = 7 * 24 * 60


def _order(argv: Sequence[str] | None) -> Order:
    parser = argparse.ArgumentParser(
        "python -m tests.soak",
        description="Hundreds of rotations on real servers under chaos, while applications use every key; then the "
        "account is settled. Exit code 0 only when nothing was lost, refused or leaked.",
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="how long chaos lasts (default: %(default)g)")
    parser.add_argument("--rotations", type=int, default=200, help="standing orders (default: %(default)s)")
    parser.add_argument("--every", type=int, default=15, metavar="S", help="due every S seconds (default: %(default)s)")
    parser.add_argument("--chaos", type=float, default=0.1, metavar="RATE", help="share of management calls that fail")
    parser.add_argument("--seed", type=int, help="repeats chaos and faults as far as timing allows (default: random)")
    parser.add_argument("--report", type=Path, default=REPORT, help="JSON report (default: %(default)s)")
    parser.add_argument("--keep", action="store_true", help="keep the folder with logs and data")
    given = parser.parse_args(argv)
    if not (0 < given.minutes < _LONGEST_MIN and given.rotations > 0 and given.every > 0 and 0 <= given.chaos < 1):
        parser.error("--minutes, --rotations and --every must be above 0, --minutes a week at most, --chaos below 1")
    if given.every < OVERLAP_S + COOLING_S:
        parser.error(f"--every must be {OVERLAP_S + COOLING_S} or more: overlap and cooling fit into it")
    seed = secrets.randbelow(1 << 32) if given.seed is None else given.seed
    load = Load(given.rotations, given.every)
    return Order(given.minutes, load, given.chaos, seed, given.report, keep=given.keep)


def main(argv: Sequence[str] | None = None) -> int:
    """Soak; 0 when everything that must be none is none."""
    order = _order(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    print(f"soak: seed {order.seed}, {order.minutes:g} min, {order.load.rotations} rotations", flush=True)
    report = soak(order)
    report.write(order.report)
    print(report.table())
    for failure in report.failures[:50]:
        print(f"FAILED  {failure}")
    print(f"soak: {'good' if not report.failures else 'NOT GOOD'}; seed {order.seed}; {order.report}")
    return bool(report.failures)


if __name__ == "__main__":
    sys.exit(main())
