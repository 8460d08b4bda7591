"""The vault publisher on a real OpenBao: logins and rights, what a secret may look like, and who comes between."""

from __future__ import annotations

import json
import threading
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from secrets import token_hex

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from config.secret import Secret
from tasks.publishers import StoredPublisher, open_publisher
from tasks.publishers._places.vault.secret import VaultSecret
from tasks.rotation.errors import Conflict, CredentialRejected, OperatorNeeded, Refused, TryAgain
from tasks.rotation.model import Holding
from tasks.rotation.ports import Publication
from tests.contract.places._openbao import OpenBao, running_openbao

NAME = "OPENROUTER_API_KEY"


@pytest.fixture(scope="module")
def bao() -> Iterator[OpenBao]:
    with running_openbao() as server:
        yield server


@dataclass(frozen=True)
class Home:
    """A secret of a test's own, and a token that may do what we say that we need."""

    bao: OpenBao
    path: str
    token: str
    mount: str = "secret"

    def target(self, options: str = "", *, token: str | None = None) -> str:
        address = self.bao.address.replace("//", f"//:{token or self.token}@") if not options else self.bao.address
        mount = self.mount.replace("/", "%2F")
        return f"{address}/{mount}/{self.path}?ca_file={self.bao.ca_file}{options and f'&{options}'}#{NAME}"

    def open(self, options: str = "", *, token: str | None = None) -> StoredPublisher:
        return open_publisher("vault", Secret(self.target(options, token=token)))

    def value(self) -> object:
        return (self.bao.fields(self.path, self.mount) or {}).get(NAME)

    def claims(self) -> list[int]:
        entries = self.bao.metadata(self.path, self.mount).get("custom_metadata") or {}
        return sorted(json.loads(text)["sequence"] for name, text in entries.items() if ".rotation." in name)


@pytest.fixture
def home(bao: OpenBao) -> Home:
    path = f"apps/{token_hex(8)}"
    return Home(bao, path, bao.token(bao.allow(path)))


@pytest.fixture
def publication() -> Publication:
    return Publication(
        rotation_id=token_hex(8), rotation_name="billing", secret_name=NAME, version=1, sequence=10, value=key_text()
    )


def key_text() -> Secret:
    return Secret(f"test-key-{token_hex(16)}")


def text_of(publication: Publication) -> str:
    return publication.value.reveal()


# --- what a secret may look like ---------------------------------------------------------------------------------


def test_a_secret_that_is_not_there_yet_is_made(home: Home, publication: Publication) -> None:
    home.open().check(NAME)
    assert home.bao.metadata(home.path) == {}
    assert home.open().read_back(NAME, publication.value) is Holding.NOTHING
    home.open().publish(publication)
    assert home.bao.fields(home.path) == {NAME: text_of(publication)}
    assert home.open().read_back(NAME, publication.value) is Holding.SAME


def test_a_secret_that_was_made_without_a_version_gets_its_first(home: Home, publication: Publication) -> None:
    home.bao.ask("POST", f"secret/metadata/{home.path}", {"custom_metadata": {"owner": "us"}, "max_versions": 4})
    home.open().check(NAME)
    home.open().publish(publication)
    assert home.value() == text_of(publication)
    metadata = home.bao.metadata(home.path)
    assert metadata["custom_metadata"]["owner"] == "us"
    assert metadata["max_versions"] == 4


@pytest.mark.parametrize("ending", ["delete", "destroy"])
def test_a_version_that_was_deleted_holds_nothing(home: Home, publication: Publication, ending: str) -> None:
    home.bao.put(home.path, {"OTHER": "gone with it"})
    home.open().publish(publication)
    newest = home.bao.metadata(home.path)["current_version"]
    home.bao.ask("POST", f"secret/{ending}/{home.path}", {"versions": [newest]})
    assert home.open().read_back(NAME, publication.value) is Holding.NOTHING
    home.open().check(NAME)
    with pytest.raises(Conflict):
        home.open().publish(replace(publication, sequence=9))
    home.open().publish(replace(publication, sequence=11))
    assert home.bao.fields(home.path) == {NAME: text_of(publication)}


