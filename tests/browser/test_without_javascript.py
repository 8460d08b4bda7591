"""Without JavaScript: everything can be read, and the forms that matter work. The wizard does so in its own tests."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.person import Opens
from tests.web.served import Served


@pytest.fixture
def plain(opens: Opens) -> Page:
    """An admin whose browser runs no script."""
    return opens("admin", java_script_enabled=False)


def test_every_page_can_be_read(web: Served, plain: Page) -> None:
    web.connect()
    web.rotation("shop")
    plain.goto("/")
    expect(plain.get_by_text("Version 1 active")).to_be_visible()
    plain.get_by_role("link", name="Rotations", exact=True).click()
    plain.get_by_role("link", name="shop").click()
    expect(plain.get_by_role("img", name="version 1 is active")).to_be_visible()
    expect(plain.get_by_role("row", name="1 active")).to_be_visible()
    expect(plain.get_by_text("Holds version 1", exact=True)).to_be_visible()
    plain.get_by_role("link", name="All of it").click()
    expect(plain.get_by_text("Rotation created")).to_be_visible()
    plain.get_by_role("link", name="Connections", exact=True).click()
    plain.get_by_role("link", name="prod").click()
    expect(plain.get_by_text("Valid", exact=True)).to_be_visible()


def test_a_connection_is_added_after_a_mistake(web: Served, plain: Page) -> None:
    plain.goto("/new-connection")
    plain.get_by_label("Name", exact=True).fill("prod")
    plain.get_by_label("Management key", exact=True).fill(f"emulator-{web.canary}-unknown")
    plain.get_by_role("button", name="Check and add").click()
    expect(plain.get_by_role("alert")).to_be_visible()
    expect(plain.get_by_label("Name", exact=True)).to_have_value("prod")
    plain.get_by_label("Management key", exact=True).fill(web.management_key.reveal())
    plain.get_by_role("button", name="Check and add").click()
    expect(plain.get_by_role("heading", name="prod", level=1)).to_be_visible()


def test_a_rotation_is_rotated_undone_paused_and_deleted(web: Served, plain: Page) -> None:
    web.connect()
    web.rotation("shop")
    plain.goto("/rotations/shop")
    plain.get_by_role("link", name="Rotate now").click()
    plain.get_by_role("button", name="Rotate now").click()
    web.until_version("shop", 2)
    plain.goto("/rotations/shop/undo")
    plain.get_by_role("button", name="Bring it back").click()
    web.until_version("shop", 1)
    plain.goto("/rotations/shop")
    plain.get_by_role("button", name="Pause", exact=True).click()
    expect(plain.get_by_text("Paused", exact=True)).to_be_visible()
    plain.goto("/rotations/shop/emergency")
    plain.get_by_label("Type the name").fill("shop")
    plain.get_by_role("button", name="Replace it and delete every older key").click()
    web.until_version("shop", 3)
    plain.goto("/rotations/shop/delete")
    plain.get_by_role("radio", name="Revoke them").check()
    plain.get_by_label("Type the name").fill("shop")
    plain.get_by_role("button", name="Delete rotation").click()
    expect(plain.get_by_role("heading", level=1)).to_be_visible()
    plain.get_by_role("button", name="Sign out").click()
    expect(plain.get_by_label("API token")).to_be_visible()
