"""From candidates to a ranking: what is ranked by, who counts how much, and what a failing model changes."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from llmrec.behavior.events import Event, Item
from llmrec.candidates.log import InteractionLog
from llmrec.errors import InputError, ModelError, ModelUnavailableError
from llmrec.llm.base import Capabilities, LanguageModel
from llmrec.llm.scripted import ScriptedModel
from llmrec.ranking.base import scores_of_order
from llmrec.ranking.fusion import certainty
from llmrec.ranking.pipeline import EVERY_STRATEGY, sureness
from llmrec.ranking.types import Ranking
from llmrec.recommender import Recommender
from llmrec.weights import SIGNAL_FIELDS, FusionWeights
from tests.builders import SHOP, events_of, sample, scoring_model, shopper
from tests.interests.extraction_tools import ToldEmbedder
from tests.ranking.test_lexical import ITEMS, told

THREE = ["shining", "hotel", "plenty"]
NO_EMBEDDER = ToldEmbedder({})
"""One that knows no word, whatever is installed."""


def away(prefix: str, continuation: str) -> float:
    raise ModelUnavailableError("the server is away: try again later")


def only(**weights: float) -> FusionWeights:
    """These weights, and none of the others."""
    return FusionWeights.model_validate({**dict.fromkeys(SIGNAL_FIELDS, 0.0), **weights})


def preferring(**gains: float) -> ScriptedModel:
    """A model that finds the items of these titles likelier by so many nats after any history."""

    def scores(prefix: str, continuation: str) -> float:
        told = "Alien" in prefix or "interested" in prefix
        title = continuation.strip().split(" ")[0].casefold()
        return -60.0 + gains.get(title, 0.0) * told

    return scoring_model(scores)


def ranking_of(
    model: LanguageModel,
    *what: tuple[str, str],
    candidates: Any = THREE,
    items: Sequence[Mapping[str, Any]] = ITEMS,
    **options: Any,
) -> Ranking:
    """Rank for somebody who did this; settings and arguments of `recommend` are told apart by name."""
    given = {
        name: options.pop(name) for name in ("fusion", "log_fusion", "log", "embedder") if name in options
    }
    given = {"embedder": NO_EMBEDDER, "strategy": "anchored", "labelled_by_model": 0, **given}
    with Recommender(model, items, **given) as recommender:
        profile = recommender.profile(told(*what) if what else [], user_id="a")
        return recommender.recommend(profile, candidates=candidates, **options)


def ids(ranking: Ranking) -> list[str]:
    return [placed.item.id for placed in ranking]


def ranked(basis: Any, *what: tuple[str, str]) -> tuple[Any, list[str]]:
    seen: list[str] = []

    def scores(prefix: str, continuation: str) -> float:
        seen.append(prefix)
        return -1.0

    with Recommender(scoring_model(scores), ITEMS, labelled_by_model=0, embedder=NO_EMBEDDER) as recommender:
        profile = recommender.profile(told(*what))
        seen.clear()
        return recommender.recommend(profile, candidates=THREE, basis=basis), seen


class TestBasis:
    def test_the_profile_alone_knows_nothing_of_titles(self) -> None:
        ranking, prefixes = ranked("profile", ("like", "alien"))
        assert set(ranking[0].signals) == {"interest_words", "interests", "hints", "likelihood_ratio"}
        assert ranking[0].item.id == "shining", "it shares an interest"
        assert ranking[0].evidence.events == ()
        assert prefixes
        assert not any("Alien" in prefix for prefix in prefixes)
        assert any("Horror" in prefix for prefix in prefixes)

    def test_the_profile_alone_tells_apart_what_only_a_hint_tells_apart(self) -> None:
        """Two films that share the area with what was liked, one of them the director as well."""
        films = [
            {"id": name, "title": title, "domain": "films", "attributes": {"director": director}}
            for name, title, director in (("a", "Uno", "Varda"), ("c", "Dos", "Wong"), ("d", "Tres", "Varda"))
        ]
        with Recommender(scoring_model(), films) as recommender:
            profile = recommender.profile([{"user_id": "p", "action": "like", "item_id": "a"}])
            best, other = recommender.recommend(profile, basis="profile")
        assert (best.item.id, other.item.id) == ("d", "c")
        assert best.signals["hints"].value > other.signals["hints"].value == 0
        assert best.signals["interests"].value == other.signals["interests"].value

    def test_the_history_alone_knows_nothing_of_interests(self) -> None:
        ranking, prefixes = ranked("history", ("click", "alien"), ("say", "grand hotel"))
        names = {"bm25", "bm25_best", "embedding", "embedding_best", "likelihood_ratio"}
        assert set(ranking[0].signals) == names
        assert ranking[0].item.id == "hotel"
        assert not any("interested in" in prefix for prefix in prefixes)
        assert all(placed.evidence.interests == () for placed in ranking), "they carried nothing"
        assert ranking[0].evidence.events

    def test_by_default_both_count(self) -> None:
        ranking, _ = ranked("both", ("like", "alien"))
        assert {"bm25", "interests", "likelihood_ratio"} <= set(ranking[0].signals)
        assert ranking[0].evidence.interests
        assert ranking[0].evidence.events

    def test_a_basis_that_is_none_is_refused(self) -> None:
        with pytest.raises(InputError, match="choose among both, history, profile"):
            ranked("profil", ("like", "alien"))


class TestCandidates:
    def test_they_are_named_by_id_or_given_whole(self) -> None:
        new = {"id": "new", "title": "New"}
        assert set(ids(ranking_of(scoring_model(), ("like", "alien"), candidates=["hotel", new]))) == {
            "hotel",
            "new",
        }
        for wrong, said in (
            (["gone"], "'gone' is not in the catalogue"),
            ([["hotel"]], "is not in the catalogue"),
            (["hotel", {"id": "hotel", "title": "Another"}], "two candidates share the id 'hotel'"),
            ([{"id": "x"}], "candidate 1: title"),
        ):
            with pytest.raises(InputError, match=said):
                ranking_of(scoring_model(), ("like", "alien"), candidates=wrong)

    def test_the_same_one_twice_stands_once(self) -> None:
        assert ids(ranking_of(scoring_model(), ("like", "alien"), candidates=["hotel", "hotel"])) == ["hotel"]

    def test_none_is_a_ranking_of_none_with_a_note(self) -> None:
        ranking = ranking_of(scoring_model(), ("like", "alien"), candidates=[])
        assert (ranking.items, ranking.candidates) == ((), 0)
        assert ranking.notes == ("there are no candidates: give at least one",)

    def test_one_stands_first_with_certainty(self) -> None:
        (only,) = ranking_of(scoring_model(), ("like", "alien"), candidates=["plenty"], k=1)
        assert (only.rank, only.score, only.probability) == (1, 0.0, 1.0)

    def test_two_alike_stand_by_their_ids_with_equal_chances(self) -> None:
        twins = [{"id": name, "title": "The Thing", "categories": ["Horror"]} for name in ("z", "b")]
        ranking = ranking_of(preferring(the=5.0), ("like", "alien"), candidates=[*twins, "plenty"], k=3)
        first, second, third = ranking
        assert (first.item.id, second.item.id) == ("b", "z")
        assert first.score == pytest.approx(second.score)
        assert first.probability == pytest.approx(second.probability)
        assert third.probability < first.probability

    @pytest.mark.parametrize("strategy", ["auto", "none", "query_likelihood"])
    def test_another_order_gives_the_same_scores(self, strategy: str) -> None:
        items = sample("items")[::12][:20]
        scores: list[dict[str, float]] = []
        log = InteractionLog({f"p{n}": [item["id"] for item in items[n % 7 : n % 7 + 5]] for n in range(30)})
        for order in (items, random.Random(3).sample(items, len(items))):
            model = scoring_model(lambda prefix, continuation: -10.0 - len(set(prefix) & set(continuation)))
            with Recommender(model, sample("items"), labelled_by_model=0, log=log) as recommender:
                profile = recommender.profile(events_of("ines"))
                found = recommender.recommend(profile, candidates=order, k=20, strategy=strategy)
            scores.append({placed.item.id: placed.score for placed in found})
        assert scores[0] == pytest.approx(scores[1], abs=1e-5)
        assert list(scores[0]) == list(scores[1])

    def test_those_outside_the_catalogue_are_ranked_as_well(self) -> None:
        horror = {"id": "new", "title": "Alien returns", "categories": ["Horror"]}
        log = InteractionLog({f"p{n}": ["plenty"] for n in range(30)})
        for given in (None, log):
            ranking = ranking_of(
                scoring_model(), ("like", "alien"), candidates=[horror, "plenty"], log=given, k=2
            )
            assert set(ids(ranking)) == {"new", "plenty"}
            signals = next(placed for placed in ranking if placed.item.id == "new").signals
            assert signals["bm25"].contribution > 0
            if given is not None:
                assert signals["popularity"].value == 0


class TestFusion:
    def test_contributions_are_weight_times_z_score_and_sum_to_the_score(self) -> None:
        weights = {"bm25": 3.0, "interests": 1.0}
        ranking = ranking_of(scoring_model(), ("search", "hotel"), ("like", "alien"), fusion=only(**weights))
        for name, weight in weights.items():
            values = {placed.item.id: placed.signals[name].value for placed in ranking}
            mean = sum(values.values()) / 3
            spread = (sum((value - mean) ** 2 for value in values.values()) / 3) ** 0.5
            for placed in ranking:
                expected = weight / 4 * (values[placed.item.id] - mean) / spread
                assert placed.signals[name].contribution == pytest.approx(expected, abs=1e-6)
        for placed in ranking:
            assert placed.score == pytest.approx(sum(s.contribution for s in placed.signals.values()))

    def test_probabilities_are_a_softmax_over_all_that_were_ranked(self) -> None:
        from math import exp

        model = preferring(the=3.0, plenty=1.0)
        weights = FusionWeights(gate_low=0.0, gate_high=1e-6)
        whole = ranking_of(model, ("like", "alien"), k=3, fusion=weights)
        assert sum(placed.probability or 0.0 for placed in whole) == pytest.approx(1)
        one, other = whole[0], whole[1]
        by_signal = {**weights.by_signal(), "likelihood_ratio": weights.model}
        every = sum(by_signal[name] for name in one.signals)
        # The embedder knows no word; what tells nothing apart leaves probabilities flatter.
        told = sum(
            by_signal[name]
            for name in one.signals
            if any(placed.signals[name].contribution for placed in whole)
        )
        assert 0 < told < every
        assert one.probability / other.probability == pytest.approx(
            exp(weights.scale * told / every * (one.score - other.score))
        )
        first = ranking_of(preferring(the=3.0, plenty=1.0), ("like", "alien"), k=1, fusion=weights)
        assert first[0].probability == pytest.approx(one.probability), "however many are shown"

    def test_a_model_that_is_sure_decides_and_one_that_is_not_says_nothing(self) -> None:
        weights = FusionWeights(model=0.9, bm25=0.1)
        sure = ranking_of(preferring(plenty=40.0), ("like", "alien"), fusion=weights)
        assert sure[0].item.id == "plenty"
        assert not any("not sure" in note for note in sure.notes)
        unsure = ranking_of(preferring(), ("like", "alien"), fusion=weights)
        assert unsure[0].item.id == "shining"
        assert "the model was not sure, so its scores have no weight in this ranking" in unsure.notes
        assert {placed.signals["likelihood_ratio"].contribution for placed in unsure} == {0.0}

    def test_the_gate_lets_through_a_part_of_the_weight(self) -> None:
        gains = {"the": 4.0, "grand": 1.0, "plenty": 0.0}
        sure = certainty([gain * 0.2 for gain in gains.values()])
        fields = {"bm25": 1.0, "model": 1.0, "gate_low": 0.0}
        half = only(**fields, gate_high=2 * sure)
        full = only(**fields, gate_high=sure)
        placed = {}
        for name, weights in (("half", half), ("full", full)):
            ranking = ranking_of(preferring(**gains), ("search", "hotel"), ("like", "alien"), fusion=weights)
            one = next(placed for placed in ranking if placed.item.id == "shining")
            placed[name] = one.signals["likelihood_ratio"].contribution
        # Of 1 + 0.5 the model has a third, of 1 + 1 a half.
        assert placed["half"] == pytest.approx(placed["full"] * (1 / 3) / (1 / 2))

    def test_a_gate_that_is_partly_closed_is_told(self) -> None:
        gains = {"the": 4.0, "grand": 1.0, "plenty": 0.0}
        sure = certainty([gain * 0.2 for gain in gains.values()])
        weights = only(bm25=1.0, model=1.0, gate_low=0.0, gate_high=2.5 * sure)
        ranking = ranking_of(preferring(**gains), ("like", "alien"), fusion=weights)
        assert "the model was not very sure, so its scores have 40% of their weight" in ranking.notes
        open_gate = only(bm25=1.0, model=1.0, gate_low=0.0, gate_high=sure)
        assert not any("sure" in note for note in ranking_of(preferring(**gains), fusion=open_gate).notes)

    def test_comparisons_that_all_end_in_ties_have_no_weight(self) -> None:
        """The items' places decide, so both orders of each pair contradict each other."""
        model = scoring_model(lambda prefix, continuation: -1.0 - (continuation.strip() == "B"))
        weights = FusionWeights(model=5.0)
        ranking = ranking_of(model, ("like", "alien"), fusion=weights, strategy="pairwise", k=3)
        assert {placed.signals["pairwise"].contribution for placed in ranking} == {0.0}
        assert "the model was not sure, so its scores have no weight in this ranking" in ranking.notes

    def test_one_weak_signal_alone_gives_flatter_probabilities(self) -> None:
        weak = only(interests=0.1, embedding=0.9)
        alone = only(interests=1.0)
        items = [
            {"id": "x", "title": "Uno", "categories": ["Horror"]},
            {"id": "y", "title": "Dos", "categories": ["Cookery"]},
        ]
        flat, steep = (
            ranking_of(scoring_model(), ("like", "alien"), candidates=items, fusion=weights, k=2)
            for weights in (weak, alone)
        )
        assert not flat[0].signals["embedding"].contribution, "no vector tells them apart"
        assert flat[0].score == pytest.approx(steep[0].score)
        assert 0.5 < flat[0].probability < steep[0].probability

    def test_a_model_without_a_weight_is_asked_only_where_the_call_says_so(self) -> None:
        model = scoring_model()
        with Recommender(
            model, ITEMS, labelled_by_model=0, embedder=NO_EMBEDDER, fusion=only(bm25=1.0)
        ) as recommender:
            profile = recommender.profile(told(("like", "alien")))
            calls = len(model.history)
            ranking = recommender.recommend(profile, candidates=THREE)
            assert recommender.ranking_cost(profile, candidates=THREE).calls == 0
            assert len(model.history) == calls
            assert "likelihood_ratio" not in ranking[0].signals
            asked = recommender.recommend(profile, candidates=THREE, strategy="auto")
        assert "likelihood_ratio" in asked[0].signals
        capable = only(bm25=1.0, capable_model=1.0)
        assert "likelihood_ratio" not in ranking_of(model, ("like", "alien"), fusion=capable)[0].signals
        trusted = ScriptedModel(scores=lambda *_: -1.0)
        assert "likelihood_ratio" in ranking_of(trusted, ("like", "alien"), fusion=capable)[0].signals

    def test_an_order_without_distances_is_no_doubt(self) -> None:
        """A ranking that a model writes has scores in even steps, which would all look like indifference."""
        for count in (1, 2, 20):
            assert sureness("listwise", scores_of_order(random.Random(1).sample(range(count), count))) == 1.0
        assert sureness("graded", [2.0, 2.0, 2.0]) == 0.0
        assert 0 < sureness("likelihood_ratio", [1.0, 0.0]) < sureness("yes_no", [1.0, 0.0]) < 1
        model = ScriptedModel({"order": [2, 1, 3]}, {"order": [1, 2, 3]}, scores=lambda *_: -1.0)
        weights = FusionWeights(capable_model=9.0)
        with Recommender(
            model, ITEMS, strategy="anchored", labelled_by_model=0, fusion=weights
        ) as recommender:
            profile = recommender.profile(told(("like", "alien")))
            ranking = recommender.recommend(profile, candidates=THREE, strategy="listwise", k=3)
        total = sum(value for name, value in weights if name in ranking[0].signals)
        assert max(p.signals["listwise"].contribution for p in ranking) > 0.9 * 9 / (total + 9)

    def test_a_capable_model_has_its_own_weight(self) -> None:
        def share(capabilities: Capabilities) -> float:
            model = ScriptedModel(scores=preferring(plenty=20.0)._scores, capabilities=capabilities)
            weights = only(bm25=1.0, model=1.0, capable_model=3.0)
            ranking = ranking_of(
                model, ("search", "hotel"), ("like", "alien"), fusion=weights, strategy="likelihood_ratio"
            )
            placed = next(placed for placed in ranking if placed.item.id == "plenty")
            return placed.signals["likelihood_ratio"].contribution

        small = Capabilities(score=True, generate=False, structured="none", open_answers=False)
        capable = small.model_copy(update={"open_answers": True})
        assert share(capable) == pytest.approx(share(small) * (3 / 4) / (1 / 2))

    def test_the_signals_are_measured_before_weights_so_none_is_hidden(self) -> None:
        ranking = ranking_of(scoring_model(), ("like", "alien"), fusion=only(bm25=1.0))
        assert "interests" in ranking[0].signals
        assert ranking[0].signals["interests"].contribution == 0


