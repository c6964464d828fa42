"""The second reading of an open answer: each claim is held against the events it cites."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from pydantic import BaseModel, Field

from llmrec.behavior.events import HistoryEntry
from llmrec.errors import AnswerError, ContextLengthError
from llmrec.interests.extraction import ClaimCount, ExtractionTools
from llmrec.llm.base import Message
from llmrec.llm.cache import naming_prompt
from llmrec.prompting.structured import ask, outgrew_context

SHORT_TEXT = 100
"""Characters of an event that alone is too long for the model's context."""
TOKENS_PER_CLAIM = 20
TOKENS_PER_EVENT = 16


@dataclass(frozen=True)
class Claim:
    """That events show an interest, as a model wrote it."""

    path: tuple[str, ...]
    """Labels from general to specific."""
    events: tuple[int, ...]
    """Numbers of events, 1 for the first of those the model was shown."""


@dataclass
class CheckedClaims:
    """What is left of claims once they were checked."""

    claims: list[Claim]
    count: ClaimCount
    unchecked: int = 0
    """Pairs of a claim and an event that stand as they were made, for want of a usable answer."""


class SupportingEvent(BaseModel):
    """An event that supports a claim."""

    event: int
    """One of the numbers that the claim cites."""
    steps: int
    """How many steps of the claim's path it supports, counted from the most general."""


class CheckedClaim(BaseModel):
    """What a model finds when it reads a claim beside its events."""

    claim: int
    events: list[SupportingEvent]


class CheckAnswer(BaseModel):
    """The findings on all claims of one question."""

    claims: list[CheckedClaim] = Field(min_length=1)


def check_claims(
    chunk: Sequence[HistoryEntry], claims: Sequence[Claim], tools: ExtractionTools, prompts: dict[str, str]
) -> CheckedClaims:
    """Ask the model which of its claims the cited events support, and take back the others.

    `claims` cite the events of `chunk` by number. An event that supports only the first steps of a path
    counts for the broader interest (mended); one that supports none is taken out (dropped). Where the
    question does not fit the model's context, it is asked in halves, of the claims and then of their events.
    Claims for which no usable answer can be had stay as they are, and are counted as unchecked. The
    fingerprints of the templates are added to `prompts`. Raises what the model raises otherwise.
    """
    kept: list[Claim] = []
    count = ClaimCount(made=_pairs(claims))
    unchecked = 0
    waiting = [list(claims)] if claims else []
    while waiting:
        part = waiting.pop()
        try:
            answer = _ask_in_full_or_shortened(chunk, part, tools, prompts)
        except (AnswerError, ContextLengthError) as error:
            halves = _halves(part) if outgrew_context(error) else []
            waiting += reversed(halves)
            if not halves:
                kept += part
                unchecked += _pairs(part)
            continue
        found, taken_back = _apply(part, answer)
        kept += found
        count += taken_back
    return CheckedClaims(_joined(kept), count, unchecked)


def show_events(
    chunk: Sequence[HistoryEntry], numbers: Iterable[int], *, text_length: int | None = None
) -> list[dict[str, object]]:
    """Events as the templates take them: number, action, value and text, cut to a length where one is given.

    `numbers` say which of the chunk, 1 for the first.
    """
    shown: list[dict[str, object]] = []
    for number in numbers:
        event, text = chunk[number - 1].event, event_text(chunk[number - 1])
        if text_length is not None and len(text) > text_length:
            text = f"{text[: text_length - 1]}…"
        shown.append({"number": number, "action": event.action, "value": event.value, "text": text})
    return shown


def event_text(entry: HistoryEntry) -> str:
    """What an event says: its item's title, categories, domain and description, and its own words."""
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
    return "; ".join(part for part in parts if part)


def check_note(count: ClaimCount, unchecked: int) -> list[str]:
    """What a reader should know of the second reading, in a sentence or two; nothing without claims."""
    notes = []
    checked = count.made - unchecked
    if checked:
        back = count.dropped + count.mended
        notes.append(
            f"the model's second reading took back {back} of {checked} claims ({back / checked:.0%})"
        )
    if unchecked:
        notes.append(
            f"{unchecked} of {count.made} claims were not checked a second time, because the model gave no "
            "usable answer: they stand as they were made"
        )
    return notes


