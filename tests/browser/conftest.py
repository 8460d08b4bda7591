"""A real browser (Debian's Chromium) before a real server."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.browser.person import Opens, sign_in, watched
from tests.web.served import Served, served

NEEDED = "chromium is needed: apt-get install chromium"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all tests."""
    path = shutil.which("chromium")
    if path is None and "CI" not in os.environ:
        pytest.skip(NEEDED)
    assert path is not None, NEEDED
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Served]:
    """A running server over a new installation, with nothing in it."""
    with served(tmp_path) as stage:
        yield stage


@pytest.fixture
def context(browser: Browser, web: Served) -> Iterator[BrowserContext]:
    """A browser that has never been here; no page of it may report an error, or ask anybody else."""
    with watched(browser, web.url) as made:
        yield made


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """An empty page."""
    return context.new_page()


@pytest.fixture
def opens(browser: Browser, web: Served) -> Iterator[Opens]:
    """Browsers for several people, or for one who signed in."""
    with ExitStack() as stack:

        def opened(role: str | None = None, **options: Any) -> Page:
            page = stack.enter_context(watched(browser, web.url, **options)).new_page()
            if role is not None:
                sign_in(page, web.token(role))
            return page

        yield opened


@pytest.fixture
def admin(opens: Opens) -> Page:
    """A page of an admin who has signed in."""
    return opens("admin")
