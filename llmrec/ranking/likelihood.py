"""Relevance as a likelihood ratio: how much likelier an item is after this person than after nobody."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llmrec.behavior.events import Item
from llmrec.errors import ContextLengthError
from llmrec.interests.extraction import StageProgress
from llmrec.llm.base import LanguageModel, Score
from llmrec.llm.cache import naming_prompt
from llmrec.llm.priors import Priors
from llmrec.prompting.templates import PromptLibrary, RenderedPrompt
from llmrec.ranking.context import PersonContext, item_line, shortening_notes

CHUNK = 32
NOBODY = PersonContext((), (), ())


def likelihood_ratios(
    model: LanguageModel,
    library: PromptLibrary,
    language: str,
    person: PersonContext,
    items: Sequence[Item],
    progress: StageProgress,
    *,
    priors: Priors | None = None,
) -> tuple[list[float], dict[str, str], list[str]]:
    """Score each item by log P(item | person) - log P(item | nobody).

    Items do not see each other. What holds for nobody is asked of `priors`, which may know it. Where the
    history is longer than the model's context, its older half is left out, as often as it takes, and a note
    says so. Returns the values in nats, the fingerprints of the
    templates, and the notes. The idea is that of pointwise mutual information (Church and Hanks 1990); with
    a language model, Holtzman et al. 2021, "Surface form competition".
    Raises ContextLengthError when not even one item of history fits.
    """
    lines = [library.render("ranking/item", language, item=item_line(item)) for item in items]
    texts = [line.text for line in lines]
    shown = person
    while True:
        prefix = _render(library, language, shown)
        try:
            given = _score(model, prefix, texts, lambda done: progress(done, 2 * len(texts)))
            break
        except ContextLengthError:
            shorter = shown.shortened()
            if shorter is None:
                raise
            shown = shorter
    neutral = _render(library, language, NOBODY)
    alone = _score(
        priors.model if priors else model,
        neutral,
        texts,
        lambda done: progress(len(texts) + done, 2 * len(texts)),
    )
    values = [
        with_person.logprob - with_nobody.logprob
        for with_person, with_nobody in zip(given, alone, strict=True)
    ]
    used = {f"{prompt.name}.{prompt.language}": prompt.fingerprint for prompt in (prefix, *lines[:1])}
    return values, used, shortening_notes(person, shown)


def _score(
    model: LanguageModel, prefix: RenderedPrompt, texts: Sequence[str], progress: Callable[[int], None]
) -> list[Score]:
    scores: list[Score] = []
    with naming_prompt(prefix.fingerprint):
        for begin in range(0, len(texts), CHUNK):
            scores += model.score(prefix.text, texts[begin : begin + CHUNK])
            progress(len(scores))
    return scores


def _render(library: PromptLibrary, language: str, person: PersonContext) -> RenderedPrompt:
    return library.render(
        "ranking/history", language, interests=person.interests, words=person.words, items=person.items
    )