def _ask_in_full_or_shortened(
    chunk: Sequence[HistoryEntry], claims: Sequence[Claim], tools: ExtractionTools, prompts: dict[str, str]
) -> CheckAnswer:
    try:
        return _ask(chunk, claims, tools, prompts)
    except (AnswerError, ContextLengthError) as error:
        if _pairs(claims) > 1 or not outgrew_context(error):
            raise
        if len(event_text(chunk[claims[0].events[0] - 1])) <= SHORT_TEXT:
            raise
        return _ask(chunk, claims, tools, prompts, text_length=SHORT_TEXT)


def _ask(
    chunk: Sequence[HistoryEntry],
    claims: Sequence[Claim],
    tools: ExtractionTools,
    prompts: dict[str, str],
    *,
    text_length: int | None = None,
) -> CheckAnswer:
    cited = sorted({number for claim in claims for number in claim.events})
    system = tools.library.render("interests/check_system", tools.language)
    prompt = tools.library.render(
        "interests/check",
        tools.language,
        events=show_events(chunk, cited, text_length=text_length),
        claims=[
            {"number": number, "path": claim.path, "events": claim.events}
            for number, claim in enumerate(claims, start=1)
        ],
    )
    prompts.update({f"{used.name}.{used.language}": used.fingerprint for used in (system, prompt)})
    with naming_prompt(prompt.fingerprint):
        answer = ask(
            tools.model,
            [Message(role="system", content=system.text), Message(role="user", content=prompt.text)],
            CheckAnswer,
            library=tools.library,
            language=tools.language,
            max_tokens=200 + TOKENS_PER_CLAIM * len(claims) + TOKENS_PER_EVENT * _pairs(claims),
            check=partial(_faults, claims=claims),
        )
    return answer.value


def _faults(answer: CheckAnswer, claims: Sequence[Claim]) -> list[str]:
    faults = []
    answered: set[int] = set()
    for place, found in enumerate(answer.claims):
        if not 1 <= found.claim <= len(claims):
            faults.append(f"claims.{place}.claim: there is no claim {found.claim}, only 1 to {len(claims)}")
            continue
        if found.claim in answered:
            faults.append(f"claims.{place}.claim: claim {found.claim} is answered twice")
        answered.add(found.claim)
        claim = claims[found.claim - 1]
        seen: set[int] = set()
        for at, support in enumerate(found.events):
            where = f"claims.{place}.events.{at}"
            if support.event not in claim.events:
                faults.append(f"{where}.event: claim {found.claim} does not cite event {support.event}")
            elif support.event in seen:
                faults.append(f"{where}.event: event {support.event} is there twice")
            seen.add(support.event)
            if not 1 <= support.steps <= len(claim.path):
                faults.append(f"{where}.steps: claim {found.claim} has the steps 1 to {len(claim.path)}")
    missing = [number for number in range(1, len(claims) + 1) if number not in answered]
    if missing:
        faults.append(f"claims: claim {missing[0]} is missing, with an empty list if no event supports it")
    return faults


def _apply(claims: Sequence[Claim], answer: CheckAnswer) -> tuple[list[Claim], ClaimCount]:
    """The claims as they stand after a check, and how many pairs were dropped and mended."""
    support: Mapping[int, Mapping[int, int]] = {
        found.claim: {supporting.event: supporting.steps for supporting in found.events}
        for found in answer.claims
    }
    kept: list[Claim] = []
    dropped = mended = 0
    for number, claim in enumerate(claims, start=1):
        for event in claim.events:
            steps = support[number].get(event, 0)
            dropped += steps == 0
            mended += 0 < steps < len(claim.path)
            if steps:
                kept.append(Claim(claim.path[:steps], (event,)))
    return kept, ClaimCount(dropped=dropped, mended=mended)


def _halves(claims: Sequence[Claim]) -> list[list[Claim]]:
    """Two questions in place of one: half of the claims each, or half of the one claim's events."""
    middle = len(claims) // 2
    if middle:
        return [list(claims[:middle]), list(claims[middle:])]
    (claim,) = claims
    middle = len(claim.events) // 2
    if not middle:
        return []
    return [[replace(claim, events=claim.events[:middle])], [replace(claim, events=claim.events[middle:])]]


def _joined(claims: Sequence[Claim]) -> list[Claim]:
    """One claim a path, in the order of their first mention, with the events of all of them."""
    events: dict[tuple[str, ...], set[int]] = {}
    for claim in claims:
        events.setdefault(claim.path, set()).update(claim.events)
    return [Claim(path, tuple(sorted(found))) for path, found in events.items()]


def _pairs(claims: Sequence[Claim]) -> int:
    return sum(len(claim.events) for claim in claims)
