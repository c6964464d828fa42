"""Relevance as a likelihood ratio: how much likelier an item is after this person than after nobody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from llmrec.errors import InputError
from llmrec.llm.cache import naming_prompt
from llmrec.llm.priors import Priors
from llmrec.prompting.templates import PromptLibrary, RenderedPrompt
from llmrec.ranking.asking import Answers, AskingRun, Values
from llmrec.ranking.asking_ranker import AskingRanker
from llmrec.ranking.base import Cost, RankingRequest
from llmrec.ranking.context import PersonContext, item_line
from llmrec.ranking.metering import count_tokens, scoring_cost
from llmrec.ranking.pointwise import values_kept_in_place

CHUNK = 32
NOBODY = PersonContext((), (), ())
PROMPTS = ("history", "basket")
"""The wordings there are, each a template of the stage `ranking`."""


@dataclass(frozen=True)
class LikelihoodRatio(AskingRanker):
    """Scores each item by log P(item | person) - log P(item | nobody), in nats.

    Items do not see each other, so their order has no influence. With several prompts it is the mean of
    theirs. The idea is that of pointwise mutual information (Church and Hanks 1990); with a language model,
    Holtzman et al. 2021, "Surface form competition".
    """

    priors: Priors | None = None
    """What holds for nobody, kept on disk; asked of the model itself where absent."""
    prompts: tuple[str, ...] = PROMPTS[:1]
    """The wordings: templates of the stage `ranking` that end where an item follows."""

    name: ClassVar[str] = "likelihood_ratio"
    ways: ClassVar[tuple[Answers, ...]] = ("scored",)

    def _check_options(self) -> None:
        unknown = [name for name in self.prompts if name not in PROMPTS]
        if unknown or not self.prompts:
            raise InputError(
                f"the likelihood ratio knows no prompt {', '.join(unknown) or 'of none'}: "
                f"choose among {', '.join(PROMPTS)}"
            )

    def _most_questions(self, items: int) -> int:
        """One call for the person and one for nobody, for each prompt and 32 items."""
        return 2 * len(self.prompts) * -(-items // CHUNK)

    def _question_cost(self, shown: PersonContext, request: RankingRequest) -> Cost:
        prefix, lines = self._lengths(shown, request)
        # As if the items were parted evenly: the longest lines, so many, outweigh those of any part.
        parts = -(-len(lines) // CHUNK)
        return scoring_cost(self.model, prefix, lines[: -(-len(lines) // parts)])

    def _tokens_at_once(self, shown: PersonContext, request: RankingRequest) -> int:
        # Items are read one beside the other, each after the same prompt.
        prefix, lines = self._lengths(shown, request)
        return prefix + lines[0]

    def _lengths(self, shown: PersonContext, request: RankingRequest) -> tuple[int, list[int]]:
        """Tokens of the longest prompt, and of each item's line, the longest first."""
        prefixes = [_prefix(self.library, name, request.profile.language, shown) for name in self.prompts]
        lines = [count_tokens(self.model, line.text) for line in _lines(self.library, request)]
        return max(count_tokens(self.model, prefix.text) for prefix in prefixes), sorted(lines, reverse=True)

    def _rank(self, run: AskingRun) -> tuple[Values, dict[str, Values]]:
        lines = _lines(self.library, run.request)
        run.used(*lines[:1])
        texts = [line.text for line in lines]
        while True:
            shown = run.shown
            values: list[float | None] = [None] * len(texts)
            for begin in range(0, len(run.first), CHUNK):
                part = run.first[begin : begin + CHUNK]
                ratios = run.attempt(
                    f"{self.name} of {run.names(part)}",
                    partial(self._ratios, run, [texts[at] for at in part]),
                    stand_in="their places in the earlier order",
                )
                if run.shown is not shown:
                    break
                for at, ratio in zip(part, ratios or [], strict=False):
                    values[at] = ratio
            else:
                kept = values_kept_in_place(values, run.first)
                return kept, {self.name: kept}

    def _ratios(self, run: AskingRun, texts: Sequence[str]) -> list[float]:
        sums = [0.0] * len(texts)
        for name in self.prompts:
            prefix = _prefix(self.library, name, run.language, run.shown)
            neutral = _prefix(self.library, name, run.language, NOBODY)
            run.used(prefix)
            with naming_prompt(prefix.fingerprint):
                given = run.model.score(prefix.text, texts)
                alone = run.model.score_by(
                    self.priors.model if self.priors else run.model.wrapped, neutral.text, texts
                )
            for at, (with_person, with_nobody) in enumerate(zip(given, alone, strict=True)):
                sums[at] += with_person.logprob - with_nobody.logprob
        return [total / len(self.prompts) for total in sums]


def _lines(library: PromptLibrary, request: RankingRequest) -> list[RenderedPrompt]:
    """Each item as what may follow a prompt."""
    language = request.profile.language
    return [library.render("ranking/item", language, item=item_line(item)) for item in request.items]


def _prefix(library: PromptLibrary, name: str, language: str, person: PersonContext) -> RenderedPrompt:
    return library.render(
        f"ranking/{name}",
        language,
        interests=person.interests,
        words=person.words,
        items=person.items,
    )
