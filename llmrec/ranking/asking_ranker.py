"""The strategies that ask: what each of them does alike."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from llmrec.errors import InputError, ModelError
from llmrec.interests.extraction import StageProgress
from llmrec.llm.base import LanguageModel
from llmrec.prompting.templates import PromptLibrary
from llmrec.ranking.asking import CORRECTION_TOKENS, Answers, AskingRun, Values, second_askings
from llmrec.ranking.base import Budget, Cost, ItemScores, RankingRequest, first_order, scores_of_order
from llmrec.ranking.context import PersonContext, person_context, shortening_notes
from llmrec.ranking.metering import MeteredModel

NOT_ASKED = "the person liked nothing so far, so the model was not asked"


@dataclass(frozen=True)
class AskingRanker(ABC):
    """A Ranker that asks a model about a person's items; making one may ask what the model can do.

    Raises ModelError where the model cannot answer in the way the strategy needs.
    """

    model: LanguageModel
    library: PromptLibrary
    answers: Answers = "auto"

    name: ClassVar[str] = ""
    ways: ClassVar[tuple[Answers, ...]] = ("scored", "generated")
    """How the strategy can be answered."""

    def __post_init__(self) -> None:
        if self.answers not in ("auto", *self.ways):
            raise InputError(f"{self.name} takes the answers auto or {' or '.join(self.ways)}: choose one")
        can = self.model.capabilities
        able = {"scored": can.score, "generated": can.generate}
        wanted = self.ways if self.answers == "auto" else (self.answers,)
        if not any(able[way] for way in wanted):
            said = {"scored": "log-probabilities", "generated": "written answers"}
            lacks = " or ".join(said[way] for way in wanted)
            raise ModelError(f"{self.name} needs {lacks}, which {self.model.name} does not give: use another")
        self._check_options()

    @property
    def scored(self) -> bool:
        """Whether the answers are log-probabilities; where the model gives them, they are preferred."""
        if self.answers != "auto":
            return self.answers == "scored"
        return "scored" in self.ways and self.model.capabilities.score

    def cost(self, request: RankingRequest) -> Cost:
        """What `score` will cost at most, without a budget.

        Every question counts as long as the longest, in tokens of `count_tokens`; answers that are written
        count one second asking in four questions, and no more are made. Not counted are prompts that the
        model refuses for their length, and what is asked anew after that.
        Raises InputError for a request that cannot be ranked.
        """
        check_request(request)
        shown = self._person(request)
        questions = self._most_questions(len(request.items))
        if not questions or not _speaks(shown):
            return Cost()
        one = self._question_cost(self._fitting(request, shown), request)
        again = 0 if self.scored else second_askings(questions)
        second_prompt = one.prompt_tokens + one.completion_tokens + CORRECTION_TOKENS
        return Cost(
            calls=questions * one.calls + again,
            prompt_tokens=questions * one.prompt_tokens + again * second_prompt,
            completion_tokens=(questions + 2 * again) * one.completion_tokens,
        )

    def score(
        self, request: RankingRequest, *, budget: Budget | None = None, progress: StageProgress | None = None
    ) -> ItemScores:
        """Score every item of the request; see `Ranker`.

        `progress` hears of questions: how many were asked, and how many there will be at most.
        """
        check_request(request)
        person = self._person(request)
        questions = self._most_questions(len(request.items))
        if not questions or not _speaks(person):
            kept = scores_of_order(first_order(request))
            return ItemScores(kept, notes=(NOT_ASKED,) if questions else ())
        again = 0 if self.scored else second_askings(questions)
        run = AskingRun(
            strategy=self.name,
            request=request,
            model=MeteredModel(self.model, budget, second_askings=again),
            library=self.library,
            shown=self._fitting(request, person),
            most_questions=questions + again,
            progress=progress or (lambda *_: None),
        )
        scores, signals = self._rank(run)
        run.raise_for_nothing()
        run.progress(run.most_questions, run.most_questions)
        notes = (*shortening_notes(person, run.shown), *run.notes)
        told = signals if run.answered else {}
        return ItemScores(
            scores, told, run.prompts, notes, failures=tuple(run.failures), sureness=run.sureness
        )

    @abstractmethod
    def _most_questions(self, items: int) -> int:
        """How many questions that many items take at most."""

    @abstractmethod
    def _question_cost(self, shown: PersonContext, request: RankingRequest) -> Cost:
        """What the longest question costs at most, asked once."""

    def _tokens_at_once(self, shown: PersonContext, request: RankingRequest) -> int:
        """How much of the context the longest question takes with its answer."""
        one = self._question_cost(shown, request)
        return -(-one.tokens // max(one.calls, 1))

    @abstractmethod
    def _rank(self, run: AskingRun) -> tuple[Values, dict[str, Values]]:
        """Ask, and return the scores and the signals in the order of the items."""

    def _check_options(self) -> None:  # noqa: B027 - most have nothing to check
        """Raise InputError for options that make no sense."""

    def _person(self, request: RankingRequest) -> PersonContext:
        # To a model that follows no instructions, "no horror" is a reason to expect more of it.
        understands = not self.scored or self.model.capabilities.open_answers
        return person_context(request.profile, whole_sentences=understands, basis=request.basis)

    def _fitting(self, request: RankingRequest, person: PersonContext) -> PersonContext:
        """As much of the person, the oldest left out first, as leaves the longest question room."""
        most = self.model.capabilities.context_length
        shown = person
        while most is not None and self._tokens_at_once(shown, request) > most:
            shorter = shown.shortened()
            if shorter is None:
                break
            shown = shorter
        return shown


def check_request(request: RankingRequest) -> None:
    """Raise InputError for two items of one id, or first scores that fit no items."""
    ids = [item.id for item in request.items]
    if len(set(ids)) < len(ids):
        twice = next(item_id for item_id in ids if ids.count(item_id) > 1)
        raise InputError(f"two items share the id {twice!r}: give each an id of its own")
    scores = request.first_scores
    if scores is not None and (len(scores) != len(ids) or not all(map(math.isfinite, scores))):
        raise InputError(f"give one finite first score for each of the {len(ids)} items, or none at all")


def _speaks(person: PersonContext) -> bool:
    return bool(person.items or person.words or person.interests)
