"""Similarity of subjects with a vocabulary: what an interest's vector is made of, and what is left out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from llmrec.interests.similarity import LabelSimilarity
from llmrec.interests.subjects import Subject
from llmrec.interests.taxonomy import Vocabulary, VocabularyNode
from llmrec.llm.static_embedder import StaticEmbedder
from tests.interests.extraction_tools import ToldEmbedder

X, Y, Z = [1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]
NODES: list[dict[str, Any]] = [
    {"id": "a", "en": "Art", "zh": "艺术"},
    {"id": "a/p", "parent": "a", "en": "Painting", "aliases": ["canvas", "油画"]},
    {"id": "b", "en": "Boats"},
    {"id": "c", "en": "Nothing known"},
]
VOCABULARY = Vocabulary(VocabularyNode.model_validate(node) for node in NODES)
TOLD = {"art": X, "painting": Y, "canvas": Y, "boats": Z, "sail": Z, "油画": Z, "艺术": Z, "pack": Z}


def cosines_of(*subjects: Subject) -> np.ndarray[Any, Any]:
    return LabelSimilarity(VOCABULARY, ToldEmbedder(TOLD)).cosines(subjects)


def test_an_interest_lies_amid_its_own_names_and_those_below_it() -> None:
    art, painting, boats, unknown = cosines_of(Subject(title="art"))[0]
    # Art has its own name and the two of painting: (1, 2, 0) over its length; the Chinese ones are left out.
    assert art == pytest.approx(1 / math.sqrt(5))
    assert (painting, boats, unknown) == (0.0, 0.0, 0.0)
    row = cosines_of(Subject(title="a canvas"))[0]
    assert row.tolist() == pytest.approx([2 / math.sqrt(5), 1.0, 0.0, 0.0])


def test_a_subject_is_its_title_without_packaging_and_the_beginning_of_its_description() -> None:
    told = cosines_of(
        Subject(title="Canvas (Pack of 12)"),
        Subject(title="Zzyx", description="sail"),
        Subject(title="Zzyx", description="-" * 400 + " sail"),
    )
    assert told[0].tolist() == pytest.approx([2 / math.sqrt(5), 1.0, 0.0, 0.0])
    assert told[1, 2] == pytest.approx(1.0)
    assert not told[2].any()


def test_nothing_is_known_of_a_text_in_another_language() -> None:
    assert not cosines_of(Subject(title="油画"), Subject(title=""), Subject(title="qwv")).any()


def test_the_places_of_some_interests_in_a_row() -> None:
    similarity = LabelSimilarity(VOCABULARY, ToldEmbedder(TOLD))
    assert similarity.columns([VOCABULARY["b"], VOCABULARY["a"]]) == [2, 0]
    assert similarity.vocabulary is VOCABULARY


def test_the_small_default_embedder_knows_the_shipped_vocabulary() -> None:
    pytest.importorskip("tokenizers")
    shipped = Vocabulary.load()
    similarity = LabelSimilarity(shipped, StaticEmbedder())
    subjects = [
        Subject(title="Cast-iron skillet with lid, 12 Inch"),
        Subject(title="Organic dark roast coffee beans"),
        Subject(title="宫崎骏作品集"),
    ]
    rows = similarity.cosines(subjects)
    ids = [node.id for node in shipped]
    assert rows.shape == (3, len(ids))
    assert ids[int(rows[0].argmax())].startswith("kitchen")
    assert "coffee" in ids[int(rows[1].argmax())]
    assert not rows[2].any()
    assert rows[0] == pytest.approx(similarity.cosines(subjects[:1])[0], abs=1e-5)
