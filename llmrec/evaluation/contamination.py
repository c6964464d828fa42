"""Whether a model knows a data set's own file by heart: its titles, by the ids that stand before them."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from llmrec.behavior.events import Catalog, Item
from llmrec.errors import ModelError
from llmrec.evaluation.intervals import interval, paired
from llmrec.evaluation.scoring import EvaluationProgress, ProgressListener
from llmrec.evaluation.types import Interval, ProbeResult
from llmrec.llm.base import LanguageModel
from llmrec.llm.cache import naming_prompt
from llmrec.prompting.templates import PromptLibrary

NAME = "title-contamination"
QUESTION = "Does the model know the data set's own file, so that it may have read the answers too?"
SEPARATORS = ("colons", "comma")
"""What may stand between an id and a title: as in MovieLens' movies.dat, and in its movies.csv."""
CHOICES = 20
ITEMS = 200


def title_contamination(
    model: LanguageModel,
    library: PromptLibrary,
    catalog: Catalog,
    *,
    dataset: str,
    items: int = ITEMS,
    seed: int = 0,
    progress: ProgressListener | None = None,
) -> ProbeResult:
    """Have the model find an item's title among 20 of the catalogue, given the beginning of its row.

    A model that never saw the file is right by chance. Each title counts by its likelihood ratio: how much
    likelier it is after the item's own id than after another item's, summed over both ways to write a row,
    so that a title which is likely anyhow wins nothing. After Di Palma, Merra, Sfilio, Anelli, Narducci and
    Di Noia, "Do LLMs Memorize Recommendation Datasets?" (2025). No target is needed, and none is read.
    Items whose id shares a word with their title are left out, since such a title follows from its id; where
    no more than 20 titles that differ are left, the probe says that it cannot tell, and asks nothing.
    Raises ModelError for a model that gives no log-probabilities.
    """
    if not model.capabilities.score:
        raise ModelError(
            f"the model {model.name} gives no log-probabilities, which the probe {NAME} needs: take a local "
            "one, or leave the probe out"
        )
    untold = [item for item in catalog.items_in_order if not set(_words(item.id)) & set(_words(item.title))]
    titled = list({item.title: item for item in untold}.values())
    if len(titled) <= CHOICES:
        return _cannot_tell(model, len(titled))
    draw = random.Random(seed)  # noqa: S311 - no secret
    asked = draw.sample(titled, min(items, len(titled)))
    hits = []
    for number, item in enumerate(asked):
        if progress is not None:
            progress(EvaluationProgress(f"probe {NAME}", number, len(asked)))
        *others, another = [other for other in draw.sample(titled, CHOICES + 1) if other is not item][
            :CHOICES
        ]
        ratios = _ratios(model, library, dataset, item, another, [item, *others])
        best = max(ratios)
        ties = [at for at, ratio in enumerate(ratios) if ratio >= best - 1e-9]
        hits.append(1.0 / len(ties) if 0 in ties else 0.0)
    chance = [1.0 / CHOICES] * len(hits)
    after = interval(hits)
    if after.low > chance[0]:
        verdict = (
            f"The model finds the title of an id in {after.mean * 100:.0f}% of rows, above chance "
            f"({100 / CHOICES:.0f}%): it has seen this file, and its figures here may rest on memory."
        )
    else:
        verdict = (
            f"The model finds the title of an id in {after.mean * 100:.0f}% of rows, no more than chance "
            f"({100 / CHOICES:.0f}%): nothing shows that it has seen this file."
        )
    return ProbeResult(
        name=NAME,
        question=QUESTION,
        system=model.name,
        before=interval(chance),
        after=after,
        difference=paired(hits, chance),
        verdict=verdict,
    )


def _cannot_tell(model: LanguageModel, usable: int) -> ProbeResult:
    chance = 1 / CHOICES
    return ProbeResult(
        name=NAME,
        question=QUESTION,
        system=model.name,
        before=Interval(mean=chance, low=chance, high=chance, people=0),
        after=Interval(mean=chance, low=0.0, high=1.0, people=0),
        difference=Interval(mean=0.0, low=-chance, high=1 - chance, people=0),
        verdict=f"This cannot be told: the catalogue has {usable} titles that differ and share no word with "
        f"their ids, and more than {CHOICES} are needed.",
    )


def _words(text: str) -> list[str]:
    """The runs of letters and those of digits, in small letters, so that `kite3` says kite."""
    return re.findall(r"[^\W\d_]+|\d+", text.casefold())


def _ratios(
    model: LanguageModel,
    library: PromptLibrary,
    dataset: str,
    item: Item,
    another: Item,
    choices: Sequence[Item],
) -> list[float]:
    """How much likelier each title is after the item's id than after another's, in nats."""
    ratios = [0.0] * len(choices)
    titles = [library.render("evaluation/catalog_title", "en", title=choice.title).text for choice in choices]
    for separator in SEPARATORS:
        for sign, row in ((1.0, item), (-1.0, another)):
            prompt = library.render(
                "evaluation/catalog_row", "en", dataset=dataset, item_id=row.id, separator=separator
            )
            with naming_prompt(prompt.fingerprint):
                scores = model.score(prompt.text, titles)
            ratios = [ratio + sign * score.logprob for ratio, score in zip(ratios, scores, strict=True)]
    return ratios
