"""Publishes to a key of a Kubernetes Secret: ``kubernetes:NAMESPACE/SECRET#KEY``.

Without ``#KEY`` the key is the rotation's secret name. ``?kubeconfig=PATH&context=NAME`` names a cluster and who we
are there; a kubeconfig may run commands to log in, which is its owner's decision. Without it, it is the cluster in
whose pod the worker runs, and the pod's service account.

The Secret is written by server-side apply, so that everything else in it stays whoever's it is. The annotation
``openrouter-rotator/KEY`` says which publication the key holds. A key that another field manager set is not taken
over, unless told by ``?force=true``; one that we set and somebody changed is put right.

``?restart=deployment/web,statefulset/worker`` restarts what uses the key, whenever the key changed: the annotation
``SECRET.openrouter-rotator/KEY`` of the pods names the publication that changed it, which the Secret remembers too.
Dying in between is made good by the next publication, and publishing twice restarts once.

The least role, for a Secret named ``openrouter``. Without ``create`` the Secret must be there; the second rule is for
``restart`` alone::

    apiVersion: rbac.authorization.k8s.io/v1
    kind: Role
    metadata:
      name: openrouter-rotator
      namespace: prod
    rules:
      - apiGroups: [""]
        resources: [secrets]
        resourceNames: [openrouter]
        verbs: [get, patch, create]
      - apiGroups: [apps]
        resources: [deployments, statefulsets]
        resourceNames: [web, worker]
        verbs: [patch]
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from typing import Annotated, Final, Self, TypeVar, cast, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from config.secret import Secret
from tasks.publishers._places.kubernetes.api import Api, Entry, Found, Kind, Workload
from tasks.publishers._places.kubernetes.client import connected
from tasks.publishers._places.kubernetes.faults import CannotRehearse, ChangedMeanwhile
from tasks.publishers._shared.about import About
from tasks.publishers._shared.checks import FIELD, printable, query_options, validated
from tasks.publishers._shared.credentials import NamedFile
from tasks.publishers._shared.regular import fault_of
from tasks.publishers._shared.stamp import read_stamp, refuse_conflict, stamp_of
from tasks.publishers._shared.uses import ActsAs, MachineUse, Names, RunsProgram, uses_of
from tasks.rotation.errors import InvalidInput, OperatorNeeded, Refused, RotatorError, TryAgain
from tasks.rotation.model import Holding
from tasks.rotation.ports import Publication

ATTEMPTS: Final = 3
"""How often a call starts again because somebody else changed the Secret meanwhile."""

_EXAMPLE: Final = "For example: --publish 'kubernetes:prod/openrouter#API_KEY'."
_DNS: Final = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_KEY: Final = re.compile(r"(?!\.\.|\.$)[-._A-Za-z0-9]{1,253}")
_NAMESPACE: Final = re.compile(rf"(?=.{{1,63}}$){_DNS}")
_NAME: Final = re.compile(rf"(?=.{{1,253}}$){_DNS}(\.{_DNS})*")
_SECRET: Final = re.compile(rf"(?=.{{1,200}}$){_DNS}(\.{_DNS})*")
"""Shorter than Kubernetes allows: with our name behind it, it becomes the first part of an annotation's name."""

Result = TypeVar("Result")


def _matching(pattern: re.Pattern[str], problem: str) -> AfterValidator:
    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(problem)
        return text

    return AfterValidator(check)


def _workloads(text: str) -> tuple[Workload, ...]:
    return tuple(_workload(*word.partition("/")[::2]) for word in text.split(","))


def _workload(kind: str, name: str) -> Workload:
    if kind not in get_args(Kind) or not _NAME.fullmatch(name):
        raise ValueError("write them as deployment/web,statefulset/worker,daemonset/agent")
    return Workload(cast(Kind, kind), name)


