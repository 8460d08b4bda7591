"""What one does to a rotation, and how its page shows what comes of it, by itself."""

from __future__ import annotations

import pytest
from dotenv import dotenv_values
from playwright.sync_api import Page, expect

from tasks.rotation.model import VersionState
from tests.browser.person import Opens
from tests.web.served import Served


@pytest.fixture
def shop(web: Served) -> Served:
    """With a rotation whose first version is active."""
    web.connect()
    web.rotation("shop")
    return web


def _picture(page: Page) -> str:
    """What the picture of key lives tells who cannot see it."""
    return page.get_by_role("img", name="Lives of").get_attribute("aria-label") or ""


def _bars(page: Page) -> int:
    count: int = page.get_by_role("img", name="Lives of").locator("rect").count()
    return count


def test_rotate_now_and_the_picture_changes_by_itself(shop: Served, admin: Page) -> None:
    admin.goto("/rotations/shop")
    admin.evaluate("window.untouched = true")
    admin.get_by_role("link", name="Rotate now").click()
    expect(admin.get_by_text("Version 2 is minted, proven and published to 1 destination now.")).to_be_visible()
    expect(admin.get_by_text("Would mint")).to_be_visible()
    assert len(shop.operations.versions("shop")) == 1
    shop.work.rest()
    admin.get_by_role("button", name="Rotate now").click()
    expect(admin.get_by_role("status").filter(has_text="A new version is on its way")).to_be_visible()
    expect(admin.get_by_text("Rotating", exact=True)).to_be_visible()
    expect(admin.get_by_role("img", name="version 2 is planned")).to_be_visible()
    bars = _bars(admin)
    admin.evaluate("window.untouched = true")
    shop.work.go_on()
    expect(admin.get_by_role("img", name="version 1 is retiring; version 2 is active")).to_be_visible()
    expect(admin.get_by_text("Fine", exact=True)).to_be_visible()
    expect(admin.get_by_text("Holds version 2", exact=True)).to_be_visible()
    expect(admin.get_by_role("row", name="1 retiring")).to_be_visible()
    assert _bars(admin) > bars
    assert admin.evaluate("window.untouched"), "the page was loaded anew"


def test_a_second_request_joins_the_first(shop: Served, admin: Page) -> None:
    shop.work.rest()
    for said in ("A new version is on its way", "A version was on its way already"):
        admin.goto("/rotations/shop/rotate")
        admin.get_by_role("button", name="Rotate now").click()
        expect(admin.get_by_role("status").filter(has_text=said)).to_be_visible()
    assert [v.number for v in shop.operations.versions("shop")] == [1, 2]


def test_undo_brings_the_previous_version_back(shop: Served, admin: Page) -> None:
    admin.goto("/rotations/shop")
    expect(admin.get_by_role("link", name="Rotate now")).to_be_visible()
    expect(admin.get_by_role("link", name="Undo")).to_have_count(0)
    shop.operations.rotate("shop")
    shop.until_version("shop", 2)
    admin.goto("/rotations/shop")
    admin.get_by_role("link", name="Undo").click()
    expect(admin.get_by_text("Version 1 is proven again and published to 1 destination.")).to_be_visible()
    admin.get_by_role("button", name="Bring it back").click()
    expect(admin.get_by_role("img", name="version 1 is active")).to_be_visible()
    expect(admin.get_by_text("Holds version 1", exact=True)).to_be_visible()


def test_an_emergency_asks_for_the_name_and_then_deletes_every_older_key(shop: Served, admin: Page) -> None:
    admin.goto("/rotations/shop")
    admin.get_by_role("link", name="Emergency").click()
    expect(admin.get_by_text("version 1 is deleted at OpenRouter: no overlap, no cooling, no undo")).to_be_visible()
    sure = admin.get_by_role("button", name="Replace it and delete every older key")
    sure.click()
    expect(admin.get_by_label("Type the name")).to_be_focused()
    admin.get_by_label("Type the name").fill("shopp")
    sure.click()
    expect(admin.get_by_role("alert")).to_contain_text("It is not the name, so nothing was done.")
    assert len(shop.operations.versions("shop")) == 1
    admin.get_by_label("Type the name").fill("shop")
    sure.click()
    expect(admin.get_by_role("img", name="version 2 is active")).to_be_visible()
    expect(admin.get_by_role("row", name="1 deleted")).to_be_visible()
    expect(admin.get_by_role("link", name="Undo")).to_have_count(0)


def test_pause_and_resume(shop: Served, admin: Page) -> None:
    admin.goto("/rotations/shop")
    admin.get_by_role("button", name="Pause", exact=True).click()
    expect(admin.get_by_text("Paused", exact=True)).to_be_visible()
    expect(admin.get_by_role("status").filter(has_text="the schedule rests")).to_be_visible()
    assert shop.operations.show_rotation("shop").paused
    admin.get_by_role("button", name="Resume", exact=True).click()
    expect(admin.get_by_text("Fine", exact=True)).to_be_visible()
    assert not shop.operations.show_rotation("shop").paused


def test_a_destination_is_added_and_removed(shop: Served, admin: Page) -> None:
    admin.goto("/rotations/shop")
    admin.get_by_role("link", name="Add or change a destination").click()
    admin.get_by_label("Kind").select_option("dotenv")
    admin.get_by_label("Target").fill("relative.env")
    admin.get_by_role("button", name="Try and add").click()
    expect(admin.get_by_label("Target")).to_have_attribute("aria-invalid", "true")
    second = shop.folder / "second.env"
    admin.get_by_label("Target").fill(str(second))
    admin.get_by_role("button", name="Try and add").click()
    expect(admin.get_by_text("Holds version 1", exact=True)).to_have_count(2)
    assert second.exists()
    admin.get_by_role("button", name="Check destinations").click()
    expect(admin.get_by_text("Can be written", exact=True)).to_have_count(2)
    admin.get_by_role("link", name="Back").click()
    admin.get_by_role("button", name=f"Remove dotenv:{second}").click()
    admin.get_by_role("button", name="Remove destination").click()
    expect(admin.get_by_text("Holds version 1", exact=True)).to_have_count(1)
    assert second.exists()


