"""Tells a receiver which version was published: ``webhook:https://HOST/PATH``, as Standard Webhooks lays down.

Contract: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md (1.0.0, November
2026). Each message is a ``POST`` of JSON, signed with a secret that both sides know (``webhook-id``,
``webhook-timestamp``, ``webhook-signature``); there are libraries for a dozen languages that verify it::

    {"type": "rotation.version_published", "timestamp": "2026-11-03T03:00:07.251Z", "data": {
        "rotation": "billing", "rotation_id": "...", "version": 7, "sequence": 42, "secret_name": "OPENROUTER_API_KEY"}}

``rotation.version_published``
    The version works at OpenRouter and is being published, here and to the rotation's other destinations. It is active
    only when all of them have it, so whoever now fetches the key elsewhere looks whether it is this version already.
    With ``value=include`` the key itself is in ``data`` as ``value``: over https alone, or on loopback.
``rotation.version_withdrawn``
    The same without a value: the receiver forgets what this rotation told it, up to this sequence.
``rotation.check``
    Would a message be accepted? There is no other way to ask, so this one is sent whenever the destination is tried.
    Its data holds the secret's name alone, and its receiver does nothing but answer.

A receiver answers within 5 s, and acts afterwards if that takes longer: 2xx when it took the message; 409 when it knows
a greater sequence of the same ``rotation_id``, since a worker that is late asks for an older one; 410 when it wants to
hear no more; 429 or 503 with ``Retry-After``. A message may come more than once, and then has the same ``webhook-id``.
Redirects are not followed, and of an answer only the status counts.

Nothing can be read back. The receipt of a message is a fingerprint of the key, and the message's id: it proves that the
receiver accepted this version, not that it still has it.

Receivers are named by administrators, who may name any host of any network; nobody is shown what it answers. Addresses
that can be no receiver are refused nevertheless: link-local ones, where clouds hand out credentials, and disguised
ones. Where a name leads is not looked at.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import json
import re
from datetime import UTC, datetime
from typing import Annotated, Final, Literal, Self

import httpx
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from config.secret import Secret
from tasks.publishers._places.http.client import Answer, Call, connected, web_address
from tasks.publishers._places.http.faults import Fault, failed, pause_asked_by
from tasks.publishers._shared.about import About
from tasks.publishers._shared.checks import FIELD, printable, query_options, validated
from tasks.publishers._shared.credentials import NamedFile, VariableName, credential
from tasks.publishers._shared.extras import needed
from tasks.publishers._shared.fingerprint import fingerprint, matches
from tasks.publishers._shared.uses import MachineUse, uses_of
from tasks.rotation.errors import Conflict, CredentialRejected, InvalidInput, OperatorNeeded, RotatorError, Unavailable
from tasks.rotation.model import Holding
from tasks.rotation.ports import Publication

KIND: Final = "webhook"
PUBLISHED: Final = "rotation.version_published"
WITHDRAWN: Final = "rotation.version_withdrawn"
CHECK: Final = "rotation.check"

_PREFIX: Final = "whsec_"
_SECRET_BYTES: Final = range(24, 65)
_EXAMPLE: Final = "For example: --publish 'webhook:https://hooks.internal/rotated?secret_file=/run/secrets/webhook'."
_METADATA: Final = (ipaddress.ip_address("fd00:ec2::254"), ipaddress.ip_address("100.100.100.200"))
"""Where AWS and Alibaba hand out credentials, beside the link-local addresses."""
_DISGUISED: Final = re.compile(r"(.*\.)?(0x[0-9a-f]*|[0-9]+)\.?", re.IGNORECASE)
"""A host that ends in a number is an address to most resolvers, however it is written."""
_HIGHEST_PORT: Final = 65_535
_NEWER, _GONE, _BUSY = 409, 410, 503
_SIGNATURE_REFUSED: Final = (
    "Give the receiver and the rotator the same signing secret, and look whether its clock is right."
)


def _address(text: str) -> str:
    """The URL as it was written, but for its normal form: a slash at its end may matter to the receiver."""
    _, colon, rest = text.partition("://")
    web_address(f"https{colon}{rest}" if text.lower().startswith("http://") else text)
    url = httpx.URL(text)
    if url.port is not None and url.port > _HIGHEST_PORT:
        raise ValueError("no port has that number")
    _refuse_no_receiver(url.host)
    return str(url)


def _refuse_no_receiver(host: str) -> None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        address = None
    if address is None and (_DISGUISED.fullmatch(host) or host.startswith("metadata.google.internal")):
        raise ValueError("its host can be no receiver")
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    if address and (address.is_link_local or address.is_multicast or address.is_unspecified or address in _METADATA):
        raise ValueError("its host can be no receiver")


class WebhookOptions(BaseModel):
    """Who is told, and what."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, hide_input_in_errors=True)

    url: Annotated[str, AfterValidator(_address)]
    value: Literal["omit", "include"] = Field("omit", description="`include` sends the key too, over https")
    secret: Secret | None = Field(None, description="the signing secret, `whsec_...`, which is stored encrypted")
    secret_file: NamedFile | None = Field(None, description="file that holds it, or an old and a new one")
    secret_env: VariableName | None = Field(None, description="variable of the workers' environment that holds it")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if sum(given is not None for given in (self.secret, self.secret_file, self.secret_env)) != 1:
            raise ValueError("give the signing secret by one of secret_file, secret_env and secret")
        if self.secret is not None and _fault_of(self.secret.reveal()):
            raise ValueError(_fault_of(self.secret.reveal()))
        if self.value == "include":
            web_address(self.url)
        return self