def test_what_was_deleted_can_be_withdrawn(home: Home, publication: Publication) -> None:
    home.open().publish(publication)
    home.bao.ask("DELETE", f"secret/data/{home.path}")
    home.open().withdraw(publication)
    assert home.claims() == []
    home.bao.ask("DELETE", f"secret/metadata/{home.path}")
    home.open().withdraw(publication)


def test_a_version_that_ends_some_day_is_there_until_then(home: Home, publication: Publication) -> None:
    home.bao.ask("POST", f"secret/metadata/{home.path}", {"delete_version_after": "1h"})
    home.open().publish(publication)
    assert home.open().read_back(NAME, publication.value) is Holding.SAME
    assert home.bao.metadata(home.path)["delete_version_after"] == "1h0m0s"


@pytest.mark.parametrize("held", [7, True, ["a"], {"a": "b"}, "another"])
def test_a_field_of_another_kind_is_another_value(home: Home, publication: Publication, held: object) -> None:
    home.bao.put(home.path, {NAME: held})
    assert home.open().read_back(NAME, publication.value) is Holding.OTHER
    home.open().publish(publication)
    assert home.value() == text_of(publication)


@pytest.mark.parametrize("held", ["", None])
def test_an_empty_field_holds_nothing(home: Home, publication: Publication, held: object) -> None:
    home.bao.put(home.path, {NAME: held})
    assert home.open().read_back(NAME, publication.value) is Holding.NOTHING


def test_other_fields_are_left_to_the_digit(home: Home, publication: Publication) -> None:
    def others() -> str:
        answer = home.bao.root.get(f"/v1/secret/data/{home.path}").text
        return answer.partition('"data":{"data":')[2].partition(',"metadata"')[0]

    home.bao.put(home.path, {"BIG": 10**22, "FINE": 1.10, "NESTED": {"a": [None, {"b": "<c>"}]}, "EMPTY": ""})
    before = others()
    home.open().publish(publication)
    home.open().withdraw(publication)
    assert others() == before


def test_each_publication_is_one_version_and_one_entry(home: Home, publication: Publication) -> None:
    home.bao.put(home.path, {"OTHER": "kept"})
    for number in range(1, 5):
        home.open().publish(replace(publication, version=number, sequence=10 + number, value=key_text()))
        assert home.bao.metadata(home.path)["current_version"] == number + 1
        assert home.claims() == [10 + number]


def test_two_rotations_may_share_a_secret(home: Home, publication: Publication) -> None:
    other = replace(publication, rotation_id="other", sequence=1, value=key_text())
    second = open_publisher("vault", Secret(home.target().replace(f"#{NAME}", "#SECOND")))
    home.open().publish(publication)
    second.publish(other)
    assert home.bao.fields(home.path) == {NAME: text_of(publication), "SECOND": text_of(other)}
    home.open().withdraw(publication)
    assert home.bao.fields(home.path) == {"SECOND": text_of(other)}
    assert home.claims() == [1]


def test_what_is_withdrawn_stays_in_older_versions_as_we_say(home: Home, publication: Publication) -> None:
    home.bao.put(home.path, {"OTHER": "kept"})
    home.open().publish(publication)
    home.open().withdraw(replace(publication, sequence=12))
    assert home.bao.fields(home.path) == {"OTHER": "kept"}
    assert home.claims() == []
    older = home.bao.ask("GET", f"secret/data/{home.path}?version=2")["data"]["data"]
    assert older == {"OTHER": "kept", NAME: text_of(publication)}


def test_a_withdrawal_leaves_a_newer_publication(home: Home, publication: Publication) -> None:
    home.open().publish(replace(publication, sequence=12))
    home.open().withdraw(publication)
    assert home.value() == text_of(publication)


