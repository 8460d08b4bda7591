"""Every way in which Redis can fail, as what happens next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from redis import exceptions

from tasks.rotation.errors import (
    Broken,
    CredentialRejected,
    OperatorNeeded,
    OutcomeUnknown,
    Refused,
    RotatorError,
    TryAgain,
    Unavailable,
)

TIMEOUT_S: Final = 5.0
"""For connecting, and for each answer. One small value is moved."""

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Fault:
    """What one foreign exception means to us."""

    family: type[RotatorError]
    problem: str
    remedy: str = ""


_CLIENT_BUG: Final = Fault(Broken, "the Redis client was misused.")
_CLUSTER: Final = Fault(
    OperatorNeeded,
    "this node of a Redis Cluster does not serve the key.",
    "Add ?cluster=true to the URL, so that it is followed to the node that does.",
)
_CLUSTER_MOVING: Final = Fault(TryAgain, "the Redis Cluster is being rearranged.")
_LOGIN: Final = Fault(
    CredentialRejected, "the user name or password was refused.", "Correct the credentials in the URL."
)
_RIGHTS: Final = Fault(
    OperatorNeeded,
    "the user may not do what publishing needs.",
    "Allow +ping +select +get +getrange +set +publish +evalsha +script|load, and +del to withdraw, on ~key,"
    " ~{key}:rotation and &key:rotated.",
)
_REFUSED: Final = Fault(
    Refused,
    "the server refused the command.",
    "It must be Redis or Valkey, with EVALSHA enabled.",
)
_WRONG_TYPE: Final = Fault(
    Refused, "key or {key}:rotation exists and is not a string.", "Delete or rename it, or publish to another key."
)
_UNTRUSTED: Final = Fault(
    OperatorNeeded, "the server's certificate is not trusted.", "Name its authority with ?ca_file=PATH."
)
_UNREACHABLE: Final = Fault(Unavailable, "the server cannot be reached.")

FAULTS: Final[dict[type[Exception], Fault]] = {
    exceptions.RedisError: _REFUSED,
    exceptions.ConnectionError: _UNREACHABLE,
    exceptions.TimeoutError: Fault(Unavailable, f"the server did not answer within {TIMEOUT_S:g} s."),
    exceptions.AuthenticationError: _LOGIN,
    exceptions.AuthenticationWrongNumberOfArgsError: _LOGIN,
    exceptions.ExternalAuthProviderError: _LOGIN,
    exceptions.AuthorizationError: _RIGHTS,
    exceptions.NoPermissionError: _RIGHTS,
    exceptions.BusyLoadingError: Fault(Unavailable, "the server is loading its data."),
    exceptions.MaxConnectionsError: _UNREACHABLE,
    exceptions.MasterDownError: Fault(Unavailable, "this replica has lost its primary."),
    exceptions.ReadOnlyError: Fault(
        OperatorNeeded, "this server is a replica and takes no writes.", "Publish to the primary."
    ),
    exceptions.OutOfMemoryError: Fault(
        OperatorNeeded, "the server's memory is full.", "Raise its maxmemory, or free some."
    ),
    exceptions.ResponseError: _REFUSED,
    exceptions.ModuleError: _REFUSED,
    exceptions.NoScriptError: Fault(TryAgain, "the server forgot the script between two commands."),
    exceptions.NoSuchFieldsetError: _REFUSED,
    exceptions.ExecAbortError: _REFUSED,
    exceptions.WatchError: _CLIENT_BUG,
    exceptions.InvalidResponse: Fault(
        OperatorNeeded, "the answer is not Redis's protocol.", "Check host and port, and redis:// against rediss://."
    ),
    exceptions.DataError: _CLIENT_BUG,
    exceptions.PubSubError: _CLIENT_BUG,
    exceptions.LockError: _CLIENT_BUG,
    exceptions.LockNotOwnedError: _CLIENT_BUG,
    exceptions.ChildDeadlockedError: _CLIENT_BUG,
    exceptions.IncorrectPolicyType: _CLIENT_BUG,
    exceptions.RedisClusterException: _CLUSTER,
    exceptions.ClusterError: _CLUSTER,
    exceptions.ClusterDownError: _CLUSTER_MOVING,
    exceptions.ClusterCrossSlotError: _CLUSTER,
    exceptions.CrossSlotTransactionError: _CLUSTER,
    exceptions.InvalidPipelineStack: _CLIENT_BUG,
    exceptions.SlotNotCoveredError: _CLUSTER_MOVING,
    exceptions.TryAgainError: _CLUSTER_MOVING,
    exceptions.AskError: _CLUSTER_MOVING,
    exceptions.MovedError: _CLUSTER,
}
"""Every exception of the library; a test fails when it grows one that is not here."""

_BY_TEXT: Final = (
    ("executing the script can't", _RIGHTS),  # Redis 7.0: the ACL denies what a script does
    ("ACL failure in script", _RIGHTS),  # Valkey 9.1
    ("WRONGTYPE", _WRONG_TYPE),
    ("CERTIFICATE_VERIFY_FAILED", _UNTRUSTED),
)

_LOST: Final = frozenset({exceptions.ConnectionError, exceptions.TimeoutError, exceptions.InvalidResponse})
"""Behind a request that was sent, these say nothing about its effect."""


def asked(call: Callable[[], Answer], label: str, *, changes: bool = False, cluster: bool = False) -> Answer:
    """The answer to ``call``, or one of our families. ``changes``: a lost answer leaves the outcome unknown.
    ``cluster``: the node is the one that served the key a moment ago.

    The foreign error is not chained: a server that does not know a command repeats its arguments, and one of them is
    the key.
    """
    try:
        return call()
    except tuple(FAULTS) as error:
        raised = translated(error, label, changes=changes, cluster=cluster)
    raise raised


def translated(error: Exception, label: str, *, changes: bool, cluster: bool = False) -> RotatorError:
    """``error`` in our words. Only what the client itself said of the network is repeated."""
    known = next(kind for kind in type(error).__mro__ if kind in FAULTS)
    if changes and known in _LOST:
        return OutcomeUnknown(f"{label}: the answer was lost; it may have been done. Doing it again is safe.")
    fault = _CLUSTER_MOVING if cluster and known is exceptions.MovedError else _fault(error, known)
    reason = f" {error}" if known is exceptions.ConnectionError else ""
    return fault.family(f"{label}: {fault.problem}{reason} The old value was left as it is.", fault.remedy)


def _fault(error: Exception, known: type[Exception]) -> Fault:
    """By class, and by its text where the library has no class of its own."""
    if known in {exceptions.ResponseError, exceptions.ConnectionError}:
        return next((fault for text, fault in _BY_TEXT if text in str(error)), FAULTS[known])
    return FAULTS[known]
