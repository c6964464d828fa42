"""From events to a profile, and from a profile and new events to the next one."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llmrec.behavior.cleaning import CleaningNote, CleaningReport, clean_events, time_order
from llmrec.behavior.events import Catalog, Event, HistoryEntry
from llmrec.behavior.strength import build_history
from llmrec.behavior.text import record_text
from llmrec.interests.anchored import label_history
from llmrec.interests.edits import Add, Edit, added_entry
from llmrec.interests.extraction import (
    EventReading,
    Extraction,
    ExtractionTools,
    StageProgress,
    choose_strategy,
)
from llmrec.interests.hierarchy import InterestHierarchy
from llmrec.interests.open_answers import write_interests
from llmrec.interests.own_words import OwnWords
from llmrec.interests.profile import InterestProfile
from llmrec.interests.revision import faded
from llmrec.interests.similarity import LabelSimilarity
from llmrec.interests.subjects import language_of
from llmrec.interests.taxonomy import Vocabulary
from llmrec.llm.base import LanguageModel
from llmrec.llm.embedder import Embedder
from llmrec.llm.priors import Priors
from llmrec.prompting.templates import PromptLibrary
from llmrec.settings import Settings


@dataclass(frozen=True)
class Profiler:
    """Makes profiles with a model, a vocabulary and a catalogue."""

    model: LanguageModel
    priors: Priors
    library: PromptLibrary
    vocabulary: Vocabulary
    catalog: Catalog
    settings: Settings
    embedder: Embedder | None
    progress: StageProgress
    own_words: OwnWords | None = None
    """The distinctive words of the catalogue, which become labels where the vocabulary has none."""
    similarity: LabelSimilarity | None = None
    """The vocabulary as the embedder sees it, where it was laid out before."""

    def build(
        self,
        person: str,
        events: Sequence[Event],
        *,
        edits: Sequence[Edit] = (),
        fixed: Mapping[str, EventReading] | None = None,
        report: CleaningReport | None = None,
        notes: Sequence[str] = (),
    ) -> InterestProfile:
        """Read the clean events of one person, and apply edits made before.

        `fixed` holds, by event id, readings that stay as the person gave them. Raises ModelError.
        """
        started = time.perf_counter()
        before = self.model.usage
        entries = tuple(build_history(person, events, self.catalog, self.settings))
        fixed = fixed or {}
        to_read = [entry for entry in entries if entry.event.id not in fixed]
        language = self._language(to_read)
        extraction = self._extract(to_read, language, {}) if to_read else Extraction([], "anchored")
        found = iter(extraction.readings)
        own = [fixed.get(entry.event.id) or next(found) for entry in entries]
        all_entries, readings = _with_added(entries, own, edits)
        profile = InterestProfile(
            user_id=person,
            hierarchy=InterestHierarchy(),
            entries=faded(all_entries, self.settings.half_life_days),
            readings=tuple(readings),
            edits=tuple(edits),
            broader=extraction.broader,
            numbers=self.settings.numbers,
            half_life_days=self.settings.half_life_days,
            claims=extraction.claims,
            language=language,
            strategy=extraction.strategy if entries else "none",
            model=self.model.fingerprint,
            prompts=extraction.prompts,
            report=report if report is not None else CleaningReport(read=len(events), kept=len(events)),
            notes=(*extraction.notes, *notes, *_edits_note(edits)),
            usage=self.model.usage - before,
        )
        return profile.computed().model_copy(update={"seconds": time.perf_counter() - started})

    def update(
        self,
        profile: InterestProfile,
        events: Sequence[Event],
        *,
        report: CleaningReport | None = None,
        notes: Sequence[str] = (),
    ) -> tuple[InterestProfile, list[Event]]:
        """Take new events into a profile; what was read of the old ones is kept.

        Events that the profile holds already are left out and noted. Returns the profile, and the events
        that are new. When the events turn the person's language to another one, all of them are read anew,
        since labels are in that language, and a note says so. Raises ModelError.
        """
        started = time.perf_counter()
        before = self.model.usage
        kept, cleaning = clean_events(
            events, self.catalog, self.settings, rows=(report.rows or None) if report else None
        )
        known_events = {entry.event.id: entry.event for entry in profile.entries}
        fresh = [event for event in kept if event.id not in known_events]
        cleaning = _with_repeats(cleaning, [e for e in kept if e.id in known_events], known_events)
        added = tuple(build_history(profile.user_id, fresh, self.catalog, self.settings))
        merged = [*profile.entries, *added]
        read_before = [*profile.readings, *(EventReading() for _ in added)]
        order = time_order([entry.event for entry in merged])
        numbers = {"numbers": self.settings.numbers, "half_life_days": self.settings.half_life_days}
        entries = faded([merged[at] for at in order], self.settings.half_life_days)
        found = [read_before[at] for at in order]
        said = {entry.event.id for entry, reading in zip(entries, found, strict=True) if reading.fixed}
        language = self._language([entry for entry in entries if entry.event.id not in said])
        known = {e.event.id: r for e, r in zip(profile.entries, profile.readings, strict=True)}
        all_notes = list(notes)
        if language != profile.language and any(not reading.fixed for reading in known.values()):
            all_notes.append(
                f"the events are now mostly in the language {language!r}, so all of them were read anew"
            )
            known = {}
        to_read = [entry for entry in entries if entry.event.id not in said]
        extraction = self._extract(to_read, language, known) if to_read else Extraction([], "anchored")
        readings = iter(extraction.readings)
        changed = profile.model_copy(
            update={
                "entries": entries,
                "readings": tuple(reading if reading.fixed else next(readings) for reading in found),
                "broader": profile.broader | extraction.broader,
                "claims": profile.claims + extraction.claims if known else extraction.claims,
                "language": language,
                "strategy": extraction.strategy if to_read else profile.strategy,
                "model": self.model.fingerprint,
                "prompts": profile.prompts | extraction.prompts,
                "predicted": (),
                "report": (report.then(cleaning) if report is not None else cleaning),
                "notes": (*extraction.notes, *all_notes, *_edits_note(profile.edits)),
                "usage": self.model.usage - before,
                **numbers,
            }
        ).computed()
        return changed.model_copy(update={"seconds": time.perf_counter() - started}), fresh

    def tools(self, language: str) -> ExtractionTools:
        """What an extraction in a language works with; without an embedder that does not know it."""
        understands = self.embedder is not None and (
            not self.embedder.languages or language in self.embedder.languages
        )
        return ExtractionTools(
            self.model,
            self.priors,
            self.library,
            language,
            self.progress,
            self.embedder if understands else None,
        )

    def _extract(
        self, entries: Sequence[HistoryEntry], language: str, known: Mapping[str, EventReading]
    ) -> Extraction:
        tools = self.tools(language)
        if choose_strategy(self.settings.strategy, self.model) == "open":
            return write_interests(entries, tools, known=known)
        return label_history(
            entries,
            self.vocabulary,
            tools,
            model_budget=self.settings.labelled_by_model,
            known=known,
            own_words=self.own_words,
            similarity=self.similarity,
        )

    def _language(self, entries: Sequence[HistoryEntry]) -> str:
        if self.settings.language != "auto":
            return self.settings.language
        declared = [entry.item.language for entry in entries if entry.item and entry.item.language]
        texts = [entry.title for entry in entries if not (entry.item and entry.item.language)]
        if len(declared) >= len(texts) and declared:
            chinese = sum(language.lower().startswith("zh") for language in declared)
            return "zh" if 2 * chinese > len(declared) else "en"
        return language_of(texts)


def _with_added(
    entries: Sequence[HistoryEntry], readings: Sequence[EventReading], edits: Sequence[Edit]
) -> tuple[list[HistoryEntry], list[EventReading]]:
    """Put what edits added where it was said: after the event that was the last one then."""
    pairs = list(zip(entries, readings, strict=True))
    for edit in edits:
        if isinstance(edit, Add):
            ids = [entry.event.id for entry, _ in pairs]
            place = ids.index(edit.after) + 1 if edit.after in ids else len(pairs)
            if edit.after is None:
                place = 0
            pairs.insert(place, added_entry(edit))
    return [entry for entry, _ in pairs], [reading for _, reading in pairs]


def _edits_note(edits: Sequence[Edit]) -> list[str]:
    if not edits:
        return []
    return [
        f"{len(edits)} edits of the person were applied"
        if len(edits) > 1
        else "1 edit of the person was applied"
    ]


def _with_repeats(
    report: CleaningReport, repeats: Sequence[Event], known: Mapping[str, Event]
) -> CleaningReport:
    if not repeats:
        return report
    notes = [
        CleaningNote(
            kind="merged" if known[event.id] == event else "set_aside",
            reason=(
                "the profile holds this event already"
                if known[event.id] == event
                else "the profile holds another event of this id: give each event an id of its own"
            ),
            record=record_text(event.model_dump(exclude_defaults=True)),
        )
        for event in repeats
    ]
    return report.model_copy(
        update={"kept": report.kept - len(repeats), "notes": [*report.notes, *notes], "rows": []}
    )
