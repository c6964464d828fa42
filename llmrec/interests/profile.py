"""The profile of a person: the hierarchy with the history behind it and the account of how it was made."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_serializer, field_validator, model_validator

from llmrec.behavior.cleaning import CleaningReport
from llmrec.behavior.events import History, HistoryEntry
from llmrec.errors import InputError
from llmrec.interests.anticipation import PredictedInterest
from llmrec.interests.compact_readings import compact, expanded
from llmrec.interests.edits import Add, Edit
from llmrec.interests.extraction import ClaimCount, EventReading, PathStep
from llmrec.interests.facets import Facets, Numbers, facets
from llmrec.interests.graph import InterestGraph, profile_graph
from llmrec.interests.hierarchy import PATH_SEPARATOR, Interest, InterestHierarchy
from llmrec.interests.organization import Hint, SuppressedInterest, organize
from llmrec.interests.revision import ProfileDiff, diff_profiles, edit_profile, profile_at, undo_edit
from llmrec.interests.taxonomy import Vocabulary
from llmrec.llm.base import Usage
from llmrec.llm.embedder import Embedder
from llmrec.settings import InterestNumbers


def _now() -> datetime:
    return datetime.now(tz=timezone.utc)


def _parts(labels: Sequence[str]) -> tuple[str, ...]:
    """What stands between the separators of the labels, folded."""
    cut = (part.strip().casefold() for label in labels for part in re.split("[/›]", label))
    return tuple(part for part in cut if part)


def _joined_ends(path: Sequence[str]) -> set[str]:
    """The path and each of its ends, with its labels joined in every way that `find` takes."""
    return {joint.join(path[start:]) for start in range(len(path)) for joint in (PATH_SEPARATOR, "/", "›")}


class InterestProfile(BaseModel):
    """What is known of a person's interests, with the evidence."""

    model_config = ConfigDict(frozen=True)

    user_id: str
    hierarchy: InterestHierarchy
    entries: tuple[HistoryEntry, ...]
    """The events the profile was made from, in the order of time, with their items and weights."""
    readings: tuple[EventReading, ...] = ()
    """What was found in each event, in the same order."""
    edits: tuple[Edit, ...] = ()
    """What the person changed, in order; applied whenever the profile is computed."""
    suppressed: tuple[SuppressedInterest, ...] = ()
    """The interests that faded, ended or were removed, the heaviest in the long term first."""
    hints: tuple[Hint, ...] = ()
    """Values and words found on too few items to be interests, the heaviest first."""
    predicted: tuple[PredictedInterest, ...] = ()
    """Interests the person has not shown, likeliest first; never part of the hierarchy or its evidence."""
    broader: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Further broader interests by id, besides those that labels name."""
    numbers: InterestNumbers = InterestNumbers()
    """How the numbers of interests were computed."""
    half_life_days: float = Field(default=90.0, gt=0)
    """Days after which an event counts half in the long term."""
    as_of: float | None = None
    """The time, in seconds since the epoch, that `at` was asked for; None for what holds now."""
    claims: ClaimCount = ClaimCount()
    """How the claims of an open answer fared when they were checked."""
    language: str
    """The language of labels and explanations: `en` or `zh`."""
    strategy: Literal["anchored", "open", "none"]
    """How the interests were found; `none` when there was nothing to read."""
    model: str
    """The fingerprint of the language model."""
    prompts: dict[str, str] = Field(default_factory=dict)
    """The fingerprint of each prompt template that was used, by name."""
    report: CleaningReport
    """What was merged, repaired or set aside among the events."""
    notes: tuple[str, ...] = ()
    """What a reader should know about how the profile was made."""
    usage: Usage = Usage()
    """What the language model cost meanwhile; work that overlaps in other threads is counted in."""
    seconds: float = Field(default=0.0, ge=0)
    """How long it took."""
    created: datetime = Field(default_factory=_now)

    @field_serializer("readings", when_used="json")
    def _readings_in_short(self, readings: tuple[EventReading, ...]) -> dict[str, Any]:
        return compact(readings)

    @field_validator("readings", mode="before")
    @classmethod
    def _readings_in_full(cls, value: Any) -> Any:
        return expanded(value) if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _a_reading_for_each_event(self) -> InterestProfile:
        if len(self.readings) != len(self.entries):
            raise ValueError(f"there are {len(self.entries)} entries and {len(self.readings)} readings")
        return self

    def computed(self) -> InterestProfile:
        """The same with hierarchy and suppressed interests computed anew from events, readings and edits."""
        organization = organize(
            self.entries, self.readings, self.numbers, edits=self.edits, broader=self.broader
        )
        return self.model_copy(
            update={
                "hierarchy": organization.hierarchy,
                "suppressed": organization.suppressed,
                "hints": organization.hints,
            }
        )

    @property
    def history(self) -> History:
        """The events as a sequence."""
        return History(self.user_id, self.entries)

    @property
    def fixed_readings(self) -> dict[str, EventReading]:
        """The readings that the person gave themselves, by event id; those of edits come with the edits."""
        of_edits = {edit.event.id for edit in self.edits if isinstance(edit, Add) and edit.event is not None}
        return {
            entry.event.id: reading
            for entry, reading in zip(self.entries, self.readings, strict=True)
            if reading.fixed and entry.event.id not in of_edits
        }

    @property
    def standing_entries(self) -> tuple[HistoryEntry, ...]:
        """The events that may speak for items: all but those about nothing but what ended or was removed."""
        out = {one.id for one in self.ended}
        out |= {one.id for one in self.suppressed if one.reason == "removed"}
        if not out:
            return self.entries
        known = {one.id for one in self.interests} | {one.id for one in self.suppressed}
        standing = []
        for entry, reading in zip(self.entries, self.readings, strict=True):
            about = {label.path[-1].id for label in reading.labels if not label.negative} & known
            if not about or not about <= out:
                standing.append(entry)
        return tuple(standing)

    @property
    def unlabelled(self) -> tuple[str, ...]:
        """The ids of events in which no interest was found."""
        return tuple(
            entry.event.id
            for entry, reading in zip(self.entries, self.readings, strict=True)
            if not reading.labels
        )

    @property
    def interests(self) -> tuple[Interest, ...]:
        """Every interest, parents before their children."""
        return self.hierarchy.interests

    @property
    def graph(self) -> InterestGraph:
        """The profile as a new networkx graph, yours to edit; see `llmrec.interests.graph.profile_graph`."""
        return profile_graph(self)

    def facets(
        self,
        *,
        vocabulary: Vocabulary | None = None,
        embedder: Embedder | None = None,
        other: Numbers | None = None,
        share: float = 0.5,
    ) -> Facets:
        """The interests as weighted dimensions and vectors; see `llmrec.interests.facets.facets`."""
        return facets(self, vocabulary=vocabulary, embedder=embedder, other=other, share=share)

    @property
    def ended(self) -> tuple[Interest | SuppressedInterest, ...]:
        """The interests that a later event contradicted, the latest ending first."""
        every: list[Interest | SuppressedInterest] = [*self.interests, *self.suppressed]
        found = [one for one in every if one.ended is not None]
        return tuple(sorted(found, key=lambda one: -((one.ended and one.ended.timestamp) or 0.0)))

    def find(self, name: str) -> str:
        """The id of an interest given by its id, its label, or the labels of its path joined by "/" or "›".

        Labels may hold these signs themselves. Interests that are suppressed are found as well. Raises
        InputError when there is none, or several.
        """
        paths = {i.id: self.hierarchy.path(i.id) for i in self.interests}
        paths |= {one.id: one.path for one in self.suppressed}
        if name in paths:
            return name
        whole, wanted = name.strip().casefold(), _parts([name])
        folded = {i: tuple(label.casefold() for label in path) for i, path in paths.items()}
        # A label may hold a separator itself, as Action/Adventure does.
        found = [i for i, path in folded.items() if whole and whole in _joined_ends(path)]
        if not found:
            ends = {i: [_parts(path[start:]) for start in range(len(path))] for i, path in folded.items()}
            found = [i for i, parts in ends.items() if wanted and wanted in parts]
        if len(found) > 1:
            exact = [i for i in found if _parts(folded[i]) == wanted]
            found = exact if len(exact) == 1 else found
        if len(found) == 1:
            return found[0]
        if found:
            several = ", ".join(PATH_SEPARATOR.join(paths[i]) for i in found[:4])
            raise InputError(f"{name!r} could be several interests ({several}): give the whole path")
        labels = [path[-1] for path in folded.values() if path]
        close = difflib.get_close_matches(whole, [one for one in labels if len(_parts([one])) > 1], n=3)
        close = close or difflib.get_close_matches(wanted[-1] if wanted else "", labels, n=3)
        cure = f"did you mean {', '.join(close)}?" if close else "profile.tree() shows what is there"
        raise InputError(f"there is no interest {name!r} of {self.user_id!r}: {cure}")

    def edited(self, edit: Edit, *, path: Sequence[PathStep] = ()) -> InterestProfile:
        """The profile with one more edit; see `llmrec.interests.revision.edit_profile`."""
        return edit_profile(self, edit, path=path)

    def undone(self) -> InterestProfile:
        """The profile without its last edit. Raises InputError when there is none."""
        return undo_edit(self)

    def at(self, date: float | str | datetime) -> InterestProfile:
        """The profile as it was at a time; see `llmrec.interests.revision.profile_at`."""
        return profile_at(self, date)

    def diff(self, other: InterestProfile) -> ProfileDiff:
        """What changed from this profile to another one."""
        return diff_profiles(self, other)

    def tree(self) -> str:
        """The hierarchy as indented text: label, weight, number of supporting events."""
        return self.hierarchy.tree()

    def evidence(self, interest_id: str) -> list[HistoryEntry]:
        """The events behind an interest, in the order of time. Raises KeyError when there is none."""
        supporting = {evidence.event_id for evidence in self.hierarchy[interest_id].evidence}
        return [entry for entry in self.entries if entry.event.id in supporting]