@pytest.mark.parametrize("value", ["ours", "theirs"])
def test_a_publication_that_broke_off_behind_its_claim_leaves_what_was_before_to_whom_it_belongs(
    home: Home, publication: Publication, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    home.open().publish(publication)
    if value == "theirs":
        home.bao.merge(home.path, {NAME: "theirs"})
    following = replace(publication, version=2, sequence=12, value=key_text())
    with monkeypatch.context() as patch:
        patch.setattr(VaultSecret, "write", lambda *_: False)
        with pytest.raises(TryAgain):
            home.open().publish(following)
    assert home.claims() == [12]
    home.open().withdraw(following)
    assert home.value() == (None if value == "ours" else "theirs")
    assert home.claims() == []


def test_what_nobody_stamped_is_not_withdrawn(home: Home, publication: Publication) -> None:
    home.bao.put(home.path, {NAME: "theirs"})
    home.open().withdraw(publication)
    assert home.value() == "theirs"


# --- the mount ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"version": "1"}, {}])
def test_a_mount_without_versions_is_refused_untouched(bao: OpenBao, publication: Publication, options: object) -> None:
    mount, path = token_hex(6), "app"
    bao.ask("POST", f"sys/mounts/{mount}", {"type": "kv", "options": options})
    home = Home(bao, path, bao.token(bao.allow(path, mount)), mount)
    attempts: list[Callable[[], object]] = [lambda: home.open().check(NAME), lambda: home.open().publish(publication)]
    for attempt in attempts:
        with pytest.raises(Refused, match="no versions") as refused:
            attempt()
        assert "enable-versioning" in refused.value.remedy
    assert bao.ask("GET", f"{mount}/data/{path}") is None
    bao.ask("POST", f"{mount}/data/{path}", {"data": {NAME: "theirs"}})
    with pytest.raises(Refused, match="no secret with versions"):
        home.open().publish(publication)
    assert bao.ask("GET", f"{mount}/data/{path}")["data"] == {"data": {NAME: "theirs"}}


def test_a_mount_with_a_slash_is_named_as_one(bao: OpenBao, publication: Publication) -> None:
    mount = f"team/{token_hex(4)}"
    bao.ask("POST", f"sys/mounts/{mount}", {"type": "kv", "options": {"version": "2"}})
    token = bao.token(bao.allow("app", mount))
    home = Home(bao, "app", token, mount)
    home.open().check(NAME)
    home.open().publish(publication)
    assert home.value() == text_of(publication)
    bao.ask("PUT", "sys/policies/acl/wide", {"policy": 'path "team/*" { capabilities = ["create", "read", "update"] }'})
    astray = Home(bao, f"{mount.partition('/')[2]}/app2", bao.token("wide"), "team")
    with pytest.raises((Refused, OperatorNeeded)) as refused:
        astray.open().check(NAME)
    assert "%2F" in refused.value.remedy


def test_a_mount_that_is_none_is_told(bao: OpenBao, publication: Publication) -> None:
    home = Home(bao, "app", bao.token(bao.allow("app", "nowhere")), "nowhere")
    with pytest.raises(OperatorNeeded, match="no such mount"):
        home.open().check(NAME)
    with pytest.raises(OperatorNeeded, match="no such mount"):
        home.open().publish(publication)


def test_another_engine_is_refused(bao: OpenBao) -> None:
    bao.ask("POST", "sys/mounts/totp-of-test", {"type": "totp"})
    bao.ask("PUT", "sys/policies/acl/any", {"policy": 'path "totp-of-test/*" { capabilities = ["read", "create"] }'})
    home = Home(bao, "app", bao.token("any"), "totp-of-test")
    with pytest.raises(OperatorNeeded):
        home.open().check(NAME)


def test_a_namespace_has_mounts_and_logins_of_its_own(bao: OpenBao, publication: Publication, tmp_path: Path) -> None:
    bao.ask("POST", "sys/namespaces/team-a", {})
    bao.ask("POST", "team-a/sys/mounts/secret", {"type": "kv", "options": {"version": "2"}})
    bao.ask("POST", "team-a/sys/auth/approle", {"type": "approle"})
    policy = 'path "secret/data/app" { capabilities = ["create", "read", "patch"] }\n'
    policy += 'path "secret/metadata/app" { capabilities = ["patch"] }'
    bao.ask("PUT", "team-a/sys/policies/acl/app", {"policy": policy})
    bao.ask("POST", "team-a/auth/approle/role/app", {"token_policies": ["app"]})
    role_id = bao.ask("GET", "team-a/auth/approle/role/app/role-id")["data"]["role_id"]
    secret_id = bao.ask("POST", "team-a/auth/approle/role/app/secret-id")["data"]["secret_id"]
    (tmp_path / "role").write_text(role_id)
    (tmp_path / "secret").write_text(secret_id)
    home = Home(bao, "app", "unused")
    options = f"namespace=team-a&role_id_file={tmp_path}/role&secret_id_file={tmp_path}/secret"
    home.open(options).check(NAME)
    home.open(options).publish(publication)
    assert bao.ask("GET", "team-a/secret/data/app")["data"]["data"] == {NAME: text_of(publication)}
    assert bao.ask("GET", "secret/data/app") is None
    with pytest.raises(CredentialRejected):
        home.open(options.replace("namespace=team-a&", "")).publish(publication)


# --- rights ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lacking", "secret"),
    [
        ("create", "none"),
        ("read", "there"),
        ("patch", "there"),
        ("update", "deleted"),
        ("stamp", "there"),
        ("stamp", "none"),
    ],
)
def test_a_lacking_right_is_found_by_check_and_costs_nothing_when_publishing(
    bao: OpenBao, publication: Publication, lacking: str, secret: str
) -> None:
    path = token_hex(8)
    if secret != "none":
        bao.put(path, {NAME: "old"})
    if secret == "deleted":
        bao.ask("DELETE", f"secret/data/{path}")
    rights = json.dumps([right for right in ("create", "read", "update", "patch") if right != lacking])
    stamp = "" if lacking == "stamp" else f'path "secret/metadata/{path}" {{ capabilities = ["patch"] }}'
    policy = f'path "secret/data/{path}" {{ capabilities = {rights} }}\n{stamp}'
    bao.ask("PUT", f"sys/policies/acl/{path}", {"policy": policy})
    home = Home(bao, path, bao.token(path))
    with pytest.raises(OperatorNeeded) as refused:
        home.open().check(NAME)
    assert (
        f'path "secret/data/{path}" {{ capabilities = ["create", "read", "update", "patch"] }}' in refused.value.remedy
    )
    with pytest.raises(OperatorNeeded) as refused:
        home.open().publish(publication)
    assert type(refused.value) is OperatorNeeded
    assert f'path "secret/metadata/{path}" {{ capabilities = ["patch"] }}' in refused.value.remedy
    assert bao.fields(path) == ({NAME: "old"} if secret == "there" else None)


