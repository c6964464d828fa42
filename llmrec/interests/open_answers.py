"""The open strategy: a capable model writes the interests, and every claim is checked against the events."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from pydantic import BaseModel, Field

from llmrec.behavior.events import HistoryEntry
from llmrec.behavior.text import clean_text
from llmrec.interests.anchored import slug
from llmrec.interests.extraction import EventLabel, Extraction, ExtractionTools, PathStep
from llmrec.interests.subjects import split_clauses
from llmrec.llm.base import Message
from llmrec.prompting.structured import ask

EVENTS_PER_CHUNK = 40
MAX_PATH = 4
MAX_LABEL = 40
MAX_INTERESTS = 24
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


def write_interests(entries: Sequence[HistoryEntry], tools: ExtractionTools) -> Extraction:
    """Have the model name the interests of a history, in chunks, and take what it can prove by event numbers.

    Raises AnswerError when the model's answers stay unusable.
    """
    labels: list[list[EventLabel]] = [[] for _ in entries]
    prompts: dict[str, str] = {}
    known: dict[str, str] = {}
    system = tools.library.render("interests/open_system", tools.language)
    prompts[f"{system.name}.{system.language}"] = system.fingerprint
    for begin in range(0, len(entries), EVENTS_PER_CHUNK):
        chunk = entries[begin : begin + EVENTS_PER_CHUNK]
        listed = [_listed(number, entry) for number, entry in enumerate(chunk, start=1)]
        prompt = tools.library.render("interests/open", tools.language, events=listed)
        prompts[f"{prompt.name}.{prompt.language}"] = prompt.fingerprint
        answer = ask(
            tools.model,
            [Message(role="system", content=system.text), Message(role="user", content=prompt.text)],
            OpenAnswer,
            library=tools.library,
            language=tools.language,
            max_tokens=200 + TOKENS_PER_INTEREST * min(MAX_INTERESTS, 4 + len(chunk)),
            check=partial(_faults, size=len(chunk)),
        )
        for interest in answer.value.interests:
            path = _path(interest.path, known)
            for number in dict.fromkeys(interest.events):
                entry = chunk[number - 1]
                labels[begin + number - 1].append(EventLabel(path, 1.0, _turned_away(entry, path)))
        tools.progress(min(begin + EVENTS_PER_CHUNK, len(entries)), len(entries))
    return Extraction(labels, "open", [], prompts)


def _listed(number: int, entry: HistoryEntry) -> dict[str, object]:
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
    return {
        "number": number,
        "action": event.action,
        "value": event.value,
        "text": "; ".join(part for part in parts if part),
    }


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
