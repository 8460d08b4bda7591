"""Everything by keyboard: where the focus goes, and that it is seen."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.person import shows_focus, tab_to
from tests.web.served import Served


def _sign_in(page: Page, token: str) -> None:
    page.goto("/")
    tab_to(page, "textbox", "API token", within=8)
    page.keyboard.type(token)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Overview", level=1)).to_be_visible()


def test_from_signing_in_to_a_new_version_without_a_mouse(web: Served, page: Page) -> None:
    web.connect()
    web.rotation("shop")
    _sign_in(page, web.token("operator"))
    tab_to(page, "link", "Rotations", within=6)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Rotations", level=1)).to_be_visible()
    tab_to(page, "link", "shop", within=12)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="shop", level=1)).to_be_visible()
    tab_to(page, "link", "Rotate now", within=25)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Rotate shop now", level=1)).to_be_visible()
    tab_to(page, "button", "Rotate now", within=15)
    page.keyboard.press("Enter")
    expect(page.get_by_role("img", name="version 2 is active")).to_be_visible()


def test_the_first_stop_skips_to_the_content(admin: Page) -> None:
    admin.goto("/rotations")
    admin.keyboard.press("Tab")
    skip = admin.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    assert shows_focus(admin)
    admin.keyboard.press("Enter")
    expect(admin.get_by_role("main")).to_be_focused()
    admin.keyboard.press("Tab")
    inside = "document.querySelector('main').contains(document.activeElement)"
    assert admin.evaluate(inside), "the next stop is not in the content"


def test_after_a_mistake_the_focus_is_on_what_is_wrong(web: Served, admin: Page) -> None:
    web.connect()
    admin.goto("/connections/prod/delete")
    tab_to(admin, "textbox", "Type the name, prod, to confirm", within=12)
    admin.keyboard.type("pord")
    admin.keyboard.press("Enter")
    expect(admin.get_by_role("alert")).to_be_focused()
    admin.keyboard.press("Tab")
    admin.keyboard.press("Enter")
    expect(admin.get_by_label("Type the name")).to_be_focused()


def test_no_stop_is_a_trap_and_each_is_seen(web: Served, admin: Page) -> None:
    """Through a whole page and out again at its end, an outline at every stop."""
    web.connect()
    web.rotation("shop")
    admin.goto("/rotations/shop")
    stops = 0
    while stops < 100:
        admin.keyboard.press("Tab")
        if admin.evaluate("document.activeElement === document.body"):
            break
        assert shows_focus(admin), admin.evaluate("document.activeElement.outerHTML")
        stops += 1
    assert 10 < stops < 100, stops
