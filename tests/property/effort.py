"""How hard a property test tries: its own number of examples, times what the Hypothesis profile asks for.

The profile ``default`` counts as once (Hypothesis' own 100 examples); one with ``max_examples=5000`` is fifty times as
thorough. So one number in ``tests/conftest.py`` turns a quick run into a long one.
"""

from __future__ import annotations

from typing import Any, Final

from hypothesis import HealthCheck, settings

_ONCE: Final = 100
"""What Hypothesis tries where nothing else is said."""


def effort(examples: int, **more: Any) -> settings:
    """Settings for this many examples in the profile ``default``, at least one; ``more`` are other settings."""
    profile = settings()
    tried = max(1, examples * profile.max_examples // _ONCE)
    slow = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
    return settings(profile, **{"max_examples": tried, "deadline": None, "suppress_health_check": slow, **more})
