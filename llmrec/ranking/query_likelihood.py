"""Relevance as a query likelihood: how much likelier the history is after the item than after none."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from llmrec.llm.cache import naming_prompt
from llmrec.prompting.templates import PromptLibrary, RenderedPrompt
from llmrec.ranking.asking import Answers, AskingRun, Values, longest_items
from llmrec.ranking.asking_ranker import AskingRanker
from llmrec.ranking.base import Cost, RankingRequest
from llmrec.ranking.context import ItemLine, PersonContext, item_line
from llmrec.ranking.metering import count_tokens, scoring_cost
from llmrec.ranking.pointwise import values_kept_in_place

MOST_CHOSEN = 5
"""How many of the last things a person chose or is interested in are asked about."""
TEMPLATE = "ranking/query"


@dataclass(frozen=True)
class QueryLikelihood(AskingRanker):
    """Scores each item by the mean of log P(chosen | item) - log P(chosen | none), in nats.

    The chosen are the last five liked items or, where only the profile counts, its five heaviest interests.
    This is ranking by query likelihood (Ponte and Croft 1998; with language models, Sachan et al. 2022), the
    person's history being the query. One question an item.
    """

    name: ClassVar[str] = "query_likelihood"
    ways: ClassVar[tuple[Answers, ...]] = ("scored",)

    def _most_questions(self, items: int) -> int:
        """One an item, and one without an item."""
        return items + 1 if items else 0

    def _question_cost(self, shown: PersonContext, request: RankingRequest) -> Cost:
        language = request.profile.language
        (longest,) = longest_items(request.items, 1)
        prefix = _prefix(self.library, language, item_line(longest))
        read = [count_tokens(self.model, text) for text in self._chosen(language, shown)]
        return scoring_cost(self.model, count_tokens(self.model, prefix.text), read)

    def _tokens_at_once(self, shown: PersonContext, request: RankingRequest) -> int:
        # What was chosen is read one beside the other, each after the same prompt.
        (longest,) = longest_items(request.items, 1)
        prefix = _prefix(self.library, request.profile.language, item_line(longest))
        read = [count_tokens(self.model, text) for text in self._chosen(request.profile.language, shown)]
        return count_tokens(self.model, prefix.text) + max(read)

    def _person(self, request: RankingRequest) -> PersonContext:
        """Only what is asked about, so that nothing else counts as left out."""
        person = super()._person(request)
        if person.items:
            return PersonContext((), (), person.items[-MOST_CHOSEN:])
        if person.interests:
            return PersonContext(person.interests[:MOST_CHOSEN], (), ())
        return PersonContext((), person.words[-MOST_CHOSEN:], ())

    def _rank(self, run: AskingRun) -> tuple[Values, dict[str, Values]]:
        while True:
            alone = run.attempt(f"{self.name} without an item", partial(self._mean, run, None))
            shown = run.shown
            values: list[float | None] = [None] * len(run.request.items)
            for at in run.first if alone is not None else ():
                item = run.item(at)
                given = run.attempt(
                    f"{self.name} of {item.id}",
                    partial(self._mean, run, item_line(item)),
                    stand_in="its place in the earlier order",
                )
                # All values are of the same things chosen: where they are too long, all is asked anew.
                if run.shown is not shown:
                    break
                values[at] = None if given is None or alone is None else given - alone
            else:
                kept = values_kept_in_place(values, run.first)
                return kept, {self.name: kept}

    def _mean(self, run: AskingRun, item: ItemLine | None) -> float:
        prefix = _prefix(self.library, run.language, item)
        run.used(prefix)
        with naming_prompt(prefix.fingerprint):
            scores = run.model.score(prefix.text, self._chosen(run.language, run.shown))
        return sum(score.logprob for score in scores) / len(scores)

    def _chosen(self, language: str, person: PersonContext) -> list[str]:
        lines = person.items or tuple(ItemLine(name, "") for name in person.interests or person.words)
        return [self.library.render("ranking/item", language, item=line).text for line in lines]


def _prefix(library: PromptLibrary, language: str, item: ItemLine | None) -> RenderedPrompt:
    return library.render(TEMPLATE, language, item=item)
