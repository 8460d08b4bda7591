"""What stands behind a target's question mark says one thing, and as it was written."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, Field

from tasks.publishers._shared.checks import query_options
from tasks.rotation.errors import InvalidInput


class Options(BaseModel):
    """Of no kind."""

    inner: str = ""
    file: str = Field("", description="of a credential")
    token: str = Field("", description="the credential")


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ("", {}),
        ("file=", {"file": ""}),
        ("file=/a+b/c%20d&token=x=y%26z", {"file": "/a+b/c d", "token": "x=y&z"}),
        ("token=%2B+%zz;q", {"token": "++%zz;q"}),
    ],
)
def test_values_are_decoded_as_a_url_is_and_a_plus_stays(query: str, options: dict[str, str]) -> None:
    assert query_options(Options, query) == options


@pytest.mark.parametrize("query", ["hush", "=hush", "file=/a&", "&", "inner=hush", "file=/a&hush=b", "FILE=hush"])
def test_what_is_no_option_is_refused_with_the_known_ones(query: str) -> None:
    with pytest.raises(InvalidInput, match="file, token") as refused:
        query_options(Options, query)
    assert "hush" not in str(refused.value)


def test_an_option_that_is_given_twice_is_refused_whichever_was_meant() -> None:
    with pytest.raises(InvalidInput, match="file is given twice") as refused:
        query_options(Options, "file=/hush&token=t&file=/hush")
    assert "hush" not in str(refused.value)
