"""``python -m tests.benchmarks [FIGURE]...``: measure, print a table, and write ``build/benchmarks.json``.

Each module ``figure_*.py`` beside this one has a figure. Exit code 1 when anything that must be none is not.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Final, cast

from tests.benchmarks.figure import QUICK, Figure, measure, table

HERE: Final = Path(__file__).parent
REPORT: Final = Path("build/benchmarks.json")
_PREFIX: Final = "figure_"


def figures() -> dict[str, Figure]:
    """Every figure by the name of its file."""
    names = sorted(path.stem.removeprefix(_PREFIX) for path in HERE.glob(f"{_PREFIX}*.py"))
    return {name: cast(Figure, import_module(f"tests.benchmarks.{_PREFIX}{name}").FIGURE) for name in names}


def main(argv: Sequence[str]) -> int:
    """Measure those that are named, or all; 0 when nothing went wrong."""
    known = figures()
    if unknown := set(argv) - set(known):
        print(f"no such figure: {', '.join(sorted(unknown))}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    outcomes = [measure(figure) for name, figure in known.items() if not argv or name in argv]
    print(table(outcomes))
    REPORT.parent.mkdir(exist_ok=True)
    report = {"quick": QUICK, "figures": [outcome.as_json() for outcome in outcomes]}
    REPORT.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return int(any(outcome.floor.errors or outcome.product.errors for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
