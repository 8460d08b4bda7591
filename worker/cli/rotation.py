"""`rotator rotation`: the standing orders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from config.secret import Secret
from worker.cli import rotation_options as given
from worker.cli.guard import FAILED, MisuseError, example, fail_if, note
from worker.cli.output import Json, Local, Name, put
from worker.cli.prompts import DestinationFromFile, DestinationFromStdin, Yes, confirm, confirm_name, read_destination
from worker.cli.session import operations

if TYPE_CHECKING:
    from tasks.operations import Operations
    from tasks.operations.views import RotationView

app = typer.Typer(
    help="Set up and steer rotations.",
    no_args_is_help=True,
    epilog=example(
        "rotator rotation create web --connection prod --key-name web --every 30d --publish dotenv:/srv/web/.env"
    ),
)


@app.command(
    epilog=example(
        "rotator rotation create web --connection prod --key-name web --limit 50 --limit-reset monthly \\",
        "    --every 30d --at 03:00 --timezone Europe/Berlin --publish dotenv:/srv/web/.env",
        'rotator rotation create batch --connection prod --key-name batch --cron "0 3 1 * *"',
        "rotator rotation create old --connection prod --adopt-hash HASH --every 30d --publish dotenv:/srv/old/.env",
    )
)
def create(
    name: Name,
    *,
    connection: given.Connection,
    key_name: given.KeyName = None,
    limit: given.Limit = None,
    limit_reset: given.LimitReset = None,
    include_byok_in_limit: given.IncludeByok = None,
    workspace_id: given.WorkspaceId = None,
    expires_after: given.ExpiresAfter = None,
    every: given.Every = None,
    at: given.At = None,
    cron: given.Cron = None,
    timezone: given.Timezone = "UTC",
    window: given.Window = None,
    overlap: given.Overlap = "24h",
    cooling: given.Cooling = "24h",
    secret_name: given.SecretName = "OPENROUTER_API_KEY",  # noqa: S107 - a variable's name
    publish: given.Publish = None,
    publish_optional: given.PublishOptional = None,
    on_drift: given.Drift = "repair",
    description: given.Description = None,
    adopt_hash: given.AdoptHash = None,
    initial: given.Initial = True,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Set up a rotation; its first key is minted, proven and published at once.

    NAME is 1 to 64 of a-z, 0-9 and single hyphens. Give --every or --cron.
    """
    from tasks.operations.requests import RotationRequest, ScheduleRequest

    request = RotationRequest(
        name=name,
        connection=connection,
        schedule=ScheduleRequest(every=every, at=at, cron=cron, timezone=timezone, window=window),
        key_name=key_name,
        limit_usd=limit,
        limit_reset=limit_reset,
        include_byok_in_limit=include_byok_in_limit,
        workspace_id=workspace_id,
        expires_after=expires_after,
        overlap=overlap,
        cooling=cooling,
        secret_name=secret_name,
        publish=given.destinations(publish, publish_optional, on_drift),
        description=description,
        adopt_hash=adopt_hash,
        initial=initial,
    )
    if adopt_hash is not None and not request.publish:
        _confirm_unpublished(yes=yes)
    with operations() as ops:
        view = ops.create_rotation(request)
    _show(view, json=json)
    if view.in_flight is not None:
        note(f"Version {view.in_flight.number} is on its way. `rotator rotation show {name}` tells how it goes;")
        note(f"where no worker runs, `rotator rotate {name} --local` brings it into service from here.")


@app.command("list", epilog=example("rotator rotation list", "rotator rotation list --json"))
def list_all(json: Json = False) -> None:
    """List the rotations: status, current version, last and next time."""
    from worker.cli.render_rotation import rotations

    with operations() as ops:
        view = ops.status()
    put(view.rotations, rotations, json=json)
    fail_if(view.broken)


@app.command(epilog=example("rotator rotation show web"))
def show(name: Name, json: Json = False) -> None:
    """Show one rotation, with its next three times."""
    with operations() as ops:
        _show(ops.show_rotation(name), json=json)


