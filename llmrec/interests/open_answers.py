"""The open strategy: a capable model writes the interests, and every claim is checked against the events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from pydantic import BaseModel, Field

from llmrec.behavior.events import HistoryEntry
from llmrec.behavior.text import clean_text
from llmrec.errors import AnswerError, ContextLengthError
from llmrec.interests.extraction import (
    ClaimCount,
    EventLabel,
    EventReading,
    Extraction,
    ExtractionTools,
    PathStep,
)
from llmrec.interests.open_checks import (
    SHORT_TEXT,
    Claim,
    check_claims,
    check_note,
    event_text,
    show_events,
)
from llmrec.interests.open_paths import clean_path, known_paths, settle_paths
from llmrec.interests.subjects import split_clauses
from llmrec.llm.base import Message
from llmrec.llm.cache import naming_prompt
from llmrec.prompting.structured import ask, outgrew_context

EVENTS_PER_CHUNK = 40
MAX_PATH = 4
MAX_LABEL = 40
MAX_INTERESTS = 24
MAX_KNOWN = 30
"""Paths of earlier readings that the model is shown, so that it uses the same words."""
TOKENS_PER_INTEREST = 60


class OpenInterest(BaseModel):
    """One interest as a model writes it."""

    path: list[str] = Field(min_length=1, max_length=MAX_PATH)
    """Labels from general to specific."""
    events: list[int] = Field(min_length=1, max_length=EVENTS_PER_CHUNK)
    """The numbers of the events that show it."""


class OpenAnswer(BaseModel):
    """All interests a model finds in one list of events."""

    interests: list[OpenInterest] = Field(max_length=MAX_INTERESTS)


@dataclass
class _Account:
    """What has come of the reading so far."""

    written: dict[str, list[tuple[str, ...]]] = field(default_factory=dict)
    """The paths of each event that was read, as they were written, by its id."""
    count: ClaimCount = field(default_factory=ClaimCount)
    unchecked: int = 0
    shortened: int = 0
    prompts: dict[str, str] = field(default_factory=dict)


def write_interests(
    entries: Sequence[HistoryEntry],
    tools: ExtractionTools,
    *,
    known: Mapping[str, EventReading] | None = None,
) -> Extraction:
    """Have the model name the interests of a history, in chunks, and take what it can prove by event numbers.

    Each claim is then checked by the model against the events it cites (`check_claims`), and the labels of
    all chunks are merged and placed in one tree (`settle_paths`). Events whose id is in `known` are not read
    again: they keep the reading given there, and its labels are shown to the model, so that it uses the same
    words. A chunk that does not fit the model's context is halved, as often as it takes; a single event that
    does not fit is shown by its first 100 characters, and a note says so.
    Raises ContextLengthError when not even that fits, AnswerError when the answers stay unusable.
    """
    known = known or {}
    standing = known_paths(known.values())
    unread = [entry for entry in entries if entry.event.id not in known]
    account = _Account()
    _read(unread, _most_used(standing), tools, account)
    counts = Counter(path for paths in account.written.values() for path in paths)
    settled = settle_paths(counts, standing, tools, account.prompts)
    readings = dict(known)
    for entry in unread:
        refused: dict[tuple[PathStep, ...], bool] = {}
        for written in account.written[entry.event.id]:
            path = settled.steps[written]
            refused[path] = refused.get(path, True) and _turned_away(entry, written)
        labels = tuple(EventLabel(path, 1.0, negative) for path, negative in refused.items())
        readings[entry.event.id] = EventReading(labels=labels, by_model=True)
    notes = [*_shortened_note(account.shortened), *check_note(account.count, account.unchecked)]
    return Extraction(
        [readings[entry.event.id] for entry in entries],
        "open",
        [*notes, *settled.notes],
        account.prompts,
        account.count,
        settled.broader,
    )


def _read(
    unread: Sequence[HistoryEntry],
    shown: Sequence[Sequence[str]],
    tools: ExtractionTools,
    account: _Account,
) -> None:
    """Read the events chunk by chunk, check what was written, and add it to the account."""
    waiting = [unread[begin : begin + EVENTS_PER_CHUNK] for begin in range(0, len(unread), EVENTS_PER_CHUNK)]
    waiting.reverse()
    while waiting:
        chunk = waiting.pop()
        try:
            answer = _ask(chunk, shown, tools, account.prompts)
        except (ContextLengthError, AnswerError) as error:
            if not outgrew_context(error):
                raise
            if len(chunk) > 1:
                middle = len(chunk) // 2
                waiting += [chunk[middle:], chunk[:middle]]
                continue
            if len(event_text(chunk[0])) <= SHORT_TEXT and not shown:
                raise
            # The labels in use are a help that one event can do without.
            answer = _ask(chunk, (), tools, account.prompts, text_length=SHORT_TEXT)
            account.shortened += len(event_text(chunk[0])) > SHORT_TEXT
        checked = check_claims(chunk, _claims(answer), tools, account.prompts)
        account.count += checked.count
        account.unchecked += checked.unchecked
        account.written.update({entry.event.id: [] for entry in chunk})
        for claim in checked.claims:
            for number in claim.events:
                account.written[chunk[number - 1].event.id].append(claim.path)
        tools.progress(len(account.written), len(unread))


def _claims(answer: OpenAnswer) -> list[Claim]:
    """One claim a path, with all events that are cited for it."""
    events: dict[tuple[str, ...], set[int]] = {}
    for interest in answer.interests:
        events.setdefault(clean_path(interest.path), set()).update(interest.events)
    return [Claim(path, tuple(sorted(numbers))) for path, numbers in events.items()]


def _most_used(standing: Mapping[tuple[PathStep, ...], int]) -> list[list[str]]:
    """The labels of the paths with the most events."""
    paths = {tuple(step.label for step in path): count for path, count in standing.items()}
    return [list(path) for path in sorted(paths, key=lambda path: (-paths[path], path))[:MAX_KNOWN]]


def _ask(
    chunk: Sequence[HistoryEntry],
    shown: Sequence[Sequence[str]],
    tools: ExtractionTools,
    prompts: dict[str, str],
    *,
    text_length: int | None = None,
) -> OpenAnswer:
    """Ask about one chunk of events, and add the fingerprints of the templates to `prompts`."""
    system = tools.library.render("interests/open_system", tools.language)
    events = show_events(chunk, range(1, len(chunk) + 1), text_length=text_length)
    prompt = tools.library.render("interests/open", tools.language, events=events, known=shown)
    prompts.update({f"{used.name}.{used.language}": used.fingerprint for used in (system, prompt)})
    with naming_prompt(prompt.fingerprint):
        answer = ask(
            tools.model,
            [Message(role="system", content=system.text), Message(role="user", content=prompt.text)],
            OpenAnswer,
            library=tools.library,
            language=tools.language,
            max_tokens=200 + TOKENS_PER_INTEREST * min(MAX_INTERESTS, 4 + len(chunk)),
            check=partial(_faults, size=len(chunk)),
        )
    return answer.value


def _faults(answer: OpenAnswer, size: int) -> list[str]:
    faults = []
    for place, interest in enumerate(answer.interests):
        wrong = [number for number in interest.events if not 1 <= number <= size]
        if wrong:
            faults.append(f"interests.{place}.events: there is no event {wrong[0]}, only 1 to {size}")
        if any(not clean_text(label).strip() or len(label) > MAX_LABEL for label in interest.path):
            faults.append(f"interests.{place}.path: each label has 1 to {MAX_LABEL} characters")
    return faults


def _shortened_note(shortened: int) -> list[str]:
    if not shortened:
        return []
    events = "1 event, which does" if shortened == 1 else f"{shortened} events, which do"
    return [f"the model read only the first {SHORT_TEXT} characters of {events} not fit its context"]


def _turned_away(entry: HistoryEntry, path: Sequence[str]) -> bool:
    """Whether the person's own words about an interest say no, the path being as the model wrote it."""
    if entry.item is not None or not entry.event.text:
        return False
    clauses = split_clauses(entry.event.text)
    for label in reversed(path):
        about = [clause for clause in clauses if label.casefold() in clause.text.casefold()]
        if about:
            return all(clause.negative for clause in about)
    return len(clauses) == 1 and clauses[0].negative