def test_a_token_without_the_policy_default_may_publish(home: Home, publication: Publication) -> None:
    token = home.bao.token(home.bao.allow(home.path), no_default_policy=True)
    home.open(token=token).check(NAME)
    home.open(token=token).publish(publication)
    assert home.value() == text_of(publication)


@pytest.mark.parametrize("fate", ["unknown", "revoked"])
def test_a_token_that_is_none_is_told_from_a_lacking_right(home: Home, publication: Publication, fate: str) -> None:
    token = f"s.{token_hex(12)}"
    if fate == "revoked":
        token = home.token
        home.bao.ask("POST", "auth/token/revoke", {"token": token})
    publisher = home.open(token=token)
    attempts: list[Callable[[], object]] = [lambda: publisher.check(NAME), lambda: publisher.publish(publication)]
    for attempt in attempts:
        with pytest.raises(CredentialRejected) as refused:
            attempt()
        assert token not in str(refused.value)


def test_a_server_with_another_authority_is_not_trusted(home: Home, publication: Publication) -> None:
    target = home.target().replace(f"ca_file={home.bao.ca_file}", "").replace("?#", "#")
    with pytest.raises(OperatorNeeded, match="certificate") as refused:
        open_publisher("vault", Secret(target)).publish(publication)
    assert "ca_file" in refused.value.remedy


# --- logins ------------------------------------------------------------------------------------------------------


def logins_of(bao: OpenBao) -> set[str]:
    return set(bao.ask("LIST", "auth/token/accessors")["data"]["keys"])