class KubernetesOptions(BaseModel):
    """Which key of which Secret, where, and what follows when it changed."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    namespace: Annotated[str, _matching(_NAMESPACE, "it is no namespace's name")]
    secret: Annotated[str, _matching(_SECRET, "it is no Secret's name, or longer than 200")]
    key: Annotated[str, _matching(_KEY, "a key consists of letters, digits, '-', '_' and '.'")] | None
    kubeconfig: Annotated[NamedFile, Names(RunsProgram)] | None = Field(
        None, description="file that says which cluster, and how to log in there"
    )
    context: str | None = Field(None, min_length=1, description="context of the kubeconfig; else its current one")
    restart: Annotated[tuple[Workload, ...], BeforeValidator(_workloads)] = Field(
        (), description="workloads of the namespace to restart when the key changed, as in the example"
    )
    force: bool = Field(False, description="take the key over from another field manager, such as kubectl")

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if self.context and self.kubeconfig is None:
            raise ValueError("a context is one of a kubeconfig: name that too")
        if self.context and not self.context.isprintable():
            raise ValueError("the context's name cannot be printed")
        if ":" in str(self.kubeconfig):
            raise ValueError("kubeconfig must be one path, without a ':'")
        return self

    @property
    def place(self) -> str:
        """What tells this place from others."""
        told = {"kubeconfig": self.kubeconfig, "context": self.context}
        query = "&".join(f"{name}={value}" for name, value in told.items() if value)
        return f"{self.namespace}/{self.secret}" + (query and f"?{query}") + (f"#{self.key}" if self.key else "")


ABOUT: Final = About(
    target="NAMESPACE/SECRET#KEY",
    example="kubernetes:prod/openrouter?restart=deployment/web,statefulset/worker#API_KEY",
    happens="One key of a Secret is set by server-side apply; without `#KEY` it is the rotation's variable. All else in"
    " the Secret stays, whoever changes it at that moment. The annotation `openrouter-rotator/KEY` says which version"
    " it is. Workloads that are named are restarted once when the key changed. A missing Secret is made",
    auth="the pod's service account, or a kubeconfig with all its ways to log in. It needs `get` and `patch` on the"
    " Secret by its name, `create` if the Secret is to be made, and `patch` on the workloads",
    proves="the Secret holds the key",
    options=KubernetesOptions,
    extra="kubernetes",
)


def open_publisher(target: Secret) -> KubernetesPublisher:
    """The publisher for NAMESPACE/SECRET#KEY; raises ``InvalidInput``. Contacts nothing."""
    return KubernetesPublisher(validated(KubernetesOptions, _fields(target)), target)


