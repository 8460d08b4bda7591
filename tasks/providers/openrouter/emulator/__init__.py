"""A stand-in for OpenRouter's management API, for the demo and for tests. It says loudly that it is one.

It is written from OpenRouter's public documents alone and imports nothing of ours, so that a client's wrong belief
about the wire meets a refusal here and not its own mirror image. What it does where the documents are silent stands
in the docstrings. State is in memory and is lost when it stops.

``EmulatorServer`` serves an ``Account`` on a socket, ``EmulatorTransport`` gives it to httpx without one, and a
``FaultBook`` of ``Fault`` rules makes either fail: as told, or with the rules of ``chaos`` by chance. As a process:
``python -m tasks.providers.openrouter.emulator``.
"""

from .account import Account, LoggedCall
from .chaos import chaos
from .control import CONTROL_PATH
from .faults import Ending, Fault, FaultBook, FaultKind, Plan, parse_fault
from .keys import KeyFacts
from .messages import Answer, Request
from .process import run
from .server import EmulatorServer
from .state import MANAGEMENT_PREFIX, CallerKind
from .transport import EmulatorTransport

__all__ = [
    "CONTROL_PATH",
    "MANAGEMENT_PREFIX",
    "Account",
    "Answer",
    "CallerKind",
    "EmulatorServer",
    "EmulatorTransport",
    "Ending",
    "Fault",
    "FaultBook",
    "FaultKind",
    "KeyFacts",
    "LoggedCall",
    "Plan",
    "Request",
    "chaos",
    "parse_fault",
    "run",
]