@pytest.fixture
def by_app_role(home: Home, tmp_path: Path) -> str:
    role_id, secret_id = home.bao.app_role(home.bao.allow(home.path))
    (tmp_path / "role").write_text(f"{role_id}\n")
    (tmp_path / "secret").write_text(f"{secret_id}\n")
    return f"role_id_file={tmp_path}/role&secret_id_file={tmp_path}/secret"


def test_what_a_login_gave_is_given_back(home: Home, publication: Publication, by_app_role: str) -> None:
    before = logins_of(home.bao)
    home.open(by_app_role).check(NAME)
    home.open(by_app_role).publish(publication)
    home.open(by_app_role).read_back(NAME, publication.value)
    with pytest.raises(Conflict):
        home.open(by_app_role).publish(replace(publication, sequence=1))
    assert logins_of(home.bao) == before


def test_a_login_that_cannot_be_given_back_spoils_nothing(home: Home, publication: Publication, tmp_path: Path) -> None:
    role_id, secret_id = home.bao.app_role(home.bao.allow(home.path), token_no_default_policy=True, token_ttl="10s")
    (tmp_path / "role").write_text(role_id)
    (tmp_path / "secret").write_text(secret_id)
    options = f"role_id_file={tmp_path}/role&secret_id_file={tmp_path}/secret"
    home.open(options).check(NAME)
    home.open(options).publish(publication)
    assert home.value() == text_of(publication)