class KubernetesPublisher:
    """One key of one Secret, or one for each secret name."""

    def __init__(self, options: KubernetesOptions, target: Secret) -> None:
        self._options = options
        self._target = target

    @property
    def label(self) -> str:
        """Kind, Secret, key, and the cluster as far as the target names one."""
        return f"kubernetes:{self._options.place}"

    @property
    def target(self) -> Secret:
        """As it was given: every path in it is absolute."""
        return self._target

    @property
    def uses(self) -> tuple[MachineUse, ...]:
        """A kubeconfig, which may run programs; without one the service account of the pod."""
        return (*uses_of(self._options), *(() if self._options.kubeconfig else (ActsAs("Kubernetes"),)))

    @property
    def holds_variables(self) -> bool:
        """Whether the secret name chooses the key."""
        return self._options.key is None

    def check(self, secret_name: str) -> None:
        """Read the Secret, and rehearse what a publication would do to it and to the workloads: dry runs, which the
        API server authorizes and admits like real ones, and does not store."""
        with self._api(secret_name) as api:
            found = api.secret()
            if found is not None:
                self._refuse_unwritable(found)
            with suppress(CannotRehearse):
                api.rehearse(force=self._takes_over(found))
                for workload in self._options.restart:
                    api.restart(workload, "rehearsal", dry_run=True)

    def publish(self, publication: Publication) -> None:
        """Set key and annotation together, unless the Secret changed since it was read; then restart the workloads that
        were not yet restarted with this value."""
        value = b64encode(printable(publication.value).encode()).decode()
        with self._api(publication.secret_name) as api:
            since = _again_if_changed(lambda: self._written(api, publication, value))
            why = f"version {publication.version} ({publication.rotation_id}:{since})"
            _restart_each(api, self._options.restart, why)

    def read_back(self, secret_name: str, expected: Secret, receipt: str | None = None) -> Holding:  # noqa: ARG002 - the value itself can be read
        """What the key holds."""
        with self._api(secret_name) as api:
            found = api.secret()
        if found is None or found.held is None:
            return Holding.NOTHING
        return Holding.SAME if found.held == expected else Holding.OTHER

    def withdraw(self, publication: Publication) -> None:
        """Take key and annotation out of the Secret, which stays, as do the workloads: removing their annotation would
        restart them. A key that somebody else has set meanwhile stays too."""
        with self._api(publication.secret_name) as api:
            _again_if_changed(lambda: _withdrawn(api, publication))

    def _written(self, api: Api, publication: Publication, value: str) -> int:
        """The sequence of the publication with which the value came: this one's, unless it was there before."""
        found = api.secret() or api.created()
        stamp = read_stamp(found.note)
        refuse_conflict(
            self.label,
            stamp,
            publication,
            remedy="delete the Secret's annotation that begins with openrouter-rotator/.",
        )
        there = found.held == publication.value
        since = _since(found, publication) if there else publication.sequence
        note = json.dumps({**asdict(stamp_of(publication)), "since": since})
        if not there or found.note != note:
            self._refuse_unwritable(found)
            api.apply(note, value, found.revision, force=self._takes_over(found))
        return since

    def _takes_over(self, found: Found | None) -> bool:
        """Where our stamp stands, the key is ours: what somebody else put there is put right."""
        return self._options.force or (found is not None and read_stamp(found.note) is not None)

    def _refuse_unwritable(self, found: Found) -> None:
        if found.leaving:
            raise TryAgain(f"{self.label}: the Secret is being deleted; nothing was changed.")
        if found.immutable:
            raise Refused(
                f"{self.label}: the Secret is immutable; nothing was changed.",
                "Delete it and make it anew without immutable, or publish to another Secret.",
            )
        if found.type != "Opaque":
            raise Refused(
                f"{self.label}: the Secret is not of type Opaque; nothing was changed.",
                "Others are a controller's, or have keys of their own: publish to another Secret.",
            )

    @contextmanager
    def _api(self, secret_name: str) -> Iterator[Api]:
        """The API server, for one call."""
        options = self._options
        if options.key is None and not _KEY.fullmatch(secret_name):
            raise InvalidInput("--secret-name", "a key of a Secret consists of letters, digits, '-', '_' and '.'.")
        if options.kubeconfig and (fault := fault_of(options.kubeconfig)):
            raise OperatorNeeded(f"{self.label}: the kubeconfig {fault}; nothing was changed.", "Name a regular file.")
        entry = Entry(options.namespace, options.secret, options.key or secret_name)
        with connected(self.label, kubeconfig=options.kubeconfig, context=options.context) as client:
            yield Api(self.label, client, entry)


def _fields(target: Secret) -> dict[str, object]:
    text = target.reveal()
    rest, hash_, key = text.partition("#")
    path, _, query = rest.partition("?")
    namespace, slash, secret = path.partition("/")
    if not (slash and text.isprintable()) or (hash_ and not key):
        raise InvalidInput(FIELD, "kubernetes needs NAMESPACE/SECRET, or NAMESPACE/SECRET#KEY.", _EXAMPLE)
    options = query_options(KubernetesOptions, query)
    return {**options, "namespace": namespace, "secret": secret, "key": key or None}


def _since(found: Found, publication: Publication) -> int:
    """The sequence that the Secret remembers for its value; this publication's, if it is none of this rotation's."""
    stamp = read_stamp(found.note)
    if stamp is None or stamp.id != publication.rotation_id:
        return publication.sequence
    since = json.loads(found.note or "{}").get("since")
    return since if isinstance(since, int) else publication.sequence


def _withdrawn(api: Api, publication: Publication) -> None:
    found = api.secret()
    stamp = read_stamp(found.note) if found else None
    if found is None or stamp is None or stamp.id != publication.rotation_id:
        return
    if stamp.sequence > publication.sequence:
        return
    if found.held == publication.value:
        api.remove(found.revision)
    else:  # an earlier version or somebody else's: field owners know
        api.let_go(found.revision)


def _restart_each(api: Api, workloads: Iterable[Workload], why: str) -> None:
    """Restart all that can be; raises the first error, when the others were served."""
    failed: RotatorError | None = None
    for workload in workloads:
        try:
            api.restart(workload, why)
        except RotatorError as error:
            failed = failed or error
    if failed is not None:
        raise failed


def _again_if_changed(step: Callable[[], Result]) -> Result:
    """What ``step`` answers, once nobody interferes; raises its ``ChangedMeanwhile`` if somebody always does."""
    for _ in range(ATTEMPTS - 1):
        with suppress(ChangedMeanwhile):
            return step()
    return step()
