"""What must always be true, asked of those who know: the account, the files, the database, its audit log.

``Truth.watch`` checks the promises of every instant after each call that a worker makes; ``check_rest`` adds those
that hold once there is nothing left to do. Both raise AssertionError with what was found.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tasks.providers.openrouter.emulator import KeyFacts
from tasks.rotation.machine import TRANSITIONS
from tasks.rotation.model import IN_FLIGHT, Event, KeyVersion, Reason, Removal, VersionState
from tasks.rotation.parameters import MARKER
from tests.steered.installation import Installation
from tests.steered.taps import Passing, Side, changes_something

_S = VersionState
_KEY: Final = re.compile(r"sk-or-[\w-]+")


class Truth:
    """Checks one installation.

    ``strangers`` are hashes of keys that are not ours: they must stay as they are. ``excused`` are files that a test
    broke: until they hold a live key again, they may hold anything. ``left`` are files that are no destinations any
    more, ``withdrawn`` those that shall hold no key of ours at rest, and ``dead`` the hashes that a test killed behind
    the product's back.
    """

    def __init__(self, installation: Installation) -> None:
        self._of = installation
        self._served: set[Path] = set()
        self._broken: list[AssertionError] = []
        names = ("stranger", "web", "web #1-0123456789ab")
        self.strangers = {installation.account.mint(name)[1] for name in names}
        self._as_found: dict[str, KeyFacts] = {}
        self.excused: set[Path] = set()
        self.left: set[Path] = set()
        self.withdrawn: set[Path] = set()
        self.dead: set[str] = set()
        installation.tap.watchers.append(self._watch)

    def _watch(self, passing: Passing) -> None:
        """Whoever calls may take a failed check for a failure of the call, so it is kept as well as raised."""
        try:
            if passing.side is Side.AFTER and changes_something(passing.name):
                self.check_instant()
            if passing.side is Side.BEFORE and passing.name == "openrouter POST /keys":
                self._look_before_a_create()
        except AssertionError as broken:
            self._broken.append(broken)
            raise

    def emptied(self, file: Path) -> None:
        """A person took the key out of ``file``: it may hold none until it is delivered again."""
        self._served.discard(file)

    def check_kept(self) -> None:
        """Raise the first check that failed while nobody was there to see it."""
        if self._broken:
            raise self._broken[0]

    # --- at every instant --------------------------------------------------------------------------------------

    def check_instant(self) -> None:
        """No gap, nothing dies early, none unrecorded, only ours, one at a time."""
        live = self._of.account.live()
        revoked = {name for name in self._of.rotation_ids if self._revoked(name)}
        if not revoked:
            self._no_gap(live)
        self._only_ours()
        versions = {name: self._of.versions(name) for name in self._of.rotation_ids}
        for name, its in versions.items():
            assert sum(v.state in IN_FLIGHT for v in its) <= 1, f"{name} has two versions in flight"
            assert sum(v.state is _S.ACTIVE for v in its) <= 1, f"{name} has two active versions"
            if name not in revoked:
                self._nothing_dies_early(its, live)
        self._none_is_unrecorded([v for its in versions.values() for v in its])

    def _only_ours(self) -> None:
        for key in self._of.account.minted:
            if key.hash in self.strangers:
                assert self._as_found.setdefault(key.hash, key) == key, f"{key.name} is not ours, and was changed"

    def _no_gap(self, live: frozenset[str]) -> None:
        for file in (f for f in self._of.files() if f not in self.left | self.withdrawn):
            held = self.held(file)
            if file in self.excused:
                if held not in live:
                    continue
                self.excused.discard(file)
            if held is None:
                assert file not in self._served, f"{file.name} lost its key"
                continue
            self._served.add(file)
            assert held in live, f"{file.name} holds a key that OpenRouter does not accept"

    def _none_is_unrecorded(self, versions: Sequence[KeyVersion]) -> None:
        """Every key of ours that exists is written down by its hash or, until that is known, by its marker."""
        hashes, markers = {v.key_hash for v in versions}, {v.marker for v in versions}
        for key in self._of.account.minted:
            if key.state == "deleted" or key.hash in hashes | self.strangers:
                continue
            mark = MARKER.search(key.name)
            known = mark is not None and mark["marker"] in markers
            assert known, f"{key.name} exists, and nothing is written down of it"

    def _look_before_a_create(self) -> None:
        """Before a key is asked for: the intention is stored, and no earlier create is left that nobody looked for.

        A worker that was frozen right before it asked cannot know that another has given its version up meanwhile; but
        then that is still looked for.
        """
        versions = [v for name in self._of.rotation_ids for v in self._of.versions(name)]
        intended = any(v.state is _S.CREATING or v.settles_at for v in versions)
        assert intended, "a key is asked for, and nothing is written down of it"
        unlooked = [v for v in versions if v.state is _S.ABANDONED and v.settles_at and v.looked_at is None]
        assert len(self._of.rotation_ids) > 1 or not unlooked, "a key is asked for again, before anybody looked"

    def held(self, file: Path) -> str | None:
        """The hash of the key that a file holds; None when it holds none."""
        value = self._of.held(file)
        return None if value is None else hashlib.sha256(value.reveal().encode()).hexdigest()

    def _holds_ours(self, file: Path) -> bool:
        """Whether a key that was minted stands in any line of a file; what somebody else put there may stay."""
        texts = _KEY.findall(file.read_text(encoding="utf-8")) if file.exists() else []
        return not {hashlib.sha256(t.encode()).hexdigest() for t in texts}.isdisjoint(
            k.hash for k in self._of.account.minted
        )

    def _nothing_dies_early(self, versions: Iterable[KeyVersion], live: frozenset[str]) -> None:
        for version in versions:
            if version.state is _S.ACTIVE and version.key_hash not in self.dead:
                assert version.key_hash in live, f"the key of the active version {version.number} does not work"

    def _revoked(self, name: str) -> bool:
        """Whether an operator deleted the rotation together with its keys."""
        return self._of.removal_of(name) is Removal.REVOKE_KEYS

    # --- at rest -----------------------------------------------------------------------------------------------

    def check_rest(self) -> None:
        """Everything of ``check_instant``, and: one active key, everywhere; no orphan; a complete history; no leak."""
        self.check_kept()
        self.check_instant()
        recorded: set[str] = set()
        for name in self._of.rotation_ids:
            versions = self._of.versions(name)
            if self._of.removal_of(name) is None:
                self._one_active(name, versions)
            recorded |= {v.key_hash for v in versions if v.key_hash and v.state is not _S.DELETED}
            self._history_is_whole(name, versions)
            assert not any(v.has_key for v in versions if v.state is _S.DELETED), "a dead key's text was kept"
        existing = {k.hash for k in self._of.account.minted if k.state != "deleted"}
        orphans = existing - recorded - self.strangers
        assert not orphans, f"orphans: {[self._facts(o).name for o in orphans]}"
        assert recorded - self.dead <= existing, "a key that is recorded as alive is gone"
        kept = [file.name for file in self.withdrawn if self._holds_ours(file)]
        assert not kept, f"the key was to be withdrawn, and is still in {kept}"
        self.check_no_leak()

    def _one_active(self, name: str, versions: tuple[KeyVersion, ...]) -> None:
        active = [v for v in versions if v.state is _S.ACTIVE]
        if not versions:
            return
        assert len(active) == 1, f"{name}: {[str(v.state) for v in versions]}"
        for destination in self._of.snapshot(name).destinations:
            file = Path(destination.label.removeprefix("dotenv:"))
            if active[0].has_key and file not in self.excused:
                assert self.held(file) == active[0].key_hash, f"{file.name} does not hold the active key"

    def _facts(self, key_hash: str) -> KeyFacts:
        return next(k for k in self._of.account.minted if k.hash == key_hash)

    def _history_is_whole(self, name: str, versions: tuple[KeyVersion, ...]) -> None:
        """Every version's state is what its events say, step by allowed step."""
        events = [e for e in self._of.audit(name) if e.name.startswith("version_") or e.name == "mint_failed"]
        for version in versions:
            told = [e for e in events if e.version == version.number]
            end = _retold(version, told)
            assert end is version.state, f"{name} {version.number} is {version.state}, its events say {end}"
            in_order = [e.at for e in told] == sorted(e.at for e in told)
            assert in_order or self._of.clock.was_set_back, f"the events of {name} {version.number} are out of order"

    def check_no_leak(self) -> None:
        """No key's text, ours or the operator's, in the database, its events, or the log."""
        texts = [self._of.canary.encode(), self._of.management_key.reveal().encode()]
        secrets = [*texts, *(text.hex().encode() for text in texts)]  # PostgreSQL shows bytes in hexadecimal
        places = self._of.stored() | {"log": "\n".join(self._of.log.lines).encode()}
        for place, content in places.items():
            assert not any(secret in content for secret in secrets), f"a key's text is in {place}"


def _retold(version: KeyVersion, events: list[Event]) -> VersionState | None:
    """Where a version stands according to its events."""
    state: VersionState | None = None
    for event in events:
        to = _meant(event, state)
        if state is None:
            assert to is (_S.ACTIVE if version.reason is Reason.ADOPTED else _S.PLANNED), event
        elif to is not state or event.name != "mint_failed":
            assert to in TRANSITIONS[state], f"version {version.number} went from {state} to {to}"
        state = to
    return state


def _meant(event: Event, state: VersionState | None) -> VersionState | None:
    """The state that an event tells of; a mint that failed after it had begun takes its version back in line."""
    if event.name == "mint_failed":
        return _S.PLANNED if state is _S.CREATING else state
    if event.name == "version_adopted":
        return _S.ACTIVE
    return VersionState(event.name.removeprefix("version_"))


@contextmanager
def watched(installation: Installation) -> Iterator[Truth]:
    """Check every instant of the block, and the rest at its end."""
    truth = Truth(installation)
    yield truth
    truth.check_rest()
