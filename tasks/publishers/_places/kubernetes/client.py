"""The official client of Kubernetes, for one call of ours: bounded in time and size, nothing twice, and nowhere else.

It follows redirects, tries connections again and reads whatever comes; below it stands ``Bounded``, which does none of
that. A kubeconfig may log in by a command (``exec``) or by OIDC, which wait as long as they like: they get ``LOGIN_S``.
The client is imported when it is first used.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from time import monotonic, time
from types import MappingProxyType
from typing import Any, Final, cast

from tasks.publishers._shared.extras import needed
from tasks.publishers._shared.patience import patiently
from tasks.rotation.errors import OperatorNeeded

TIMEOUT_S: Final = 5.0
"""For connecting, and for each piece of an answer. One small value is moved."""
BUDGET_S: Final = 12.0
"""For everything that one call of ours sends."""
LOGIN_S: Final = 8.0
"""For what a kubeconfig does to log in."""
LARGEST: Final = 4 << 20
"""Of an answer, in bytes. A Secret holds at most 1 MiB, which base64 and the list of its fields' owners lengthen."""

_CHUNK: Final = 1 << 16
_FOLDER: Final = "openrouter-rotator-"
_FORGOTTEN_S: Final = 3600.0
"""So old is no folder of a call that still lasts: whoever made it was killed."""
_TALKATIVE: Final = ("kubernetes.client.rest", "oauthlib", "requests_oauthlib")
"""Loggers that print answers and tokens at DEBUG."""


class Unfinished(Exception):
    """No whole answer came, and it is our own limits that say so."""


class OutOfTime(Unfinished):
    """The time for this call was up before the request was sent."""


class TooMuch(Unfinished):
    """The answer was larger than any that belongs here, or came in drops."""


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """A whole answer, as the client takes it from its pool of connections. It holds values, and is never shown."""

    status: int
    reason: str | None
    headers: Mapping[str, str]
    data: bytes


class Bounded:
    """Takes the place of the client's pool of connections, for the requests of one call of ours."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self._ends_at_s = monotonic() + BUDGET_S

    def request(self, method: str, url: str, **given: Any) -> Answer:
        """The whole answer, read. Raises a kind of ``Unfinished``, and what urllib3 raises."""
        left_s = self._ends_at_s - monotonic()
        if left_s <= 0:
            raise OutOfTime
        wanted = {"timeout": min(TIMEOUT_S, left_s), "preload_content": False, "redirect": False, "retries": False}
        with closing(self._pool.request(method, url, **{**given, **wanted})) as response:
            return Answer(response.status, response.reason, response.headers, self._body(response))

    def clear(self) -> None:
        """Close what is open."""
        self._pool.clear()

    def _body(self, response: Any) -> bytes:
        """Not decoded: we ask for no compression, and a small answer can unfold into an endless one."""
        body = bytearray()
        while piece := response.read1(_CHUNK, decode_content=False):
            body += piece
            if len(body) > LARGEST or monotonic() > self._ends_at_s:
                raise TooMuch
        return bytes(body)


class Client:
    """``kubernetes.client.ApiClient`` without the generated calls, which would cost every process 3 s and 90 MiB
    (measured with 37.0.1) for the few paths that we need."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        inner.rest_client.pool_manager = Bounded(inner.rest_client.pool_manager)

    def ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] = MappingProxyType({}),
        body: object = None,
        content_type: str | None = None,
    ) -> Answer:
        """The answer, whatever its status. ``path`` is complete. Raises what urllib3 and the client raise."""
        request = self._inner.param_serialize(
            method=method,
            resource_path=path,
            query_params=list(query.items()),
            header_params={"Accept": "application/json", **({"Content-Type": content_type} if content_type else {})},
            body=body,
            auth_settings=["BearerToken"],
        )
        answer = self._inner.call_api(*request).response
        return cast(Answer, answer)


