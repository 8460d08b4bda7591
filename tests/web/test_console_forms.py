"""The console's forms: what they do, how they fail, and that nothing stored or typed gets out as markup."""

from __future__ import annotations

import pytest

from config.secret import Secret
from tasks.operations.requests import RotationUpdate, ScheduleRequest
from tasks.providers.openrouter.emulator.faults import Fault as EmulatorFault
from tasks.providers.openrouter.emulator.faults import FaultKind
from tests.web.browsing import Browser, field_in, words_in
from tests.web.served import Served
from worker.web.access.table import CONSOLE, ROUTES, Proof

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


def test_who_has_no_session_is_sent_to_sign_in_and_back(web: Served) -> None:
    web.connect()
    stranger = Browser(web, role=None)
    sent = stranger.get("/connections")
    assert (sent.status_code, sent.headers["location"]) == (303, "/sign-in?next=/connections")
    form = stranger.get(sent.headers["location"]).text
    wrong = stranger.http.post("/sign-in", data={"token": "rtk_wrong", "next": field_in(form, "next")})
    assert wrong.status_code == 403
    assert "rtk_wrong" not in wrong.text
    right = stranger.http.post("/sign-in", data={"token": web.token("viewer"), "next": field_in(form, "next")})
    assert right.headers["location"] == "/connections"
    assert stranger.get("/connections").status_code == 200


def test_after_signing_out_there_is_nothing_to_see(web: Served) -> None:
    browser = Browser(web, "viewer")
    assert browser.send("/sign-out", "/").headers["location"] == "/sign-in?said=signed-out"
    assert browser.get("/").status_code == 303


def test_a_form_without_the_sessions_proof_changes_nothing(web: Served) -> None:
    web.connect()
    browser = Browser(web)
    answer = browser.http.post("/connections/prod/delete", data={"confirm": "prod", "csrf": "made up"})
    assert answer.status_code == 403
    assert "text/html" in answer.headers["content-type"]
    assert [c.name for c in web.operations.list_connections()] == ["prod"]


def test_a_connection_is_added_replaced_renamed_and_deleted(web: Served) -> None:
    browser, key = Browser(web), web.management_key.reveal()
    added = browser.send("/new-connection", app="open-router", name="prod", description="ours", api_key=key)
    assert added.headers["location"] == "/connections/prod?said=connected"
    assert "ours" in words_in(browser.get("/connections").text)
    assert browser.send("/connections/prod/key", api_key=key).status_code == 303
    assert browser.send("/connections/prod/check", "/connections/prod").status_code == 303
    page = browser.get("/connections/prod/edit").text
    renamed = browser.send("/connections/prod/edit", name="live", description="", revision=field_in(page, "revision"))
    assert renamed.headers["location"] == "/connections/live?said=saved"
    assert browser.send("/connections/live/delete", confirm="prod").status_code == 422
    assert browser.send("/connections/live/delete", confirm="live").status_code == 303
    assert web.operations.list_connections() == ()
    shown = "".join(browser.get(path).text for path in ("/connections", "/events", "/"))
    assert web.canary not in shown


def test_what_is_wrong_with_a_key_is_told_at_the_key_and_the_key_is_not(web: Served) -> None:
    browser = Browser(web)
    wrong = browser.send("/new-connection", app="open-router", name="prod", description=HOSTILE, api_key="wrong-key")
    assert wrong.status_code == 422
    assert 'href="#api_key"' in wrong.text
    assert 'aria-invalid="true"' in wrong.text
    assert "wrong-key" not in wrong.text
    assert field_in(wrong.text, "name") == "prod"
    ordinary, _ = web.account.mint("an ordinary one")
    told = browser.send("/new-connection", app="open-router", name="prod", api_key=ordinary)
    assert told.status_code == 422
    assert "not a management key" in words_in(told.text)
    assert ordinary not in told.text
    assert web.operations.list_connections() == ()


def test_openrouter_being_down_is_told_as_that(web: Served) -> None:
    web.emulator.refuse(60)
    key = web.management_key.reveal()
    told = Browser(web).send("/new-connection", app="open-router", name="prod", api_key=key)
    assert told.status_code == 503
    assert "Nothing was stored" in words_in(told.text)
    assert web.operations.list_connections() == ()


