"""A browser without a picture: it keeps its cookie, and sends forms with the proof that is in them."""

from __future__ import annotations

import re
from html import unescape

import httpx

from tests.web.served import PATIENCE_S, Served


class Browser:
    """Someone who is signed in, or not yet."""

    def __init__(self, web: Served, role: str | None = "admin") -> None:
        headers = {"accept": "text/html", "origin": web.url, "sec-fetch-site": "same-origin"}
        self.http = web.clients.enter_context(httpx.Client(base_url=web.url, headers=headers, timeout=PATIENCE_S))
        if role is not None:
            self.sign_in(web.token(role))

    def sign_in(self, token: str) -> httpx.Response:
        """Send the sign-in form."""
        return self.http.post("/sign-in", data={"token": token, "next": "/"})

    def get(self, path: str) -> httpx.Response:
        """A page."""
        return self.http.get(path)

    def send(self, path: str, page: str | None = None, **fields: str) -> httpx.Response:
        """Send the form of ``page`` (which is at ``path`` too, where none is named) to ``path``."""
        shown = self.get(page or path).text
        return self.http.post(path, data={"csrf": field_in(shown, "csrf"), **fields})


def field_in(html: str, name: str) -> str:
    """What a field of a page holds."""
    tag = re.search(rf'<input[^>]*\bname="{name}"[^>]*>', html)
    assert tag is not None, f"there is no field {name}"
    value = re.search(r'\bvalue="([^"]*)"', tag[0])
    return unescape(value[1]) if value else ""


def words_in(html: str) -> str:
    """What a page says, without its tags."""
    body = re.sub(r"<(script|style)\b.*?</\1>", "", html, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())
