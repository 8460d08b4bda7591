"""Connections in a browser: each thing that can be wrong with a key is told in words, and then nothing is stored."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tasks.providers.openrouter.emulator import Fault, FaultKind
from tests.browser.person import Opens
from tests.web.served import Served

KEY = "Management key"


def _fill(page: Page, key: str, *, name: str = "prod", description: str = "of the team") -> None:
    page.goto("/connections")
    page.get_by_role("link", name="Add connection").first.click()
    page.get_by_role("radio", name="OpenRouter").check()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Description").fill(description)
    page.get_by_label(KEY, exact=True).fill(key)
    page.get_by_role("button", name="Check and add").click()


def _expect_refused(web: Served, page: Page, words: str, key: str) -> None:
    """Told at the field and above; nothing stored; what was typed is kept, the key is not."""
    expect(page.get_by_role("alert")).to_contain_text(words)
    assert web.operations.list_connections() == ()
    expect(page.get_by_label("Name", exact=True)).to_have_value("prod")
    expect(page.get_by_label("Description")).to_have_value("of the team")
    expect(page.get_by_label(KEY, exact=True)).to_have_value("")
    assert key not in page.content()


def test_a_good_key_makes_a_connection(web: Served, admin: Page) -> None:
    _fill(admin, web.management_key.reveal())
    expect(admin.get_by_role("status")).to_contain_text("The key is valid")
    expect(admin.get_by_role("heading", name="prod", level=1)).to_be_visible()
    expect(admin.get_by_text("Valid", exact=True)).to_be_visible()
    assert web.management_key.reveal() not in admin.content()
    (stored,) = web.operations.list_connections()
    assert (stored.name, stored.description) == ("prod", "of the team")


def test_a_key_that_openrouter_does_not_know_is_named_so(web: Served, admin: Page) -> None:
    wrong = f"emulator-{web.canary}-unknown"
    _fill(admin, wrong)
    _expect_refused(web, admin, "rejected", wrong)
    expect(admin.get_by_label(KEY, exact=True)).to_have_accessible_description(
        re.compile("OpenRouter rejected the key")
    )


def test_an_ordinary_key_is_named_as_such(web: Served, admin: Page) -> None:
    ordinary, _hash = web.account.mint("an application's")
    _fill(admin, ordinary)
    _expect_refused(web, admin, "ordinary API key", ordinary)


def test_while_openrouter_is_down_nothing_is_stored(web: Served, admin: Page) -> None:
    web.emulator.stop()
    _fill(admin, web.management_key.reveal())
    _expect_refused(web, admin, "OpenRouter could not be asked", web.management_key.reveal())


def test_while_openrouter_limits_nothing_is_stored_and_the_same_form_works_later(web: Served, admin: Page) -> None:
    web.emulator.faults.add(Fault(kind=FaultKind.STATUS, status=429, retry_after=7, times=1))
    _fill(admin, web.management_key.reveal())
    _expect_refused(web, admin, "rate", web.management_key.reveal())
    admin.get_by_label(KEY, exact=True).fill(web.management_key.reveal())
    admin.get_by_role("button", name="Check and add").click()
    expect(admin.get_by_role("status")).to_contain_text("The key is valid")


@pytest.mark.parametrize("name", ["Prod", "prod--1", "x" * 65, "prod!"])
def test_a_name_that_is_none_is_refused_at_its_field(web: Served, admin: Page, name: str) -> None:
    _fill(admin, web.management_key.reveal(), name=name)
    expect(admin.get_by_label("Name", exact=True)).to_have_value(name)
    expect(admin.get_by_label("Name", exact=True)).to_have_attribute("aria-invalid", "true")
    expect(admin.get_by_role("alert")).to_be_focused()
    assert web.operations.list_connections() == ()


def test_a_name_that_is_taken_is_refused_before_openrouter_is_asked(web: Served, admin: Page) -> None:
    web.connect("prod")
    asked = len(web.account.calls)
    _fill(admin, web.management_key.reveal())
    expect(admin.get_by_role("alert")).to_contain_text("prod")
    expect(admin.get_by_label("Name", exact=True)).to_have_attribute("aria-invalid", "true")
    assert len(web.account.calls) == asked


def test_waiting_shows_and_the_form_is_sent_once(web: Served, admin: Page) -> None:
    """Noted by the page itself: Playwright looks at nothing while the next page is on its way."""
    web.connect("other")
    web.emulator.faults.add(Fault(kind=FaultKind.LATENCY, seconds=0.5))
    admin.goto("/connections/other/key")
    admin.get_by_label("New management key").fill(web.management_key.reveal())
    asked = len(web.account.calls)
    admin.get_by_role("button", name="Check and replace").evaluate(_PRESS_TWICE)
    expect(admin.get_by_role("status")).to_contain_text("taken the old one's place")
    assert admin.evaluate("sessionStorage.waiting") == "true Asking OpenRouter about the key …"
    once = len(web.account.calls) - asked
    admin.goto("/connections/other/key")
    admin.get_by_label("New management key").fill(web.management_key.reveal())
    admin.get_by_role("button", name="Check and replace").click()
    assert len(web.account.calls) - asked == 2 * once


_PRESS_TWICE = """button => {
  const note = () => { sessionStorage.waiting = `${button.disabled} ${button.textContent}`; };
  button.form.addEventListener("submit", () => setTimeout(() => setTimeout(note, 0), 0));
  button.click();
  button.click();
}"""


def test_a_key_is_replaced_only_by_one_that_is_proven(web: Served, admin: Page) -> None:
    web.connect()
    before = web.operations.show_connection("prod").fingerprint
    admin.goto("/connections/prod")
    admin.get_by_role("link", name="Replace the key").click()
    admin.get_by_label("New management key").fill(f"emulator-{web.canary}-unknown")
    admin.get_by_role("button", name="Check and replace").click()
    expect(admin.get_by_role("alert")).to_contain_text("rejected")
    assert web.operations.show_connection("prod").fingerprint == before
    another = f"emulator-{web.canary}-second"
    web.account.register_management_key(another)
    admin.get_by_label("New management key").fill(another)
    admin.get_by_role("button", name="Check and replace").click()
    expect(admin.get_by_role("status")).to_contain_text("taken the old one's place")


def test_a_check_tells_what_became_of_the_key(web: Served, admin: Page) -> None:
    web.connect()
    web.emulator.faults.add(Fault(kind=FaultKind.STATUS, status=401))
    admin.goto("/connections/prod")
    admin.get_by_role("button", name="Check now").click()
    expect(admin.get_by_text("Rejected", exact=True)).to_be_visible()
    admin.goto("/connections")
    expect(admin.get_by_role("row", name="prod")).to_contain_text("Rejected")


def test_a_connection_in_use_is_not_deleted_and_says_by_whom(web: Served, admin: Page) -> None:
    web.connect()
    web.rotation("shop")
    admin.goto("/connections/prod")
    admin.get_by_role("link", name="Delete").click()
    expect(admin.get_by_text("It cannot be deleted while 1 rotation mints keys with it")).to_be_visible()
    expect(admin.get_by_role("main").get_by_role("link", name="shop")).to_be_visible()
    expect(admin.get_by_role("main").get_by_role("button")).to_have_count(0)


def test_a_connection_is_deleted_by_who_types_its_name(web: Served, admin: Page) -> None:
    web.connect()
    admin.goto("/connections/prod/delete")
    confirm = admin.get_by_label("Type the name")
    confirm.fill("pord")
    admin.get_by_role("button", name="Delete connection").click()
    expect(admin.get_by_role("alert")).to_contain_text("It is not the name, so nothing was done.")
    assert web.operations.list_connections()
    confirm.fill("prod")
    admin.get_by_role("button", name="Delete connection").click()
    expect(admin.get_by_role("status")).to_contain_text("are deleted")
    assert web.operations.list_connections() == ()


def test_a_viewer_sees_the_health_and_nothing_to_press(web: Served, opens: Opens) -> None:
    web.connect()
    page = opens("viewer")
    page.goto("/connections/prod")
    expect(page.get_by_text("Valid", exact=True)).to_be_visible()
    expect(page.get_by_role("main").get_by_role("button")).to_have_count(0)
    expect(page.get_by_role("link", name="Replace the key")).to_have_count(0)
    page.goto("/new-connection")
    expect(page.get_by_role("heading", level=1)).to_have_text("This is not yours to do")
