"""Where API keys come from: one folder for each service that mints them, found by its connections' ``app``.

The folder ``openrouter`` serves the app ``open-router``. Its module ``adapter`` offers one name,
``open_provider(settings: Settings, observe: Observe) -> ClosableProvider``.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import Protocol, cast

from config.settings import Settings
from tasks.rotation.errors import Broken
from tasks.rotation.ports import Provider


class Observe(Protocol):
    """Who counts the calls to the service. It never raises."""

    def __call__(self, call: str, outcome: str, seconds: float) -> None:
        """A call ended: what was asked for and how it came out, both of a few kinds and without values."""


class ClosableProvider(Provider, Protocol):
    """A provider that holds connections."""

    def close(self) -> None:
        """Close every connection. A second call does nothing."""


class _Adapter(Protocol):
    """What a folder's ``adapter`` offers."""

    def open_provider(self, settings: Settings, observe: Observe) -> ClosableProvider: ...


def open_provider(app: str, settings: Settings, observe: Observe) -> ClosableProvider:
    """The provider for connections of this ``app``; nothing is contacted yet. ``observe`` is told of each call.

    Raises ``Broken`` for an app that this release does not know, ``InvalidInput`` for a setting it cannot use.
    """
    folder = app.replace("-", "")
    if folder not in {module.name for module in iter_modules(__path__)}:
        raise Broken(f"There is no provider for connections of the kind {app}.", "Upgrade the program.")
    return cast(_Adapter, import_module(f"{__name__}.{folder}.adapter")).open_provider(settings, observe)
