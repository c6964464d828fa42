"""Strategies by name."""

from __future__ import annotations

import pytest

from llmrec.errors import InputError, ModelError
from llmrec.ranking.pairwise import Pairwise
from llmrec.ranking.strategies import STRATEGIES, open_ranker, option_names
from tests.builders import scoring_model
from tests.ranking.asking_models import LIBRARY


def test_a_name_and_options_make_a_strategy() -> None:
    ranker = open_ranker("pairwise", scoring_model(), LIBRARY, comparisons="all")
    assert isinstance(ranker, Pairwise)
    assert ranker.comparisons == "all"


def test_every_strategy_bears_its_name_in_the_registry() -> None:
    asking = {name: made for name, made in STRATEGIES.items() if "answers" in option_names(name)}
    assert {"first_index", "graded", "listwise", "pairwise", "setwise", "tournament", "yes_no"} <= set(asking)
    assert all(made.name == name for name, made in asking.items())  # type: ignore[attr-defined]


def test_what_is_not_there_is_told_with_what_is() -> None:
    with pytest.raises(InputError, match="no strategy 'paired': the strategies are first_index, graded"):
        open_ranker("paired", scoring_model(), LIBRARY)
    with pytest.raises(InputError, match="setwise has no option 'sice': its options are answers, size, top"):
        open_ranker("setwise", scoring_model(), LIBRARY, sice=3)


def test_a_model_that_cannot_do_it_is_refused() -> None:
    with pytest.raises(ModelError, match="listwise needs written answers"):
        open_ranker("listwise", scoring_model(), LIBRARY)
