"""What whoever asks over HTTP may name of the machine: nothing, unless a setting says so; and some things never."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.secret import Secret
from config.settings import Settings, read_settings
from tasks.operations.permitted import refuse_from_afar, refuse_our_own
from tasks.publishers import open_publisher
from tasks.rotation.errors import InvalidInput

WHSEC = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"
OPEN = {"WEB_FOLDERS": "/srv/app,/run/secrets", "WEB_VARIABLES": "CACHE_PASSWORD", "WEB_IDENTITIES": "true"}


def ask(text: str, **settings: str) -> None:
    """As if over HTTP, of a server with these settings."""
    kind, _, target = text.partition(":")
    made: Settings = read_settings({f"ROTATOR_{name}": value for name, value in settings.items()})
    refuse_from_afar(made, target, open_publisher(kind, Secret(target)))


@pytest.mark.parametrize(
    "text",
    [
        "redis:rediss://:own@cache.internal#k",
        "vault:https://:own@vault.internal/secret/app#K",
        "infisical:https://app.infisical.com/p/prod?token=own#K",
        "github-actions:acme/shop?token=own",
        f"webhook:https://hooks.internal/?secret={WHSEC}",
    ],
)
def test_a_target_with_a_credential_of_its_own_needs_no_setting(text: str) -> None:
    ask(text)


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("dotenv:/srv/app/.env", "FOLDERS"),
        ("file:/srv/app/key", "FOLDERS"),
        ("json:/srv/app/x.json#/a", "FOLDERS"),
        ("yaml:/srv/app/x.yaml#a", "FOLDERS"),
        ("redis:rediss://evil:6379?password_file=/run/secrets/x#k", "FOLDERS"),
        ("redis:rediss://evil:6379?ca_file=/run/secrets/x#k", "FOLDERS"),
        ("redis:rediss://evil:6379?password_env=CACHE_PASSWORD#k", "VARIABLES"),
        ("vault:https://evil/secret/app?token_file=/run/secrets/x#K", "FOLDERS"),
        ("vault:https://evil/secret/app?kubernetes_role=r&kubernetes_token_file=/run/secrets/x#K", "FOLDERS"),
        ("vault:https://evil/secret/app?kubernetes_role=r#K", "IDENTITIES"),
        ("infisical:https://evil/p/prod?token_env=CACHE_PASSWORD#K", "VARIABLES"),
        ("github-actions:acme/shop?api=https://evil&token_file=/run/secrets/x", "FOLDERS"),
        ("webhook:https://evil/?secret_file=/run/secrets/x", "FOLDERS"),
        ("gcp-secret-manager:projects/mine/secrets/key", "IDENTITIES"),
        ("gcp-secret-manager:projects/mine/secrets/key?credentials_file=/run/secrets/x", "FOLDERS"),
        ("azure-key-vault:https://my-vault.vault.azure.net/key", "IDENTITIES"),
        ("aws-ssm:/app/key?endpoint=https://evil", "IDENTITIES"),
        ("aws-secrets-manager:app/key", "IDENTITIES"),
        ("kubernetes:prod/openrouter#K", "IDENTITIES"),
    ],
)
def test_what_it_names_of_the_machine_is_refused_until_its_setting_allows_it(text: str, setting: str) -> None:
    with pytest.raises(InvalidInput, match="--publish") as refused:
        ask(text, **{name: value for name, value in OPEN.items() if name != f"WEB_{setting}"})
    assert f"ROTATOR_WEB_{setting} " in refused.value.remedy
    ask(text, **OPEN)


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("command:/srv/app/publish", "the target"),
        ("kubernetes:prod/openrouter?kubeconfig=/srv/app/config#K", "kubeconfig"),
        ("aws-ssm:/app/key?profile=ops", "profile"),
        ("redis:unix:///srv/app/redis.sock#k", "the target"),
    ],
)
def test_what_runs_programs_or_is_a_socket_is_never_named(text: str, option: str) -> None:
    with pytest.raises(InvalidInput, match=f"{option} cannot be asked for over HTTP"):
        ask(text, **OPEN)


@pytest.mark.parametrize("path", ["/srv/appendix/.env", "/srv/app", "/etc/.env", "/srv/app/../x"])
def test_only_what_is_below_a_folder_is_in_it(path: str) -> None:
    with pytest.raises(InvalidInput):
        ask(f"dotenv:{path}", **OPEN)
    with pytest.raises(InvalidInput):
        ask(f"redis:rediss://evil?password_file={path}#k", **OPEN)


def test_a_link_does_not_lead_out_of_a_folder_but_the_folder_may_be_one(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "inside" / "out").symlink_to(tmp_path / "outside")
    (tmp_path / "alias").symlink_to(tmp_path / "inside")
    with pytest.raises(InvalidInput, match="in no folder"):
        ask(f"dotenv:{tmp_path}/inside/out/.env?symlink=follow", WEB_FOLDERS=f"{tmp_path}/inside")
    ask(f"dotenv:{tmp_path}/inside/.env", WEB_FOLDERS=f"{tmp_path}/alias")


# --- whoever asks ------------------------------------------------------------------------------------------------


def names(path: Path | str) -> tuple[str, ...]:
    """Every way in which a target names a file."""
    return (
        f"dotenv:{path}",
        f"json:{path}?symlink=follow#/a",
        f"redis:rediss://cache.internal?password_file={path}#k",
        f"redis:rediss://cache.internal?ca_file={path}#k",
        f"kubernetes:prod/openrouter?kubeconfig={path}#K",
    )


def refused(text: str, settings: Settings) -> str:
    kind, _, target = text.partition(":")
    with pytest.raises(InvalidInput) as caught:
        refuse_our_own(settings, open_publisher(kind, Secret(target)))
    return str(caught.value)


@pytest.fixture
def ours(tmp_path: Path) -> Settings:
    """A data folder, and two secrets beside it."""
    (tmp_path / "data").mkdir()
    for name in ("master", "broker", "other"):
        (tmp_path / name).write_text("redis://127.0.0.1:1/0")
    (tmp_path / "hard").hardlink_to(tmp_path / "master")
    (tmp_path / "soft").symlink_to(tmp_path / "data")
    files = {"MASTER_KEY_FILE": tmp_path / "master", "BROKER_URL_FILE": tmp_path / "broker", "WEB_TLS_KEY": "/k/tls"}
    files |= {"DATA_DIR": tmp_path / "data", "WEB_TLS_CERTIFICATE": "/k/crt", "DATABASE_URL": "sqlite:////k/database"}
    return read_settings({f"ROTATOR_{name}": str(value) for name, value in files.items()})


@pytest.mark.parametrize(
    "path",
    ["{0}/data", "{0}/data/master.key", "{0}/master", "{0}/broker", "{0}/hard", "{0}/soft/x", "/k/tls", "/k/crt"],
)
def test_what_is_ours_is_no_file_of_a_destination(path: str, ours: Settings, tmp_path: Path) -> None:
    for text in names(path.format(tmp_path)):
        said = refused(text, ours)
        assert "rotator's own" in said
        assert str(tmp_path) not in said


def test_what_the_system_makes_up_is_no_file_of_a_destination(ours: Settings, tmp_path: Path) -> None:
    (tmp_path / "around").symlink_to("/proc/self")
    for path in (tmp_path / "around" / "environ", "/dev/null", "/sys/x", "//proc/self/maps"):
        for text in names(path):
            assert "/proc, /dev or /sys" in refused(text, ours)


def test_any_other_file_may_be_one_also_when_it_is_not_there_yet(ours: Settings, tmp_path: Path) -> None:
    for path in (tmp_path / "other", tmp_path / "new", "/nowhere/at/all", "/dev/shm/app.env", tmp_path / "database"):
        for text in names(path):
            kind, _, target = text.partition(":")
            refuse_our_own(ours, open_publisher(kind, Secret(target)))