@app.command(
    epilog=example(
        "rotator rotation update web --every 14d --at 04:30",
        "rotator rotation update web --limit 80 --publish redis:rediss://cache:6380/0#openrouter",
        "rotator rotation update web --unpublish dotenv:/srv/old/.env",
        'rotator rotation update web --rename shop --description "The shop"',
    )
)
def update(
    name: Name,
    *,
    key_name: given.KeyName = None,
    limit: given.Limit = None,
    no_limit: given.NoLimit = False,
    limit_reset: given.LimitReset = None,
    no_limit_reset: given.NoLimitReset = False,
    include_byok_in_limit: given.IncludeByok = None,
    expires_after: given.ExpiresAfter = None,
    no_expiry: given.NoExpiry = False,
    every: given.Every = None,
    at: given.At = None,
    cron: given.Cron = None,
    timezone: given.NewTimezone = None,
    window: given.Window = None,
    overlap: given.NewOverlap = None,
    cooling: given.NewCooling = None,
    publish: given.Publish = None,
    unpublish: given.Unpublish = None,
    withdraw: given.Withdraw = False,
    description: given.NewDescription = None,
    rename: given.Rename = None,
    json: Json = False,
) -> None:
    """Change a rotation. A schedule is replaced whole; the key's parameters apply from the next version on."""
    from tasks.operations.requests import RotationUpdate

    change = RotationUpdate(
        key_name=given.or_unset(key_name),
        limit_usd=given.or_none(limit, cleared=no_limit, option="--limit"),
        limit_reset=given.or_none(limit_reset, cleared=no_limit_reset, option="--limit-reset"),
        include_byok_in_limit=given.or_unset(include_byok_in_limit),
        expires_after=given.or_none(expires_after, cleared=no_expiry, option="--expires-after"),
        schedule=given.new_schedule(every=every, at=at, cron=cron, timezone=timezone, window=window),
        overlap=given.or_unset(overlap),
        cooling=given.or_unset(cooling),
        add_publish=tuple(publish or ()),
        remove_publish=tuple(unpublish or ()),
        withdraw=withdraw,
        description=given.or_unset(description),
        name=given.or_unset(rename),
    )
    if withdraw and not unpublish:
        raise MisuseError("--withdraw: it is about what is removed; name that with --unpublish LABEL")
    if change == RotationUpdate():
        raise MisuseError("nothing to change: `rotator rotation update --help` lists what can be")
    with operations() as ops:
        _show(ops.update_rotation(name, change), json=json)
    if given.changes_the_key(change):
        note("The key's new parameters take effect at the next version; `rotator rotate` makes it now.")


@app.command(
    epilog=example(
        "rotator rotation publish web redis:rediss://cache.internal:6380/0#openrouter-key --optional",
        "rotator rotation publish web dotenv:/srv/web/.env --on-drift report",
        "rotator rotation publish web --destination-stdin < destination.txt",
    )
)
def publish(
    name: Name,
    destination: Annotated[
        Secret | None,
        typer.Argument(
            metavar="[KIND:TARGET]", parser=Secret, help="Where. Every user of this machine can see an argument."
        ),
    ] = None,
    *,
    file: DestinationFromFile = None,
    stdin: DestinationFromStdin = False,
    optional: given.NewOptional = None,
    on_drift: given.NewDrift = None,
    json: Json = False,
) -> None:
    """Publish there too, or change how: it is tried first, then gets the current key at once.

    One that holds a credential is better given on standard input or in a file.
    """
    from tasks.operations.requests import RotationUpdate

    text = read_destination(destination, stdin=stdin, file=file)
    wanted = given.one_destination(text, optional=optional, on_drift=on_drift)
    with operations() as ops:
        _show(ops.update_rotation(name, RotationUpdate(add_publish=(wanted,))), json=json)


@app.command(
    epilog=example(
        "rotator rotation unpublish web dotenv:/srv/old/.env",
        "rotator rotation unpublish web dotenv:/srv/old/.env --withdraw",
    )
)
def unpublish(
    name: Name,
    label: Annotated[str, typer.Argument(metavar="LABEL", help="As `rotator rotation show` prints it.")],
    withdraw: given.Withdraw = False,
    json: Json = False,
) -> None:
    """Stop publishing there. What it holds stays and works until that key is retired, or is withdrawn.

    Without --withdraw, a withdrawal that was ordered before and is not done is called off.
    """
    from tasks.operations.requests import RotationUpdate

    with operations() as ops:
        change = RotationUpdate(remove_publish=(label,), withdraw=withdraw)
        _show(ops.update_rotation(name, change), json=json)


