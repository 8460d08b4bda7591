"""``python -m tasks.providers.openrouter.emulator``: see ``--help``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from .chaos import chaos
from .faults import Fault, FaultKind, parse_fault
from .process import run


def _fault(text: str) -> Fault:
    try:
        return parse_fault(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _share(text: str) -> float:
    share = float(text)
    if not 0 <= share <= 1:
        raise argparse.ArgumentTypeError("must be from 0 to 1")
    return share


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("emulator", description="A stand-in for OpenRouter's management API.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 takes a free one (default)")
    parser.add_argument("--latency", type=float, default=0.0, metavar="S", help="let every call wait S seconds")
    parser.add_argument("--clock-skew", type=float, default=0.0, metavar="S", help="run the clock S seconds ahead")
    parser.add_argument("--canary", default="", help="text put into every minted key, to search for leaks")
    parser.add_argument(
        "--chaos", type=_share, default=0.0, metavar="RATE",
        help="let this share of the calls with a management key fail, in mixed ways: 0.1 is every tenth",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="makes chaos and faults with a probability repeat")
    parser.add_argument(
        "--fault", type=_fault, action="append", default=[], metavar="JSON",
        help='a fault rule, like {"kind": "lost_reply", "method": "POST", "path": "/keys", "times": 1}; repeatable',
    )  # fmt: skip
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the emulator until it is told to stop; 1 when its port is taken."""
    given = _arguments(argv)
    latency = [Fault(kind=FaultKind.LATENCY, seconds=given.latency)] if given.latency else []
    try:
        run(
            host=given.host,
            port=given.port,
            faults=[*latency, *given.fault, *(chaos(given.chaos, seed=given.seed) if given.chaos else ())],
            seed=given.seed,
            clock_skew_s=given.clock_skew,
            canary=given.canary,
        )
    except OSError as error:
        sys.stderr.write(f"The emulator cannot listen on {given.host}:{given.port}: {error.strerror}.\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
