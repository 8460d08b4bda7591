"""A parameter at moto's AWS, for a user with no more rights than publishing needs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from secrets import token_hex
from typing import cast

from config.secret import Secret
from tests.contract.places._moto import REGION, Aws, profiles, running_aws
from tests.contract.places.place import Place, Surroundings

LEAST = tuple(
    f"ssm:{action}"
    for action in (
        "GetParameter",
        "GetParameterHistory",
        "PutParameter",
        "LabelParameterVersion",
        "UnlabelParameterVersion",
        "DeleteParameter",
    )
)


class OwnersParameter:
    """The parameter as its owner has it."""

    def __init__(self, aws: Aws, name: str) -> None:
        self.client = aws.parameters
        self.name = name

    def text(self, number: int | None = None) -> str | None:
        name = self.name if number is None else f"{self.name}:{number}"
        with suppress(self.client.exceptions.ParameterNotFound):
            return self.client.get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"]
        return None

    def write(self, text: str) -> None:
        self.client.put_parameter(Name=self.name, Value=text, Type="SecureString", Overwrite=True)

    def delete(self) -> None:
        with suppress(self.client.exceptions.ParameterNotFound):
            self.client.delete_parameter(Name=self.name)

    def everything(self) -> object:
        pages = self.client.get_paginator("get_parameter_history").paginate(Name=self.name, WithDecryption=True)
        with suppress(self.client.exceptions.ParameterNotFound):
            return [entry for page in pages for entry in page["Parameters"]]
        return None

    def labels(self) -> dict[int, list[str]]:
        pages = self.client.get_paginator("get_parameter_history").paginate(Name=self.name)
        return {entry["Version"]: entry["Labels"] for page in pages for entry in page["Parameters"]}


def place(around: Surroundings) -> Iterator[Place]:
    aws = cast("Aws", around.once("aws", running_aws))
    parameter = OwnersParameter(aws, f"/app/{token_hex(4)}/key")
    user = aws.user(*LEAST)

    def stamped() -> str | None:
        (labels,) = (found for found in parameter.labels().values() if found)
        return m[1] if (m := re.search(r"rotator-\w+-v([0-9]+)-s", " ".join(labels))) else None

    with profiles(around.folder, user):
        yield Place(
            kind="aws-ssm",
            target=Secret(f"{parameter.name}?region={REGION}&profile={user.name}&endpoint={aws.url}"),
            credential=user.secret_key,
            application_reads=parameter.text,
            snapshot=parameter.everything,
            spoil=lambda: aws.allow(user.name),
            overwrite=parameter.write,
            empty=parameter.delete,
            stamped=stamped,
        )
