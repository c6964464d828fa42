"""Whether a model that knows a file is found out, and one that does not is not accused."""

from __future__ import annotations

import re

import pytest

from llmrec.behavior.events import Catalog, Item
from llmrec.errors import ModelError
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


@pytest.mark.parametrize(
    ("ids", "titles"),
    [
        ("{}", "Film {}"),
        ("kite{}", "Kite number {} 电影"),
        ("电影-{}", "电影 {}"),
        ("KITE_x{}", "a kite {}"),
    ],
)
def test_titles_that_follow_from_their_ids_tell_nothing(ids, titles):
    told = [Item(id=ids.format(at), title=titles.format(at + 100 * (at % 2))) for at in range(60)]
    extra = [Item(id=f"b{at}", title=f"Untold {'i' * at}") for at in range(20)]
    model = ScriptedModel(scores=remembers, capabilities=SCORES_ONLY)
    kept = [item for item in told if item.title == titles.format(item.id)] if ids == "{}" else told
    found = title_contamination(model, PromptLibrary(), Catalog([*kept, *extra]), dataset="films")
    assert found.verdict.startswith("This cannot be told: the catalogue has 20 titles")
    assert (found.after.people, found.after.low, found.after.high) == (0, 0.0, 1.0)
    assert model.history == []


def test_only_titles_that_tell_are_asked_for():
    told = [Item(id=f"kite{at}", title=f"kite x{at}") for at in range(40)]
    mixed = Catalog([*told, *CATALOG.items_in_order])
    model = ScriptedModel(scores=indifferent, capabilities=SCORES_ONLY)
    found = title_contamination(model, PromptLibrary(), mixed, dataset="films")
    assert found.after.people == 60
    assert not any("kite" in call.prefix.splitlines()[-1] for call in model.history)
