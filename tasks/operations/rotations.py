"""Rotations: what a person asks for is validated whole before anything is stored."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta

from tasks.operations.destinations import usable
from tasks.operations.requests import RotationRequest, ScheduleRequest
from tasks.rotation.errors import InvalidInput
from tasks.rotation.machine import together, told
from tasks.rotation.minting import planning
from tasks.rotation.model import (
    Event,
    KeyParameters,
    KeyVersion,
    Reason,
    Rotation,
    VersionState,
)
from tasks.rotation.parameters import (
    MARKER,
    validated_description,
    validated_label,
    validated_parameters,
    validated_slug,
)
from tasks.rotation.ports import Change, RemoteKey
from tasks.rotation.schedule import Schedule, make_schedule, parse_span, refuse_if_too_short, upcoming
from tasks.wiring import Rotator

_SECRET_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")
_SYSTEMS_OWN = re.compile(
    r"PATH|HOME|SHELL|IFS|ENV|BASH_ENV|(?:LD|DYLD|ROTATOR)_.*|PYTHON.*"  # of the loader, shells, Python and ourselves
)
_HASH = re.compile(r"[A-Za-z0-9_-]{1,200}")
_RUNS_LOOKED_AT = 60


def create(rotator: Rotator, request: RotationRequest) -> str:
    """Store a new rotation, its first version in line unless ``initial`` is false; the rotation's id."""
    designed, adopted = design(rotator, request)
    destinations = [usable(rotator, text, designed.secret_name) for text in request.publish]
    rotation, change = _beginning(rotator, designed, adopted, initial=request.initial)
    rotator.store.rotations.insert(rotation, change, destinations)
    return rotation.id


def design(rotator: Rotator, request: RotationRequest) -> tuple[Rotation, RemoteKey | None]:
    """The rotation that a request asks for, and the key that it adopts. Nothing is stored, and destinations are not
    looked at. Raises ``InvalidInput``, ``NotFound`` or ``Conflict`` for a request that cannot be."""
    store = rotator.store
    name = validated_slug("NAME", request.name)
    store.rotations.refuse_taken(name)
    connection = store.connections.get(request.connection)
    now = store.now()
    schedule = schedule_of(request.schedule)
    overlap, cooling = _spans(schedule, request.overlap, request.cooling, now)
    adopted = None if request.adopt_hash is None else _adoptable(rotator, connection.id, request.adopt_hash)
    parameters = _parameters(request, adopted)
    refuse_early_expiry(parameters, schedule, overlap, now)
    rotation = Rotation(
        id=rotator.ids.row(),
        name=name,
        connection_id=connection.id,
        parameters=parameters,
        schedule=schedule,
        overlap=overlap,
        cooling=cooling,
        secret_name=secret_name_of(request.secret_name),
        created_at=now,
        updated_at=now,
        paused=request.paused,
        description=validated_description(request.description),
    )
    named = labelled(
        rotation,
        project_id=request.project_id,
        environment=request.environment,
        secret_path=request.secret_path,
    )
    return named, adopted


def labelled(
    rotation: Rotation, *, project_id: str | None, environment: str | None, secret_path: str | None
) -> Rotation:
    """With labels for other people's scripts to look for. Raises ``InvalidInput``."""
    return replace(
        rotation,
        project_id=validated_label("--project-id", project_id),
        environment=validated_label("--environment", environment, most=64),
        secret_path=validated_label("--secret-path", secret_path, most=1024),
    )


def _beginning(
    rotator: Rotator, rotation: Rotation, adopted: RemoteKey | None, *, initial: bool
) -> tuple[Rotation, Change]:
    """The rotation with the versions it begins with, and the change that stores those."""
    now, actor = rotation.created_at, rotator.actor
    created = Event(at=now, name="rotation_created", actor=actor, rotation_id=rotation.id)
    changes = [Change(events=(created,))]
    if adopted is not None:
        version = _adopted_version(rotator, rotation, adopted)
        rotation = replace(rotation, last_version=version.number)
        event = told(version, "version_adopted", at=now, actor=actor, key_name=adopted.name)
        changes.append(Change(events=(event,), versions=((None, version),)))
    if initial:
        planned = planning(rotation, at=now, version_id=rotator.ids.row(), reason=Reason.INITIAL, actor=actor)
        rotation = replace(rotation, last_version=rotation.last_version + 1)
        changes.append(replace(planned, rotation=None))
    return rotation, together(*changes)


