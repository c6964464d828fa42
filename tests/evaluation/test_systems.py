"""A Recommender and a bare strategy under evaluation: scores in order, prices, and nothing kept."""

from __future__ import annotations

import math

import pytest

from llmrec import Recommender
from llmrec.errors import InputError, ModelUnavailableError
from llmrec.evaluation.systems import FunctionSystem, RankerSystem, RecommenderSystem, scored_from
from llmrec.evaluation.types import ProtocolOptions
from llmrec.llm.base import Usage
from llmrec.prompting.templates import PromptLibrary
from llmrec.ranking.base import ItemScores
from llmrec.ranking.strategies import open_ranker
from llmrec.ranking.types import RankedItem, Ranking, Signal
from tests.builders import scoring_model, writing_model
from tests.evaluation.made_systems import CATALOG, query
from tests.evaluation.test_guards import learned


@pytest.fixture
def recommender():
    with Recommender(scoring_model(None), CATALOG, labelled_by_model=0) as opened:
        yield opened


def ranking(*pairs, probability=None, signals=()):
    return Ranking(
        user_id="ana",
        items=tuple(
            RankedItem(
                rank=at,
                item=CATALOG[item_id],
                score=score,
                probability=probability,
                signals={name: Signal(value=score * 2, contribution=0.0) for name in signals},
            )
            for at, (item_id, score) in enumerate(pairs, start=1)
        ),
        candidates=len(pairs),
        model="test",
    )


def test_scores_are_in_the_order_of_the_candidates():
    found = scored_from(ranking(("d", 2.0), ("b", 1.0), signals=("bm25",), probability=0.5), ["b", "d"])
    assert found.scores == (1.0, 2.0)
    assert found.probabilities == (0.5, 0.5)
    assert found.signals == {"bm25": (2.0, 4.0)}


def test_what_was_not_ranked_lies_below_all_that_was():
    found = scored_from(ranking(("d", 2.0), ("b", -1.0), signals=("bm25",)), ["a", "b", "c", "d"])
    assert found.scores[3] > found.scores[1] > found.scores[0] == found.scores[2]
    assert found.signals == {}
    assert found.probabilities is None
    assert scored_from(ranking(), ["a", "b"]).scores[0] == scored_from(ranking(), ["a", "b"]).scores[1]


def test_a_later_stage_that_moves_items_is_what_counts():
    found = scored_from(ranking(("b", 1.0), ("c", 3.0), ("d", 2.0)), ["d", "c", "b"])
    assert found.scores == (1.0, 2.0, 3.0)


def test_a_recommender_ranks_by_history(recommender):
    system = RecommenderSystem(recommender)
    scored = system.scores(query(history="a", candidates="fdb"))
    assert max(scored.scores) == scored.scores[2]
    assert scored.tokens > 0
    assert scored.seconds > 0
    assert {"bm25", "likelihood_ratio"} <= set(scored.signals)
    assert sum(scored.probabilities) == pytest.approx(1.0)
    again = system.scores(query(history="a", candidates="bfd"))
    assert max(again.scores) == again.scores[0]


def test_nothing_is_kept_of_anybody(recommender):
    system = RecommenderSystem(recommender)
    for at in range(3):
        system.scores(query(f"u{at}"))
    assert recommender.store.people() == []
    assert recommender.store.profile("u0") is None


def test_somebody_without_a_history(recommender):
    scored = RecommenderSystem(recommender).scores(query(history=""))
    assert len(scored.scores) == 4
    assert all(map(math.isfinite, scored.scores))


def test_the_whole_catalogue(recommender):
    scored = RecommenderSystem(recommender).scores(query(history="a", candidates=""))
    assert len(scored.scores) == 5
    assert max(scored.scores) == scored.scores[0]
    assert scored.signals == {} or len(scored.signals["bm25"]) == 5


def test_a_store_that_holds_people_is_refused(recommender):
    recommender.profile(query().events)
    for make in (RecommenderSystem, lambda r: RankerSystem(Constant(), r)):
        with pytest.raises(InputError, match="holds people already"):
            make(recommender)


