"""The wizard: five steps, there and back, a mistake on each, and nothing stored before the last button."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.person import Opens
from tests.web.served import Served


def _expect_step(page: Page, name: str) -> None:
    expect(page.get_by_role("list", name="Steps").locator("[aria-current=step]")).to_have_text(name)


def _next(page: Page) -> None:
    page.get_by_role("button", name="Next").click()


def _back(page: Page) -> None:
    page.get_by_role("button", name="Back").click()


def _fill(page: Page, label: str, text: str) -> None:
    page.get_by_label(label, exact=True).fill(text)


def _expect_fault_at(page: Page, label: str) -> None:
    """Told above and at the field, with what was typed still in it."""
    expect(page.get_by_role("alert")).to_be_visible()
    field = page.get_by_label(label, exact=True)
    expect(field).to_have_attribute("aria-invalid", "true")
    page.get_by_role("alert").get_by_role("link").click()
    expect(field).to_be_focused()


def _walk(page: Page, target: Path, name: str) -> None:
    """From the first step to the review, with a mistake on each step."""
    _fill(page, "Interval", "now and then")
    _next(page)
    _expect_step(page, "Behaviour")
    _expect_fault_at(page, "Interval")
    expect(page.get_by_label("Interval", exact=True)).to_have_value("now and then")
    _fill(page, "Interval", "7d")
    _fill(page, "Overlap", "2h")
    _next(page)

    _expect_step(page, "Key")
    _fill(page, "Key name", name)
    _fill(page, "Spending limit (optional)", "plenty")
    _next(page)
    _expect_fault_at(page, "Spending limit (optional)")
    _fill(page, "Spending limit (optional)", "12.5")
    page.get_by_label("Refill").select_option("monthly")
    _next(page)

    _expect_step(page, "Where to publish")
    page.get_by_label("Kind").select_option("dotenv")
    _fill(page, "Target", "not/absolute.env")
    page.get_by_role("button", name="Add destination").click()
    _expect_fault_at(page, "Target")
    _fill(page, "Target", str(target))
    page.get_by_role("button", name="Add destination").click()
    expect(page.get_by_role("button", name=f"Remove dotenv:{target}")).to_be_visible()
    _next(page)

    _expect_step(page, "Name")
    _fill(page, "Name", "Not A Name")
    _next(page)
    _expect_fault_at(page, "Name")
    _fill(page, "Name", name)
    _fill(page, "Description (optional)", "reads reviews")
    _next(page)
    _expect_step(page, "Review")


def _expect_reviewed(page: Page, target: Path, name: str) -> None:
    main = page.get_by_role("main")
    for told in ("every 7d", "$12.50, refilled monthly", f"dotenv:{target}", name, "reads reviews", "valid for 2h"):
        expect(main).to_contain_text(told)
    expect(main).to_contain_text("Can be written")


@pytest.mark.parametrize("javascript", [True, False], ids=["with-javascript", "without"])
def test_a_rotation_is_made_in_five_steps_and_mistakes_are_told_where_they_are(
    web: Served, opens: Opens, javascript: bool
) -> None:
    web.connect()
    page, target = opens("admin", java_script_enabled=javascript), web.folder / "shop.env"
    page.goto("/rotations")
    page.get_by_role("link", name="Create rotation").first.click()
    _walk(page, target, "shop")
    _expect_reviewed(page, target, "shop")
    assert web.operations.status().rotations == ()
    assert not target.exists()
    page.get_by_role("button", name="Create rotation").click()
    expect(page.get_by_role("heading", name="shop", level=1)).to_be_visible()
    web.until_version("shop", 1)
    view = web.operations.show_rotation("shop")
    assert (view.parameters.limit_usd, view.description, len(view.destinations)) == (12.5, "reads reviews", 1)
    assert target.exists()


def test_going_back_and_forth_loses_nothing_that_was_filled_in(web: Served, admin: Page) -> None:
    web.connect()
    admin.goto("/new-rotation")
    _fill(admin, "Interval", "9d")
    _next(admin)
    _fill(admin, "Key name", "shop")
    _back(admin)
    expect(admin.get_by_label("Interval", exact=True)).to_have_value("9d")
    _next(admin)
    expect(admin.get_by_label("Key name", exact=True)).to_have_value("shop")
    _next(admin)
    admin.get_by_label("Kind").select_option("dotenv")
    _fill(admin, "Target", str(web.folder / "a.env"))
    admin.get_by_role("button", name="Add destination").click()
    _next(admin)
    _fill(admin, "Name", "shop")
    _next(admin)
    admin.get_by_role("button", name="Change behaviour").click()
    expect(admin.get_by_label("Interval", exact=True)).to_have_value("9d")
    _fill(admin, "Interval", "11d")
    for _ in range(4):
        _next(admin)
    expect(admin.get_by_role("main")).to_contain_text("every 11d")
    expect(admin.get_by_role("main")).to_contain_text("a.env")
    _back(admin)
    _expect_step(admin, "Name")
    expect(admin.get_by_label("Name", exact=True)).to_have_value("shop")


def test_a_destination_is_taken_from_the_list_again(web: Served, admin: Page) -> None:
    web.connect()
    admin.goto("/new-rotation")
    _next(admin)
    _fill(admin, "Key name", "shop")
    _next(admin)
    for file in ("a.env", "b.env"):
        admin.get_by_label("Kind").select_option("dotenv")
        _fill(admin, "Target", str(web.folder / file))
        admin.get_by_role("button", name="Add destination").click()
    admin.get_by_role("button", name=f"Remove dotenv:{web.folder}/a.env").click()
    expect(admin.get_by_text(f"dotenv:{web.folder}/a.env")).to_have_count(0)
    expect(admin.get_by_role("button", name=f"Remove dotenv:{web.folder}/b.env")).to_be_visible()


def test_the_review_tells_what_is_in_the_way_and_stores_nothing(web: Served, admin: Page) -> None:
    web.connect()
    (web.folder / "a-folder").mkdir()
    admin.goto("/new-rotation?connection=prod")
    _next(admin)
    _fill(admin, "Key name", "shop")
    _next(admin)
    admin.get_by_label("Kind").select_option("dotenv")
    _fill(admin, "Target", str(web.folder / "a-folder"))
    admin.get_by_role("button", name="Add destination").click()
    _next(admin)
    _fill(admin, "Name", "shop")
    _next(admin)
    _expect_step(admin, "Review")
    expect(admin.get_by_text("Refuses", exact=True)).to_be_visible()
    expect(admin.get_by_role("main")).to_contain_text("not a regular file")
    expect(admin.get_by_role("main")).not_to_contain_text("--publish")
    assert web.operations.status().rotations == ()


def test_a_name_that_was_taken_meanwhile_is_told_at_the_name(web: Served, admin: Page) -> None:
    web.connect()
    admin.goto("/new-rotation")
    _next(admin)
    _fill(admin, "Key name", "shop")
    _next(admin)
    _next(admin)
    _fill(admin, "Name", "shop")
    _next(admin)
    web.rotation("shop")
    admin.get_by_role("button", name="Create rotation").click()
    _expect_step(admin, "Name")
    _expect_fault_at(admin, "Name")


def test_without_a_connection_it_says_what_comes_first(admin: Page) -> None:
    admin.goto("/new-rotation")
    expect(admin.get_by_text("There is no connection to mint keys with.")).to_be_visible()
    expect(admin.get_by_role("link", name="Add one first")).to_be_visible()


def test_pressing_enter_in_a_field_goes_on(web: Served, admin: Page) -> None:
    """The first button of a form is the one that Enter presses: it must not be a destination's removal."""
    web.connect()
    admin.goto("/new-rotation")
    admin.get_by_label("Interval", exact=True).press("Enter")
    _expect_step(admin, "Key")
    _fill(admin, "Key name", "shop")
    admin.get_by_label("Key name", exact=True).press("Enter")
    _expect_step(admin, "Where to publish")
    admin.get_by_label("Kind").select_option("dotenv")
    _fill(admin, "Target", str(web.folder / "a.env"))
    admin.get_by_role("button", name="Add destination").click()
    admin.get_by_label("Secret name", exact=True).press("Enter")
    _expect_step(admin, "Name")
    _fill(admin, "Name", "shop")
    admin.get_by_label("Name", exact=True).press("Enter")
    _expect_step(admin, "Review")
    expect(admin.get_by_role("main")).to_contain_text("a.env")
