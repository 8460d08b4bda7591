"""Whatever stands in a target, it is refused in words that can be printed, or its label can be printed."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from config.secret import Secret
from tasks.publishers import about, kinds, open_publisher
from tasks.publishers._shared.about import options_of
from tasks.rotation.errors import InvalidInput
from tests.contract.test_uses import BESIDE, LEAST

HOSTILE = [
    *("a%0Ab%1B[31m", "a\nb\x1b[31m", "%00", "%E2%80%A8", "%ED%A0%80", "\u2028", "%C2%9B31m", "%7F"),
    *("a..b", "x" * 64, "x" * 5000, "..", ".", "", "%2F..%2F", "a#b", "a?b=c", "a&b=c", "é", "\udcff", "[::1", "a@b"),
]
_WORD = re.compile(r"[A-Za-z0-9._%-]+")


def made(kind: str) -> Iterator[str]:
    """The kind's targets with something hostile in place of each part, and as the value of each option."""
    target, own, _ = LEAST[kind]
    for text in HOSTILE:
        for part in _WORD.finditer(target):
            for inside in (text, f"{part[0]}{text}"):
                yield _joined(f"{target[: part.start()]}{inside}{target[part.end() :]}", own)
        for option in options_of(about(kind)):
            beside = BESIDE.get((kind, option.rpartition("_")[0]), "")
            for query in (f"{option}={text}{beside}", f"{own}&{option}={text}", f"{own}&{option}=/{text}"):
                yield _joined(target, query.strip("&"))
    if kind == "redis":
        yield from (f"unix:///run/{text}#{text}" for text in HOSTILE)


def _joined(target: str, query: str) -> str:
    place, hash_, fragment = target.partition("#")
    return f"{place}{'?' if query else ''}{query}{hash_}{fragment}"


@pytest.mark.parametrize("kind", kinds())
def test_a_label_can_be_printed_or_there_is_none(kind: str) -> None:
    answers = [(target, *_answer(kind, target)) for target in made(kind)]
    assert [target for target, said, _ in answers if not said.isprintable() or "Value error" in said] == []
    assert any(opened for _, _, opened in answers), "each was refused: nothing was tried"


def _answer(kind: str, target: str) -> tuple[str, bool]:
    """The label or the refusal, and whether it was opened."""
    try:
        return open_publisher(kind, Secret(target)).label, True
    except InvalidInput as refused:
        return str(refused), False
