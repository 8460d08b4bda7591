"""The OpenRouter adapter keeps the promises of the ``Provider`` port: against the emulator, on a socket and off it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from config.secret import Secret
from tasks.providers.openrouter.adapter import BINDINGS_TIMEOUT, CALL_TIMEOUT, OpenRouter, Timeouts
from tasks.providers.openrouter.emulator import Account, EmulatorServer, EmulatorTransport, Fault, FaultBook, FaultKind
from tasks.rotation.errors import (
    Broken,
    CredentialRejected,
    InvalidInput,
    OutcomeUnknown,
    RateLimited,
    Refused,
    RotatorError,
    Unavailable,
)
from tasks.rotation.model import ConnectionHealth, KeyParameters, LimitReset
from tasks.rotation.ports import BindingReport, MintedKey, Provider

IMPATIENT = Timeouts(read_s=0.2)
UNHURRIED = Timeouts(total_s=3600)
MANAGEMENT = Secret("emulator-" + secrets.token_hex(8))
NOWHERE = "0" * 64


@dataclass(frozen=True)
class Scene:
    """A provider and the account that it talks to. ``impatient`` is for calls whose reply never comes."""

    provider: OpenRouter
    impatient: Callable[[], OpenRouter]
    account: Account
    faults: FaultBook

    def fail(self, kind: FaultKind, method: str = "*", path: str = "*", **how: object) -> None:
        self.faults.add(Fault.model_validate({"kind": kind, "method": method, "path": path, **how}))

    def create(self, name: str = "app #1-marker", parameters: KeyParameters | None = None) -> MintedKey:
        return self.provider.create_key(MANAGEMENT, parameters or KeyParameters("app"), name=name, expires_at=None)

    def names(self, workspace_id: str | None = None) -> list[str]:
        return [key.name for key in self.provider.list_keys(MANAGEMENT, workspace_id=workspace_id)]

    def asked(self) -> list[str]:
        return [f"{call.method} {call.path}" for call in self.account.calls]


@pytest.fixture(params=["in-process", "socket"])
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    account, faults = Account(canary="canary"), FaultBook()
    with ExitStack() as ending:
        if request.param == "socket":
            base_url = ending.enter_context(EmulatorServer(account, faults)).base_url
            transport = None
        else:
            base_url, transport = "https://openrouter.test/api/v1", EmulatorTransport(account, faults)

        def made(timeouts: Timeouts) -> OpenRouter:
            return ending.enter_context(closing(OpenRouter(base_url, transport=transport, timeouts=timeouts)))

        yield Scene(made(Timeouts()), lambda: made(IMPATIENT), account, faults)


def test_it_is_a_provider(scene: Scene) -> None:
    provider: Provider = scene.provider
    assert scene.provider.app == "open-router"
    assert provider.check(MANAGEMENT).health is ConnectionHealth.VALID


# --- connections: five outcomes ----------------------------------------------------------------------------------


def test_a_management_key_is_valid_and_tells_the_servers_time(scene: Scene) -> None:
    result = scene.provider.check(MANAGEMENT)
    assert result.health is ConnectionHealth.VALID
    assert result.server_time is not None
    assert abs(result.server_time - scene.account.now()) < timedelta(seconds=5)
    assert scene.asked() == ["GET /key", "GET /keys"]


def test_an_unknown_key_is_rejected(scene: Scene) -> None:
    result = scene.provider.check(Secret("sk-or-unknown"))
    assert result.health is ConnectionHealth.REJECTED
    assert "401" in result.message
    assert result.remedy


def test_an_ordinary_key_is_told_from_a_rejected_one(scene: Scene) -> None:
    text, _ = scene.account.mint("app")
    result = scene.provider.check(Secret(text))
    assert result.health is ConnectionHealth.ORDINARY_KEY
    assert "management key" in result.remedy


@pytest.mark.parametrize("path", ["/key", "/keys"])
def test_a_limited_rate_says_nothing_about_the_key(scene: Scene, path: str) -> None:
    scene.fail(FaultKind.STATUS, path=path, status=429, retry_after=30)
    result = scene.provider.check(MANAGEMENT)
    assert result.health is ConnectionHealth.RATE_LIMITED
    assert result.retry_after == timedelta(seconds=30)


@pytest.mark.parametrize("path", ["/key", "/keys"])
@pytest.mark.parametrize(
    "how",
    [
        {"kind": FaultKind.STATUS, "status": 500},
        {"kind": FaultKind.STATUS, "status": 502, "body": "<html>bad gateway</html>"},
        {"kind": FaultKind.MALFORMED},
        {"kind": FaultKind.TRUNCATED},
        {"kind": FaultKind.WRONG_TYPE},
        {"kind": FaultKind.EMPTY},
        {"kind": FaultKind.HUGE},
        {"kind": FaultKind.NEVER_ARRIVES},
        {"kind": FaultKind.REFUSED},
        {"kind": FaultKind.HOLD, "seconds": 5},
    ],
    ids=lambda how: f"{how['kind'].value}{how.get('status', '')}",
)
def test_an_outage_is_not_a_bad_key(scene: Scene, path: str, how: dict[str, object]) -> None:
    scene.faults.add(Fault.model_validate({"path": path, **how}))
    provider = scene.impatient() if how["kind"] is FaultKind.HOLD else scene.provider
    result = provider.check(MANAGEMENT)
    assert result.health is ConnectionHealth.UNREACHABLE
    assert "says nothing about the key" in result.message
    assert result.remedy


def test_the_five_outcomes_read_differently(scene: Scene) -> None:
    ordinary, _ = scene.account.mint("app")
    results = [scene.provider.check(key) for key in (MANAGEMENT, Secret(ordinary), Secret("sk-or-unknown"))]
    for status in (429, 503):
        scene.fail(FaultKind.STATUS, status=status, times=1)
        results.append(scene.provider.check(MANAGEMENT))
    assert {result.health for result in results} == set(ConnectionHealth)
    assert len({result.message for result in results}) == len(results)


# --- the life of a key -------------------------------------------------------------------------------------------


def test_a_plain_life_costs_four_calls(scene: Scene) -> None:
    old = scene.create("app #1-marker")
    before = len(scene.asked())
    new = scene.create("app #2-marker")
    assert scene.provider.describe_caller(new.key) is not None
    assert scene.provider.set_disabled(MANAGEMENT, old.key_hash, disabled=True)
    scene.provider.delete_key(MANAGEMENT, old.key_hash)
    assert scene.asked()[before:] == [
        "POST /keys",
        "GET /key",
        f"PATCH /keys/{old.key_hash}",
        f"DELETE /keys/{old.key_hash}",
    ]
    assert scene.account.live() == {new.key_hash}


def test_a_key_is_made_as_asked_and_says_so_itself(scene: Scene) -> None:
    workspace = scene.account.add_workspace("Team", "team")
    wanted = KeyParameters(
        "app", limit_usd=12.5, limit_reset=LimitReset.MONTHLY, include_byok_in_limit=True, workspace_id=workspace
    )
    expires_at = datetime(2040, 1, 31, 12, 0, 30, tzinfo=UTC)
    minted = scene.provider.create_key(MANAGEMENT, wanted, name="app #1-marker", expires_at=expires_at)
    facts = scene.provider.describe_caller(minted.key)
    assert facts is not None
    assert not facts.is_management_key
    assert (facts.limit_usd, facts.limit_reset, facts.include_byok_in_limit) == (12.5, "monthly", True)
    assert (facts.expires_at, facts.workspace_id) == (expires_at, workspace)
    listed = scene.provider.get_key(MANAGEMENT, minted.key_hash)
    assert listed is not None
    assert (listed.name, listed.limit_usd, listed.expires_at) == ("app #1-marker", 12.5, expires_at)
    assert listed.created_at.tzinfo is not None


def test_an_expiry_in_another_zone_is_sent_in_utc(scene: Scene) -> None:
    east = datetime.fromisoformat("2040-02-01T01:30:00.987654+02:00")
    minted = scene.provider.create_key(MANAGEMENT, KeyParameters("app"), name="n", expires_at=east)
    listed = scene.provider.get_key(MANAGEMENT, minted.key_hash)
    assert listed is not None
    assert listed.expires_at == east.replace(microsecond=0)


def test_a_key_that_is_not_accepted_describes_nobody(scene: Scene) -> None:
    minted = scene.create()
    scene.provider.set_disabled(MANAGEMENT, minted.key_hash, disabled=True)
    assert scene.provider.describe_caller(minted.key) is None
    scene.provider.set_disabled(MANAGEMENT, minted.key_hash, disabled=False)
    assert scene.provider.describe_caller(minted.key) is not None
    scene.provider.delete_key(MANAGEMENT, minted.key_hash)
    assert scene.provider.describe_caller(minted.key) is None
    assert scene.provider.describe_caller(Secret("no header\ncan carry this")) is None


def test_a_401_of_some_other_server_does_not_condemn_a_new_key(scene: Scene) -> None:
    minted = scene.create()
    scene.fail(FaultKind.STATUS, status=401, body="<html>log in to the hotel's network</html>")
    with pytest.raises(Unavailable):
        scene.provider.describe_caller(minted.key)


def test_disabling_and_deleting_may_be_repeated(scene: Scene) -> None:
    minted = scene.create()
    for _ in range(2):
        assert scene.provider.set_disabled(MANAGEMENT, minted.key_hash, disabled=True) is True
    for _ in range(2):
        scene.provider.delete_key(MANAGEMENT, minted.key_hash)
    assert scene.provider.set_disabled(MANAGEMENT, minted.key_hash, disabled=True) is False
    assert scene.provider.get_key(MANAGEMENT, minted.key_hash) is None
    assert scene.account.existing() == frozenset()


def test_a_404_of_some_other_server_does_not_pass_for_gone(scene: Scene) -> None:
    minted = scene.create()
    scene.fail(FaultKind.STATUS, status=404, body="<html>not found</html>")
    with pytest.raises(Unavailable):
        scene.provider.get_key(MANAGEMENT, minted.key_hash)
    with pytest.raises(OutcomeUnknown):
        scene.provider.delete_key(MANAGEMENT, minted.key_hash)
    with pytest.raises(OutcomeUnknown):
        scene.provider.set_disabled(MANAGEMENT, minted.key_hash, disabled=True)
    assert scene.account.live() == {minted.key_hash}


@pytest.mark.parametrize("key_hash", ["..", "../credits", "a/b", "", "a b", "a?x=1"])
def test_a_hash_from_a_person_cannot_lead_to_another_path(scene: Scene, key_hash: str) -> None:
    with pytest.raises(InvalidInput):
        scene.provider.delete_key(MANAGEMENT, key_hash)
    with pytest.raises(InvalidInput):
        scene.provider.get_key(MANAGEMENT, key_hash)
    assert scene.asked() == []


# --- a create that goes wrong ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "how",
    [
        {"kind": FaultKind.LOST_REPLY},
        {"kind": FaultKind.LOST_REPLY, "ending": "reset"},
        {"kind": FaultKind.LOST_REPLY, "ending": "silence"},
        {"kind": FaultKind.TRUNCATED},
        {"kind": FaultKind.MALFORMED},
        {"kind": FaultKind.WRONG_TYPE},
        {"kind": FaultKind.EMPTY},
        {"kind": FaultKind.HUGE},
        {"kind": FaultKind.HOLD, "seconds": 5},
        {"kind": FaultKind.STATUS, "status": 504, "effect": True},
        {"kind": FaultKind.STATUS, "status": 307, "effect": True},
    ],
    ids=lambda how: "-".join(str(getattr(value, "value", value)) for value in how.values()),
)
def test_a_create_whose_reply_is_lost_is_unknown_and_its_key_is_found_by_name(
    scene: Scene, how: dict[str, object]
) -> None:
    scene.faults.add(Fault.model_validate({"method": "POST", "path": "/keys", "times": 1, **how}))
    never_replied = how["kind"] is FaultKind.HOLD or how.get("ending") == "silence"
    provider = scene.impatient() if never_replied else scene.provider
    with pytest.raises(OutcomeUnknown):
        provider.create_key(MANAGEMENT, KeyParameters("app"), name="app #1-marker", expires_at=None)
    assert scene.names() == ["app #1-marker"]
    assert scene.asked().count("POST /keys") == 1


@pytest.mark.parametrize(
    ("status", "family"),
    [(400, Refused), (401, CredentialRejected), (402, Refused), (403, Refused), (409, Refused), (429, RateLimited)],
)
def test_a_create_that_was_refused_made_no_key(scene: Scene, status: int, family: type[RotatorError]) -> None:
    scene.fail(FaultKind.STATUS, status=status)
    with pytest.raises(family) as caught:
        scene.create()
    assert caught.value.remedy
    assert scene.account.existing() == frozenset()


def test_parameters_that_openrouter_refuses_are_named(scene: Scene) -> None:
    with pytest.raises(Refused, match="name"):
        scene.create(name="")


def test_a_connection_that_was_refused_sent_nothing() -> None:
    server = EmulatorServer().start()
    server.stop()
    with closing(OpenRouter(server.base_url)) as provider, pytest.raises(Unavailable, match="Nothing was sent"):
        provider.create_key(MANAGEMENT, KeyParameters("app"), name="n", expires_at=None)


def test_an_environment_with_a_proxy_does_not_send_the_loopback_through_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    with EmulatorServer() as server, closing(OpenRouter(server.base_url)) as provider:
        assert provider.check(MANAGEMENT).health is ConnectionHealth.VALID


# --- listing -----------------------------------------------------------------------------------------------------


def test_every_key_is_listed_once_newest_first_disabled_ones_too(scene: Scene) -> None:
    hashes = [scene.account.mint(f"key {number}")[1] for number in range(230)]
    scene.provider.set_disabled(MANAGEMENT, hashes[5], disabled=True)
    listed = list(scene.provider.list_keys(MANAGEMENT, workspace_id=None))
    assert [key.key_hash for key in listed] == hashes[::-1]
    assert [key.key_hash for key in listed if key.disabled] == [hashes[5]]


def test_expired_keys_are_listed() -> None:
    clock = [datetime(2030, 1, 1, tzinfo=UTC)]
    account = Account(clock=lambda: clock[0])
    provider = OpenRouter("https://openrouter.test/api/v1", transport=EmulatorTransport(account))
    soon = clock[0] + timedelta(hours=1)
    minted = provider.create_key(MANAGEMENT, KeyParameters("app"), name="n", expires_at=soon)
    clock[0] = soon + timedelta(seconds=1)
    assert [key.key_hash for key in provider.list_keys(MANAGEMENT, workspace_id=None)] == [minted.key_hash]
    assert provider.describe_caller(minted.key) is None


def test_a_listing_that_found_its_key_asks_for_no_further_page(scene: Scene) -> None:
    for number in range(150):
        scene.account.mint(f"key {number}")
    assert next(scene.provider.list_keys(MANAGEMENT, workspace_id=None)).name == "key 149"
    assert scene.asked() == ["GET /keys"]


def test_a_listing_is_of_one_workspace(scene: Scene) -> None:
    team = scene.account.add_workspace("Team", "team")
    scene.account.mint("here")
    scene.account.mint("there", workspace_id=team)
    assert scene.names() == ["here"]
    assert scene.names(team) == ["there"]


def test_no_key_slips_past_while_others_are_made_and_deleted(scene: Scene) -> None:
    hashes = [scene.account.mint(f"key {number}")[1] for number in range(210)]
    seen: set[str] = set()
    for count, key in enumerate(scene.provider.list_keys(MANAGEMENT, workspace_id=None), start=1):
        assert key.key_hash not in seen
        seen.add(key.key_hash)
        if count == 100:
            scene.account.mint("made meanwhile")
            for gone in hashes[-6:]:
                scene.provider.delete_key(MANAGEMENT, gone)
    assert seen == set(hashes)


# --- bindings ----------------------------------------------------------------------------------------------------


class Dashboard:
    """What a person sets up at OpenRouter, by its own API and past the adapter."""

    def __init__(self, account: Account) -> None:
        headers = {"Authorization": f"Bearer {MANAGEMENT.reveal()}"}
        transport = EmulatorTransport(account)
        self._http = httpx.Client(base_url="https://openrouter.test/api/v1", transport=transport, headers=headers)

    def post(self, path: str, **body: object) -> str:
        answer = self._http.post(path, json=body).raise_for_status().json()
        return str(answer.get("data", {}).get("id", ""))

    def patch(self, path: str, **body: object) -> None:
        self._http.patch(path, json=body).raise_for_status()

    def field(self, path: str, name: str) -> object:
        return self._http.get(path).raise_for_status().json()["data"][name]

    def guarded(self, guardrail_id: str) -> set[str]:
        path, hashes = f"/guardrails/{guardrail_id}/assignments/keys", set()
        for offset in (0, 100):
            answer = self._http.get(path, params={"limit": 100, "offset": offset}).raise_for_status().json()
            hashes |= {one["key_hash"] for one in answer["data"]}
        return hashes

    def guardrail(self, *hashes: str, **where: str) -> str:
        guardrail_id = self.post("/guardrails", name="no models but ours", **where)
        self.post(f"/guardrails/{guardrail_id}/assignments/keys", key_hashes=list(hashes))
        return guardrail_id

    def byok(self, *hashes: str, **where: str) -> str:
        body = {"key": "provider's own", "provider": "openai", "name": "ours", **where}
        return self.post("/byok", **body, allowed_api_key_hashes=list(hashes) or None)

    def traces(self, *hashes: str, **where: str) -> str:
        body = {"type": "webhook", "name": "hook", "config": {"url": "https://hook.test"}, **where}
        return self.post("/observability/destinations", **body, api_key_hashes=list(hashes) or None)


@dataclass(frozen=True)
class Bound:
    """A key with everything bound to it, its successor, and a stranger in the same lists."""

    old: str
    new: str
    stranger: str
    guardrail: str
    byok: str
    traces: str
    workspace: str | None


@pytest.fixture
def dashboard(scene: Scene) -> Dashboard:
    return Dashboard(scene.account)


@pytest.fixture(params=["default workspace", "team workspace"])
def bound(request: pytest.FixtureRequest, scene: Scene, dashboard: Dashboard) -> Bound:
    team = None if request.param == "default workspace" else scene.account.add_workspace("Team", "team")
    where = {} if team is None else {"workspace_id": team}
    old, new, stranger = (scene.account.mint(name, workspace_id=team)[1] for name in ("old", "new", "stranger"))
    return Bound(
        old,
        new,
        stranger,
        dashboard.guardrail(old, stranger, **where),
        dashboard.byok(stranger, old, **where),
        dashboard.traces(old, stranger, **where),
        team,
    )


def carried(scene: Scene, bound: Bound) -> BindingReport:
    """Carry everything from the old key to the new."""
    return scene.provider.carry_bindings(
        MANAGEMENT, old_hash=bound.old, new_hash=bound.new, workspace_id=bound.workspace
    )


def test_what_is_bound_to_the_old_key_is_carried_to_the_new(scene: Scene, dashboard: Dashboard, bound: Bound) -> None:
    report = carried(scene, bound)
    assert report.warnings == ()
    assert report.carried == (
        f"guardrail {bound.guardrail}",
        f"BYOK credential {bound.byok} ('ours')",
        f"observability destination {bound.traces} ('hook')",
    )
    everyone = {bound.old, bound.new, bound.stranger}
    assert dashboard.guarded(bound.guardrail) == everyone
    assert dashboard.field(f"/byok/{bound.byok}", "allowed_api_key_hashes") == [bound.stranger, bound.old, bound.new]
    traced = dashboard.field(f"/observability/destinations/{bound.traces}", "api_key_hashes")
    assert traced == [bound.old, bound.stranger, bound.new]
    again = len(scene.asked())
    assert carried(scene, bound) == report
    assert not [call for call in scene.asked()[again:] if not call.startswith("GET")]


def test_a_key_about_to_die_is_taken_out_of_the_lists(scene: Scene, dashboard: Dashboard, bound: Bound) -> None:
    for _ in range(2):
        scene.provider.drop_bindings(MANAGEMENT, old_hash=bound.old, workspace_id=bound.workspace)
    assert dashboard.field(f"/byok/{bound.byok}", "allowed_api_key_hashes") == [bound.stranger]
    traced = dashboard.field(f"/observability/destinations/{bound.traces}", "api_key_hashes")
    assert traced == [bound.stranger]


def test_nothing_bound_costs_three_lists(scene: Scene, dashboard: Dashboard) -> None:
    old, new = (scene.account.mint(name)[1] for name in ("old", "new"))
    dashboard.byok()
    dashboard.traces()
    before = len(scene.asked())
    report = scene.provider.carry_bindings(MANAGEMENT, old_hash=old, new_hash=new, workspace_id=None)
    assert (report.carried, report.warnings) == ((), ())
    assert scene.asked()[before:] == [
        "GET /guardrails/assignments/keys",
        "GET /byok",
        "GET /observability/destinations",
    ]


@pytest.mark.parametrize("kind", ["guardrail", "byok", "traces"])
def test_whether_anything_names_a_key_is_seen_by_workspace(scene: Scene, dashboard: Dashboard, kind: str) -> None:
    team = scene.account.add_workspace("Team", "team")
    _, some_key = scene.account.mint("some key", workspace_id=team)
    dashboard.byok(workspace_id=team)
    dashboard.traces(workspace_id=team)
    assert not scene.provider.binds_keys(MANAGEMENT, workspace_id=team)
    getattr(dashboard, kind)(some_key, workspace_id=team)
    assert scene.provider.binds_keys(MANAGEMENT, workspace_id=team)
    in_default = scene.provider.binds_keys(MANAGEMENT, workspace_id=None)
    assert in_default is (kind == "guardrail"), "guardrail assignments are listed for the whole account"


def test_a_list_never_becomes_empty_nor_open_to_every_key(scene: Scene, dashboard: Dashboard) -> None:
    _, old = scene.account.mint("old")
    byok = dashboard.byok(old)
    scene.provider.drop_bindings(MANAGEMENT, old_hash=old, workspace_id=None)
    assert dashboard.field(f"/byok/{byok}", "allowed_api_key_hashes") == [old]
    assert not [call for call in scene.asked() if call.startswith("PATCH")]


def test_a_full_list_is_left_alone_and_told(scene: Scene, dashboard: Dashboard) -> None:
    hashes = [scene.account.mint(f"key {number}")[1] for number in range(100)]
    _, new = scene.account.mint("new")
    byok = dashboard.byok(*hashes)
    report = scene.provider.carry_bindings(MANAGEMENT, old_hash=hashes[0], new_hash=new, workspace_id=None)
    assert report.carried == ()
    assert [byok in warning for warning in report.warnings] == [True]
    assert dashboard.field(f"/byok/{byok}", "allowed_api_key_hashes") == hashes


def test_a_dead_hash_of_someone_else_blocks_carrying_but_not_dropping(scene: Scene, dashboard: Dashboard) -> None:
    (_, old), (_, new), (_, dead) = (scene.account.mint(name) for name in ("old", "new", "dead"))
    dashboard.byok(old, dead)
    scene.provider.delete_key(MANAGEMENT, dead)
    with pytest.raises(Refused, match="no longer exist"):
        scene.provider.carry_bindings(MANAGEMENT, old_hash=old, new_hash=new, workspace_id=None)
    scene.provider.drop_bindings(MANAGEMENT, old_hash=old, workspace_id=None)


def test_a_guardrail_that_the_new_key_already_has_is_not_replaced(scene: Scene, dashboard: Dashboard) -> None:
    old, new = (scene.account.mint(name)[1] for name in ("old", "new"))
    dashboard.guardrail(old)
    other = dashboard.guardrail(new)
    report = scene.provider.carry_bindings(MANAGEMENT, old_hash=old, new_hash=new, workspace_id=None)
    assert report.carried == ()
    assert len(report.warnings) == 1
    assert dashboard.guarded(other) == {new}


def test_bindings_beyond_the_first_page_are_found(scene: Scene, dashboard: Dashboard) -> None:
    hashes = [scene.account.mint(f"key {number}")[1] for number in range(130)]
    _, new = scene.account.mint("new")
    guardrail = dashboard.guardrail(*hashes)
    for key_hash in (hashes[0], hashes[-1]):
        report = scene.provider.carry_bindings(MANAGEMENT, old_hash=key_hash, new_hash=new, workspace_id=None)
        assert report.carried == (f"guardrail {guardrail}",)
    assert dashboard.guarded(guardrail) == {*hashes, new}


@pytest.mark.parametrize(("status", "warned"), [(403, 3), (404, 0)])
def test_an_account_without_the_features_has_nothing_bound(scene: Scene, status: int, warned: int) -> None:
    old, new = (scene.account.mint(name)[1] for name in ("old", "new"))
    scene.fail(FaultKind.STATUS, method="GET", status=status)
    report = scene.provider.carry_bindings(MANAGEMENT, old_hash=old, new_hash=new, workspace_id=None)
    assert report.carried == ()
    assert len(report.warnings) == warned
    scene.provider.drop_bindings(MANAGEMENT, old_hash=old, workspace_id=None)


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize("kind", [FaultKind.LOST_REPLY, FaultKind.NEVER_ARRIVES])
def test_carrying_that_breaks_off_goes_on_where_it_stood(
    scene: Scene, dashboard: Dashboard, bound: Bound, method: str, kind: FaultKind
) -> None:
    scene.fail(kind, method=method, times=1)
    with pytest.raises(OutcomeUnknown):
        carried(scene, bound)
    assert len(carried(scene, bound).carried) == 3
    named = dashboard.field(f"/byok/{bound.byok}", "allowed_api_key_hashes")
    assert named == [bound.stranger, bound.old, bound.new]


@pytest.mark.parametrize(("kind", "method"), [("guardrail", "POST"), ("byok", "PATCH"), ("traces", "PATCH")])
def test_what_was_attached_but_is_not_shown_is_unknown(kind: str, method: str) -> None:
    account = Account()
    old, new = (account.mint(name)[1] for name in ("old", "new"))
    binding = getattr(Dashboard(account), kind)(old)
    emulator = EmulatorTransport(account)

    def forgetful(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={}) if request.method == method else emulator.handle_request(request)

    provider = OpenRouter("https://openrouter.test/api/v1", transport=httpx.MockTransport(forgetful))
    with pytest.raises(OutcomeUnknown, match=binding):
        provider.carry_bindings(MANAGEMENT, old_hash=old, new_hash=new, workspace_id=None)


def test_an_answer_that_contradicts_the_request_is_a_broken_promise() -> None:
    account = Account()
    (_, asked), (_, other) = account.mint("asked"), account.mint("other")
    emulator = EmulatorTransport(account)

    def contrary(request: httpx.Request) -> httpx.Response:
        if request.method == "DELETE":
            return httpx.Response(200, json={"deleted": False})
        shown = httpx.Request("GET", str(request.url).replace(other, asked), headers=request.headers)
        return emulator.handle_request(shown)

    provider = OpenRouter("https://openrouter.test/api/v1", transport=httpx.MockTransport(contrary))
    with pytest.raises(Broken, match="the key is unchanged"):
        provider.set_disabled(MANAGEMENT, asked, disabled=True)
    with pytest.raises(Broken, match="another key"):
        provider.get_key(MANAGEMENT, other)
    with pytest.raises(OutcomeUnknown):
        provider.delete_key(MANAGEMENT, asked)


def test_carrying_begins_no_call_that_would_outlast_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("tasks.providers.openrouter.looks.time.monotonic", lambda: now[0])
    account = Account()
    old, new = (account.mint(name)[1] for name in ("old", "new"))
    Dashboard(account).byok(old)
    emulator = EmulatorTransport(account)

    def slow(request: httpx.Request) -> httpx.Response:
        now[0] += CALL_TIMEOUT.total_seconds()
        return emulator.handle_request(request)

    client = OpenRouter("https://openrouter.test/api/v1", transport=httpx.MockTransport(slow), timeouts=UNHURRIED)
    with pytest.raises(Unavailable, match="takes too long"):
        client.carry_bindings(MANAGEMENT, old_hash=old, new_hash=new, workspace_id=None)
    assert now[0] <= BINDINGS_TIMEOUT.total_seconds()


def test_one_look_serves_many_rotations_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("tasks.providers.openrouter.looks.time.monotonic", lambda: now[0])
    account = Account()
    hashes = [account.mint(f"key {number}")[1] for number in range(6)]
    provider = OpenRouter(
        "https://openrouter.test/api/v1",
        transport=EmulatorTransport(account),
        bindings_max_age=timedelta(seconds=30),
    )

    def cost(old: str, new: str, key: Secret = MANAGEMENT) -> int:
        before = len(account.calls)
        provider.carry_bindings(key, old_hash=old, new_hash=new, workspace_id=None)
        return len(account.calls) - before

    assert [cost(hashes[0], hashes[1]), cost(hashes[2], hashes[3])] == [3, 0]
    assert cost(hashes[0], hashes[1], Secret("emulator-other")) == 3
    guardrail = Dashboard(account).guardrail(hashes[4])
    now[0] = 31
    assert cost(hashes[4], hashes[5]) > 3
    assert Dashboard(account).guarded(guardrail) == {hashes[4], hashes[5]}


def test_a_remembered_look_is_taken_afresh_before_a_guardrail_is_changed() -> None:
    account = Account()
    old, new, unbound, other = (account.mint(name)[1] for name in ("old", "new", "unbound", "other"))
    dashboard = Dashboard(account)
    first = dashboard.guardrail(old)
    provider = OpenRouter(
        "https://openrouter.test/api/v1", transport=EmulatorTransport(account), bindings_max_age=timedelta(hours=1)
    )
    provider.carry_bindings(MANAGEMENT, old_hash=unbound, new_hash=other, workspace_id=None)
    second = dashboard.guardrail(old)
    provider.carry_bindings(MANAGEMENT, old_hash=old, new_hash=new, workspace_id=None)
    assert (dashboard.guarded(first), dashboard.guarded(second)) == (set(), {old, new})


def test_threads_that_carry_into_one_list_lose_nothing() -> None:
    account = Account()
    pairs = [(account.mint(f"old {number}")[1], account.mint(f"new {number}")[1]) for number in range(12)]
    byok = Dashboard(account).byok(*(old for old, _ in pairs))

    with EmulatorServer(account) as server, closing(OpenRouter(server.base_url)) as provider:

        def carry(pair: tuple[str, str]) -> BindingReport:
            return provider.carry_bindings(MANAGEMENT, old_hash=pair[0], new_hash=pair[1], workspace_id=None)

        with ThreadPoolExecutor(6) as threads:
            reports = list(threads.map(carry, pairs))
    assert all(len(report.carried) == 1 for report in reports)
    named = Dashboard(account).field(f"/byok/{byok}", "allowed_api_key_hashes")
    assert isinstance(named, list)
    assert sorted(named) == sorted(one for pair in pairs for one in pair)
