"""The API described, and the files that pages load: complete, ours, and nothing beside them."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from tests.web.served import Served
from worker.web.access.table import ROUTES, Proof
from worker.web.assets import FOLDER, asset_url, assets

VENDOR = FOLDER / "vendor"
_FAILURE = {"$ref": "#/components/schemas/Failure"}


@pytest.fixture
def document(web: Served) -> dict[str, Any]:
    """As anybody gets it."""
    found: dict[str, Any] = web.client().get("/openapi.json").raise_for_status().json()
    return found


def _operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for methods in document["paths"].values() for operation in methods.values()]


def test_every_operation_is_named_as_in_the_table_described_and_says_how_it_fails(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for operation in _operations(document)]
    assert len(names) == len(set(names))
    for operation in _operations(document):
        name, answers = operation["operationId"], operation["responses"]
        assert operation.get("description"), name
        assert any(status.startswith("2") for status in answers), name
        assert {"429", "500"} <= set(answers), name
        guarded = ROUTES[name].proof is not Proof.NONE
        assert ("security" in operation) == guarded, name
        assert not guarded or {"403", "503"} <= set(answers), name
        for status in ("403", "413", "422", "429", "500"):
            if status in answers:
                assert answers[status]["content"]["application/json"]["schema"] == _FAILURE, f"{name} {status}"


def test_a_failure_has_the_form_that_the_document_says(web: Served, document: dict[str, Any]) -> None:
    said = document["components"]["schemas"]["Failure"]
    told = web.client().get("/there/is/none").json()
    assert set(said["required"]) <= set(told) <= set(said["properties"])


def test_nothing_of_this_installation_is_in_the_document(web: Served) -> None:
    web.connect("secret-plan")
    text = web.client().get("/openapi.json").text
    assert "secret-plan" not in text
    assert str(web.folder) not in text
    assert web.url not in text


def test_the_page_loads_nothing_but_files_of_ours_and_has_nothing_inline(web: Served) -> None:
    page = web.client().get("/docs")
    assert page.status_code == 200
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
    assert "//" not in page.text
    assert "<style" not in page.text
    assert page.text.count("<script ") == page.text.count("></script>") == 2


def test_a_file_may_be_kept_for_good_under_its_version_and_is_asked_for_again_without(web: Served) -> None:
    client = web.client()
    for name, file in assets().items():
        answer = client.get(asset_url(name))
        assert answer.content == file.content
        assert answer.headers["content-type"] == file.media_type
        assert "immutable" in answer.headers["cache-control"]
        again = client.get(f"/static/{name}", headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["cache-control"] == "public, no-cache"


@pytest.mark.parametrize(
    "path",
    [
        "/static/",
        "/static/vendor",
        "/static/vendor/SHA256SUMS",
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/static/vendor/..%2f..%2fapp.py",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/docs.js%00",
        "/static/docs.js/",
        "/static/DOCS.JS",
    ],
)
def test_what_is_no_file_of_ours_is_not_found(web: Served, path: str) -> None:
    assert web.client().get(path).status_code == 404


def test_the_files_of_others_are_as_they_were_released() -> None:
    lines = (VENDOR / "SHA256SUMS").read_text().splitlines()
    hashes = {name: hash_ for hash_, name in (line.split() for line in lines)}
    found = [path for path in VENDOR.iterdir() if path.suffix in {".js", ".css"}]
    assert {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in found} == hashes
    told = (VENDOR / "README.md").read_text()
    assert all(f"`{name}`" in told for name in hashes)
