"""Weights from labelled people: what was planted is found, and few people cannot lead astray."""

from __future__ import annotations

import numpy as np
import pytest

from llmrec.errors import InputError
from llmrec.evaluation.weight_learning import LabelledCase, fused_scores, learn_weights
from llmrec.ranking.fusion import fuse
from llmrec.weights import FusionWeights, SignalWeights

CANDIDATES = 12


def planted(
    people: int, truth: dict[str, float], seed: int = 0, *, unsure: float = 0.0
) -> list[LabelledCase]:
    """People who choose by a conditional logit of the given weights; `unsure` of them have an empty model."""
    draw = np.random.default_rng(seed)
    cases = []
    for at in range(people):
        signals = {name: draw.normal(size=CANDIDATES) for name in truth}
        blind = draw.random() < unsure
        if blind:
            signals["likelihood_ratio"] = 1e-3 * draw.normal(size=CANDIDATES)
        score = sum(
            weight * (values - values.mean()) / values.std()
            for (name, values), weight in zip(signals.items(), truth.values(), strict=True)
            if not (blind and name == "likelihood_ratio")
        )
        chances = np.exp(score) / np.exp(score).sum()
        chosen = draw.choice(CANDIDATES, p=chances)
        told = {
            name: tuple(5 * values if name == "likelihood_ratio" else values)
            for name, values in signals.items()
        }
        cases.append(LabelledCase(f"p{at}", told, [place == chosen for place in range(CANDIDATES)]))
    return cases


def test_planted_weights_are_found_with_their_scale() -> None:
    truth = {"bm25": 1.2, "embedding": 0.6, "interests": 0.0}
    fusion = learn_weights(planted(1500, truth), FusionWeights(), model_signal=None)
    found = fusion.weights
    assert found.bm25 == pytest.approx(2 / 3, abs=0.06)
    assert found.embedding == pytest.approx(1 / 3, abs=0.06)
    assert found.interests < 0.05
    assert found.scale == pytest.approx(1.8, abs=0.2)
    assert np.mean(fusion.after) > np.mean(fusion.before) - 0.005
    assert (
        fusion.signals_alone["bm25"] > fusion.signals_alone["embedding"] > fusion.signals_alone["interests"]
    )


def test_figures_are_of_people_left_out() -> None:
    """On noise alone nothing is gained, however many signals there are to fit."""
    names = ["bm25", "bm25_best", "embedding", "embedding_best", "interests", "popularity", "co_occurrence"]
    fusion = learn_weights(planted(200, dict.fromkeys(names, 0.0)), FusionWeights(), model_signal=None)
    chance = np.mean([1 / np.log2(rank + 1) if rank <= 10 else 0 for rank in range(1, CANDIDATES + 1)])
    assert np.mean(fusion.after) == pytest.approx(chance, abs=0.06)


def test_few_people_are_held_to_the_weights_so_far() -> None:
    so_far = FusionWeights(model=0, bm25=0.5, bm25_best=0, embedding=0.5, embedding_best=0, interests=0)
    truth = {"bm25": 0.9, "embedding": 0.9}
    few = learn_weights(planted(25, truth, seed=3), so_far, model_signal=None).weights
    assert few.bm25 == pytest.approx(0.5, abs=0.2)


def test_no_weight_is_negative() -> None:
    fusion = learn_weights(planted(600, {"bm25": 1.0, "embedding": -0.8}), FusionWeights(), model_signal=None)
    assert fusion.weights.embedding == 0
    assert fusion.weights.bm25 == 1


def test_the_models_weight_is_learned_and_gated_where_it_is_blind() -> None:
    truth = {"bm25": 0.8, "likelihood_ratio": 1.0}
    cases = planted(900, truth, unsure=0.5)
    fusion = learn_weights(cases, FusionWeights(), model_signal="likelihood_ratio")
    assert fusion.weights.model > 0.3
    # Noise of a thousandth of a nat, blown up to a z-score, must not count.
    assert fusion.weights.gate_high > 1e-6
    blind = {"bm25": [1.0, 2.0, 3.0], "likelihood_ratio": [0.003, 0.002, 0.001]}
    with_model = fused_scores(blind, fusion.weights, model_signal="likelihood_ratio")
    without = fused_scores({"bm25": [1.0, 2.0, 3.0]}, fusion.weights, model_signal="likelihood_ratio")
    assert with_model == pytest.approx(without, abs=0.05)


