"""The strategies of ranking by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

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


SHARED = {"priors"}
"""Options that are no choice: what those who open a strategy hold for all of them."""


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


def checked_options(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a strategy as its class takes them, from plain values such as those of JSON.

    A single name stands for several where several may be given. Raises InputError for an option that is not
    there or is of another kind; what is out of range is found when the strategy is made.
    """
    types = get_type_hints(STRATEGIES[name])
    known = sorted(option_names(name) - SHARED)
    checked: dict[str, Any] = {}
    for option, value in options.items():
        if option not in known:
            raise InputError(f"{name} has no option {option!r}: its options are {', '.join(known)}")
        wanted = types[option]
        single = isinstance(value, str) and get_origin(wanted) is tuple
        try:
            checked[option] = TypeAdapter(wanted).validate_python((value,) if single else value)
        except ValidationError as error:
            said = error.errors(include_url=False)[0]["msg"]
            raise InputError(f"the option {option} of {name} cannot be {value!r}: {said}") from error
    return checked


def option_names(name: str) -> set[str]:
    """The names of a strategy's options: the fields of its dataclass but the model and the library."""
    strategy: Any = STRATEGIES[name]
    return {field.name for field in fields(strategy)} - {"model", "library"}
