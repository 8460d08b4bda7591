"""Talking to AWS: as whom, for how long at most, and with nothing of it in a log.

Everything here needs boto3; kinds import this module where they use it. Who we are is found by AWS's own chain, anew
for each call, so that a role or a profile that changes need not be told to us. No part of the chain may hang: each of
its requests has the same short timeouts and is made once; the metadata service of a machine gets one second; and all
of it, with the program that a profile may name (``credential_process``), gets ``LOGIN_S``.

botocore's loggers print bodies and signatures at DEBUG, our key among them, and so are kept above it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import cache
from time import monotonic
from typing import TYPE_CHECKING, Final, TypeVar, cast

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import ReadOnlyCredentials
from botocore.loaders import Loader
from botocore.parsers import ResponseParserError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tasks.publishers._places.aws.codes import code_of, translated
from tasks.publishers._places.aws.faults import TIMEOUT_S
from tasks.publishers._places.aws.target import AwsOptions
from tasks.publishers._shared.patience import patiently
from tasks.rotation.errors import Unavailable

if TYPE_CHECKING:
    from types_boto3_secretsmanager.client import SecretsManagerClient
    from types_boto3_ssm.client import SSMClient
    from types_boto3_sts.type_defs import AssumeRoleRequestTypeDef

LASTS_S: Final = 15.0
"""After so long no further request of one conversation begins; the last one may take another ten seconds."""

LOGIN_S: Final = 10.0
"""For finding out who we are."""

LENT_FOR_S: Final = 900
"""As short as STS lends a role."""

_TALKATIVE: Final = ("boto3", "botocore")
_CONFIG: Final = Config(
    connect_timeout=TIMEOUT_S,
    read_timeout=TIMEOUT_S,
    retries={"total_max_attempts": 1, "mode": "standard"},
    user_agent_extra="openrouter-rotator",
)

Answer = TypeVar("Answer", bound=BaseModel)
Client = TypeVar("Client")


class _Lent(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    key_id: str = Field(alias="AccessKeyId")
    secret_key: str = Field(alias="SecretAccessKey", repr=False)
    token: str = Field(alias="SessionToken", repr=False)


class _Loan(BaseModel):
    credentials: _Lent = Field(alias="Credentials")


class Conversation:
    """A few requests to one service, for one place. ``still`` ends each message: what is safe if nothing was done."""

    def __init__(self, label: str, service: str) -> None:
        self.label = label
        self.still = "The old value was left as it is."
        self._service = service
        self._ends_at_s = monotonic() + LASTS_S

    def asked(self, model: type[Answer], call: Callable[[], Mapping[str, object]], *, changes: bool = False) -> Answer:
        """The answer to ``call``, or one of our families. ``changes``: a lost answer leaves the outcome unknown."""
        return cast("Answer", self.asked_unless(frozenset(), model, call, changes=changes))  # None is for no code

    def asked_unless(
        self,
        codes: frozenset[str],
        model: type[Answer],
        call: Callable[[], Mapping[str, object]],
        *,
        changes: bool = False,
    ) -> Answer | None:
        """The same; None for a refusal with one of ``codes``."""
        self._refuse_if_late()
        answer = self._tried(call, codes, changes=changes)
        if answer is None:
            return None
        try:
            return model.model_validate(answer)
        except ValidationError:
            pass
        # Raised outside the handler: the foreign error holds the answer, the secret's content maybe.
        raise translated(ResponseParserError(), self.label, self._service, changes=changes, still=self.still)

    def prepared(self, call: Callable[[], Client]) -> Client:
        """What is made before anything is asked: a session, a client."""
        return cast("Client", self._tried(call, frozenset()))  # None is for no code

    def _tried(self, call: Callable[[], Client], codes: frozenset[str], *, changes: bool = False) -> Client | None:
        try:
            return call()
        except Exception as error:  # noqa: BLE001 - the client trusts an answer's types, and raises whatever that gives
            if code_of(error) in codes:
                return None
            raised = translated(error, self.label, self._service, changes=changes, still=self.still)
        # Raised outside the handler: a service may quote the value that it refuses.
        raise raised

    def _refuse_if_late(self) -> None:
        if monotonic() > self._ends_at_s:
            raise Unavailable(f"{self.label}: AWS answers too slowly; nothing more was asked. {self.still}")


@contextmanager
def secrets_manager(label: str, options: AwsOptions) -> Iterator[tuple[Conversation, SecretsManagerClient]]:
    """A conversation with Secrets Manager, and the client for it."""
    talk = Conversation(label, "secretsmanager")
    session = _session(talk, options)
    client = talk.prepared(lambda: session.client("secretsmanager", endpoint_url=options.endpoint))
    with closing(client):
        yield talk, client


@contextmanager
def parameter_store(label: str, options: AwsOptions) -> Iterator[tuple[Conversation, SSMClient]]:
    """A conversation with Systems Manager's Parameter Store, and the client for it."""
    talk = Conversation(label, "ssm")
    session = _session(talk, options)
    client = talk.prepared(lambda: session.client("ssm", endpoint_url=options.endpoint))
    with closing(client):
        yield talk, client


def _session(talk: Conversation, options: AwsOptions) -> boto3.session.Session:
    """Who we are for this conversation: found by AWS's chain, and then in the role, if one is named."""
    _hush()
    core = talk.prepared(lambda: _core(options.profile))
    session = talk.prepared(lambda: boto3.session.Session(botocore_session=core, region_name=options.region))
    found = patiently(talk.label, f"aws {options.profile}", lambda: _found(core), within_s=LOGIN_S)
    own = talk.prepared(found)
    if own is not None and own.access_key and own.secret_key:
        core.set_credentials(own.access_key, own.secret_key, own.token)
    if options.role is not None:
        lent = _lent(talk, session, options, options.role)
        core.set_credentials(lent.key_id, lent.secret_key, lent.token)
    return session


def _hush() -> None:
    """Keep the client's loggers above what would show bodies, whatever was configured since the last time."""
    for name in _TALKATIVE:
        logger = logging.getLogger(name)
        logger.setLevel(max(logger.level, logging.WARNING))


def _core(profile: str | None) -> botocore.session.Session:
    core = botocore.session.Session(profile=profile)
    core.register_component("data_loader", _loader())
    core.set_default_client_config(_CONFIG)  # for the chain's own requests too: STS, SSO
    return core


def _found(core: botocore.session.Session) -> ReadOnlyCredentials | None:
    """Who we are, once and for this conversation; None for nobody, of which the first request tells."""
    credentials = core.get_credentials()
    return None if credentials is None else credentials.get_frozen_credentials()


class _Loader(Loader):
    """One for all sessions. Each session of boto3 adds a folder to its paths, which is only for what we do not use."""

    @property
    def search_paths(self) -> list[str]:
        return list(super().search_paths)


@cache
def _loader() -> Loader:
    """The services' descriptions, read once a process: they make four fifths of what a client costs (0.3 s)."""
    return _Loader()


def _lent(talk: Conversation, session: boto3.session.Session, options: AwsOptions, role: str) -> _Lent:
    wish: AssumeRoleRequestTypeDef = {
        "RoleArn": role,
        "RoleSessionName": "openrouter-rotator",
        "DurationSeconds": LENT_FOR_S,
    }
    if options.external_id:
        wish["ExternalId"] = options.external_id
    client = talk.prepared(lambda: session.client("sts", endpoint_url=options.sts_endpoint))
    with closing(client):
        loan = talk.asked(_Loan, lambda: client.assume_role(**wish))
    return loan.credentials
