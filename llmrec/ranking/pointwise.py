"""One question an item, answered by the log-probabilities of a few given answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from llmrec.behavior.events import Item
from llmrec.llm.base import LanguageModel, Score
from llmrec.llm.cache import naming_prompt
from llmrec.prompting.templates import PromptLibrary, RenderedPrompt
from llmrec.ranking.asking import (
    AskingRun,
    Values,
    longest_items,
    person_variables,
    scored_cost,
)
from llmrec.ranking.base import Cost, scores_of_order
from llmrec.ranking.context import PersonContext, item_line
from llmrec.ranking.metering import innermost

# A model that reads like prefixes in one pass gains little from more, and progress is heard of rarely.
PREFIXES_AT_ONCE = 8


def item_prompt(
    library: PromptLibrary, template: str, language: str, person: PersonContext, item: Item
) -> RenderedPrompt:
    """The question about one item; the person comes first, so that the questions share their beginning."""
    return library.render(template, language, **person_variables(person), item=item_line(item))


def item_question_cost(
    model: LanguageModel,
    library: PromptLibrary,
    template: str,
    language: str,
    person: PersonContext,
    items: Sequence[Item],
    answers_in: Callable[[str], Sequence[str]],
) -> Cost:
    """What the question about the longest of the items costs."""
    (longest,) = longest_items(items, 1)
    prompt = item_prompt(library, template, language, person, longest)
    return scored_cost(model, prompt, answers_in(prompt.language))


def values_of_answers(
    run: AskingRun,
    template: str,
    answers_in: Callable[[str], Sequence[str]],
    value: Callable[[Sequence[Score]], float],
) -> list[float | None]:
    """Ask about each item, in the earlier order, and make a value of the scores of the answers.

    `answers_in` gives the answers in a template's language. All values come from one and the same history:
    where a prompt is too long, all items are asked about anew by a shorter one. Returns None for an item
    that was not asked about, or whose question failed.
    """
    shares = hasattr(innermost(run.model), "score_prefixes")
    step = PREFIXES_AT_ONCE if shares else 1
    while True:
        values: list[float | None] = [None] * len(run.request.items)
        shown = run.shown
        begin = 0
        while begin < len(run.first):
            part = run.first[begin : begin + step]
            scores = run.attempt(
                f"{run.strategy} of {run.names(part)}",
                partial(_scores_of, run, template, answers_in, part),
                stand_in="its place in the earlier order",
            )
            if run.shown is not shown:
                break
            for at, found in zip(part, scores or [], strict=False):
                values[at] = value(found)
            # What the budget did not pay for is asked next, so that it is told what it left out.
            begin += len(scores or part)
        else:
            return values


def _scores_of(
    run: AskingRun, template: str, answers_in: Callable[[str], Sequence[str]], part: Sequence[int]
) -> list[list[Score]]:
    """The scores of the answers for as many of the items, from the first on, as the budget allows."""
    prompts = [item_prompt(run.library, template, run.language, run.shown, run.item(at)) for at in part]
    run.used(prompts[0])
    answers = answers_in(prompts[0].language)
    prefixes = [prompt.text for prompt in prompts]
    with naming_prompt(prompts[0].fingerprint):
        if len(prefixes) > 1:
            affordable = run.model.affordable(prefixes, answers)
            return run.model.score_prefixes(prefixes[: affordable or 1], answers)
        return [run.model.score(prefixes[0], answers)]


def values_kept_in_place(values: Sequence[float | None], first: Sequence[int]) -> Values:
    """Fill the gaps of values so that what has none keeps its place in the earlier order.

    The others fill the remaining places by their values, ties as before. A gap gets a value between those of
    its neighbours, a little above the highest, or a little below the lowest.
    """
    known = [at for at in first if values[at] is not None]
    known.sort(key=lambda at: -(values[at] or 0.0))
    if not known:
        return scores_of_order(first)
    best = iter(known)
    order = [at if values[at] is None else next(best) for at in first]
    numbers = [value for value in values if value is not None]
    step = max(max(numbers) - min(numbers), 1.0) / (1000 * len(order))
    filled = [value if value is not None else 0.0 for value in values]
    anchors = [rank for rank, at in enumerate(order) if values[at] is not None]
    for rank, at in enumerate(order):
        if values[at] is not None:
            continue
        above = max((anchor for anchor in anchors if anchor < rank), default=None)
        below = min((anchor for anchor in anchors if anchor > rank), default=None)
        if above is None:
            filled[at] = max(numbers) + step * (anchors[0] - rank)
        elif below is None:
            filled[at] = min(numbers) - step * (rank - anchors[-1])
        else:
            share = (rank - above) / (below - above)
            filled[at] = filled[order[above]] + share * (filled[order[below]] - filled[order[above]])
    return tuple(filled)
