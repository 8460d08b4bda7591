"""What every target at AWS may say: ``NAME?region=...&role=...``. Credentials are never part of it.

Who we are at AWS is found by AWS's own chain: the environment, a profile, a web identity, the container's or the
machine's role. A target may choose a profile, and a role to take on from there.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, Self
from urllib.parse import unquote, urlencode

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from tasks.publishers._shared.checks import FIELD
from tasks.publishers._shared.uses import Names, RunsProgram
from tasks.rotation.errors import InvalidInput

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
_URL: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])(?::(?P<port>[0-9]{1,5}))?/?"
)
_PORTS: Final = range(1, 65536)
_USUAL_PORTS: Final = {"https": "443", "http": "80"}

_ACCOUNT_IN_ROLE: Final = 4


def _endpoint(text: str) -> str:
    """A URL of scheme, host and port, which a credential or a path has no business in."""
    url = _URL.fullmatch(text.lower())
    if url is None or int(url["port"] or 1) not in _PORTS:
        raise ValueError("it must be https://HOST or https://HOST:PORT")
    if url["scheme"] != "https" and url["host"] not in _LOOPBACK:
        raise ValueError("it must begin with https://; http:// is for this machine alone")
    port = "" if url["port"] in {None, _USUAL_PORTS[url["scheme"]]} else f":{url['port']}"
    return f"{url['scheme']}://{url['host']}{port}"


def of_form(pattern: str, wanted: str) -> AfterValidator:
    """Refuses a text of any other form; ``wanted`` says which one it must be."""

    def checked(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(f"it must be {wanted}")
        return text

    return AfterValidator(checked)


Endpoint = Annotated[str, AfterValidator(_endpoint)]
Region = Annotated[str, of_form("[a-z]{2,}(-[a-z0-9]+)+", "a region, such as eu-west-1")]
Profile = Annotated[str, of_form(r"[A-Za-z0-9_+=,.@:/-]{1,128}", "the name of a profile"), Names(RunsProgram)]
Role = Annotated[
    str, of_form(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9_+=,.@/-]{1,512}", "a role's ARN, arn:aws:iam::...")
]
ExternalId = Annotated[str, of_form(r"[A-Za-z0-9_+=,.@:/-]{2,1224}", "an external ID")]
KmsKey = Annotated[str, of_form(r"[A-Za-z0-9:/_-]{1,256}", "a KMS key's ID, its ARN, or alias/NAME")]


class AwsOptions(BaseModel):
    """Which account and region, and as whom. Nothing here is a credential."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    region: Region | None = Field(None, description="region; else that of the environment or profile")
    profile: Profile | None = Field(None, description="profile of the worker's AWS configuration")
    role: Role | None = Field(None, description="ARN of a role to assume, for at most 15 minutes")
    external_id: ExternalId | None = Field(
        None, repr=False, description="external ID that the role's trust policy wants"
    )
    endpoint: Endpoint | None = Field(None, description="URL of a compatible server, or of a VPC endpoint")
    sts_endpoint: Endpoint | None = Field(None, description="the same for STS, which lends the role")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.role is None and (self.external_id or self.sts_endpoint):
            raise ValueError("external_id and sts_endpoint are for a role: name it with role=")
        return self

    def where(self, *, in_name: bool = False) -> str:
        """What tells this place from those of the same name elsewhere, behind a question mark; or empty.

        Of a role only the account: two roles of one account lead to one place. ``in_name``: region and account are
        told by the name, an ARN.
        """
        account = self.role.split(":")[_ACCOUNT_IN_ROLE] if self.role else None
        told = {"region": self.region, "account": account, "profile": None if account else self.profile}
        told = {"endpoint": self.endpoint} if in_name else {**told, "endpoint": self.endpoint}
        given = {name: value for name, value in told.items() if value}
        return f"?{urlencode(given, safe=':/@[]')}" if given else ""


def parts(text: str, example: str) -> tuple[str, str, str | None]:
    """The name, what follows '?', and what follows '#', decoded (None without '#'). Raises ``InvalidInput``."""
    place, hash_sign, fragment = text.partition("#")
    name, _, query = place.partition("?")
    member = unquote(fragment)
    if not (name and text.isprintable() and member.isprintable()) or "#" in fragment or (hash_sign and not member):
        raise InvalidInput(FIELD, "it must be NAME?option=value#FIELD, of printable characters.", example)
    return name, query, member or None
