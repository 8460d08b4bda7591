"""The description of the API in a browser: drawn from files of ours alone, and good for trying a call."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.web.served import Served


def test_the_description_is_drawn_and_a_call_can_be_tried_with_a_token(page: Page, web: Served) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto("/docs")
    page.get_by_role("button", name="Authorize").click()
    token = web.token("viewer")
    page.get_by_label("Value").fill(token)
    page.get_by_role("button", name="Apply credentials").click()
    page.locator(".auth-btn-wrapper .btn-done").click()
    page.locator("#operations-installation-show_status .opblock-summary-control").click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    expect(page.locator(".live-responses-table .response-col_status").last).to_contain_text("200")
    assert token not in page.content()
    assert asked
    assert all(url.startswith((web.url, "data:")) for url in asked)
