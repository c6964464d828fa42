"""The model as a judge of labels: the ratio, the part of the prior in it, and what is asked once."""

from __future__ import annotations

import math

import pytest

from llmrec.interests.label_judge import LabelJudge
from llmrec.interests.subjects import Subject
from llmrec.interests.taxonomy import Vocabulary
from llmrec.llm.base import LanguageModel
from tests.builders import scoring_model
from tests.interests.extraction_tools import tools_of

SHIPPED = Vocabulary.load()
GENRES = [SHIPPED["films/horror"], SHIPPED["films/science-fiction"]]


def score(prefix: str, continuation: str) -> float:
    words = len(continuation.split())
    return (-2.0 if "Untitled" in prefix else -1.0 if "horror" in continuation else -4.0) * words


def test_a_preference_is_the_ratio_to_no_text_with_part_of_the_prior_left_in() -> None:
    model = scoring_model(score)
    judge = LabelJudge(tools_of(model), SHIPPED)
    subject = Subject(title="Alien", description="space")
    one, several = (found.tokens for found in model.score("", [" horror", " science fiction"]))
    assert one < several
    for exponent in (0.0, 0.6, 1.0):
        horror, fiction = judge.preferences(subject, GENRES, ("films",), prior_exponent=exponent)
        assert horror == pytest.approx((-1 + exponent * 2) / math.sqrt(one))
        assert fiction == pytest.approx((-8 + exponent * 4) / math.sqrt(several))
    assert judge.preferences(subject, [], ("films",)) == []


def test_the_prior_is_asked_once_and_has_the_shape_of_the_subject() -> None:
    model = scoring_model(score)
    judge = LabelJudge(tools_of(model), SHIPPED)
    for title in ("Alien", "Dune"):
        judge.preferences(Subject(title=title, description="space"), GENRES, ("films",))
    judge.preferences(Subject(title="Alien"), GENRES, ("films",))
    judge.preferences(Subject(title="Alien"), GENRES, ("films", "films/crime"))
    neutral = [call.prefix for call in model.history if "Untitled" in call.prefix]
    assert neutral == [
        "Films: Untitled\nAbout: unknown\nGenre:",
        "Films: Untitled\nGenre:",
        "Films: Untitled\nGenre: crime,",
    ]
    assert set(judge.prompts) == {"interests/label.en"}


def test_labels_are_asked_for_in_the_language_of_the_person() -> None:
    model = scoring_model()
    judge = LabelJudge(tools_of(model, language="zh"), SHIPPED)
    judge.preferences(Subject(title="异形"), GENRES, ("films",))
    assert model.history[0].continuations == ("恐怖", "科幻")
    assert model.history[0].prefix == "电影：异形\n类别："


@pytest.mark.embedded
def test_the_embedded_model_knows_genres(embedded_model: LanguageModel) -> None:
    judge = LabelJudge(tools_of(embedded_model), SHIPPED)
    nodes = [SHIPPED[f"films/{name}"] for name in ("romance", "science-fiction", "western")]
    told = {
        "a spaceship crew meets aliens on a distant planet": 1,
        "a sheriff and outlaws fight in a frontier town": 2,
    }
    for description, expected in told.items():
        found = judge.preferences(Subject(title="A film", description=description), nodes, ("films",))
        assert found.index(max(found)) == expected
