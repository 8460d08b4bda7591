"""A switch that a signal handler may turn."""

from __future__ import annotations


class Switch:
    """Off until it is turned on, for ever.

    Unlike ``threading.Event`` it has no lock: a handler that interrupts another one, or the main thread while it
    waits, cannot deadlock on it. Whoever waits for it looks now and then.
    """

    __slots__ = ("_on",)

    def __init__(self) -> None:
        self._on = False

    @property
    def is_on(self) -> bool:
        """Whether it was turned on."""
        return self._on

    def turn_on(self) -> None:
        """Turn it on. A second call does nothing."""
        self._on = True