class TestNobody:
    def test_without_a_log_items_stand_by_their_ids_and_it_is_said(self) -> None:
        model = scoring_model()
        ranking = ranking_of(model, candidates=None, k=4)
        assert ids(ranking) == sorted(item["id"] for item in ITEMS)
        assert any("nothing is known of this person" in note for note in ranking.notes)
        assert model.history == []
        assert {placed.score for placed in ranking} == {0.0}
        assert sum(placed.probability or 0 for placed in ranking) == pytest.approx(1)

    def test_with_a_log_they_stand_by_how_many_chose_them(self) -> None:
        log = InteractionLog({f"p{n}": ["plenty", "hotel"] if n % 2 else ["plenty"] for n in range(30)})
        ranking = ranking_of(scoring_model(), log=log, candidates=None, k=4)
        assert ids(ranking)[:2] == ["plenty", "hotel"]
        assert any("how many people chose them" in note for note in ranking.notes)
        by_profile = ranking_of(scoring_model(), log=log, candidates=None, k=4, basis="profile")
        assert not any("how many people chose them" in note for note in by_profile.notes)

    def test_a_model_that_is_away_is_not_missed(self) -> None:
        assert len(ranking_of(scoring_model(away), candidates=None, k=4).items) == 4

    def test_somebody_who_only_dislikes_is_not_asked_about(self) -> None:
        model = scoring_model()
        ranking = ranking_of(model, ("dislike", "alien"))
        assert model.history == []
        assert any("liked nothing so far" in note for note in ranking.notes)
        assert "likelihood_ratio" not in ranking[0].signals


