"""Secret: a string that cannot be shown by accident."""

from __future__ import annotations

import hmac
from typing import Final, NoReturn

MASK: Final = "********"


class Secret:
    """Key material between its arrival and its departure.

    It is masked in ``repr``, ``str`` and ``format``, compares in constant time, and refuses pickling (which
    also keeps it out of JSON: it is no ``str``). ``reveal()`` is the only way to the text and stands only on
    the line that sends or encrypts it.
    """

    __slots__ = ("__text",)

    def __init__(self, text: str) -> None:
        if not text:
            raise ValueError("a secret cannot be empty")
        self.__text = text

    def reveal(self) -> str:
        """The text itself."""
        return self.__text

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        mine, theirs = (text.encode("utf-8", "surrogatepass") for text in (self.__text, other.reveal()))
        return hmac.compare_digest(mine, theirs)

    def __hash__(self) -> int:
        return hash((Secret, self.__text))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret must not be pickled: pass the id of its row instead")

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self