def test_a_failure_of_the_model_is_raised_and_leaves_nothing(recommender, monkeypatch):
    def refuse(*arguments, **options):
        raise ModelUnavailableError("the server is gone: start it again")

    system = RecommenderSystem(recommender)
    monkeypatch.setattr(recommender, "recommend", refuse)
    with pytest.raises(ModelUnavailableError):
        system.scores(query())
    assert recommender.store.people() == []


def test_the_fingerprint_tells_what_decides_the_scores(recommender):
    one = RecommenderSystem(recommender)
    assert one.fingerprint == RecommenderSystem(recommender).fingerprint
    assert one.fingerprint != RecommenderSystem(recommender, basis="history").fingerprint
    assert one.fingerprint != RecommenderSystem(recommender, strategy="yes_no").fingerprint
    with Recommender(recommender.model, CATALOG, labelled_by_model=3) as other:
        assert one.fingerprint != RecommenderSystem(other).fingerprint
    with Recommender(recommender.model, CATALOG, labelled_by_model=0, threads=2, api_key="k") as same:
        assert one.fingerprint == RecommenderSystem(same).fingerprint


def test_the_fingerprint_of_a_strategy_holds_its_options(recommender):
    def fingerprint(**options):
        ranker = open_ranker("setwise", writing_model(), PromptLibrary(), **options)
        return RankerSystem(ranker, recommender).fingerprint

    assert fingerprint() == fingerprint()
    assert fingerprint() != fingerprint(top=3)


def test_notes_on_weights_come_with_the_scores(recommender, tmp_path):
    path = tmp_path / "weights.json"
    path.write_text(learned(basis="history").text(), "utf-8")
    with Recommender(recommender.model, CATALOG, weights=path, labelled_by_model=0) as opened:
        system = RecommenderSystem(opened)
        (note,) = system.scores(query()).notes
        assert note.startswith("the learned weights are for the basis history")
        (told,) = system.notes("games", ProtocolOptions())
        assert "may have taught them" in told
        assert system.notes("films", ProtocolOptions()) == ()
    assert RecommenderSystem(recommender).notes("games", ProtocolOptions()) == ()


def test_an_unknown_basis(recommender):
    with pytest.raises(InputError, match="the basis is 'all'"):
        RecommenderSystem(recommender, basis="all")


class Constant:
    """A strategy that likes short titles."""

    name = "short"

    def __init__(self):
        self.requests = []

    def cost(self, request):
        raise AssertionError

    def score(self, request, *, budget=None, progress=None):
        self.requests.append((request, budget))
        values = tuple(-float(len(item.title)) for item in request.items)
        return ItemScores(scores=values, signals={"length": values})


def test_a_bare_strategy(recommender):
    ranker = Constant()
    system = RankerSystem(ranker, recommender, basis="history", seed=4)
    scored = system.scores(query(history="a", candidates="be"))
    assert system.name == "short"
    assert scored.scores == (-12.0, -10.0)
    assert scored.signals == {"length": (-12.0, -10.0)}
    request, _ = ranker.requests[0]
    assert (request.basis, request.seed, request.profile.user_id) == ("history", 4, "ana")
    assert [item.id for item in request.items] == ["b", "e"]
    assert recommender.store.people() == []
    assert system.fingerprint != RankerSystem(ranker, recommender).fingerprint
    assert len(system.scores(query(history="a", candidates="")).scores) == 5


def test_a_function_is_a_system():
    system = FunctionSystem("mine", lambda asked: range(len(asked.candidates)), fingerprint="2")
    assert (system.name, system.fingerprint) == ("mine", "2")
    assert system.scores(query()).scores == (0.0, 1.0, 2.0, 3.0)


def test_usage_that_begins_anew_counts_nothing():
    from llmrec.evaluation.systems import tokens

    assert tokens(Usage(prompt_tokens=5) - Usage(prompt_tokens=9)) == 0
    assert tokens(Usage(prompt_tokens=5, completion_tokens=2)) == 7