def test_all_cases_of_a_person_are_in_one_fold() -> None:
    """Copies of one person on both sides would make memorising look like learning."""
    cases = planted(40, {"bm25": 0.0, "embedding": 0.0})
    tripled = [LabelledCase(case.person, case.signals, case.taken) for case in cases for _ in range(3)]
    once = learn_weights(cases, FusionWeights(), model_signal=None)
    thrice = learn_weights(tripled, FusionWeights(), model_signal=None)
    assert np.mean(thrice.after) == pytest.approx(np.mean(once.after), abs=0.05)


def test_the_same_people_give_the_same_weights() -> None:
    cases = planted(100, {"bm25": 1.0, "embedding": 0.5})
    assert learn_weights(cases, FusionWeights(), model_signal=None) == learn_weights(
        cases, FusionWeights(), model_signal=None
    )


def test_lists_of_different_lengths_and_several_taken() -> None:
    cases = planted(60, {"bm25": 1.0, "embedding": 0.2})
    short = [
        LabelledCase(
            case.person,
            {name: values[:5] for name, values in case.signals.items()},
            [True, True, *[False] * 3],
        )
        for case in cases[:20]
    ]
    fusion = learn_weights([*short, *cases[20:]], FusionWeights(), model_signal=None)
    assert len(fusion.after) == 60
    assert all(0 <= value <= 1 for value in fusion.after)


def test_too_few_people_are_refused() -> None:
    with pytest.raises(InputError, match="cannot be learned from 5 labelled people: give at least 20"):
        learn_weights(planted(5, {"bm25": 1.0}), FusionWeights(), model_signal=None)


def test_one_person_without_a_signal_changes_little() -> None:
    """Somebody without a history has no embedding, and one of whom the model failed none of its scores."""
    cases = planted(300, {"bm25": 1.0, "embedding": 1.0, "likelihood_ratio": 1.0})
    whole = learn_weights(cases, FusionWeights(), model_signal="likelihood_ratio")
    cases[7] = LabelledCase("p7", {"bm25": cases[7].signals["bm25"]}, cases[7].taken)
    fusion = learn_weights(cases, FusionWeights(), model_signal="likelihood_ratio")
    assert set(fusion.signals_alone) == {"bm25", "embedding", "likelihood_ratio"}
    for name in ("bm25", "embedding", "model"):
        assert getattr(fusion.weights, name) == pytest.approx(getattr(whole.weights, name), abs=0.03)
    assert fusion.weights.model > 0.2


def test_signals_that_nobody_has_weigh_nothing() -> None:
    fusion = learn_weights(planted(60, {"bm25": 1.0}), FusionWeights(), model_signal="yes_no")
    assert set(fusion.signals_alone) == {"bm25"}
    assert (fusion.weights.embedding, fusion.weights.model) == (0, 0)
    # What was not measured keeps its place.
    assert fusion.weights.capable_model == FusionWeights().capable_model


def test_what_was_learned_of_a_capable_model_holds_for_it() -> None:
    so_far = SignalWeights(model=0.0, capable_model=3.0, bm25=1.0)
    cases = planted(25, {"bm25": 0.0, "graded": 1.0}, seed=2)
    capable = learn_weights(cases, so_far, model_signal="graded", capable=True)
    blind = learn_weights(cases, so_far, model_signal="graded")
    # Held to 3 of 4 parts, and judged with them too.
    assert capable.weights.model > blind.weights.model
    assert np.mean(capable.before) > np.mean(blind.before)
    assert capable.weights.capable_model == 0
    assert capable.weights.by_signal(capable=True)["model"] == capable.weights.model


def test_whose_each_figure_is() -> None:
    cases = planted(25, {"bm25": 1.0})
    assert learn_weights(cases, FusionWeights(), model_signal=None).people == tuple(c.person for c in cases)


def test_a_capable_models_own_weight_counts_in_fused_scores() -> None:
    signals = {"bm25": [1.0, 0.0, 0.0], "graded": [0.0, 9.0, 0.0]}
    weights = SignalWeights(model=0.1, capable_model=5.0, bm25=1.0)
    small = fused_scores(signals, weights, model_signal="graded")
    trusted = fused_scores(signals, weights, model_signal="graded", capable=True)
    assert small[0] > small[1]
    assert trusted[1] > trusted[0]


def test_fused_scores_are_those_of_a_ranking() -> None:
    signals = {"bm25": [3.0, 1.0, 2.0], "embedding": [0.1, 0.5, 0.2], "no_such_signal": [9.0, 0.0, 0.0]}
    weights = SignalWeights(bm25=0.75, embedding=0.25)
    parts = fuse({name: signals[name] for name in ("bm25", "embedding")}, {"bm25": 0.75, "embedding": 0.25})
    expected = list(parts["bm25"] + parts["embedding"])
    assert fused_scores(signals, weights, model_signal=None) == pytest.approx(expected)