class TestFailures:
    def test_the_other_signals_stand_in_and_it_is_told(self) -> None:
        ranking = ranking_of(scoring_model(away), ("like", "alien"), k=3)
        assert ranking[0].item.id == "shining"
        assert "likelihood_ratio" not in ranking[0].signals
        (failure,) = ranking.failures
        assert failure.what == "likelihood_ratio"
        assert failure.reason == "the server is away: try again later"
        assert failure.stand_in == "the other signals"
        assert any("the server is away" in note and "the other signals" in note for note in ranking.notes)
        spoken = ranking_of(scoring_model(), ("like", "alien"), k=3, strategy="none")
        assert [placed.score for placed in ranking] == pytest.approx([placed.score for placed in spoken])

    def test_it_is_an_error_where_nothing_else_tells_the_items_apart(self) -> None:
        twins = [{"id": name, "title": "Nothing in common"} for name in ("x", "y")]
        with pytest.raises(ModelUnavailableError, match="the server is away"):
            ranking_of(scoring_model(away), ("like", "alien"), candidates=twins)

    def test_one_candidate_needs_nobody_to_tell_it_apart(self) -> None:
        ranking = ranking_of(scoring_model(away), ("like", "alien"), candidates=["plenty"])
        assert ids(ranking) == ["plenty"]
        assert len(ranking.failures) == 1

    def test_a_server_that_cannot_even_say_what_it_can_do_is_told_as_well(self) -> None:
        class Unreachable(ScriptedModel):
            reachable = True

            @property
            def capabilities(self) -> Capabilities:
                if not self.reachable:
                    raise ModelUnavailableError("nothing listens there: start the server")
                return super().capabilities

        model = Unreachable(scores=lambda prefix, continuation: -1.0)
        with Recommender(model, ITEMS, labelled_by_model=0, strategy="anchored") as recommender:
            profile = recommender.profile(told(("like", "alien")))
            model.reachable = False
            ranking = recommender.recommend(profile, candidates=THREE)
            nobody = recommender.recommend(recommender.profile([], user_id="b"), candidates=THREE)
        assert ranking[0].item.id == "shining"
        (failure,) = ranking.failures
        assert failure.reason == "nothing listens there: start the server"
        assert nobody.failures == ()

    def test_what_a_model_cannot_do_is_an_error_and_no_stand_in(self) -> None:
        with pytest.raises(ModelError, match="listwise needs written answers"):
            ranking_of(scoring_model(), ("like", "alien"), strategy="listwise")

    @pytest.mark.parametrize("strategy", ["", "likelihood", "AUTO"])
    def test_a_strategy_that_is_none_is_refused_with_those_there_are(self, strategy: str) -> None:
        for what in ([], [("like", "alien")]):
            with pytest.raises(InputError, match="choose among auto, none, first_index, graded"):
                ranking_of(scoring_model(), *what, strategy=strategy or "x")
        assert EVERY_STRATEGY[:2] == ("auto", "none")


