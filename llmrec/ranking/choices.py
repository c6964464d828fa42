"""Items beside each other in one question: which is the best, or which are, in order."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_uppercase
from typing import Annotated

from pydantic import BaseModel, Field, create_model

from llmrec.behavior.events import Item
from llmrec.llm.base import LanguageModel, Message
from llmrec.llm.cache import naming_prompt
from llmrec.prompting.structured import ask
from llmrec.prompting.templates import PromptLibrary, RenderedPrompt
from llmrec.ranking.asking import (
    AskingRun,
    generated_cost,
    longest_items,
    person_variables,
    scored_cost,
)
from llmrec.ranking.base import Cost
from llmrec.ranking.context import PersonContext, item_line

CHOICE_TEMPLATE = "ranking/choice"
ORDER_TEMPLATE = "ranking/order"
SYSTEM_TEMPLATE = "ranking/judge_system"
MOST_LABELLED = len(ascii_uppercase)
MOST_ORDERED = 50
CHOICE_TOKENS = 60
TOKENS_PER_NUMBER = 8


class Choice(BaseModel):
    """The item that was chosen."""

    best: int
    """The item's number in the list."""


class Order(BaseModel):
    """Items in order."""

    order: list[int]
    """The items' numbers in the list, the best first."""


def choice_among(size: int) -> type[Choice]:
    """A Choice that can only be one of so many items, by its schema."""
    return create_model("Choice", __base__=Choice, best=(int, Field(ge=1, le=size)))


def order_of(size: int) -> type[Order]:
    """An Order that can only name so many items, by its schema."""
    number = Annotated[int, Field(ge=1, le=size)]
    return create_model(
        "Order",
        __base__=Order,
        order=(list[number], Field(min_length=1, max_length=size)),
    )


def labels_in(language: str, count: int) -> list[str]:
    """The first letters as continuations of the prompt, in a template's language."""
    return [f"{'' if language == 'zh' else ' '}{letter}" for letter in ascii_uppercase[:count]]


def label_logprobs(run: AskingRun, places: Sequence[int]) -> list[float]:
    """The log-probability that the answer names each item, shown in this order under letters."""
    prompt = _choice_prompt(run.library, run.language, run.shown, [run.item(at) for at in places], True)
    run.used(prompt)
    with naming_prompt(prompt.fingerprint):
        scores = run.model.score(prompt.text, labels_in(prompt.language, len(places)))
    return [score.logprob for score in scores]


def choose_best(run: AskingRun, places: Sequence[int], *, scored: bool) -> int:
    """The place of the item the model chooses from those shown in this order.

    Among equally likely ones it is the one that comes first in the earlier order. Raises what the model
    raises; AnswerError for an answer that names no item also the second time.
    """
    if scored:
        logprobs = dict(zip(places, label_logprobs(run, places), strict=True))
        return max(places, key=lambda at: (logprobs[at], -run.first_rank[at]))
    prompt = _choice_prompt(run.library, run.language, run.shown, [run.item(at) for at in places], False)
    messages = _conversation(run.library, run.language, prompt, run)
    with naming_prompt(prompt.fingerprint):
        answer = ask(
            run.model,
            messages,
            choice_among(len(places)),
            library=run.library,
            language=run.language,
            max_tokens=CHOICE_TOKENS,
            max_attempts=2,
        )
    return places[answer.value.best - 1]


def choose_in_order(
    run: AskingRun, places: Sequence[int], *, wanted: int, scored: bool, what: str
) -> list[int]:
    """The places of the best items in order, as many as wanted, from those shown in this order.

    From log-probabilities, all come from one question: the likelier letters. What a written answer leaves
    out follows in the earlier order, and is noted as a failure of `what`. Raises what `choose_best` raises.
    """
    in_earlier_order = sorted(places, key=run.first_rank.__getitem__)
    if scored:
        logprobs = dict(zip(places, label_logprobs(run, places), strict=True))
        return sorted(in_earlier_order, key=lambda at: -logprobs[at])[:wanted]
    if wanted == 1:
        return [choose_best(run, places, scored=False)]
    prompt = _order_prompt(run.library, run.language, run.shown, [run.item(at) for at in places], wanted)
    messages = _conversation(run.library, run.language, prompt, run)
    with naming_prompt(prompt.fingerprint):
        answer = ask(
            run.model,
            messages,
            order_of(len(places)),
            library=run.library,
            language=run.language,
            max_tokens=CHOICE_TOKENS + TOKENS_PER_NUMBER * wanted,
            max_attempts=2,
            check=_order_faults,
        )
    named = [places[number - 1] for number in answer.value.order][:wanted]
    left_out = [at for at in in_earlier_order if at not in set(named)][: wanted - len(named)]
    if left_out:
        reason = f"the answer named {len(named)} of {wanted} items"
        run.fail(what, reason, f"the earlier order of {run.names(left_out)}, behind those it named")
    return named + left_out


def choice_cost(
    model: LanguageModel,
    library: PromptLibrary,
    language: str,
    person: PersonContext,
    items: Sequence[Item],
    *,
    count: int,
    wanted: int = 1,
    scored: bool,
) -> Cost:
    """What a question about the `count` longest of the items costs."""
    shown = longest_items(items, count)
    if scored:
        prompt = _choice_prompt(library, language, person, shown, True)
        return scored_cost(model, prompt, labels_in(prompt.language, len(shown)))
    if wanted == 1:
        prompt = _choice_prompt(library, language, person, shown, False)
        messages = _conversation(library, language, prompt)
        return generated_cost(model, library, messages, choice_among(len(shown)), language, CHOICE_TOKENS)
    prompt = _order_prompt(library, language, person, shown, wanted)
    messages = _conversation(library, language, prompt)
    most = CHOICE_TOKENS + TOKENS_PER_NUMBER * wanted
    return generated_cost(model, library, messages, order_of(len(shown)), language, most)


def _choice_prompt(
    library: PromptLibrary, language: str, person: PersonContext, items: Sequence[Item], scored: bool
) -> RenderedPrompt:
    labels = ascii_uppercase if scored else [str(number) for number in range(1, len(items) + 1)]
    return library.render(
        CHOICE_TEMPLATE,
        language,
        **person_variables(person),
        candidates=[
            {"label": label, "item": item_line(item)} for label, item in zip(labels, items, strict=False)
        ],
        scored=scored,
    )


def _order_prompt(
    library: PromptLibrary, language: str, person: PersonContext, items: Sequence[Item], wanted: int
) -> RenderedPrompt:
    return library.render(
        ORDER_TEMPLATE,
        language,
        **person_variables(person),
        candidates=[{"label": str(at), "item": item_line(item)} for at, item in enumerate(items, start=1)],
        wanted=wanted,
    )


def _conversation(
    library: PromptLibrary, language: str, prompt: RenderedPrompt, run: AskingRun | None = None
) -> list[Message]:
    system = library.render(SYSTEM_TEMPLATE, language)
    if run is not None:
        run.used(system, prompt)
    return [Message(role="system", content=system.text), Message(role="user", content=prompt.text)]


def _order_faults(answer: Order) -> list[str]:
    twice = sorted({number for number in answer.order if answer.order.count(number) > 1})
    return [f"order: item {number} stands there more than once" for number in twice[:5]]
