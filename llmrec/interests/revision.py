"""How a profile changes: new events, the person's edits, earlier times, and what differs between two."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from llmrec.behavior.cleaning import CleaningReport
from llmrec.behavior.events import Event, HistoryEntry, parse_timestamp
from llmrec.behavior.strength import decays
from llmrec.errors import InputError
from llmrec.interests.anchored import slug
from llmrec.interests.edits import EDIT_KINDS, Add, Edit, Merge, Move, Remove, added_entry, describe
from llmrec.interests.extraction import EventReading, PathStep
from llmrec.interests.hierarchy import MAX_LEVEL, PATH_SEPARATOR, Interest

if TYPE_CHECKING:
    from llmrec.interests.profile import InterestProfile
    from llmrec.interests.taxonomy import Vocabulary

CHANGED_WEIGHT = 0.005
"""Weights that differ by less are not listed as changed."""


def faded(entries: Sequence[HistoryEntry], half_life_days: float) -> tuple[HistoryEntry, ...]:
    """The entries with their decays measured anew from the last of them."""
    fading = decays([entry.event.timestamp for entry in entries], half_life_days)
    return tuple(
        entry
        if entry.decay == decay
        # Made anew it is four times faster than copied.
        else HistoryEntry(event=entry.event, item=entry.item, strength=entry.strength, decay=decay)
        for entry, decay in zip(entries, fading, strict=True)
    )


def with_entries(
    profile: InterestProfile, entries: Sequence[HistoryEntry], readings: Sequence[EventReading]
) -> InterestProfile:
    """The profile of other events, with its edits, computed anew."""
    changed = profile.model_copy(
        update={"entries": faded(entries, profile.half_life_days), "readings": tuple(readings)}
    )
    return changed.computed()


def without_events(profile: InterestProfile, event_ids: Iterable[str]) -> InterestProfile:
    """The profile without some events, and without what was noted of them.

    Edits of what nothing speaks of now go, and so do the notes of the cleaning, which quote records. What was
    read in the other events stays as it is.
    """
    left_out = set(event_ids)
    pairs: list[tuple[HistoryEntry, EventReading]] = []
    last_before: dict[str, str | None] = {}
    for entry, reading in zip(profile.entries, profile.readings, strict=True):
        if entry.event.id in left_out:
            last_before[entry.event.id] = pairs[-1][0].event.id if pairs else None
        else:
            pairs.append((entry, reading))
    known = {step.id for _, reading in pairs for label in reading.labels for step in label.path}
    kept: list[Edit] = []
    for edit in profile.edits:
        if not isinstance(edit, Add):
            if {edit.interest, *_other_interests(edit)} <= known:
                kept.append(edit)
        elif edit.event is None or edit.event.id not in left_out:
            after = last_before.get(edit.after, edit.after) if edit.after is not None else None
            kept.append(edit.model_copy(update={"after": after}))
    cleared = profile.model_copy(
        update={
            "edits": tuple(kept),
            "broader": {
                narrower: tuple(one for one in above if one in known)
                for narrower, above in profile.broader.items()
                if narrower in known
            },
            "predicted": (),
            "notes": (),
            "report": CleaningReport(read=len(pairs), kept=len(pairs)),
        }
    )
    return with_entries(cleared, [entry for entry, _ in pairs], [reading for _, reading in pairs])


def _other_interests(edit: Edit) -> list[str]:
    """The ids an edit names besides the interest it changes."""
    named = edit.into if isinstance(edit, Merge) else edit.under if isinstance(edit, Move) else None
    return [named] if named is not None else []


def check_present(profile: InterestProfile) -> None:
    """Raise InputError for the profile of an earlier time, which must not be changed and kept."""
    if profile.as_of is not None:
        raise InputError("this is a profile as of an earlier time: change the present one")


def edit_profile(profile: InterestProfile, edit: Edit, *, path: Sequence[PathStep] = ()) -> InterestProfile:
    """The profile with one more edit, computed anew.

    Interests may be named as `InterestProfile.find` takes them. `path` is where a vocabulary places what is
    added; without it, it stands below `under`, or at the top. Raises InputError for what is no edit, and when
    the edit names an interest that is not there or was removed, or would make the tree a circle or too deep.
    """
    if not isinstance(edit, EDIT_KINDS):
        kinds = ", ".join(kind.__name__ for kind in EDIT_KINDS)
        raise InputError(f"{type(edit).__name__} is no edit: give one of {kinds}")
    resolved = _resolved(profile, edit)
    made = resolved.made if resolved.made is not None else time.time()
    if isinstance(resolved, Add):
        return _added(profile, resolved.model_copy(update={"made": made}), path)
    resolved = resolved.model_copy(update={"made": made})
    _check_standing(profile, resolved)
    if isinstance(resolved, (Merge, Move)):
        _check_place(profile, resolved)
    changed = profile.model_copy(update={"edits": (*profile.edits, resolved), "predicted": ()})
    return changed.computed()


def place_in(vocabulary: Vocabulary, name: str, language: str) -> tuple[PathStep, ...]:
    """Where a vocabulary places a name it knows; empty when it does not, or when there are several."""
    named = vocabulary.named(name)
    if len(named) != 1:
        return ()
    ancestors = vocabulary.ancestors(named[0])
    return tuple(PathStep(node_id, vocabulary[node_id].label(language)) for node_id in ancestors)


def undo_edit(profile: InterestProfile) -> InterestProfile:
    """The profile without its last edit. Raises InputError when there is none."""
    if not profile.edits:
        raise InputError(f"there is no edit of {profile.user_id!r} to undo")
    last = profile.edits[-1]
    changed = profile.model_copy(update={"edits": profile.edits[:-1], "predicted": ()})
    if isinstance(last, Add) and last.event is not None:
        kept = [
            (entry, reading)
            for entry, reading in zip(profile.entries, profile.readings, strict=True)
            if entry.event.id != last.event.id
        ]
        return with_entries(changed, [entry for entry, _ in kept], [reading for _, reading in kept])
    return changed.computed()


def profile_at(profile: InterestProfile, date: float | str | datetime) -> InterestProfile:
    """The profile as the events and edits up to a time make it, the time itself included.

    `date` is in seconds since the epoch, ISO 8601 or a datetime; a day alone means its beginning in UTC. An
    event without a time counts as that of the nearest dated event before it, else after it. Raises
    InputError for what is not a time, and for a profile none of whose events is dated.
    """
    try:
        until = parse_timestamp(date)
    except ValueError as error:
        raise InputError(str(error)) from error
    if until is None:
        raise InputError("no time is given: write seconds since the epoch, or a date such as 2026-01-31")
    stamps = [entry.event.timestamp for entry in profile.entries]
    nearest = next((stamp for stamp in stamps if stamp is not None), None)
    if nearest is None and profile.entries:
        raise InputError(f"no event of {profile.user_id!r} has a time, so none is known to be earlier")
    edits = tuple(edit for edit in profile.edits if edit.made is None or edit.made <= until)
    later_words = {
        edit.event.id
        for edit in profile.edits
        if isinstance(edit, Add) and edit.event is not None and edit not in edits
    }
    entries, readings = [], []
    for entry, reading in zip(profile.entries, profile.readings, strict=True):
        nearest = entry.event.timestamp if entry.event.timestamp is not None else nearest
        if nearest is not None and nearest <= until and entry.event.id not in later_words:
            entries.append(entry)
            readings.append(reading)
    moment = datetime.fromtimestamp(until, tz=timezone.utc)
    note = f"as of {moment:%Y-%m-%d %H:%M} UTC: {len(entries)} of {len(profile.entries)} events"
    earlier = profile.model_copy(
        update={"edits": edits, "predicted": (), "notes": (*profile.notes, note), "as_of": until},
    )
    return with_entries(earlier, entries, readings)


class InterestChange(BaseModel):
    """An interest that two profiles both hold, and tell differently."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    before: Interest
    after: Interest
    what: tuple[Literal["weight", "polarity", "tier", "horizon", "label", "place", "ended", "pinned"], ...]


