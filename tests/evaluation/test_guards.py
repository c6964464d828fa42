"""What a recommender may not bring into an evaluation."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from llmrec import Recommender
from llmrec.candidates.log import InteractionLog
from llmrec.errors import InputError
from llmrec.evaluation.guards import check_log, check_weights, taught_note
from llmrec.evaluation.types import ProtocolOptions
from llmrec.ranking.learned import LearnedFrom, LearnedWeights
from llmrec.weights import SignalWeights
from tests.builders import scoring_model
from tests.evaluation.made_systems import CATALOG, LOG, MATERIAL


def learned(part: str = "learning", **fields) -> LearnedWeights:
    told = LearnedFrom(
        dataset="games",
        fingerprint="1",
        people=20,
        candidates="random, 19",
        part=part,
        ndcg_before=0.5,
        ndcg_after=0.6,
        created=datetime(2026, 1, 1, tzinfo=timezone.utc),
    )
    basis, with_log = fields.get("basis", "both"), fields.get("with_log", False)
    return LearnedWeights(
        basis=basis, with_log=with_log, model="", weights=SignalWeights(bm25=1), learned_from=told
    )


@pytest.mark.parametrize("log", [None, LOG, InteractionLog(), InteractionLog(dict(LOG.sequences))])
def test_no_log_and_the_runs_own_are_taken(log):
    with Recommender(scoring_model(), CATALOG, log=log) as recommender:
        check_log(recommender, MATERIAL)


def test_another_log_is_refused():
    more = InteractionLog({**LOG.sequences, "ana": ["f"]})
    with Recommender(scoring_model(), CATALOG, log=more) as recommender:
        assert recommender.log is more
        with pytest.raises(InputError, match="is not that of the run, so it may hold the targets"):
            check_log(recommender, MATERIAL)


def test_weights_hold_for_one_basis_and_for_a_log_or_none():
    check_weights(learned(basis="history", with_log=True), basis="history", with_log=True)
    with pytest.raises(InputError, match=r"basis both without an interaction log, and this run .* both with"):
        check_weights(learned(), basis="both", with_log=True)
    with pytest.raises(InputError, match="basis history"):
        check_weights(learned(basis="history"), basis="both", with_log=False)


@pytest.mark.parametrize(
    ("taught_by", "dataset", "part", "told"),
    [
        ("learning", "games", "reporting", False),
        ("learning", "films", "all", False),
        ("learning", "games", "all", True),
        ("learning", "games", "learning", True),
        ("all", "games", "reporting", True),
    ],
)
def test_people_who_may_have_taught_the_weights_are_told_of(taught_by, dataset, part, told):
    note = taught_note(learned(taught_by).learned_from, dataset, ProtocolOptions(part=part))
    assert ("may have taught" in note) == told
