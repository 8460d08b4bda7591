"""Signing in and out: who may, for how long, and what is left behind."""

from __future__ import annotations

import sqlite3
from datetime import timedelta

from playwright.sync_api import Page, expect

from tests.browser.person import Opens, sign_in
from tests.web.served import Served


def _try(page: Page, token: str) -> None:
    page.goto("/")
    page.get_by_label("API token").fill(token)
    page.get_by_role("button", name="Sign in").click()


def test_whoever_has_a_token_signs_in_and_comes_to_where_they_wanted(web: Served, page: Page) -> None:
    web.connect()
    page.goto("/connections/prod")
    expect(page).to_have_title("Sign in · openrouter-rotator")
    page.get_by_label("API token").fill(web.token("viewer"))
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="prod", level=1)).to_be_visible()
    expect(page.get_by_role("banner")).to_contain_text("viewer")


def test_a_wrong_token_is_refused_in_words_and_not_shown_again(web: Served, page: Page) -> None:
    wrong = web.token("admin")[:-4] + "AAAA"
    _try(page, wrong)
    expect(page.get_by_role("alert")).to_contain_text("token")
    expect(page.get_by_label("API token")).to_have_value("")
    assert wrong not in page.content()
    page.goto("/")
    expect(page.get_by_label("API token")).to_be_visible()


def test_a_blank_token_is_not_sent(web: Served, page: Page) -> None:
    _try(page, "")
    expect(page.get_by_label("API token")).to_be_focused()


def test_a_consumers_token_is_for_applications(web: Served, page: Page) -> None:
    web.connect()
    web.rotation("web")
    _try(page, web.token("consumer", "web"))
    expect(page.get_by_role("alert")).to_contain_text("consumer")
    expect(page.get_by_label("API token")).to_be_visible()


def test_a_revoked_token_ends_its_sessions(web: Served, page: Page) -> None:
    _, token = web.operations.create_token("leaver", "viewer")
    sign_in(page, token.reveal())
    web.operations.revoke_token("leaver")
    page.goto("/connections")
    expect(page.get_by_label("API token")).to_be_visible()


def test_after_signing_out_nothing_is_left_and_back_shows_nothing(web: Served, admin: Page) -> None:
    web.connect("secret-plans")
    admin.goto("/connections")
    expect(admin.get_by_role("link", name="secret-plans")).to_be_visible()
    admin.get_by_role("button", name="Sign out").click()
    expect(admin.get_by_text("You are signed out.")).to_be_visible()
    expect(admin.get_by_role("button", name="Sign out")).to_have_count(0)
    assert admin.context.cookies() == []
    admin.go_back()
    expect(admin.get_by_label("API token")).to_be_visible()
    expect(admin.get_by_text("secret-plans")).to_have_count(0)


def test_the_cookie_is_out_of_reach_for_scripts_and_other_sites(admin: Page) -> None:
    (cookie,) = admin.context.cookies()
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Strict"
    assert admin.evaluate("document.cookie") == ""
    kept = admin.evaluate("JSON.stringify([Object.entries(localStorage), Object.entries(sessionStorage)])")
    assert str(cookie.get("value")) not in kept
    assert "rtk_" not in kept


def test_signing_in_again_gives_another_cookie(web: Served, admin: Page) -> None:
    (before,) = admin.context.cookies()
    sign_in(admin, web.token("admin"))
    (after,) = admin.context.cookies()
    assert before["value"] != after["value"]


def test_who_does_nothing_is_signed_out_though_the_page_refreshes_itself(web: Served, admin: Page) -> None:
    """The page asks every few seconds whether something changed: that is no sign of a person."""
    begun = _last_seen(web)
    with admin.expect_response(lambda answer: "poll=1" in answer.url) as polled:
        pass
    assert polled.value.ok
    assert _last_seen(web) == begun
    _seen_earlier(web, web.settings.web_session_idle_s)
    expect(admin).to_have_url(f"{web.url}/sign-in")
    expect(admin.get_by_label("API token")).to_be_visible()


def _last_seen(web: Served) -> int:
    with sqlite3.connect(web.folder / "data" / "rotator.sqlite3") as database:
        ((seen,),) = database.execute("SELECT seen_at FROM sessions")
    return int(seen)


def _seen_earlier(web: Served, span: timedelta) -> None:
    with sqlite3.connect(web.folder / "data" / "rotator.sqlite3") as database:
        database.execute("UPDATE sessions SET seen_at = seen_at - ?", (int(span.total_seconds() * 1000),))


def test_the_way_after_signing_in_leads_nowhere_else(web: Served, opens: Opens) -> None:
    page = opens()
    page.goto("/sign-in?next=//elsewhere.example/")
    page.get_by_label("API token").fill(web.token("viewer"))
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{web.url}/")