def test_an_app_role_may_come_by_variables_and_live_elsewhere(
    home: Home, publication: Publication, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount = f"team/{token_hex(4)}"
    home.bao.ask("POST", f"sys/auth/{mount}", {"type": "approle"})
    policy = home.bao.allow(home.path)
    home.bao.ask("POST", f"auth/{mount}/role/app", {"token_policies": [policy]})
    monkeypatch.setenv("ROLE_OF_TEST", home.bao.ask("GET", f"auth/{mount}/role/app/role-id")["data"]["role_id"])
    secret_id = home.bao.ask("POST", f"auth/{mount}/role/app/secret-id")["data"]["secret_id"]
    monkeypatch.setenv("SECRET_OF_TEST", secret_id)
    options = f"role_id_env=ROLE_OF_TEST&secret_id_env=SECRET_OF_TEST&auth_mount={mount}"
    home.open(options).publish(publication)
    assert home.value() == text_of(publication)


@pytest.mark.parametrize("wrong", ["role", "secret", "no secret", "mount"])
def test_a_login_that_is_refused_is_told(
    home: Home, publication: Publication, by_app_role: str, tmp_path: Path, wrong: str
) -> None:
    if wrong in {"role", "secret"}:
        (tmp_path / wrong).write_text(f"wrong-{token_hex(8)}")
    options = by_app_role.partition("&")[0] if wrong == "no secret" else by_app_role
    options += "&auth_mount=nowhere" if wrong == "mount" else ""
    with pytest.raises(CredentialRejected, match="login was refused") as refused:
        home.open(options).publish(publication)
    assert "wrong-" not in str(refused.value)
    assert refused.value.__context__ is None


# --- Kubernetes --------------------------------------------------------------------------------------------------


class Reviewer(BaseHTTPRequestHandler):
    """Stands in for the cluster that is asked whether a service account's token is real."""

    accepted: str

    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        real = self.path.endswith("/tokenreviews") and review["spec"]["token"] == self.accepted
        user = {"username": "system:serviceaccount:apps:rotator", "uid": "u1", "groups": []}
        answer = json.dumps({**review, "status": {"authenticated": real, "user": user if real else {}}}).encode()
        self.send_response(201)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def cluster_that_knows(token: str) -> Iterator[str]:
    handler = type("Handler", (Reviewer,), {"accepted": token})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def service_account_token() -> str:
    """One as Kubernetes signs it, by nobody's key."""
    account = {"namespace": "apps", "serviceaccount": {"name": "rotator", "uid": "u1"}}
    valid = {"iat": 1_700_000_000, "nbf": 1_700_000_000, "exp": 4_000_000_000}
    claims = {"iss": "kubernetes/serviceaccount", "sub": "system:serviceaccount:apps:rotator", **valid}
    parts = [{"alg": "ES256", "typ": "JWT"}, {**claims, "kubernetes.io": account}]
    signed = ".".join(base64url(json.dumps(part).encode()) for part in parts)
    r, s = decode_dss_signature(ec.generate_private_key(ec.SECP256R1()).sign(signed.encode(), ec.ECDSA(SHA256())))
    return f"{signed}.{base64url(r.to_bytes(32) + s.to_bytes(32))}"


def base64url(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()


@pytest.mark.parametrize("mount", ["kubernetes", "clusters/one"])
def test_the_worker_s_service_account_logs_in(home: Home, publication: Publication, tmp_path: Path, mount: str) -> None:
    token = service_account_token()
    with cluster_that_knows(token) as cluster:
        home.bao.ask("POST", f"sys/auth/{mount}", {"type": "kubernetes"})
        facts = {"kubernetes_host": cluster, "kubernetes_ca_cert": home.bao.ca_file.read_text()}
        home.bao.ask("POST", f"auth/{mount}/config", {**facts, "disable_local_ca_jwt": True})
        role = {
            "bound_service_account_names": ["rotator"],
            "bound_service_account_namespaces": ["apps"],
            "token_policies": [home.bao.allow(home.path)],
        }
        home.bao.ask("POST", f"auth/{mount}/role/rotator", role)
        file = tmp_path / "token"
        options = f"kubernetes_role=rotator&kubernetes_token_file={file}"
        options += f"&auth_mount={mount}" if mount != "kubernetes" else ""
        file.write_text(f"{token}\n")
        before = logins_of(home.bao)
        home.open(options).check(NAME)
        home.open(options).publish(publication)
        assert home.value() == text_of(publication)
        assert logins_of(home.bao) == before
        for wrong in (options.replace("role=rotator", "role=other"), options):
            file.write_text(token if "other" in wrong else service_account_token())
            with pytest.raises(CredentialRejected, match="login was refused"):
                home.open(wrong).publish(publication)
    home.bao.ask("DELETE", f"sys/auth/{mount}")


def test_where_kubernetes_puts_the_token_is_known(home: Home, publication: Publication) -> None:
    with pytest.raises(OperatorNeeded, match=r"/var/run/secrets/kubernetes\.io/serviceaccount/token"):
        home.open("kubernetes_role=rotator").publish(publication)


# --- who comes between -------------------------------------------------------------------------------------------

STEPS = range(1, 8)
"""More than any call of ours takes, when somebody comes between once."""
Between = Callable[[int, Callable[[], object]], AbstractContextManager[None]]


@pytest.fixture
def between(monkeypatch: pytest.MonkeyPatch) -> Between:
    """Let somebody act before the n-th request about the secret, or at the end where there are fewer."""

    @contextmanager
    def arranged(step: int, act: Callable[[], object]) -> Iterator[None]:
        requests, came = count(1), [False]

        def come() -> None:
            came[0] = True
            act()

        def interrupted(original: Callable[..., object]) -> Callable[..., object]:
            def request(*arguments: object) -> object:
                if not came[0] and next(requests) == step:
                    come()
                return original(*arguments)

            return request

        with monkeypatch.context() as patch:
            for name in ("read", "write", "annotate", "mount"):
                patch.setattr(VaultSecret, name, interrupted(getattr(VaultSecret, name)))
            yield
        if not came[0]:
            come()

    return arranged


@pytest.fixture(params=["none", "unstamped", "stamped", "deleted"])
def begun(request: pytest.FixtureRequest, home: Home, publication: Publication) -> Home:
    """A secret in each state in which two publishers may find it."""
    if request.param == "unstamped":
        home.bao.put(home.path, {NAME: "old", "OTHER": "kept"})
    if request.param in {"stamped", "deleted"}:
        home.open().publish(replace(publication, sequence=5, value=key_text()))
    if request.param == "deleted":
        home.bao.ask("DELETE", f"secret/data/{home.path}")
    return home


@pytest.mark.parametrize("step", STEPS)
def test_a_late_worker_loses_wherever_it_stopped(
    begun: Home, publication: Publication, between: Between, step: int
) -> None:
    newest = replace(publication, version=2, sequence=11, value=key_text())
    with between(step, lambda: begun.open().publish(newest)), suppress(Conflict):
        begun.open().publish(publication)
    assert begun.value() == text_of(newest)
    assert max(begun.claims()) == 11


@pytest.mark.parametrize("step", STEPS)
def test_a_late_worker_that_comes_between_is_overwritten(
    begun: Home, publication: Publication, between: Between, step: int
) -> None:
    newest = replace(publication, version=2, sequence=11, value=key_text())

    def late() -> None:
        with suppress(Conflict):
            begun.open().publish(publication)

    with between(step, late):
        begun.open().publish(newest)
    assert begun.value() == text_of(newest)
    with pytest.raises(Conflict):
        begun.open().publish(publication)


@pytest.mark.parametrize("step", STEPS)
def test_the_same_value_under_a_newer_lease_stops_a_late_worker(
    home: Home, publication: Publication, between: Between, step: int
) -> None:
    """The newest need not change the value, but must still shut out who decided before it came."""
    newest = replace(publication, sequence=11)
    home.open().publish(replace(publication, sequence=5))
    with between(step, lambda: home.open().publish(newest)), suppress(Conflict):
        home.open().publish(replace(publication, version=2, value=key_text()))
    assert home.value() == text_of(newest)


@pytest.mark.parametrize("step", STEPS)
def test_what_somebody_else_writes_meanwhile_stays(
    begun: Home, publication: Publication, between: Between, step: int
) -> None:
    before = begun.bao.fields(begun.path) or {}

    def write() -> None:
        add = begun.bao.put if begun.bao.fields(begun.path) is None else begun.bao.merge
        add(begun.path, {"NEW": "theirs"})

    with between(step, write):
        begun.open().publish(publication)
    assert begun.bao.fields(begun.path) == {**before, NAME: text_of(publication), "NEW": "theirs"}


@pytest.mark.parametrize("step", STEPS)
def test_what_somebody_else_writes_meanwhile_is_not_withdrawn(
    home: Home, publication: Publication, between: Between, step: int
) -> None:
    home.open().publish(publication)
    with between(step, lambda: home.bao.merge(home.path, {"NEW": "theirs"})):
        home.open().withdraw(publication)
    assert home.bao.fields(home.path) == {"NEW": "theirs"}


@pytest.mark.parametrize("step", STEPS)
def test_a_withdrawal_takes_nothing_newer(home: Home, publication: Publication, between: Between, step: int) -> None:
    newest = replace(publication, version=2, sequence=11, value=key_text())
    home.open().publish(publication)
    with between(step, lambda: home.open().publish(newest)):
        home.open().withdraw(publication)
    assert home.value() == text_of(newest)
    assert home.claims() == [11]


@pytest.mark.parametrize("step", range(1, 4))
def test_a_withdrawal_of_what_is_older_does_not_stop_the_newest(
    home: Home, publication: Publication, between: Between, step: int
) -> None:
    newest = replace(publication, version=2, sequence=11, value=key_text())
    home.open().publish(publication)
    with between(step, lambda: home.open().withdraw(publication)):
        home.open().publish(newest)
    assert home.value() == text_of(newest)
    assert home.claims() == [11]


@pytest.mark.parametrize("step", range(1, 4))
def test_a_secret_that_is_deleted_meanwhile_is_made_anew(
    begun: Home, publication: Publication, between: Between, step: int
) -> None:
    with between(step, lambda: begun.bao.ask("DELETE", f"secret/metadata/{begun.path}")):
        begun.open().publish(publication)
    assert begun.value() == text_of(publication)


def test_of_many_at_once_the_newest_wins(begun: Home, publication: Publication) -> None:
    rivals = [replace(publication, sequence=n, version=n, value=key_text()) for n in range(10, 14)]

    def publish(rival: Publication) -> None:
        for _ in range(10):
            with suppress(Conflict, TryAgain):
                begun.open().publish(rival)
                return

    with ThreadPoolExecutor(len(rivals)) as pool:
        list(pool.map(publish, rivals))
    assert begun.value() == text_of(rivals[-1])
    assert max(begun.claims()) == 13