def _adopted_version(rotator: Rotator, rotation: Rotation, adopted: RemoteKey) -> KeyVersion:
    """The account's existing key as version 1: in service, its text unknown to us."""
    return KeyVersion(
        id=rotator.ids.row(),
        rotation_id=rotation.id,
        number=1,
        state=VersionState.ACTIVE,
        reason=Reason.ADOPTED,
        actor=rotator.actor,
        key_hash=adopted.key_hash,
        planned_at=rotation.created_at,
        created_at=adopted.created_at,
        active_at=rotation.created_at,
        expires_at=adopted.expires_at,
    )


def _adoptable(rotator: Rotator, connection_id: str, key_hash: str) -> RemoteKey:
    """The account's key with this hash. Raises ``InvalidInput`` when there is none, ``Conflict`` when it is ours."""
    if key_hash.startswith("sk-") or not _HASH.fullmatch(key_hash):  # a key's text must not get into a URL
        raise InvalidInput(
            "--adopt-hash", "it is not the hash of a key", "OpenRouter's key page and GET /keys show hashes."
        )
    rotator.store.rotations.refuse_known(key_hash)
    app = rotator.store.leased.provider_name(connection_id)
    found = rotator.provider_called(app).get_key(rotator.store.leased.management_key(connection_id), key_hash)
    if found is None:
        raise InvalidInput(
            "--adopt-hash", "the account has no key with this hash", "OpenRouter's key page and GET /keys show hashes."
        )
    if marked := MARKER.search(found.name):
        rotator.store.rotations.refuse_unsettled(marked["marker"])
    if found.disabled:
        raise InvalidInput("--adopt-hash", "that key is disabled", "Enable it first, or create without --adopt-hash.")
    return found


def _parameters(request: RotationRequest, adopted: RemoteKey | None) -> KeyParameters:
    """What keys shall be: as asked, and where not asked, as the adopted key is."""
    key_name = request.key_name or (MARKER.sub("", adopted.name) if adopted else None)
    if key_name is None:
        raise InvalidInput("--key-name", "it is missing", "Give the name that the keys shall have at OpenRouter.")
    limit = request.limit_usd if request.limit_usd is not None or adopted is None else adopted.limit_usd
    inherited_reset = adopted.limit_reset if adopted and limit is not None else None
    return validated_parameters(
        key_name=key_name,
        limit_usd=limit,
        limit_reset=request.limit_reset or inherited_reset,
        include_byok_in_limit=_byok(request, adopted),
        workspace_id=request.workspace_id or (adopted.workspace_id if adopted else None),
        expires_after=None
        if request.expires_after is None
        else parse_span(request.expires_after, field="--expires-after"),
    )


def _byok(request: RotationRequest, adopted: RemoteKey | None) -> bool:
    if request.include_byok_in_limit is not None or adopted is None:
        return bool(request.include_byok_in_limit)
    return adopted.include_byok_in_limit


def schedule_of(request: ScheduleRequest) -> Schedule:
    """The schedule that is asked for. Raises ``InvalidInput``."""
    return make_schedule(
        every=request.every, at=request.at, cron=request.cron, timezone=request.timezone, window=request.window
    )


def _spans(schedule: Schedule, overlap: str, cooling: str, now: datetime) -> tuple[timedelta, timedelta]:
    spans = parse_span(overlap, field="--overlap"), parse_span(cooling, field="--cooling")
    refuse_if_too_short(schedule, overlap=spans[0], cooling=spans[1], after=now)
    return spans


def refuse_early_expiry(parameters: KeyParameters, schedule: Schedule, overlap: timedelta, now: datetime) -> None:
    """A key must outlive the longest wait for its successor, and the overlap after that."""
    if parameters.expires_after is None:
        return
    runs = upcoming(schedule, last_success=now, now=now, seed="", count=_RUNS_LOOKED_AT)
    longest = max(later - earlier for earlier, later in zip((now, *runs), runs, strict=False))
    if parameters.expires_after <= longest + overlap:
        raise InvalidInput(
            "--expires-after",
            f"keys would expire before they are replaced: up to {longest} between rotations and {overlap} of overlap",
            "Choose a longer life, or rotate more often.",
        )


def secret_name_of(text: str) -> str:
    """A variable's name. `rotator run` puts it into an environment, where some names change what a program does."""
    name, remedy = text.strip(), "Use a name like OPENROUTER_API_KEY."
    if not _SECRET_NAME.fullmatch(name):
        raise InvalidInput("--secret-name", "it is not 1 to 200 of A-Z, a-z, 0-9 and _, with no digit first", remedy)
    if _SYSTEMS_OWN.fullmatch(name.upper()):
        raise InvalidInput("--secret-name", f"{name} has a meaning of its own to the system or to rotator", remedy)
    return name
