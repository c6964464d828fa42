"""Whether a model that knows a file is found out, and one that does not is not accused."""

from __future__ import annotations

import re

import pytest

from llmrec.behavior.events import Catalog, Item
from llmrec.errors import InputError, ModelError
from llmrec.evaluation.contamination import title_contamination
from llmrec.llm.scripted import ScriptedModel
from llmrec.prompting.templates import PromptLibrary
from tests.builders import SCORES_ONLY, indifferent, writing_model

CATALOG = Catalog(Item(id=str(at), title=f"Film {at * 7} 电影") for at in range(1, 61))
TITLES = {item.id: item.title for item in CATALOG.items_in_order}


def asked_id(prefix: str) -> str:
    found = re.fullmatch(r"(\d+)(::|,)", prefix.splitlines()[-1])
    assert found is not None
    return found[1]


def remembers(prefix: str, continuation: str) -> float:
    return -1.0 if TITLES[asked_id(prefix)] == continuation else -9.0


def likes_one_title(prefix: str, continuation: str) -> float:
    """Likely titles are no knowledge of the file."""
    return -1.0 if continuation == TITLES["5"] else -9.0


def probe(scores, **options):
    model = ScriptedModel(scores=scores, capabilities=SCORES_ONLY)
    return title_contamination(model, PromptLibrary(), CATALOG, dataset="films", **options), model


def test_a_model_that_read_the_file_is_found_out():
    found, model = probe(remembers, items=30)
    assert found.after.mean == 1.0
    assert found.before.mean == pytest.approx(0.05)
    assert found.difference.low > 0.9
    assert found.verdict.startswith("The model finds the title of an id in 100% of rows, above chance (5%)")
    assert all(len(set(call.continuations)) == 20 for call in model.history)
    assert len(model.history) == 30 * 4


@pytest.mark.parametrize("scores", [indifferent, likes_one_title])
def test_a_model_that_did_not_is_not_accused(scores):
    found, _ = probe(scores, items=60)
    assert found.after.mean == pytest.approx(0.05, abs=1e-9)
    assert "nothing shows that it has seen this file" in found.verdict


def test_the_same_seed_asks_the_same():
    first, second, other = (probe(remembers, items=5, seed=seed)[1].history for seed in (0, 0, 1))
    assert [call.prefix for call in first] == [call.prefix for call in second]
    assert [call.prefix for call in first] != [call.prefix for call in other]


def test_progress_is_told():
    told = []
    probe(indifferent, items=3, progress=told.append)
    assert [(one.stage, one.done, one.total) for one in told] == [
        ("probe title-contamination", at, 3) for at in range(3)
    ]


def test_what_cannot_be_probed():
    library = PromptLibrary()
    with pytest.raises(ModelError, match="gives no log-probabilities"):
        title_contamination(writing_model(), library, CATALOG, dataset="films")
    few = Catalog(Item(id=str(at), title=f"Film {at % 20}") for at in range(40))
    with pytest.raises(InputError, match="more than 20 titles that differ: this one has 20"):
        title_contamination(ScriptedModel(capabilities=SCORES_ONLY), library, few, dataset="films")
