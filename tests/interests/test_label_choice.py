"""One distribution over the labels of a level, from whatever sources there are."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.interests.label_choice import (
    MODEL_ALONE_NATS,
    MODEL_NATS,
    MOST_JUDGED,
    NAME_NATS,
    NONE_CLOSENESS,
    SIMILARITY_ALONE_NATS,
    SIMILARITY_NATS,
    Offer,
    choose,
    probabilities,
)
from llmrec.interests.label_judge import LabelJudge
from llmrec.interests.similarity import LabelSimilarity
from llmrec.interests.subjects import Subject
from llmrec.interests.taxonomy import Vocabulary, VocabularyNode
from tests.builders import scoring_model
from tests.interests.extraction_tools import ToldEmbedder, tools_of


def odds(found: list[float]) -> float:
    return math.log(found[0] / found[1])


def test_each_source_adds_its_weight_to_the_log_odds() -> None:
    close, prefer, named = [0.4, 0.1], [-1.0, -3.0], [2.0, 1.0]
    assert odds(probabilities(close, None)) == pytest.approx(0.3 * SIMILARITY_ALONE_NATS)
    assert odds(probabilities(None, prefer)) == pytest.approx(2 * MODEL_ALONE_NATS)
    assert odds(probabilities(None, None, named)) == pytest.approx(NAME_NATS)
    everything = 0.3 * SIMILARITY_NATS + 2 * MODEL_NATS + NAME_NATS
    assert odds(probabilities(close, prefer, named)) == pytest.approx(everything)
    for nothing in ((None, None), ([], None)):
        with pytest.raises(ValueError, match="nothing speaks"):
            probabilities(*nothing)


def test_none_of_these_takes_what_lies_far_from_every_label() -> None:
    (near,) = probabilities([NONE_CLOSENESS + 0.1], None)
    assert math.log(near / (1 - near)) == pytest.approx(0.1 * SIMILARITY_ALONE_NATS)
    far = probabilities([NONE_CLOSENESS - 0.2, NONE_CLOSENESS - 0.3], [-1.0, -1.0])
    masses = [math.exp(-0.2 * SIMILARITY_NATS), math.exp(-0.3 * SIMILARITY_NATS)]
    assert far == pytest.approx([mass / (1 + sum(masses)) for mass in masses])


@given(st.lists(st.floats(-500, 0), min_size=1, max_size=30))
def test_they_sum_to_one_however_far_apart(preferences: list[float]) -> None:
    found = probabilities(None, preferences)
    assert sum(found) == pytest.approx(1.0)
    assert found[preferences.index(max(preferences))] == max(found)


def vocabulary_of(count: int) -> Vocabulary:
    return Vocabulary(VocabularyNode(id=f"n{at}", en=f"label{at}") for at in range(count))


def embedder_of(count: int) -> ToldEmbedder:
    def direction(at: int) -> list[float]:
        return [float(at == place) for place in range(64)]

    told = {f"label{at}": direction(at) for at in range(count)}
    return ToldEmbedder({**told, "both": [1.0, 1.0], "last": direction(count - 1)})


def test_similarity_puts_the_labels_first_that_the_model_is_asked_about() -> None:
    count = MOST_JUDGED + 8
    vocabulary = vocabulary_of(count)
    model = scoring_model(lambda prefix, text: -1.0 if text == f" label{count - 1}" else -2.0)
    similarity = LabelSimilarity(vocabulary, embedder_of(count))
    offer = Offer(vocabulary, "en", LabelJudge(tools_of(model), vocabulary), similarity)
    subject = Subject(title="last")
    found = choose(subject, vocabulary.children(), (), offer, offer.cosines(subject))
    assert len(found) == MOST_JUDGED
    assert max(found, key=lambda node_id: found[node_id]) == f"n{count - 1}"
    assert {len(call.continuations) for call in model.history} == {MOST_JUDGED}
    assert 0.9 < sum(found.values()) < 1


def test_without_a_model_similarity_decides_and_without_either_nothing_is_said() -> None:
    vocabulary = vocabulary_of(4)
    similarity = LabelSimilarity(vocabulary, embedder_of(4))
    offer = Offer(vocabulary, "en", None, similarity)
    nodes: Any = vocabulary.children()
    subject = Subject(title="both")
    found = choose(subject, nodes, (), offer, offer.cosines(subject))
    assert found["n0"] == pytest.approx(found["n1"])
    assert odds([found["n0"], found["n2"]]) == pytest.approx(SIMILARITY_ALONE_NATS / math.sqrt(2), rel=1e-4)
    unknown = Subject(title="qwv")
    assert offer.cosines(unknown) is None
    assert choose(unknown, nodes, (), offer, None) == {}
    (alone,) = choose(subject, nodes[:1], (), offer, offer.cosines(subject)).values()
    assert 0.99 < alone < 1
    judged = Offer(vocabulary, "en", LabelJudge(tools_of(scoring_model()), vocabulary))
    assert choose(subject, nodes[:1], (), judged, None) == {}, "to the model alone one cannot stand out"
    assert Offer(vocabulary, "en").cosines(subject) is None