def test_the_order_is_changed_and_an_older_view_of_it_is_refused(shop: Served, admin: Page) -> None:
    admin.goto("/rotations/shop/edit")
    expect(admin.get_by_label("Interval", exact=True)).to_have_value("30d")
    admin.get_by_label("Interval", exact=True).fill("14d")
    shop.operations.pause_rotation("shop")
    admin.get_by_role("button", name="Save").click()
    expect(admin.get_by_role("alert")).to_be_visible()
    expect(admin.get_by_label("Interval", exact=True)).to_have_value("14d")
    admin.goto("/rotations/shop/edit")
    admin.get_by_label("Interval", exact=True).fill("14d")
    admin.get_by_role("button", name="Save").click()
    expect(admin.get_by_role("main")).to_contain_text("every 14d")


@pytest.mark.parametrize(("choice", "alive"), [("Keep them", True), ("Revoke them", False)])
def test_deleting_asks_what_becomes_of_the_keys_and_for_the_name(
    shop: Served, admin: Page, choice: str, alive: bool
) -> None:
    (version,) = shop.operations.versions("shop")
    admin.goto("/rotations/shop/delete")
    button = admin.get_by_role("button", name="Delete rotation")
    admin.get_by_label("Type the name").fill("shop")
    button.click()
    expect(admin.get_by_role("alert")).to_contain_text("keys")
    admin.get_by_role("radio", name=choice).check()
    admin.get_by_label("Type the name").fill("nothing")
    button.click()
    expect(admin.get_by_role("alert")).to_contain_text("It is not the name")
    expect(admin.get_by_role("radio", name=choice)).to_be_checked()
    admin.get_by_label("Type the name").fill("shop")
    button.click()
    expect(admin.get_by_role("status").filter(has_text="The rotation is deleted")).to_be_visible()
    expect(admin.get_by_role("heading", name="Rotations", level=1)).to_be_visible()
    assert shop.account.existing() == ({version.key_hash} if alive else set())


def test_a_key_is_shown_once_to_an_admin_who_asks(shop: Served, admin: Page) -> None:
    text = str(dotenv_values(shop.folder / "shop.env")["OPENROUTER_API_KEY"])
    admin.goto("/rotations/shop")
    assert text not in admin.content()
    admin.get_by_role("link", name="Show the key").click()
    assert text not in admin.content()
    admin.get_by_role("button", name="Show the key").click()
    expect(admin.get_by_label("The key")).to_have_text(text)
    for leave in (admin.reload, admin.go_back, admin.go_forward):
        leave()
        expect(admin.get_by_role("heading", level=1)).to_be_visible()
        assert text not in admin.content()
    admin.goto("/rotations/shop/events")
    expect(admin.get_by_text("Key shown")).to_have_count(1)


def test_a_failure_is_told_with_when_it_is_tried_again(shop: Served, admin: Page) -> None:
    shop.emulator.stop()
    shop.operations.rotate("shop")
    admin.goto("/rotations/shop")
    expect(admin.get_by_text("waits after attempt 1")).to_be_visible()
    expect(admin.get_by_role("main")).to_contain_text("It is tried again")


def test_the_overview_follows_what_happens(shop: Served, admin: Page) -> None:
    admin.goto("/")
    expect(admin.get_by_role("row", name="shop version 1")).to_be_visible()
    shop.operations.rotate("shop")
    shop.until_version("shop", 2)
    expect(admin.get_by_role("row", name="shop version 2")).to_be_visible()
    expect(admin.get_by_text("Version 2 active")).to_be_visible()


def test_a_viewer_sees_everything_and_can_do_nothing(shop: Served, opens: Opens) -> None:
    page = opens("viewer")
    page.goto("/rotations/shop")
    expect(page.get_by_role("img", name="version 1 is active")).to_be_visible()
    main = page.get_by_role("main")
    expect(main.get_by_role("button")).to_have_count(0)
    for name in ("Rotate now", "Undo", "Emergency", "Delete", "Show the key", "Add or change a destination", "Edit"):
        expect(main.get_by_role("link", name=name)).to_have_count(0)
    for action in ("rotate", "emergency", "delete", "key", "edit", "destinations"):
        page.goto(f"/rotations/shop/{action}")
        expect(page.get_by_role("heading", level=1)).to_have_text("This is not yours to do")


def test_an_operator_rotates_but_neither_creates_nor_deletes_nor_sees_the_key(shop: Served, opens: Opens) -> None:
    page = opens("operator")
    page.goto("/rotations")
    expect(page.get_by_role("link", name="Create rotation")).to_have_count(0)
    page.goto("/rotations/shop")
    for name in ("Delete", "Show the key", "Add or change a destination", "Edit"):
        expect(page.get_by_role("main").get_by_role("link", name=name)).to_have_count(0)
    for action in ("delete", "key", "edit", "destinations"):
        page.goto(f"/rotations/shop/{action}")
        expect(page.get_by_role("heading", level=1)).to_have_text("This is not yours to do")
    page.goto("/rotations/shop")
    page.get_by_role("link", name="Rotate now").click()
    page.get_by_role("button", name="Rotate now").click()
    expect(page.get_by_role("img", name="version 2 is active")).to_be_visible()
    assert shop.operations.versions("shop")[-1].state is VersionState.ACTIVE
