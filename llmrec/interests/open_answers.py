"""The open strategy: a capable model writes the interests, and every claim is checked against the events."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from pydantic import BaseModel, Field

from llmrec.behavior.events import HistoryEntry
from llmrec.behavior.text import clean_text
from llmrec.errors import AnswerError, ContextLengthError
from llmrec.interests.anchored import slug
from llmrec.interests.extraction import EventLabel, Extraction, ExtractionTools, PathStep
from llmrec.interests.subjects import split_clauses
from llmrec.llm.base import Message
from llmrec.llm.cache import naming_prompt
from llmrec.prompting.structured import ask, outgrew_context

EVENTS_PER_CHUNK = 40
MAX_PATH = 4
MAX_LABEL = 40
MAX_INTERESTS = 24
TOKENS_PER_INTEREST = 60
SHORT_TEXT = 100
"""Characters of an event that alone is too long for the model's context."""


class OpenInterest(BaseModel):
    """One interest as a model writes it."""

    path: list[str] = Field(min_length=1, max_length=MAX_PATH)
    """Labels from general to specific."""
    events: list[int] = Field(min_length=1, max_length=EVENTS_PER_CHUNK)
    """The numbers of the events that show it."""


class OpenAnswer(BaseModel):
    """All interests a model finds in one list of events."""

    interests: list[OpenInterest] = Field(max_length=MAX_INTERESTS)


def write_interests(entries: Sequence[HistoryEntry], tools: ExtractionTools) -> Extraction:
    """Have the model name the interests of a history, in chunks, and take what it can prove by event numbers.

    A chunk that does not fit the model's context is halved, as often as it takes; a single event that does
    not fit is shown by its first 100 characters, and a note says so.
    Raises ContextLengthError when not even that fits, AnswerError when the answers stay unusable.
    """
    labels: list[list[EventLabel]] = [[] for _ in entries]
    prompts: dict[str, str] = {}
    known: dict[str, str] = {}
    shortened = 0
    waiting = [
        entries[begin : begin + EVENTS_PER_CHUNK] for begin in range(0, len(entries), EVENTS_PER_CHUNK)
    ]
    waiting.reverse()
    done = 0
    while waiting:
        chunk = waiting.pop()
        try:
            answer = _ask(chunk, tools, prompts)
        except (ContextLengthError, AnswerError) as error:
            if not outgrew_context(error):
                raise
            if len(chunk) > 1:
                middle = len(chunk) // 2
                waiting += [chunk[middle:], chunk[:middle]]
                continue
            if len(str(_listed(1, chunk[0])["text"])) <= SHORT_TEXT:
                raise
            answer = _ask(chunk, tools, prompts, text_length=SHORT_TEXT)
            shortened += 1
        for interest in answer.interests:
            path = _path(interest.path, known)
            for number in dict.fromkeys(interest.events):
                entry = chunk[number - 1]
                labels[done + number - 1].append(EventLabel(path, 1.0, _turned_away(entry, path)))
        done += len(chunk)
        tools.progress(done, len(entries))
    notes = []
    if shortened:
        events = "1 event, which does" if shortened == 1 else f"{shortened} events, which do"
        notes.append(f"the model read only the first {SHORT_TEXT} characters of {events} not fit its context")
    return Extraction(labels, "open", notes, prompts)


def _ask(
    chunk: Sequence[HistoryEntry],
    tools: ExtractionTools,
    prompts: dict[str, str],
    *,
    text_length: int | None = None,
) -> OpenAnswer:
    """Ask about one chunk of events, and add the fingerprints of the templates to `prompts`."""
    system = tools.library.render("interests/open_system", tools.language)
    listed = [_listed(number, entry, text_length) for number, entry in enumerate(chunk, start=1)]
    prompt = tools.library.render("interests/open", tools.language, events=listed)
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


def _listed(number: int, entry: HistoryEntry, text_length: int | None = None) -> dict[str, object]:
    event, item = entry.event, entry.item
    parts = [event.text or ""]
    if item is not None:
        parts = [
            item.title,
            ", ".join(item.categories),
            item.domain or "",
            item.description,
            event.text or "",
        ]
    text = "; ".join(part for part in parts if part)
    if text_length is not None and len(text) > text_length:
        text = f"{text[: text_length - 1]}…"
    return {"number": number, "action": event.action, "value": event.value, "text": text}


def _faults(answer: OpenAnswer, size: int) -> list[str]:
    faults = []
    for place, interest in enumerate(answer.interests):
        wrong = [number for number in interest.events if not 1 <= number <= size]
        if wrong:
            faults.append(f"interests.{place}.events: there is no event {wrong[0]}, only 1 to {size}")
        if any(not clean_text(label).strip() or len(label) > MAX_LABEL for label in interest.path):
            faults.append(f"interests.{place}.path: each label has 1 to {MAX_LABEL} characters")
    return faults


def _path(labels: Sequence[str], known: dict[str, str]) -> tuple[PathStep, ...]:
    """Make ids from the labels; the first spelling of a label stands for all that fold alike."""
    steps: list[PathStep] = []
    for label in labels:
        step_id = "/".join([*(step.id.rsplit("/", 1)[-1] for step in steps), slug(label)])
        steps.append(PathStep(step_id, known.setdefault(step_id, clean_text(label).strip())))
    return tuple(steps)


def _turned_away(entry: HistoryEntry, path: Sequence[PathStep]) -> bool:
    """Whether the person's own words about this interest say no."""
    if entry.item is not None or not entry.event.text:
        return False
    clauses = split_clauses(entry.event.text)
    for step in reversed(path):
        about = [clause for clause in clauses if step.label.casefold() in clause.text.casefold()]
        if about:
            return all(clause.negative for clause in about)
    return len(clauses) == 1 and clauses[0].negative