def test_a_connection_in_use_names_who_uses_it(web: Served) -> None:
    web.connect()
    web.rotation()
    browser = Browser(web)
    assert 'href="/rotations/web"' in browser.get("/connections/prod/delete").text
    form = field_in(browser.get("/connections/prod").text, "csrf")
    refused = browser.http.post("/connections/prod/delete", data={"csrf": form, "confirm": "prod"})
    assert refused.status_code == 409


def test_a_rotation_is_rotated_undone_paused_and_told_of_in_numbers(web: Served) -> None:
    web.connect()
    web.rotation()
    browser = Browser(web, "operator")
    promise = words_in(browser.get("/rotations/web/rotate").text)
    assert "Version 2 is minted, proven and published to 1 destination now. Version 1 stays valid until" in promise
    assert browser.send("/rotations/web/rotate").headers["location"] == "/rotations/web?said=rotating"
    web.until_version("web", 2)
    page = browser.get("/rotations/web").text
    assert "Version 1 is proven again and published" in words_in(page)
    assert 'role="img"' in page
    assert "version 3 is planned for" in page
    assert browser.send("/rotations/web/undo").status_code == 303
    web.until_version("web", 1)
    assert browser.send("/rotations/web/pause", "/rotations/web").status_code == 303
    assert web.operations.show_rotation("web").paused
    assert browser.send("/rotations/web/resume", "/rotations/web").status_code == 303


def test_emergency_and_deletion_ask_for_the_name(web: Served) -> None:
    web.connect()
    web.rotation()
    browser = Browser(web)
    assert browser.send("/rotations/web/emergency", confirm="wbe").status_code == 422
    assert web.operations.show_rotation("web").in_flight is None
    assert "version 1 is deleted at OpenRouter" in words_in(browser.get("/rotations/web/emergency").text)
    assert browser.send("/rotations/web/emergency", confirm="web").status_code == 303
    web.until_version("web", 2)
    assert browser.send("/rotations/web/delete", confirm="web").status_code == 422
    assert browser.send("/rotations/web/delete", confirm="web", removal="revoke-keys").status_code == 303


def test_destinations_are_added_tried_and_removed_once_that_is_meant(web: Served) -> None:
    web.connect()
    web.rotation()
    browser, place = Browser(web), web.folder / "second.env"
    refused = browser.send("/rotations/web/destinations", kind="redis", target="redis://:hunter2@nowhere")
    assert refused.status_code == 422
    assert "hunter2" not in refused.text
    assert browser.send("/rotations/web/destinations", kind="dotenv", target=str(place)).status_code == 303
    assert "Can be written" in browser.send("/rotations/web/destinations/check", "/rotations/web").text
    remove = {"path": "/rotations/web/destinations/remove", "page": "/rotations/web", "label": f"dotenv:{place}"}
    assert "Remove destination" in browser.send(**remove).text
    assert len(web.operations.show_rotation("web").destinations) == 2
    assert browser.send(**remove, sure="yes").status_code == 303
    assert len(web.operations.show_rotation("web").destinations) == 1


def test_a_withdrawal_that_does_not_get_on_is_called_off(web: Served) -> None:
    web.connect()
    web.rotation()
    browser, place = Browser(web), web.folder / "web.env"
    label = web.operations.show_rotation("web").destinations[0].label
    place.unlink()
    place.mkdir()
    remove = {"path": "/rotations/web/destinations/remove", "page": "/rotations/web", "label": label}
    assert browser.send(**remove, sure="yes", withdraw="yes").status_code == 303
    assert "Call off" in browser.get("/rotations/web").text
    assert "Call the withdrawal off" in browser.send(**remove).text
    assert browser.send(**remove, sure="yes").status_code == 303
    assert web.operations.show_rotation("web").destinations == ()