ABOUT: Final = About(
    target="https://HOST/PATH",
    example="webhook:https://hooks.internal/rotated?secret_file=/run/secrets/webhook",
    happens="A message signed as Standard Webhooks lays down says that a version was published"
    " (`rotation.version_published`) or taken back (`rotation.version_withdrawn`); it holds the key only with"
    " `value=include`. Its `webhook-id` is the same when it is repeated. Trying the destination sends `rotation.check`."
    " The receiver answers 2xx, or 409 when it knows a greater `sequence` of that `rotation_id`. Redirects are not"
    " followed. The path is shown to people, so it must hold no credential",
    auth="a signing secret that the receiver knows, `whsec_` and 24 to 64 bytes in base64",
    proves="the receiver accepted this version; not that it still has it",
    options=WebhookOptions,
    extra=KIND,
)


def open_publisher(target: Secret) -> WebhookPublisher:
    """The publisher for a URL and its options; raises ``InvalidInput``. Contacts nobody."""
    url, _, query = target.reveal().partition("?")
    options: dict[str, object] = {**query_options(WebhookOptions, query)}
    secret = options.get("secret")
    if secret == "":
        raise InvalidInput(FIELD, "the signing secret is empty.", _EXAMPLE)
    if isinstance(secret, str):
        options["secret"] = Secret(secret)
    return WebhookPublisher(validated(WebhookOptions, {**options, "url": url}), target)