@contextmanager
def connected(label: str, *, kubeconfig: Path | None, context: str | None) -> Iterator[Client]:
    """A client that is logged in as the kubeconfig says, else as the pod's service account. Raises ``OperatorNeeded``
    where neither leads anywhere, ``Unavailable`` when it takes too long.

    What a kubeconfig embeds (certificates, keys) the client must have as files: they live as long as the block, and
    where we are killed in it, until the next one that comes an hour later.
    """
    with needed("kubernetes", extra="kubernetes"):
        from kubernetes.client import ApiClient, Configuration  # noqa: PLC0415 - an extra: only who uses it has it
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    _sweep()
    with TemporaryDirectory(prefix=_FOLDER) as folder:
        configuration = Configuration()
        try:
            _log_in(label, configuration, kubeconfig, context, folder)
            with ApiClient(configuration) as inner:
                yield Client(inner)
        finally:
            _forget(folder)


def _sweep() -> None:
    """Remove what a call left that was killed. Nobody else's: the folder is /tmp."""
    for folder in Path(gettempdir()).glob(f"{_FOLDER}*"):
        with suppress(OSError):
            facts = folder.lstat()
            if facts.st_uid == os.geteuid() and facts.st_mtime < time() - _FORGOTTEN_S:
                shutil.rmtree(folder, ignore_errors=True)


def _forget(folder: str) -> None:
    """The client remembers each key for ever, with the file that it wrote it to, and takes that for the next call's."""
    from kubernetes.config import kube_config  # noqa: PLC0415 - an extra, see above

    for content, file in list(kube_config._temp_files.items()):
        if file.startswith(f"{folder}{os.sep}"):
            kube_config._temp_files.pop(content, None)


def _log_in(label: str, configuration: Any, kubeconfig: Path | None, context: str | None, folder: str) -> None:
    load = _loading(configuration, kubeconfig, context, folder)
    loaded = _ended_well(patiently(label, f"{kubeconfig} {context}", load, within_s=LOGIN_S))
    if not (loaded and configuration.host.startswith(("https://", "http://")) and _readable(configuration)):
        # Raised outside of any handler: the foreign error may quote the file, and so a credential.
        raise _useless(label, kubeconfig, context)
    # One client lasts one call. Tokens come from files, which may end in a line feed that no header can hold.
    configuration.refresh_api_key_hook = None
    configuration.api_key = {name: token.strip() for name, token in configuration.api_key.items()}


def _loading(configuration: Any, kubeconfig: Path | None, context: str | None, folder: str) -> Callable[[], object]:
    from kubernetes.config import load_incluster_config, load_kube_config  # noqa: PLC0415 - an extra, see above

    if kubeconfig is None:
        return lambda: load_incluster_config(client_configuration=configuration, try_refresh_token=False)
    return lambda: load_kube_config(
        config_file=str(kubeconfig),
        context=context,
        client_configuration=configuration,
        persist_config=False,  # the file is the operator's
        temp_file_path=folder,
    )


def _ended_well(outcome: Callable[[], object]) -> bool:
    try:
        outcome()
    except Exception:  # noqa: BLE001 - it trusts the file to be well formed, and fails in as many ways as it is not
        return False
    return True


def _readable(configuration: Any) -> bool:
    """Whether we may read the certificates and the key. Files that are not there are what a connection tells: another
    call of ours may have made and removed them."""
    named = (configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file)
    return all(not file or not os.path.exists(file) or os.access(file, os.R_OK) for file in named)


def _useless(label: str, kubeconfig: Path | None, context: str | None) -> OperatorNeeded:
    if kubeconfig is None:
        return OperatorNeeded(
            f"{label}: there is no service account of a pod here; nothing was changed.",
            "Outside of a cluster, name a file with ?kubeconfig=PATH. In a pod, mount its service account's token.",
        )
    chosen = "its current context" if context is None else f"the context {context}"
    return OperatorNeeded(
        f"{label}: the kubeconfig cannot be read, or lacks {chosen} or a part of it; nothing was changed.",
        f"As the workers' user: kubectl --kubeconfig {kubeconfig} config view --minify"
        + (f" --context {context}" if context else ""),
    )
