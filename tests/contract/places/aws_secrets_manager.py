"""A member of a secret at moto's AWS, for a user with no more rights than publishing needs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from secrets import token_hex
from typing import cast

from config.secret import Secret
from tests.contract.places._moto import REGION, Aws, profiles, running_aws
from tests.contract.places.place import NAME, Place, Surroundings

LEAST = tuple(
    f"secretsmanager:{action}"
    for action in ("DescribeSecret", "GetSecretValue", "PutSecretValue", "UpdateSecretVersionStage")
)


class OwnersSecret:
    """The secret as its owner has it. Writes as AWS's own rotations do."""

    def __init__(self, aws: Aws, name: str) -> None:
        self.aws = aws
        self.name = name

    def text(self) -> str | None:
        version = self.current()
        return version and self.aws.secrets.get_secret_value(SecretId=self.name, VersionId=version)["SecretString"]

    def write(self, text: str) -> None:
        client, version, before = self.aws.secrets, token_hex(16), self.current()
        client.put_secret_value(
            SecretId=self.name, SecretString=text, ClientRequestToken=version, VersionStages=["theirs"]
        )
        client.update_secret_version_stage(
            SecretId=self.name, VersionStage="AWSCURRENT", MoveToVersionId=version, RemoveFromVersionId=before or ""
        )

    def change(self, member: str, value: str | None) -> None:
        text = json.loads(self.text() or "{}")
        self.write(json.dumps({k: v for k, v in {**text, member: value}.items() if v is not None}))

    def current(self) -> str | None:
        return self.holder("AWSCURRENT")

    def holder(self, label: str) -> str | None:
        return next((version for version, labels in self.labels().items() if label in labels), None)

    def labels(self) -> dict[str, list[str]]:
        return self.aws.secrets.describe_secret(SecretId=self.name).get("VersionIdsToStages", {})

    def everything(self) -> object:
        versions = self.labels()
        read = self.aws.secrets.get_secret_value
        contents = {v: read(SecretId=self.name, VersionId=v)["SecretString"] for v in versions}
        described = {**self.aws.secrets.describe_secret(SecretId=self.name), "ResponseMetadata": None}
        return described, contents


def place(around: Surroundings) -> Iterator[Place]:
    aws = cast("Aws", around.once("aws", running_aws))
    secret = OwnersSecret(aws, f"app/{token_hex(4)}")
    aws.secrets.create_secret(Name=secret.name, SecretString=json.dumps({"OTHER": "kept"}))
    user = aws.user(*LEAST)

    def stamped() -> str | None:
        current = " ".join(secret.labels()[secret.current() or ""])
        return m[1] if (m := re.search(r"rotator-\w+-v([0-9]+)-s", current)) else None

    with profiles(around.folder, user):
        yield Place(
            kind="aws-secrets-manager",
            target=Secret(f"{secret.name}?region={REGION}&profile={user.name}&endpoint={aws.url}#{NAME}"),
            credential=user.secret_key,
            application_reads=lambda: json.loads(secret.text() or "{}").get(NAME),
            snapshot=secret.everything,
            spoil=lambda: aws.allow(user.name),
            overwrite=lambda value: secret.change(NAME, value),
            empty=lambda: secret.change(NAME, None),
            stamped=stamped,
        )
    assert json.loads(secret.text() or "{}")["OTHER"] == "kept"
