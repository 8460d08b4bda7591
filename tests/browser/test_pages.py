"""Every page, in two widths and two themes: nothing for axe to find, nothing to scroll sideways for, and a picture of
each in ``build/screenshots`` for people to look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser.lived import LONGEST, MANY, NOWHERE, UNBROKEN, Lived, lived
from tests.browser.person import scrolls_sideways, sign_in, watched
from tests.steered.installation import Template
from tests.web.served import served

PICTURES: Final = Path("build/screenshots")
WIDTHS: Final = (1280, 360)
THEMES: Final = ("light", "dark")
PAGES: Final = {
    "overview": "/",
    "rotations": "/rotations",
    "connections": "/connections",
    "events": "/events",
    "events-of-one": "/rotations/undone/events",
    "rotation-storefront": "/rotations/storefront",
    "rotation-paused-many": "/rotations/archive",
    "rotation-longest": f"/rotations/{LONGEST}",
    "rotation-web": "/rotations/web",
    "rotation-undone": "/rotations/undone",
    "rotation-emergency": "/rotations/hurried",
    "rotation-condemned": "/rotations/leaked",
    "rotation-attention": "/rotations/refused",
    "rotation-limited": "/rotations/limited",
    "rotation-undelivered": "/rotations/undelivered",
    "rotation-unproven": "/rotations/unproven",
    "rotation-unknown": "/rotations/lost",
    "rotation-drift": "/rotations/repaired",
    "rotation-leaving": "/rotations/leaving",
    "rotation-adopted": "/rotations/heir",
    "rotate": "/rotations/storefront/rotate",
    "rotate-obstacles": "/rotations/undelivered/rotate",
    "undo": "/rotations/web/undo",
    "undo-nothing": "/rotations/idle/undo",
    "emergency": f"/rotations/{LONGEST}/emergency",
    "key": "/rotations/storefront/key",
    "edit": "/rotations/storefront/edit",
    "destination-new": "/rotations/storefront/destinations",
    "rotation-delete": "/rotations/web/delete",
    "rotation-new": "/new-rotation",
    "connection": "/connections/main",
    "connection-refused": f"/connections/{UNBROKEN}",
    "connection-new": "/new-connection",
    "connection-key": "/connections/main/key",
    "connection-edit": f"/connections/{UNBROKEN}/edit",
    "connection-delete": "/connections/spare/delete",
    "connection-in-use": "/connections/main/delete",
    "not-found": "/rotations/nobody",
}
"""By the name of the picture. What one comes to by a form has a test of its own below."""


@pytest.fixture(scope="module")
def past(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    """A console that has seen everything. Nobody changes anything in it."""
    with lived(template, tmp_path_factory.mktemp("lived")) as stage:
        yield stage


@pytest.fixture(scope="module")
def mara(browser: Browser, past: Lived) -> Iterator[Page]:
    """An admin who looks around."""
    with watched(browser, past.url) as context:
        page = context.new_page()
        sign_in(page, past.token("admin"))
        yield page


def inspect(page: Page, name: str) -> None:
    """Look at the page as it is now in every width and theme. Raises AssertionError with all that is wrong."""
    wrong: list[str] = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        for theme in THEMES:
            page.emulate_media(color_scheme="dark" if theme == "dark" else "light", reduced_motion="reduce")
            wrong += [f"{width} {theme}: {fault}" for fault in _faults(page)]
            page.screenshot(path=PICTURES / f"{name}-{width}-{theme}.png", full_page=True)
    assert not wrong, "\n".join(wrong)


def _faults(page: Page) -> Iterator[str]:
    if beyond := scrolls_sideways(page):
        yield f"{beyond} px stand out to the right"
    found = Axe().run(page)
    for violation in found.response["violations"]:
        places = "; ".join(f"{node['target']} {node['failureSummary']}" for node in violation["nodes"][:5])
        yield f"{violation['id']} ({violation['help']}): {places}"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_for_everybody(mara: Page, name: str) -> None:
    mara.goto(PAGES[name])
    expect(mara.get_by_role("heading", level=1)).to_have_count(1)
    expect(mara.get_by_role("heading", name="Something went wrong here")).to_have_count(0)
    inspect(mara, name)


def test_two_hundred_versions_fit_on_a_page(mara: Page) -> None:
    """Axe has nothing new to see in two hundred rows, and would take a minute for them."""
    mara.goto("/rotations/archive?lives=all")
    expect(mara.get_by_role("row")).to_have_count(MANY + 1)
    for width in WIDTHS:
        mara.set_viewport_size({"width": width, "height": 900})
        assert scrolls_sideways(mara) <= 0
        mara.screenshot(path=PICTURES / f"rotation-all-versions-{width}-light.png", full_page=True)


def _next(page: Page) -> None:
    page.get_by_role("button", name="Next").click()


def _refused_interval(page: Page) -> None:
    page.goto("/new-rotation")
    page.get_by_label("Interval", exact=True).fill("x" * 300)
    _next(page)
    expect(page.get_by_role("alert")).to_be_visible()


def _places(page: Page) -> None:
    page.goto("/new-rotation")
    _next(page)
    page.get_by_label("Key name").fill("shop")
    _next(page)
    for target in (f"{NOWHERE}/here.env", f"{NOWHERE}/{UNBROKEN}/{UNBROKEN}.env"):
        page.get_by_label("Kind").select_option("dotenv")
        page.get_by_label("Target").fill(target)
        page.get_by_role("button", name="Add destination").click()
    expect(page.get_by_role("button", name="Remove")).to_have_count(2)


def _name(page: Page) -> None:
    _places(page)
    _next(page)


def _review(page: Page) -> None:
    _name(page)
    page.get_by_label("Name", exact=True).fill(LONGEST.replace("the", "one"))
    page.get_by_label("Description").fill("word " * 50)
    _next(page)
    expect(page.get_by_role("heading", name="Review")).to_be_visible()


def _key_step(page: Page) -> None:
    page.goto("/new-rotation")
    _next(page)
    page.get_by_label("Spending limit").fill("a lot")
    page.get_by_label("Key name").fill("shop")
    _next(page)
    expect(page.get_by_role("alert")).to_be_visible()


def _refused_key(page: Page) -> None:
    page.goto("/new-connection")
    page.get_by_label("Name", exact=True).fill("spare")
    page.get_by_label("Management key", exact=True).fill("nothing that OpenRouter gave to anybody")
    page.get_by_role("button", name="Check and add").click()
    expect(page.get_by_role("alert")).to_be_visible()


def _refused_place(page: Page) -> None:
    page.goto("/rotations/storefront/destinations")
    page.get_by_label("Target").fill(f"{UNBROKEN}/relative")
    page.get_by_role("button", name="Try and add").click()
    expect(page.get_by_role("alert")).to_be_visible()


def _unconfirmed(page: Page) -> None:
    page.goto("/rotations/web/delete")
    page.get_by_label("Type the name").fill("another")
    page.get_by_role("button", name="Delete rotation").click()
    expect(page.get_by_role("alert")).to_be_visible()


def _shown_key(page: Page) -> None:
    page.goto("/rotations/storefront/key")
    page.get_by_role("button", name="Show the key").click()
    expect(page.get_by_label("The key")).to_be_visible()


def _checked(page: Page) -> None:
    page.goto("/rotations/undelivered")
    page.get_by_role("button", name="Check destinations").click()
    expect(page.get_by_text("Refuses")).to_be_visible()


def _removing(page: Page) -> None:
    page.goto(f"/rotations/{LONGEST}")
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_role("button", name="Remove destination")).to_be_visible()


@pytest.mark.parametrize(
    ("name", "reach"),
    [
        ("rotation-new-refused", _refused_interval),
        ("rotation-new-key", _key_step),
        ("rotation-new-places", _places),
        ("rotation-new-name", _name),
        ("rotation-new-review", _review),
        ("connection-new-refused", _refused_key),
        ("destination-new-refused", _refused_place),
        ("destination-remove", _removing),
        ("destinations-checked", _checked),
        ("rotation-delete-refused", _unconfirmed),
        ("key-shown", _shown_key),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_form_answers_is_for_everybody(mara: Page, name: str, reach: Callable[[Page], None]) -> None:
    reach(mara)
    inspect(mara, name)


def test_the_way_in_is_for_everybody(browser: Browser, past: Lived) -> None:
    with watched(browser, past.url) as context:
        page = context.new_page()
        page.goto("/rotations")
        inspect(page, "sign-in")
        page.get_by_label("API token").fill("rtk_nobody")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_be_visible()
        inspect(page, "sign-in-refused")


def test_a_console_with_nothing_in_it_is_for_everybody(browser: Browser, tmp_path: Path) -> None:
    with served(tmp_path) as web, watched(browser, web.url) as context:
        page = context.new_page()
        sign_in(page, web.token("admin"))
        for path in ("", "rotations", "connections", "events", "new-rotation"):
            page.goto(f"/{path}")
            inspect(page, f"empty-{path or 'overview'}")


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_what_others_see_is_for_everybody(browser: Browser, past: Lived, role: str) -> None:
    with watched(browser, past.url) as context:
        page = context.new_page()
        sign_in(page, past.token(role))
        page.goto("/rotations/storefront")
        inspect(page, f"rotation-as-{role}")