class TestStrategyOptions:
    def test_they_are_those_of_the_call_or_of_the_settings(self) -> None:
        both = {"prompts": ["history", "basket"]}
        one = ranking_of(scoring_model(), ("like", "alien"))
        for strategy in ("likelihood_ratio", None):
            two = ranking_of(scoring_model(), ("like", "alien"), strategy_options=both, strategy=strategy)
            assert two.usage.calls == 2 * one.usage.calls
        with Recommender(
            scoring_model(), ITEMS, labelled_by_model=0, embedder=NO_EMBEDDER, strategy_options=both
        ) as recommender:
            profile = recommender.profile(told(("like", "alien")))
            given: list[dict[str, Any]] = [
                {},
                {"strategy_options": {}},
                {"strategy": "pairwise"},
                {"strategy": "none"},
            ]
            costs = [
                recommender.ranking_cost(profile, candidates=THREE, **options).calls for options in given
            ]
        assert costs == [4, 2, 6, 0], "those of the settings are for the strategy of the settings"

    @pytest.mark.parametrize(
        ("strategy", "options", "said"),
        [
            (
                "pairwise",
                {"sorts": 1},
                "pairwise has no option 'sorts': its options are answers",
            ),
            ("auto", {"window": 3}, "likelihood_ratio has no option 'window'"),
            ("likelihood_ratio", {"priors": 1}, "likelihood_ratio has no option 'priors'"),
            ("setwise", {"size": "x"}, "the option size of setwise cannot be 'x'"),
            ("setwise", {"size": 99}, "setwise takes a size of 2 to 26"),
            ("none", {"size": 3}, "the strategy none has no options"),
        ],
    )
    def test_what_a_strategy_does_not_take_is_refused_in_one_sentence(
        self, strategy: str, options: Any, said: str
    ) -> None:
        with pytest.raises(InputError, match=said) as caught:
            ranking_of(scoring_model(), ("like", "alien"), strategy=strategy, strategy_options=options)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("k", [2.5, "3", None, True])
