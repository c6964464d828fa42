"""An interview: questions with the answers they offer, and the events that answers make.

Questions, answers and sentences come from templates, so no model is asked. An answer becomes an event with a
sentence of the person's, whose reading is fixed, since it is known which interest it is about.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from llmrec.behavior.events import Event, HistoryEntry
from llmrec.errors import InputError
from llmrec.interests.extraction import EventLabel, EventReading, PathStep
from llmrec.interests.profile import InterestProfile
from llmrec.interests.revision import with_entries
from llmrec.interests.taxonomy import Vocabulary, VocabularyNode
from llmrec.prompting.templates import PromptLibrary
from llmrec.ranking.catalog_interests import CatalogInterests

YES, NO, NO_OPINION = "yes", "no", "no-opinion"
MOST_NARROWER = 4
PLAIN_WORDS = {
    YES: re.compile(r"y|yes|yeah|yep|sure|of course|all of it|是的?|对|好的?|嗯|喜欢|当然|感兴趣|有"),
    NO: re.compile(r"n|no|nope|nah|not really|否|不|不是|没有|不喜欢|不感兴趣|没兴趣|不要"),
    NO_OPINION: re.compile(
        r"skip|pass|no opinion|(?:i )?don['’]?t know|whatever|说不准|不知道|无所谓|没意见|跳过|都行"
    ),
}
CLOSING = ".!。！ "


class Answer(BaseModel):
    """One answer that a question offers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1)
    """`yes`, `no`, `no-opinion`, or the id of a narrower interest."""
    text: str
    """What is shown."""
    says: str | None = None
    """The sentence that the person says by it; None where it says nothing."""
    path: tuple[PathStep, ...] = ()
    """The interest that the sentence is about, from the top down."""
    negative: bool = False
    """Whether the sentence turns it away."""


class Question(BaseModel):
    """A question to a person about one interest."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1)
    """The id of the interest it is about."""
    text: str
    interests: tuple[str, ...]
    """The ids of the interest and of the narrower ones it offers."""
    answers: tuple[Answer, ...] = Field(min_length=1)
    expected_change: float = Field(ge=0, le=1)
    """The part of all pairs of items whose order the answer is expected to decide or to turn."""


@dataclass(frozen=True)
class Said:
    """An event that an answer makes, with its reading where that is known already."""

    event: Event
    reading: EventReading | None = None
    """Fixed; None for words of the person's own, which are yet to be read."""


def make_question(
    interest_id: str,
    catalog: CatalogInterests,
    *,
    vocabulary: Vocabulary,
    library: PromptLibrary,
    language: str,
    expected_change: float = 0.0,
    known: Collection[str] = (),
) -> Question:
    """The question about an interest of the vocabulary, with up to four narrower ones among its answers.

    Offered are those that part the items of the interest most evenly, less the `known` ones.
    """
    narrower = catalog.best_splits(interest_id, vocabulary, MOST_NARROWER, without=known)
    area = vocabulary.root(interest_id)
    label = vocabulary[interest_id].label(language)

    def text(template: str, node: VocabularyNode, **variables: object) -> str:
        variables = {"label": node.label(language), **variables}
        return library.render(f"interview/{template}", language, **variables).text

    def area_of(node: VocabularyNode) -> str:
        return "" if node.id == area else vocabulary[area].label(language)

    def statement(node: VocabularyNode, *, negative: bool = False) -> str:
        return text("statement", node, area=area_of(node), negative=negative)

    def path(node: VocabularyNode) -> tuple[PathStep, ...]:
        return tuple(PathStep(n, vocabulary[n].label(language)) for n in vocabulary.ancestors(node.id))

    node = vocabulary[interest_id]
    several = {"narrower": bool(narrower)}
    offered = [
        Answer(
            id=YES, text=text("answer", node, kind="yes", **several), says=statement(node), path=path(node)
        )
    ]
    offered += [
        Answer(
            id=below.id,
            text=text("answer", below, kind="narrower", **several),
            says=statement(below),
            path=path(below),
        )
        for below in narrower
    ]
    refusal = text("answer", node, kind="no", **several)
    offered += [
        Answer(id=NO, text=refusal, says=statement(node, negative=True), path=path(node), negative=True),
        Answer(id=NO_OPINION, text=text("answer", node, kind="none", **several)),
    ]
    return Question(
        id=interest_id,
        text=library.render("interview/question", language, label=label, area=area_of(node)).text,
        interests=(interest_id, *(below.id for below in narrower)),
        answers=tuple(offered),
        expected_change=min(1.0, expected_change),
    )


def answer_events(
    question: Question,
    answer: str,
    user_id: str,
    *,
    timestamp: float | None = None,
    held: Collection[str] = (),
) -> list[Said]:
    """The events that an answer makes: none, or one sentence with the action `say`.

    `answer` is the id or the text of an answer that is offered, a plain yes, no or no opinion in English or
    Chinese, or the person's own words. The event of an offered answer comes with its fixed reading; that of
    own words is to be read as any sentence. Nothing comes of no opinion. Without a `timestamp` (seconds since
    the epoch) it counts as of the person's last event. `held` are the ids of the person's events: an answer
    that was given before becomes an event of its own, with the next number in its id. Raises InputError for
    an empty answer.
    """
    words = " ".join(answer.split())
    if not words:
        raise InputError("the answer is empty: choose one that is offered, or give a sentence")
    chosen = _offered(question, words)
    if chosen is None:
        return [Said(_new_event(words, user_id, timestamp, held))]
    if chosen.says is None:
        return []
    event = _new_event(chosen.says, user_id, timestamp, held)
    label = EventLabel(chosen.path, 1.0, negative=chosen.negative)
    return [Said(event, EventReading(labels=(label,), fixed=True))]


def _new_event(text: str, user_id: str, timestamp: float | None, held: Collection[str]) -> Event:
    event = Event(user_id=user_id, action="say", text=text, timestamp=timestamp)
    plain, number = event.id, 1
    while event.id in held:
        number += 1
        event = event.model_copy(update={"id": f"{plain}-{number}"})
    return event


def with_answers(
    profile: InterestProfile, answers: Sequence[Said], *, strength: float = 1.0
) -> InterestProfile:
    """The profile with answers whose reading is known; others, and those it holds already, are left out.

    `strength` is that of the action `say`. Nothing is read anew.
    """
    held = {entry.event.id for entry in profile.entries}
    fresh = [(said.event, said.reading) for said in answers if said.event.id not in held]
    added = [
        (HistoryEntry(event=event, strength=strength, decay=1.0), reading)
        for event, reading in fresh
        if reading is not None
    ]
    if not added:
        return profile
    changed = profile.model_copy(
        update={
            "predicted": (),
            "strategy": "anchored" if profile.strategy == "none" else profile.strategy,
        }
    )
    return with_entries(
        changed,
        (*profile.entries, *(entry for entry, _ in added)),
        (*profile.readings, *(reading for _, reading in added)),
    )


def _offered(question: Question, words: str) -> Answer | None:
    folded = words.casefold().strip(CLOSING)
    kind = next((kind for kind, pattern in PLAIN_WORDS.items() if pattern.fullmatch(folded)), None)
    for answer in question.answers:
        names = {answer.id.casefold(), answer.text.casefold().strip(CLOSING)}
        if answer.path and answer.id not in (YES, NO):
            names.add(answer.path[-1].label.casefold())
        if answer.id == kind or folded in names:
            return answer
    return None
