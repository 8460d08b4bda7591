"""Addresses in settings: where to listen, and who may speak for others."""

from __future__ import annotations

import re
from ipaddress import ip_address, ip_network
from typing import Annotated, Final

from pydantic import BeforeValidator

_HOST_NAME: Final = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*")
_LONGEST: Final = 253


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches what listens there. A name other than ``localhost`` may be anything."""
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return address.lower() == "localhost"


def _as_address(value: object) -> str:
    text = str(value).strip().removeprefix("[").removesuffix("]")
    try:
        return str(ip_address(text))
    except ValueError:
        if len(text) <= _LONGEST and _HOST_NAME.fullmatch(text) and not text.replace(".", "").isdigit():
            return text
    raise ValueError("must be an IP address or a host name, without a port")


def _as_networks(value: object) -> tuple[str, ...]:
    parts = value if isinstance(value, tuple) else str(value).split(",")
    try:
        return tuple(str(ip_network(part.strip())) for part in parts if part.strip())
    except ValueError:
        raise ValueError("must be IP addresses or networks like 10.0.0.0/8, comma-separated") from None


Address = Annotated[str, BeforeValidator(_as_address)]
"""Where to listen."""
Networks = Annotated[tuple[str, ...], BeforeValidator(_as_networks)]
"""Addresses and networks, comma-separated."""