def test_a_k_that_is_no_whole_number_is_refused(k: Any) -> None:
    with pytest.raises(InputError, match="give a whole number"):
        ranking_of(scoring_model(), ("like", "alien"), k=k)


class TestBudget:
    def test_no_calls_leave_the_other_signals_and_a_note(self) -> None:
        model = scoring_model()
        ranking = ranking_of(model, ("like", "alien"), budget={"calls": 0}, k=3)
        assert model.history == []
        assert ranking[0].item.id == "shining"
        assert "likelihood_ratio" not in ranking[0].signals
        assert any("the budget of 0 calls is spent" in note for note in ranking.notes)
        assert ranking.failures == ()

    def test_tokens_that_end_midway_leave_the_rest_in_the_order_before(self) -> None:
        items = [{"id": f"i{n:02}", "title": f"Film {n}", "categories": ["Horror"]} for n in range(70)]
        items.append({"id": "alien", "title": "Alien", "categories": ["Horror"]})
        model = scoring_model(lambda prefix, continuation: -1.0 - ("Alien" in prefix) * len(continuation))
        with Recommender(model, items, labelled_by_model=0) as recommender:
            profile = recommender.profile([{"user_id": "a", "action": "like", "item_id": "alien"}])
            wanted = [item["id"] for item in items[:70]]
            told = recommender.ranking_cost(profile, candidates=wanted)
            half = recommender.recommend(
                profile, candidates=wanted, k=70, budget={"tokens": told.tokens // 2}
            )
        assert 0 < half.usage.prompt_tokens <= told.tokens // 2
        assert any("tokens is too small for more" in note for note in half.notes)
        assert len(half) == 70
        assert "likelihood_ratio" in half[0].signals

    def test_a_budget_that_is_none_is_refused(self) -> None:
        with pytest.raises(InputError, match="the budget: calls"):
            ranking_of(scoring_model(), ("like", "alien"), budget={"calls": -1})

    @pytest.mark.parametrize("strategy", ["auto", "query_likelihood", "yes_no", "none"])
    def test_the_cost_told_before_is_never_below_what_is_used(self, strategy: str) -> None:
        model = scoring_model()
        with Recommender(model, sample("items"), labelled_by_model=0) as recommender:
            profile = recommender.profile(events_of("ines"))
            told_before = recommender.ranking_cost(profile, strategy=strategy)
            ranking = recommender.recommend(profile, strategy=strategy)
        assert ranking.usage.calls <= told_before.calls
        assert ranking.usage.prompt_tokens <= told_before.prompt_tokens
        assert (told_before.calls == 0) == (strategy == "none")

    @pytest.mark.embedded
    @pytest.mark.parametrize("strategy", ["likelihood_ratio", "query_likelihood"])
    def test_the_same_holds_for_the_embedded_model(
        self, embedded_model: LanguageModel, strategy: str
    ) -> None:
        with Recommender(embedded_model, sample("items"), labelled_by_model=0) as recommender:
            profile = recommender.profile(events_of("ines"))
            candidates = [item["id"] for item in sample("items")[::12][:10]]
            told_before = recommender.ranking_cost(profile, candidates=candidates, strategy=strategy)
            ranking = recommender.recommend(profile, candidates=candidates, strategy=strategy)
        assert 0 < ranking.usage.prompt_tokens <= told_before.prompt_tokens
        assert 0 < ranking.usage.calls <= told_before.calls


class TestReordering:
    def test_filters_hold_for_named_candidates_and_for_the_catalogues(self) -> None:
        wanted = {"filters": ["category!=Horror"]}
        named = ranking_of(scoring_model(), ("like", "alien"), reordering=wanted, k=2)
        assert set(ids(named)) == {"hotel", "plenty"}
        assert named.notes[0] == "the filter category!=Horror left out 1 of 3 items"
        found = ranking_of(scoring_model(), ("like", "alien"), candidates=None, reordering=wanted, k=2)
        assert set(ids(found)) == {"hotel", "plenty"}
        assert found.candidates == 2
        assert "left out 2 of 4 items" in found.notes[0]

    def test_filters_that_leave_nothing_are_the_only_note_on_it(self) -> None:
        ranking = ranking_of(scoring_model(), ("like", "alien"), reordering={"filters": ["domain=games"]})
        assert ranking.items == ()
        assert "the filter domain=games left out 3 of 3 items" in ranking.notes
        assert not any("no candidates" in note for note in ranking.notes)

    def test_a_filter_by_interest_reads_the_profile(self) -> None:
        wanted = {"filters": ["interest=Horror"]}
        ranking = ranking_of(scoring_model(), ("like", "alien"), reordering=wanted, k=1)
        assert ids(ranking) == ["shining"]

    def test_caps_keep_out_what_a_list_has_enough_of(self) -> None:
        candidates = ["alien", "shining", "hotel"]
        ranking = ranking_of(
            scoring_model(),
            ("like", "alien"),
            candidates=candidates,
            reordering={"caps": {"category": 1}},
            k=2,
        )
        assert ids(ranking) == ["alien", "hotel"]
        assert ranking[1].placement is not None
        assert (ranking[1].placement.from_rank, ranking[1].placement.to_rank) == (3, 2)
        assert any("kept out 1 item" in note for note in ranking.notes)

    def test_novelty_is_that_few_chose_it_or_that_it_is_unlike_the_history(self) -> None:
        alone = {"novelty": 1.0}
        without = ranking_of(scoring_model(), ("like", "alien"), reordering=alone, k=3)
        assert ids(without)[0] == "plenty"
        assert any("unlike the history" in note for note in without.notes)
        log = InteractionLog({f"p{n}": ["plenty", "shining"] if n else ["plenty"] for n in range(30)})
        by_log = ranking_of(scoring_model(), ("like", "alien"), reordering=alone, log=log, k=3)
        assert ids(by_log) == ["hotel", "shining", "plenty"]
        assert any("few people chose" in note for note in by_log.notes)

    def test_diversity_moves_down_what_is_like_what_stands_above(self) -> None:
        candidates = ["alien", "shining", "plenty"]
        plain, diverse = (
            ranking_of(scoring_model(), ("like", "alien"), candidates=candidates, k=3, reordering=reordering)
            for reordering in ({}, {"diversity": 0.9})
        )
        assert ids(plain) == ["alien", "shining", "plenty"]
        assert ids(diverse) == ["alien", "plenty", "shining"]
        assert plain[0].placement is None
        assert diverse.reordering is not None
        assert [placed.rank for placed in diverse] == [1, 2, 3]
        assert diverse[2].score == pytest.approx(plain[1].score), "relevance itself stays"


class TestLanguages:
    def test_a_chinese_person_is_ranked_by_words_and_model_where_the_embedder_knows_english_only(
        self,
    ) -> None:
        embedder = ToldEmbedder({"vivo": [1.0], "mac": [0.5, 1.0]})
        with Recommender(scoring_model(), SHOP, embedder=embedder, labelled_by_model=0) as recommender:
            ranking = recommender.recommend(recommender.profile(shopper()), k=3)
        assert {"embedding", "embedding_best"}.isdisjoint(ranking[0].signals)
        assert {"bm25", "interests", "likelihood_ratio"} <= set(ranking[0].signals)
        assert all(name.endswith(".zh") for name in ranking.prompts)
        assert ranking[0].item.id in {"x100", "mini"}


def test_what_was_refused_or_removed_calls_for_nothing() -> None:
    said = [("like", "alien"), ("like", "hotel"), ("say", "no more horror films, please")]
    ranking, prefixes = ranked("both", *said)
    assert not any("Alien" in prefix for prefix in prefixes), "what is refused is not in the prompt"
    shining = next(placed for placed in ranking if placed.item.id == "shining")
    assert "e1" not in {part.id for part in shining.evidence.events}
    with Recommender(scoring_model(), ITEMS) as recommender:
        profile = recommender.profile(told(*said[:2]))
        removed = recommender.edit(profile, {"kind": "remove", "interest": "Films › Horror"})
        assert [entry.event.id for entry in removed.standing_entries] == ["e2"]
        assert [entry.event.id for entry in profile.standing_entries] == ["e1", "e2"]


def test_a_history_too_long_for_the_model_is_read_from_its_end_with_a_note() -> None:
    items = [{"id": f"i{n}", "title": f"Film {n} " + "and so on " * 11} for n in range(22)]
    capabilities = scoring_model().capabilities.model_copy(update={"context_length": 400})
    model = ScriptedModel(scores=lambda prefix, continuation: -1.0, capabilities=capabilities)
    events = [Event(user_id="a", action="like", item_id=f"i{n}") for n in range(20)]
    with Recommender(model, items, strategy="anchored", labelled_by_model=0) as recommender:
        ranking = recommender.recommend(recommender.profile(events), candidates=["i20", "i21"])
    assert any("oldest events, which do not fit its context" in note for note in ranking.notes)
    assert "likelihood_ratio" in ranking[0].signals
    assert any("Film 19" in call.prefix for call in model.history)
    assert not any("Film 0 " in call.prefix for call in model.history)


def test_items_of_the_same_id_as_one_ranked_before_do_not_matter() -> None:
    first = Item(id="x", title="Alien horror")
    second = Item(id="x", title="Quiet cookbook")
    with Recommender(scoring_model(), ITEMS, labelled_by_model=0) as recommender:
        profile = recommender.profile(told(("like", "alien")))
        rankings = [recommender.recommend(profile, candidates=[item, "hotel"]) for item in (first, second)]
    assert [ids(ranking)[0] for ranking in rankings] == ["x", "hotel"]
