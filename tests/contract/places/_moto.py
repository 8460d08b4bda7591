"""An AWS on loopback: moto's server, which checks signatures and the actions that IAM policies allow.

It is faithful where we need it: staging labels and the comparison behind RemoveFromVersionId, version IDs from tokens,
versions and labels of parameters. It is not in these, which the tests go around: GetSecretValue without a stage does
not follow a moved AWSCURRENT; DeleteSecret hides nothing from DescribeSecret's labels; a refusal by IAM is XML with
status 403; policies are read without their resources; nothing is encrypted, and no KMS key has to exist.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from urllib.request import Request, urlopen

import boto3
import pytest
from botocore.config import Config
from moto.server import ThreadedMotoServer

REGION = "eu-west-1"
ACCOUNT = "123456789012"
_PATIENT = Config(connect_timeout=5, read_timeout=60, retries={"total_max_attempts": 1})


@dataclass(frozen=True)
class User:
    """Somebody at AWS, with credentials that stand in a profile of this name."""

    name: str
    key_id: str
    secret_key: str = field(repr=False)


class Aws:
    """The account, for its owner."""

    def __init__(self, url: str) -> None:
        self.url = url
        stranger = boto3.session.Session("AKIAIOSFODNN7EXAMPLE", token_hex(20), region_name=REGION)
        self.iam = stranger.client("iam", endpoint_url=url, config=_PATIENT)
        owner = self.user("*")
        session = boto3.session.Session(owner.key_id, owner.secret_key, region_name=REGION)
        self.iam = session.client("iam", endpoint_url=url, config=_PATIENT)
        self.secrets = session.client("secretsmanager", endpoint_url=url, config=_PATIENT)
        self.parameters = session.client("ssm", endpoint_url=url, config=_PATIENT)

    def warm_up(self) -> None:
        """The first request to a service takes moto seconds on a busy machine; ours have five."""
        self.secrets.list_secrets()
        self.parameters.describe_parameters()

    def user(self, *actions: str) -> User:
        """Somebody new, who may do this."""
        name = f"user-{token_hex(4)}"
        self.iam.create_user(UserName=name)
        key = self.iam.create_access_key(UserName=name)["AccessKey"]
        self.allow(name, *actions)
        return User(name, key["AccessKeyId"], key["SecretAccessKey"])

    def allow(self, name: str, *actions: str) -> None:
        """From now on the user may do this, and nothing else."""
        self.iam.put_user_policy(UserName=name, PolicyName="only", PolicyDocument=policy(*actions))

    def role(self, *actions: str) -> str:
        """The ARN of a new role, which anybody of the account may assume."""
        name = f"role-{token_hex(4)}"
        trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        role = self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]
        self.iam.put_role_policy(RoleName=name, PolicyName="only", PolicyDocument=policy(*actions))
        return str(role["Arn"])


def policy(*actions: str) -> str:
    """A policy that allows these; none are not allowed by denying all."""
    statement = {"Effect": "Allow" if actions else "Deny", "Action": list(actions) or ["*"], "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@contextmanager
def running_aws() -> Iterator[Aws]:
    """moto's server on a free port of loopback, in a thread of this process; IAM is asked from now on."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        _ask_iam_after(url, "inf")  # another one in this process may have said 0: moto's state is the process's
        aws = Aws(url)
        _ask_iam_after(url, "0")
        aws.warm_up()
        yield aws
    finally:
        server.stop()


def _ask_iam_after(url: str, requests: str) -> None:
    with urlopen(Request(f"{url}/moto-api/reset-auth", requests.encode(), {"Content-Type": "text/plain"})):
        pass


@contextmanager
def profiles(folder: Path, *users: User) -> Iterator[None]:
    """These users' profiles are all that this process knows of AWS."""
    file = folder / "aws-credentials"
    file.write_text(
        "".join(f"[{u.name}]\naws_access_key_id={u.key_id}\naws_secret_access_key={u.secret_key}\n" for u in users)
    )
    with pytest.MonkeyPatch.context() as patch:
        alone(patch)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
        yield


def alone(patch: pytest.MonkeyPatch) -> None:
    """Whatever this machine's owner told AWS's clients is not heard here."""
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        patch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        patch.setenv(name, "/nonexistent/aws")
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
