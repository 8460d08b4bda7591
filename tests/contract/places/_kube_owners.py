"""Who owns which field of an object: server-side apply and its bookkeeping, as the API server does it.

A field is the path to a leaf: maps are followed, lists are one leaf. That is right for Secrets, and for the annotations
of a pod's template.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Path = tuple[str, ...]
Object = dict[str, Any]

_NOBODYS = {
    ("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace"), ("metadata", "uid"),
    ("metadata", "resourceVersion"), ("metadata", "creationTimestamp"), ("metadata", "managedFields"),
    ("metadata", "generation"),
}  # fmt: skip
_ABSENT = object()


class FieldsOwned(Exception):
    """An apply would change what these managers own: pairs of a manager's name and a path."""

    def __init__(self, conflicts: list[tuple[str, Path]]) -> None:
        super().__init__()
        self.conflicts = conflicts


@dataclass
class Owner:
    """One entry of ``managedFields``."""

    manager: str
    operation: str
    api_version: str
    paths: set[Path] = field(default_factory=set)
    time: str = field(default_factory=lambda: datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))

    def shown(self) -> Object:
        fields: Object = {}
        for path in sorted(self.paths):
            at = fields
            for name in path:
                at = at.setdefault(f"f:{name}", {})
        return {
            "manager": self.manager,
            "operation": self.operation,
            "apiVersion": self.api_version,
            "time": self.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": fields,
        }


Owners = list[Owner]


def applied(live: Object, owners: Owners, wanted: Object, manager: str, *, force: bool) -> tuple[Object, Owners]:
    """Object and owners after ``manager`` applied ``wanted``. Raises ``FieldsOwned``."""
    after, owners = deepcopy(live), deepcopy(owners)
    if not owners and (unowned := set(leaves(live))):
        owners.append(Owner("before-first-apply", "Update", live["apiVersion"], unowned))
    mine = next((o for o in owners if (o.manager, o.operation) == (manager, "Apply")), None)
    others = [o for o in owners if o is not mine]
    paths = set(leaves(wanted))
    changing = {path for path in paths if value_at(live, path) != value_at(wanted, path)}
    conflicts = [(o.manager, path) for o in others for path in sorted(o.paths & changing)]
    if conflicts and not force:
        raise FieldsOwned(conflicts)
    for other in others:
        other.paths -= changing
    for path in (mine.paths if mine else set()) - paths:
        if not any(path in o.paths for o in others):
            _remove(after, path)
    for path in paths:
        _set(after, path, value_at(wanted, path))
    renewed = Owner(manager, "Apply", live["apiVersion"], paths)
    if mine and mine.paths == paths:
        renewed.time = mine.time
    return after, [o for o in (renewed, *others) if o.paths]


def updated(live: Object, owners: Owners, after: Object, manager: str) -> Owners:
    """The owners after ``manager`` made ``after`` of ``live`` in any other way."""
    owners = deepcopy(owners)
    old, new = set(leaves(live)), set(leaves(after))
    changed = {path for path in new if value_at(live, path) != value_at(after, path)}
    for owner in owners:
        owner.paths -= changed | (old - new)
    mine = next((o for o in owners if (o.manager, o.operation) == (manager, "Update")), None)
    if mine is None:
        mine = Owner(manager, "Update", after["apiVersion"])
        owners.append(mine)
    mine.paths |= changed
    return [o for o in owners if o.paths]


def merged(live: Object, patch: Object) -> Object:
    """RFC 7396: what is null goes, maps are merged, anything else replaces."""
    after = dict(live)
    for name, value in patch.items():
        if value is None:
            after.pop(name, None)
        elif isinstance(value, dict):
            there = after.get(name)
            after[name] = merged(there if isinstance(there, dict) else {}, value)
        else:
            after[name] = value
    return after


def leaves(value: Object, at: Path = ()) -> Iterator[Path]:
    """The paths of what somebody can own."""
    for name, item in value.items():
        path = (*at, name)
        if path in _NOBODYS:
            continue
        if isinstance(item, dict):
            yield from leaves(item, path)
        else:
            yield path


def value_at(value: Any, path: Path) -> Any:
    """What stands there."""
    for name in path:
        value = value.get(name, _ABSENT) if isinstance(value, dict) else _ABSENT
    return value


def _set(value: Object, path: Path, item: Any) -> None:
    for name in path[:-1]:
        value = value.setdefault(name, {})
    value[path[-1]] = item


def _remove(value: Object, path: Path) -> None:
    """And the maps that are empty then."""
    parents = [value]
    for name in path[:-1]:
        if not isinstance(inner := parents[-1].get(name), dict):
            return
        parents.append(inner)
    for parent, name in zip(reversed(parents), reversed(path), strict=True):
        if name == path[-1] and parent is parents[-1]:
            parent.pop(name, None)
        elif not parent[name]:
            del parent[name]
