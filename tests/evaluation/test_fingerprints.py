"""What decides scores, as a hash: contents count, and not where they lie."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest

from llmrec import Recommender
from llmrec.errors import InputError
from llmrec.evaluation.fingerprints import hash_of, ranker_options, recommender_fingerprint
from tests.builders import scoring_model
from tests.evaluation.made_systems import CATALOG, LOG
from tests.evaluation.test_guards import learned

MODEL = scoring_model(None)


def fingerprint(**options) -> str:
    with Recommender(MODEL, CATALOG, **options) as recommender:
        return recommender_fingerprint(recommender)


def test_the_contents_of_weights_count_and_not_their_path(tmp_path):
    first, copied = tmp_path / "first.json", tmp_path / "copied.json"
    first.write_text(learned().text(), "utf-8")
    copied.write_bytes(first.read_bytes())
    known = fingerprint(weights=first)
    assert known == fingerprint(weights=copied) != fingerprint()
    first.write_text(learned(basis="history").text(), "utf-8")
    assert fingerprint(weights=first) != known


def test_the_contents_of_a_vocabulary_count(tmp_path):
    path = tmp_path / "vocabulary.jsonl"
    wine = {"id": "wine", "parent": None, "en": "Wine", "zh": "葡萄酒"}
    path.write_text(json.dumps(wine) + "\n", "utf-8")
    known = fingerprint(vocabulary=path)
    assert known != fingerprint()
    path.write_text(json.dumps({**wine, "en": "Wines"}) + "\n", "utf-8")
    assert fingerprint(vocabulary=path) != known


def test_the_log_counts():
    assert fingerprint() != fingerprint(log=LOG) != fingerprint(log=LOG.without("p"))
    assert fingerprint(log=LOG) == fingerprint(log=LOG)


def test_a_file_that_is_gone_is_told(tmp_path):
    path = tmp_path / "weights.json"
    path.write_text(learned().text(), "utf-8")
    with Recommender(MODEL, CATALOG, weights=path) as recommender:
        path.unlink()
        with pytest.raises(InputError, match=r"weights\.json cannot be read"):
            recommender_fingerprint(recommender)


@dataclass
class Windowed:
    """A strategy with options and with things that are none."""

    name: str = "windowed"
    window: int = 8
    shares: tuple[float, ...] = (0.5, 0.5)
    opened: object = field(default_factory=object)


def test_the_plain_options_of_a_strategy_count():
    assert ranker_options(Windowed()) == {"name": "'windowed'", "window": "8", "shares": "(0.5, 0.5)"}
    assert ranker_options(Windowed(window=9)) != ranker_options(Windowed())
    assert ranker_options(object()) == {}


def test_parts_are_told_apart_by_their_names():
    assert hash_of(a="1", b="") != hash_of(a="", b="1")
    assert hash_of(a=1, b=2) == hash_of(b=2, a=1)
