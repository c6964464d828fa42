"""The strategies of ranking by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from llmrec.errors import InputError
from llmrec.llm.base import LanguageModel
from llmrec.prompting.templates import PromptLibrary
from llmrec.ranking.base import Ranker
from llmrec.ranking.first_index import FirstIndex
from llmrec.ranking.graded import Graded
from llmrec.ranking.likelihood import LikelihoodRatio
from llmrec.ranking.listwise import Listwise
from llmrec.ranking.pairwise import Pairwise
from llmrec.ranking.query_likelihood import QueryLikelihood
from llmrec.ranking.setwise import Setwise
from llmrec.ranking.tournament import Tournament
from llmrec.ranking.yes_no import YesNo

STRATEGIES: Mapping[str, Callable[..., Ranker]] = {
    "first_index": FirstIndex,
    "graded": Graded,
    "likelihood_ratio": LikelihoodRatio,
    "listwise": Listwise,
    "pairwise": Pairwise,
    "query_likelihood": QueryLikelihood,
    "setwise": Setwise,
    "tournament": Tournament,
    "yes_no": YesNo,
}


def open_ranker(name: str, model: LanguageModel, library: PromptLibrary, **options: Any) -> Ranker:
    """Make the strategy of a name, with options as its class documents them.

    Raises InputError for a name or an option that is not there, ModelError when the model cannot do it.
    """
    strategy = STRATEGIES.get(name)
    if strategy is None:
        raise InputError(f"there is no strategy {name!r}: the strategies are {', '.join(sorted(STRATEGIES))}")
    known = sorted(option_names(name))
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise InputError(f"{name} has no option {unknown[0]!r}: its options are {', '.join(known)}")
    return strategy(model, library, **options)


def option_names(name: str) -> set[str]:
    """The names of a strategy's options: the fields of its dataclass but the model and the library."""
    strategy: Any = STRATEGIES[name]
    return {field.name for field in fields(strategy)} - {"model", "library"}