def test_an_edit_of_what_somebody_else_changed_meanwhile_is_refused(web: Served) -> None:
    web.connect()
    web.rotation()
    browser = Browser(web)
    page = browser.get("/rotations/web/edit").text
    fields = "name description every at cron timezone window overlap cooling key_name limit expires_after revision"
    typed = {name: field_in(page, name) for name in fields.split()} | {"how": "every", "limit_reset": ""}
    web.operations.update_rotation("web", RotationUpdate(overlap="2h"))
    assert browser.send("/rotations/web/edit", **typed | {"every": "10d"}).status_code == 409
    fresh = typed | {"revision": field_in(browser.get("/rotations/web/edit").text, "revision"), "every": "10d"}
    assert browser.send("/rotations/web/edit", **fresh).headers["location"] == "/rotations/web?said=saved"
    assert web.operations.schedule_of("web") == ScheduleRequest(every="10d")


def test_the_key_is_shown_once_to_an_admin_who_asks_and_that_is_written_down(web: Served) -> None:
    web.connect()
    web.rotation()
    browser = Browser(web)
    key = web.operations.reveal_key("web").reveal()
    assert key not in browser.get("/rotations/web/key").text
    shown = browser.send("/rotations/web/key")
    assert key in shown.text
    assert shown.headers["cache-control"] == "no-store"
    everywhere = "".join(browser.get(p).text for p in ("/", "/rotations/web", "/rotations/web/events", "/events"))
    assert key not in everywhere
    assert web.operations.events(rotation="web")[-1].name == "key_read"


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_a_role_sees_only_what_it_may_do(web: Served, role: str) -> None:
    web.connect()
    web.rotation()
    browser = Browser(web, role)
    page = browser.get("/rotations/web").text
    assert ("Rotate now" in page) is (role == "operator")
    assert "Show the key" not in page
    assert "Create rotation" not in browser.get("/rotations").text
    refused = browser.get("/new-connection")
    assert refused.status_code == 403
    assert "This is not yours to do" in words_in(refused.text)


def test_every_page_of_the_console_stands_behind_a_session() -> None:
    open_to_all = {name for name in CONSOLE if ROUTES[name].proof is not Proof.SESSION}
    assert open_to_all == {"console_sign_in", "console_begin_session"}


def test_hostile_texts_are_words_and_never_markup(web: Served) -> None:
    web.connect()
    web.operations.update_connection("prod", description=HOSTILE)
    place = web.folder / "<b onmouseover=alert(3)>.env"
    web.rotation(key_name=HOSTILE, description=HOSTILE, publish=(Secret(f"dotenv:{place}"),))
    browser = Browser(web)
    sub = "rotate undo emergency delete key destinations edit events"
    paths = ["/", "/?poll=1", "/events", "/connections", "/connections/prod", "/connections/prod/edit", "/rotations"]
    paths += ["/rotations/web", "/rotations/web?poll=1", *(f"/rotations/web/{name}" for name in sub.split())]
    for path in [*paths, "/rotations/%3Cscript%3Ealert(1)", "/?said=<script>", "/sign-in?next=%22%3E%3Cscript%3E"]:
        text = browser.get(path).text
        assert "<script>alert" not in text, path
        assert "<img src=x" not in text, path
        assert "<b onmouseover" not in text, path
        assert "style=" not in text, path
    assert HOSTILE in words_in(browser.get("/rotations/web").text)


def test_an_emulator_that_limits_is_told_as_that(web: Served) -> None:
    web.emulator.faults.add(EmulatorFault(kind=FaultKind.STATUS, status=429))
    told = Browser(web).send("/new-connection", app="open-router", name="prod", api_key=web.management_key.reveal())
    assert told.status_code == 503
    assert web.operations.list_connections() == ()


def test_the_overview_says_what_needs_attention_and_refreshes_in_part(web: Served) -> None:
    web.connect()
    web.rotation()
    browser = Browser(web, "viewer")
    said = words_in(browser.get("/").text)
    assert "Nobody keeps time" in said  # no beat in this test
    web.rotator.store.record_tick()
    web.account.revoke_management_key(web.management_key.reveal())
    web.operations.check_connection("prod")
    part = browser.get("/?poll=1").text
    assert "<html" not in part
    assert "Connection prod" in words_in(part)
    assert "Nobody keeps time" not in words_in(part)