class ProfileDiff(BaseModel):
    """What changed from one profile to another."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    appeared: tuple[Interest, ...] = ()
    gone: tuple[Interest, ...] = ()
    changed: tuple[InterestChange, ...] = ()
    """Changes of weight below 0.005 alone are left out."""
    new_events: tuple[str, ...] = ()
    missing_events: tuple[str, ...] = ()
    paths: dict[str, tuple[str, ...]] = {}
    """The labels from the top down, by interest id, as the later profile says; else the earlier one."""

    def __bool__(self) -> bool:
        return bool(self.appeared or self.gone or self.changed or self.new_events or self.missing_events)

    def text(self) -> str:
        """The changes, one a line: `+` appeared, `-` gone, `~` changed."""
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """The lines of the text: what appeared, what is gone, then what changed, each in its order."""
        lines = [f"+ {self._name(one.id)}  {_signed(one):+.2f}" for one in self.appeared]
        lines += [f"- {self._name(one.id)}  {_signed(one):+.2f}" for one in self.gone]
        for change in self.changed:
            before, after = change.before, change.after
            said = [f"{_signed(before):+.2f} → {_signed(after):+.2f}"]
            if "label" in change.what:
                said.append(f"was called {before.label}")
            if "place" in change.what:
                said.append("moved")
            if "tier" in change.what:
                said.append(f"{before.tier} → {after.tier}")
            if "horizon" in change.what:
                said.append(f"{before.horizon} → {after.horizon}")
            if "ended" in change.what:
                said.append("ended" if after.ended else "taken up again")
            if "pinned" in change.what:
                said.append("pinned" if after.pinned else "no longer pinned")
            lines.append(f"~ {self._name(after.id)}  {', '.join(said)}")
        return lines

    def _name(self, interest_id: str) -> str:
        return PATH_SEPARATOR.join(self.paths[interest_id])


def diff_profiles(before: InterestProfile, after: InterestProfile) -> ProfileDiff:
    """What changed from one profile to another, the largest changes first."""
    one, two = before.hierarchy, after.hierarchy
    paths = {i.id: one.path(i.id) for i in one.interests} | {i.id: two.path(i.id) for i in two.interests}
    changes = []
    for interest in two.interests:
        if interest.id in one:
            change = _change(
                one[interest.id],
                interest,
                paths_differ=one.ancestors(interest.id) != two.ancestors(interest.id),
            )
            if change is not None:
                changes.append(change)
    old = {entry.event.id for entry in before.entries}
    new = {entry.event.id for entry in after.entries}
    return ProfileDiff(
        appeared=tuple(sorted((i for i in two.interests if i.id not in one), key=_heaviest_first)),
        gone=tuple(sorted((i for i in one.interests if i.id not in two), key=_heaviest_first)),
        changed=tuple(
            sorted(changes, key=lambda c: (-abs(_signed(c.after) - _signed(c.before)), c.after.id))
        ),
        new_events=tuple(e.event.id for e in after.entries if e.event.id not in old),
        missing_events=tuple(e.event.id for e in before.entries if e.event.id not in new),
        paths=paths,
    )


def _change(before: Interest, after: Interest, *, paths_differ: bool) -> InterestChange | None:
    differs = {
        "weight": abs(_signed(before) - _signed(after)) >= CHANGED_WEIGHT,
        "polarity": before.polarity != after.polarity,
        "tier": before.tier != after.tier,
        "horizon": before.horizon != after.horizon,
        "label": before.label != after.label,
        "place": paths_differ or before.parent_id != after.parent_id,
        "ended": before.ended != after.ended,
        "pinned": before.pinned != after.pinned,
    }
    what = tuple(name for name, found in differs.items() if found)
    if not what:
        return None
    return InterestChange.model_validate({"before": before, "after": after, "what": what})


def _signed(interest: Interest) -> float:
    return -interest.weight if interest.polarity == "negative" else interest.weight


def _heaviest_first(interest: Interest) -> tuple[float, str]:
    return -interest.weight, interest.id


def _resolved(profile: InterestProfile, edit: Edit) -> Edit:
    """The edit with the ids of the interests it names."""
    names = {}
    for field in ("interest", "into", "under"):
        given = getattr(edit, field, None)
        if given is not None:
            names[field] = profile.find(given)
    return edit.model_copy(update=names)


def _check_standing(profile: InterestProfile, edit: Edit) -> None:
    """Raise InputError for an edit of an interest that was removed, on which it would do nothing."""
    if isinstance(edit, (Add, Remove)):
        return
    removed = {one.id: one.path for one in profile.suppressed if one.reason == "removed"}
    for interest_id in (edit.interest, *_other_interests(edit)):
        if interest_id in removed:
            path = PATH_SEPARATOR.join(removed[interest_id])
            raise InputError(f"cannot {describe(edit)}: {path} was removed: add it again, or undo, first")


def _check_place(profile: InterestProfile, edit: Merge | Move) -> None:
    """Raise InputError for a place inside of what is to be moved there, and for one too deep."""
    target = edit.into if isinstance(edit, Merge) else edit.under
    if target is None or target not in profile.hierarchy or edit.interest not in profile.hierarchy:
        return
    way: str | None = target
    while way is not None:
        if way == edit.interest and (isinstance(edit, Move) or target == edit.interest):
            raise InputError(f"cannot {describe(edit)}: an interest cannot stand inside itself")
        way = profile.hierarchy[way].parent_id
    depth = _height(profile, edit.interest) + profile.hierarchy[target].level
    if depth > MAX_LEVEL:
        raise InputError(
            f"cannot {describe(edit)}: the tree would be {depth} levels deep, {MAX_LEVEL} at most"
        )


def _height(profile: InterestProfile, interest_id: str) -> int:
    below = profile.hierarchy.children(interest_id)
    return 1 + max((_height(profile, child.id) for child in below), default=0)


def _added(profile: InterestProfile, edit: Add, path: Sequence[PathStep]) -> InterestProfile:
    if not edit.label.strip():
        raise InputError("the interest to add has no name: give one")
    above = _steps_to(profile, edit.under) if edit.under is not None else ()
    if edit.under is not None or not path:
        step_id = "/".join([*([above[-1].id] if above else []), slug(edit.label)])
        path = (*above, PathStep(step_id, edit.label.strip()))
    if len(path) > MAX_LEVEL:
        raise InputError(f"cannot {describe(edit)}: the tree is {MAX_LEVEL} levels deep at most")
    # Without a time it counts as of the person's last event: their history is not older for it.
    event = edit.event or Event(
        user_id=profile.user_id,
        action="say",
        text=edit.label.strip(),
        id=f"edit-{edit.made}-{slug(edit.label)}",
    )
    if event.user_id != profile.user_id:
        raise InputError(f"the event is of {event.user_id!r}, not of {profile.user_id!r}: give their own")
    if any(entry.event.id == event.id for entry in profile.entries):
        raise InputError(f"the event {event.id!r} is there already: give the new one an id of its own")
    last = profile.entries[-1].event.id if profile.entries else None
    made = edit.model_copy(update={"event": event, "path": tuple(path), "after": last})
    entry, reading = added_entry(made)
    changed = profile.model_copy(update={"edits": (*profile.edits, made), "predicted": ()})
    return with_entries(changed, (*profile.entries, entry), (*profile.readings, reading))


def _steps_to(profile: InterestProfile, interest_id: str) -> tuple[PathStep, ...]:
    if interest_id not in profile.hierarchy:
        raise InputError(f"the interest {interest_id!r} is suppressed: add the new one at the top")
    steps: list[PathStep] = []
    current: str | None = interest_id
    while current is not None:
        interest = profile.hierarchy[current]
        steps.append(PathStep(interest.id, interest.label))
        current = interest.parent_id
    return tuple(reversed(steps))
