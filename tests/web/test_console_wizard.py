"""The wizard: five steps, a sealed draft between them, and faults where they belong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from tasks.rotation.errors import Conflict
from tasks.store.drafts import LASTS
from tests.web.browsing import Browser, field_in, words_in
from tests.web.served import Served, served

BEHAVIOUR = {"how": "every", "every": "30d", "at": "03:00", "timezone": "UTC", "overlap": "1h", "cooling": "2h"}


class Wizard:
    """Someone in the middle of it."""

    def __init__(self, web: Served) -> None:
        self.browser = Browser(web)
        self.page = self.browser.get("/new-rotation")

    def go(self, wish: str = "next", **fields: str) -> httpx.Response:
        """Send the step that is shown."""
        kept = {name: field_in(self.page.text, name) for name in ("csrf", "step", "draft")}
        self.page = self.browser.http.post("/new-rotation", data={**kept, "go": wish, **fields})
        return self.page

    @property
    def step(self) -> str:
        """Which step is shown."""
        return field_in(self.page.text, "step")


@pytest.fixture
def wizard(web: Served) -> Wizard:
    web.connect()
    return Wizard(web)


def test_a_file_of_the_machine_is_no_place_unless_its_folder_is_opened(tmp_path: Path) -> None:
    with served(tmp_path, WEB_FOLDERS="") as closed:
        closed.connect()
        wizard = Wizard(closed)
        wizard.go(**BEHAVIOUR, first="now")
        wizard.go(key_name="frontend")
        assert "No file may be named from here" in words_in(wizard.page.text)
        wizard.go("add", kind="dotenv", target=str(tmp_path / "app.env"), secret_name="APP_KEY")
        assert (wizard.step, wizard.page.status_code) == ("places", 422)
        assert "ROTATOR_WEB_FOLDERS can allow it" in words_in(wizard.page.text)
    assert not (tmp_path / "app.env").exists()


def test_five_steps_make_a_rotation(web: Served, wizard: Wizard) -> None:
    wizard.go(**BEHAVIOUR, first="now")
    wizard.go(key_name="frontend", limit="12.50", limit_reset="monthly", byok="yes")
    target = str(web.folder / "app.env")
    wizard.go("add", kind="dotenv", target=target, secret_name="APP_KEY")
    assert (wizard.step, f"dotenv:{target}" in wizard.page.text) == ("places", True)
    wizard.go(secret_name="APP_KEY", kind="dotenv", target="")
    wizard.go(name="frontend", description="the shop", connection="prod")
    review = words_in(wizard.page.text)
    assert wizard.step == "review"
    assert "Can be written" in review
    assert "$12.50, refilled monthly, use of own provider keys included" in review
    assert web.operations.list_rotations() == ()
    assert wizard.go("create").headers["location"] == "/rotations/frontend?said=created"
    view = web.until_version("frontend", 1)
    assert (view.secret_name, view.description, view.parameters.limit_usd) == ("APP_KEY", "the shop", 12.5)


@pytest.mark.parametrize(
    ("step", "field", "typed"),
    [
        ("behaviour", "every", {**BEHAVIOUR, "every": "often"}),
        ("behaviour", "every", {**BEHAVIOUR, "every": "2h", "at": ""}),
        ("behaviour", "timezone", {**BEHAVIOUR, "timezone": "Mars/Olympus"}),
        ("key", "limit", {"key_name": "k", "limit": "lots"}),
        ("key", "limit_reset", {"key_name": "k", "limit_reset": "daily"}),
        ("key", "expires_after", {"key_name": "k", "expires_after": "2d"}),
        ("places", "secret_name", {"secret_name": "PATH"}),
        ("places", "target", {"secret_name": "K", "kind": "redis", "target": "hunter2"}),
        ("name", "name", {"name": "Not A Slug", "connection": "prod"}),
        ("name", "connection", {"name": "fine", "connection": "gone"}),
    ],
)
def test_a_fault_is_told_on_its_step_at_its_field(wizard: Wizard, step: str, field: str, typed: dict[str, str]) -> None:
    right = {
        "behaviour": BEHAVIOUR,
        "key": {"key_name": "k"},
        "places": {"secret_name": "K"},
    }
    for before, fields in right.items():
        if before == step:
            break
        wizard.go(**fields)
    assert wizard.step == step
    told = wizard.go(**typed)
    assert told.status_code in {409, 422}
    assert wizard.step == step
    assert f'href="#{field}"' in told.text
    assert "hunter2" not in told.text


def test_going_back_keeps_what_was_typed(wizard: Wizard) -> None:
    wizard.go(**BEHAVIOUR | {"every": "21d"})
    wizard.go("to-behaviour", key_name="half-typed")
    assert field_in(wizard.page.text, "every") == "21d"
    wizard.go(**BEHAVIOUR | {"every": "21d"})
    assert field_in(wizard.page.text, "key_name") == "half-typed"


def test_a_target_with_a_password_is_never_in_a_page(wizard: Wizard) -> None:
    wizard.go(**BEHAVIOUR)
    wizard.go(key_name="k")
    page = wizard.go("add", kind="redis", target="rediss://:hunter2@cache.internal:6379/0#key", secret_name="K")
    assert "redis:" in words_in(page.text)
    assert "cache.internal" in page.text
    assert "hunter2" not in page.text
    assert "hunter2" not in field_in(page.text, "draft")
    assert "Nowhere yet" in words_in(wizard.go("drop-0", secret_name="K").text)


def test_a_draft_opens_in_its_own_session_unchanged_and_for_a_while(web: Served, wizard: Wizard) -> None:
    wizard.go(**BEHAVIOUR)
    other = Wizard(web)
    draft = field_in(wizard.page.text, "draft")
    for wrong in (draft, draft[:-8] + "AAAAAAA=", "no draft", "é"):
        told = other.go(step="key", key_name="k", draft=wrong)
        assert told.status_code == 409
        assert "begun in another session" in words_in(told.text)
    now, drafts = datetime.now(UTC), web.rotator.store.drafts
    sealed = drafts.seal({"a": 1}, holder="me", now=now)
    assert drafts.open(sealed, holder="me", now=now + LASTS) == {"a": 1}
    with pytest.raises(Conflict):
        drafts.open(sealed, holder="me", now=now + LASTS + timedelta(seconds=1))
    with pytest.raises(Conflict):
        drafts.open(sealed, holder="you", now=now)
