"""What we keep of a value that can never be read back, to tell it from another one.

It is one-way, and a key is random: whoever reads it learns nothing but whether a key that they have is the same.
"""

from __future__ import annotations

import hashlib
from typing import Final

from config.secret import Secret

_DIGITS: Final = 32
"""128 bits: nobody meets another key with the same ones."""


def fingerprint(value: Secret) -> str:
    """The beginning of the value's SHA-256, as hexadecimal digits."""
    return sha256(value).reveal()[:_DIGITS]


def sha256(value: Secret) -> Secret:
    """The value's SHA-256, as 64 hexadecimal digits: a ``Secret`` only in order to be compared as one."""
    return Secret(hashlib.sha256(value.reveal().encode()).hexdigest())


def matches(receipt: str | None, value: Secret) -> bool:
    """Whether a receipt begins with the fingerprint of this value."""
    return receipt is not None and Secret(f"{receipt} "[:_DIGITS]) == Secret(fingerprint(value))
