"""An answer to a create that names a key which is in service elsewhere: nothing happens to that key."""

from __future__ import annotations

from unittest.mock import patch

from config.secret import Secret
from tasks.providers.openrouter.adapter import OpenRouter
from tasks.rotation.model import VersionState
from tasks.rotation.ports import MintedKey
from tests.steered.installation import Installation
from tests.steered.truth import Truth


def test_a_repeated_answer_costs_a_version_and_harms_no_key(installation: Installation, truth: Truth) -> None:
    """Say a cache in between answers the second POST with what it answered the first."""
    installation.create("web")
    installation.run_until_rest()
    held = installation.active("web").key_hash
    assert held is not None
    real, answers = OpenRouter.create_key, [held]

    def repeat(provider: OpenRouter, *asked: object, **how: object) -> MintedKey:
        minted = real(provider, *asked, **how)  # type: ignore[arg-type]  # handed on as it came
        return MintedKey(answers.pop(), Secret("of no use")) if answers else minted

    installation.create("shop", files=("shop.env",))
    with patch.object(OpenRouter, "create_key", repeat):
        installation.run_until_rest()
    truth.check_rest()
    assert answers == []
    assert [v.state for v in installation.versions("shop")] == [VersionState.DELETED, VersionState.ACTIVE]
    assert installation.active("web").key_hash == held
    assert held in installation.account.live()
