"""Who sits before the browser: what they may, what their browser complains of, and where their eyes and fingers go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Protocol

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect

PATIENCE_MS: Final = 20_000
"""Nothing takes as long; a machine with much else to do may."""
expect.set_options(timeout=PATIENCE_MS)


class Opens(Protocol):
    """Opens a browser that has never been here, as somebody who signed in with a new token of ``role``, or as nobody;
    ``options`` are Playwright's for a new context."""

    def __call__(self, role: str | None = None, **options: Any) -> Page:
        """Its page."""


@contextmanager
def watched(browser: Browser, url: str, **options: Any) -> Iterator[BrowserContext]:
    """A browser that has never been here. At the end AssertionError if a page reported an error, breached the policy
    for contents, or asked anybody but the server at ``url``."""
    usual = {"base_url": url, "viewport": {"width": 1280, "height": 900}}
    made = browser.new_context(**{**usual, **options})
    made.set_default_timeout(PATIENCE_MS)
    faults: list[str] = []
    made.on("console", lambda message: faults.append(message.text) if _is_fault(message) else None)
    made.on("weberror", lambda error: faults.append(str(error.error)))
    made.on("request", lambda request: None if _is_ours(request, url) else faults.append(f"asked {request.url}"))
    try:
        yield made
    finally:
        made.close()
    assert not faults, faults


def sign_in(page: Page, token: str) -> None:
    """Sign in on the page that asks for it, and wait for what comes after."""
    page.goto("/sign-in")
    page.get_by_label("API token").fill(token)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def scrolls_sideways(page: Page) -> int:
    """How many pixels of the page stand out to the right."""
    wider: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return wider


def tab_to(page: Page, role: Any, name: str, *, within: int = 60) -> None:
    """Press the tabulator until the link, field or button has the focus, and shows it. Raises AssertionError."""
    wanted = page.get_by_role(role, name=name, exact=True)
    for _ in range(within):
        page.keyboard.press("Tab")
        if wanted.evaluate_all("found => found.includes(document.activeElement)"):
            assert shows_focus(page), f"{name} has the focus, and nobody sees it"
            return
    raise AssertionError(f"no {role} {name} within {within} presses of the tabulator")


def shows_focus(page: Page) -> bool:
    """Whether an outline of two pixels or more is around what has the focus."""
    width = "parseFloat(getComputedStyle(document.activeElement).outlineWidth)"
    style = "getComputedStyle(document.activeElement).outlineStyle"
    seen: bool = page.evaluate(f"{style} !== 'none' && {width} >= 2")
    return seen


def _is_ours(request: Request, url: str) -> bool:
    return request.url.startswith((f"{url}/", "data:"))


def _is_fault(message: ConsoleMessage) -> bool:
    """What the browser complains of, such as a breach of the policy for contents; not that an answer is an error."""
    return message.type == "error" and not message.text.startswith("Failed to load resource")