@app.command(
    "check-destination",
    epilog=example("rotator rotation check-destination web", "rotator rotation check-destination web --json"),
)
def check_destination(name: Name, json: Json = False) -> None:
    """Try each destination out: may it be read, may it be written? No value there is changed."""
    from worker.cli import render_rotation

    with operations() as ops:
        tried = ops.check_destinations(name)
    put(tried, render_rotation.trials, json=json)
    if any(trial.obstacle for trial in tried):
        raise typer.Exit(FAILED)


@app.command(epilog=example("rotator rotation pause web"))
def pause(name: Name, json: Json = False) -> None:
    """Stop making new versions; what is in flight is finished and old keys are still retired."""
    with operations() as ops:
        _show(ops.pause_rotation(name), json=json)


@app.command(epilog=example("rotator rotation resume web"))
def resume(name: Name, json: Json = False) -> None:
    """Let a paused rotation follow its schedule again."""
    with operations() as ops:
        _show(ops.resume_rotation(name), json=json)


@app.command(epilog=example("rotator rotation history web", "rotator rotation history web --json"))
def history(name: Name, json: Json = False) -> None:
    """Show every version with its times, reason, actor and outcome."""
    from worker.cli import render_rotation

    with operations() as ops:
        put(ops.history(name), render_rotation.history, json=json)


@app.command(
    epilog=example("rotator rotation delete web --keep-keys", "rotator rotation delete web --revoke-keys --yes")
)
def delete(
    name: Name,
    *,
    keep_keys: Annotated[bool, typer.Option("--keep-keys", help="Its keys stay alive at OpenRouter.")] = False,
    revoke_keys: Annotated[bool, typer.Option("--revoke-keys", help="Its keys are deleted at OpenRouter.")] = False,
    withdraw: Annotated[
        bool, typer.Option("--withdraw", help="Its destinations lose the key, too; else none waits to lose it.")
    ] = False,
    local: Local = False,
    yes: Yes = False,
) -> None:
    """Delete a rotation. What becomes of its keys must be said."""
    from tasks.rotation.model import Removal

    if keep_keys == revoke_keys:
        raise MisuseError("say what becomes of its keys: either --keep-keys or --revoke-keys")
    with operations() as ops:
        ops.show_rotation(name)
        confirm_name("rotation", name, yes=yes)
        removal = Removal.KEEP_KEYS if keep_keys else Removal.REVOKE_KEYS
        notice = ops.delete_rotation(name, removal, withdraw=withdraw)
        fate = "stay alive at OpenRouter" if keep_keys else "are deleted at OpenRouter"
        if local:
            _finish_here(ops, name)
            note(f'Rotation "{name}" is gone; its keys {fate}.')
        else:
            note(f'Rotation "{name}" goes as soon as a worker has seen to it; its keys {fate}.')
            note(notice)


def _finish_here(ops: Operations, name: str) -> None:
    """Let this process do the worker's part; exit code 1 when something is left for later."""
    from tasks.rotation.errors import NotFound

    ops.advance_here(name)
    try:
        view = ops.show_rotation(name)
    except NotFound:
        return
    note(f'error: rotation "{name}" is not gone yet; a worker, or this command again, carries on.')
    note(f"       {view.attention or 'It waits for the next attempt, or for another worker.'}")
    raise typer.Exit(FAILED)


def _confirm_unpublished(*, yes: bool) -> None:
    confirm(
        "The adopted key is disabled and deleted once its successor is there, and without --publish the successor goes "
        "nowhere by itself: applications must fetch it with `rotator secret get` or `rotator run`. Go on?",
        yes=yes,
    )


def _show(view: RotationView, *, json: bool) -> None:
    from worker.cli import render_rotation

    put(view, render_rotation.rotation, json=json)