class WebhookPublisher:
    """One receiver."""

    def __init__(self, options: WebhookOptions, target: Secret) -> None:
        self._options = options
        self._target = target

    @property
    def label(self) -> str:
        """Kind and address."""
        return f"{KIND}:{self._options.url}"

    @property
    def target(self) -> Secret:
        """As it was given."""
        return self._target

    @property
    def uses(self) -> tuple[MachineUse, ...]:
        """Files and variables that the options name."""
        return uses_of(self._options)

    @property
    def holds_variables(self) -> bool:
        """Every message says which secret it is about."""
        return True

    def check(self, secret_name: str) -> None:
        """Send ``rotation.check``, and raise unless it is accepted."""
        asked_at = datetime.now(UTC).isoformat()
        answer = self._sent(CHECK, _id(CHECK, secret_name, asked_at), {"secret_name": secret_name})
        if answer.status == _NEWER:
            raise Conflict(f"{self.label}: it refused {CHECK} as one that comes too late.", "Correct the receiver.")

    def publish(self, publication: Publication) -> str:
        """Tell it of this version; the receipt is a fingerprint of the key, and the message's id."""
        value = printable(publication.value)
        told = _facts(publication)
        message_id = _id(PUBLISHED, *_once(publication))
        included = {"value": value} if self._options.value == "include" else {}
        answer = self._sent(PUBLISHED, message_id, {**told, **included})
        if answer.status == _NEWER:
            raise Conflict(
                f"{self.label}: the receiver knows a newer publication of rotation {publication.rotation_name} than"
                f" version {publication.version} (sequence {publication.sequence}); nothing was changed.",
                "If the rotator's database was restored from a backup, make the receiver forget the sequence.",
            )
        return f"{fingerprint(publication.value)} {message_id}"

    def read_back(self, secret_name: str, expected: Secret, receipt: str | None = None) -> Holding:  # noqa: ARG002 - nobody is asked
        """Whether this key was accepted last."""
        return Holding.SAME if matches(receipt, expected) else Holding.OTHER

    def withdraw(self, publication: Publication) -> None:
        """Tell it that the version is taken back; that it knows a newer one is no error."""
        self._sent(WITHDRAWN, _id(WITHDRAWN, *_once(publication)), _facts(publication))

    def _sent(self, event: str, message_id: str, data: dict[str, object]) -> Answer:
        """The answer to a message that was taken, or a 409. Every other one is raised."""
        now = datetime.now(UTC)
        body = json.dumps({"type": event, "timestamp": now.isoformat().replace("+00:00", "Z"), "data": data})
        call = Call(
            "POST",
            self._options.url,
            f"accept {event}",
            headers={**self._signed(message_id, now, body), "Content-Type": "application/json"},
            body=body.encode(),
            changes=event != CHECK,
            accept=frozenset({_NEWER, _GONE, _BUSY}),
            remedies=dict.fromkeys((400, 401, 403), _SIGNATURE_REFUSED),
        )
        with connected(self.label, self._options.url) as http:
            answer = http.ask(call)
        if answer.status in {_GONE, _BUSY}:
            raise self._unwelcome(answer, call)
        return answer

    def _unwelcome(self, answer: Answer, call: Call) -> RotatorError:
        if answer.status == _GONE:
            return OperatorNeeded(
                f"{self.label}: the receiver wants no more messages (410).",
                "Take this destination away from the rotation, or have the receiver accept them again.",
            )
        pause = pause_asked_by(answer.headers)
        if pause is None:
            return failed(Fault("it answered 503"), self.label, call)
        said = f"{self.label}: it cannot {call.purpose} now (503), and says when to try again. Nothing was changed."
        return Unavailable(said, retry_after=pause)

    def _signed(self, message_id: str, at: datetime, body: str) -> dict[str, str]:
        """The headers; with a signature for each secret, so that a receiver can be given a new one first."""
        with needed(KIND, extra=KIND):
            from standardwebhooks import Webhook  # noqa: PLC0415 - an optional client
        signatures = [Webhook(secret).sign(message_id, at, body) for secret in self._secrets()]
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": " ".join(signatures),
        }

    def _secrets(self) -> list[str]:
        options = self._options
        found = credential(self.label, given=options.secret, file=options.secret_file, name=options.secret_env)
        secrets = found.reveal().split() if found else []
        fault = next(filter(None, map(_fault_of, secrets)), "")
        if fault or not secrets:
            raise CredentialRejected(f"{self.label}: {fault}; nothing was sent.", "Correct the file or the variable.")
        return secrets


def _fault_of(secret: str) -> str:
    """What is wrong with a signing secret; empty for a good one."""
    text = secret.removeprefix(_PREFIX)
    try:
        length = len(base64.b64decode(text + "=" * (-len(text) % 4), validate=True))
    except ValueError:
        length = 0
    good = secret.startswith(_PREFIX) and length in _SECRET_BYTES
    return "" if good else f"the signing secret must be {_PREFIX} and 24 to 64 bytes in base64"


def _facts(publication: Publication) -> dict[str, object]:
    return {
        "rotation": publication.rotation_name,
        "rotation_id": publication.rotation_id,
        "version": publication.version,
        "sequence": publication.sequence,
        "secret_name": publication.secret_name,
    }


def _once(publication: Publication) -> tuple[str, str, str]:
    """What makes a message another one."""
    return publication.rotation_id, str(publication.version), str(publication.sequence)


def _id(*parts: str) -> str:
    """The same for the same, so that a receiver can drop what is repeated."""
    return f"msg_{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]}"
