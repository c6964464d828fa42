"""Text affinity against worlds whose answer is known, and its way into a file and back."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from llmrec.candidates import text_affinity
from llmrec.candidates.log import InteractionLog
from llmrec.candidates.text_affinity import LEAST_PAIRS, TextAffinity
from llmrec.llm.embedder import unit_rows

DIMENSIONS = 12


def world(seed: int = 0) -> tuple[InteractionLog, list[str], np.ndarray]:
    """Two groups of chosen items whose texts are near each other, and a third that nobody chooses."""
    generator = np.random.default_rng(seed)
    centres = unit_rows(generator.standard_normal((3, DIMENSIONS)).astype(np.float32))
    ids = [f"{group}{n}" for group in "abc" for n in range(30)]
    noise = generator.standard_normal((90, DIMENSIONS)).astype(np.float32)
    vectors = unit_rows(np.repeat(centres, 30, axis=0) + np.float32(0.25) * noise)
    log = {}
    for person in range(120):
        group = "ab"[person % 2]
        # Only the first twenty of each group are ever chosen.
        log[f"p{person}"] = [f"{group}{n}" for n in generator.choice(20, 5, replace=False)]
    return InteractionLog(log), ids, vectors


def learned(seed: int = 0) -> tuple[TextAffinity, list[str], np.ndarray]:
    log, ids, vectors = world(seed)
    found = TextAffinity.learn(log, ids, vectors, vectors_of="e")
    assert found is not None
    return found, ids, vectors


def test_items_of_the_group_a_person_chooses_from_go_better_even_when_nobody_chose_them_yet() -> None:
    affinity, ids, vectors = learned()
    assert affinity.pairs == 120 * 4
    assert affinity.vectors_of == "e"
    place = {item_id: at for at, item_id in enumerate(ids)}
    new_a, new_b = ([place[f"{group}{n}"] for n in range(20, 30)] for group in "ab")
    for liked, better, worse in (("a", new_a, new_b), ("b", new_b, new_a)):
        history = vectors[[place[f"{liked}{n}"] for n in range(3)]]
        scores = affinity.affinity(history, [1.0, 0.9, 0.81], vectors)
        assert scores[better].min() > scores[worse].max()
        assert scores[better].mean() > 0 > scores[worse].mean(), "more and less than chance, in nats"


def test_appeal_is_higher_for_texts_like_those_that_are_chosen() -> None:
    affinity, ids, vectors = learned()
    appeal = affinity.appeal(vectors)
    groups = {group: appeal[[at for at, item_id in enumerate(ids) if item_id[0] == group]] for group in "abc"}
    assert min(groups["a"].mean(), groups["b"].mean()) > groups["c"].mean() + 0.5
    mean = vectors.mean(axis=0, keepdims=True)
    chosen = vectors[:20].mean(axis=0, keepdims=True)
    assert affinity.appeal(chosen)[0] > affinity.appeal(mean)[0] > affinity.appeal(vectors[60:])[0]


def test_the_same_log_teaches_the_same() -> None:
    (first, _, vectors), (second, *_) = learned(), learned()
    history = vectors[:2]
    assert np.array_equal(first.affinity(history, [1, 1], vectors), second.affinity(history, [1, 1], vectors))
    assert np.array_equal(first.appeal(vectors), second.appeal(vectors))


def test_only_the_proportions_of_the_weights_count() -> None:
    affinity, _, vectors = learned()
    one, other = (affinity.affinity(vectors[:3], weights, vectors) for weights in ([3, 2, 1], [30, 20, 10]))
    assert one == pytest.approx(other)
    alone = affinity.affinity(vectors[:1], [0.3], vectors)
    assert affinity.affinity(vectors[:2], [1.0, 1e-9], vectors) == pytest.approx(alone, abs=1e-5)


def test_no_history_says_nothing() -> None:
    affinity, _, vectors = learned()
    assert affinity.affinity(vectors[:0], [], vectors).tolist() == [0.0] * 90
    assert affinity.affinity(vectors[:1], [1.0], vectors[:0]).shape == (0,)
    assert affinity.appeal(vectors[:0]).shape == (0,)


def gaussian(**fields: Any) -> TextAffinity:
    """One whose canonical variates are the two coordinates themselves."""
    given: dict[str, Any] = {
        "history_mean": np.zeros(2),
        "item_mean": np.zeros(2),
        "history_map": np.eye(2),
        "item_map": np.eye(2),
        "correlations": np.array([0.8, 0.0]),
        "appeal_direction": np.array([2.0, -1.0]),
        "vectors_of": "e",
        "pairs": 1,
    }
    return TextAffinity(**{**given, **fields})


def density(x: np.ndarray, covariance: np.ndarray) -> float:
    """The log density of a Gaussian around zero."""
    _, log_determinant = np.linalg.slogdet(2 * np.pi * covariance)
    return float(-0.5 * (x @ np.linalg.solve(covariance, x)) - 0.5 * log_determinant)


@pytest.mark.parametrize(("x", "y"), [(1.0, 1.0), (1.0, -1.0), (0.0, 0.5), (0.3, 2.0), (0.0, 0.0)])
def test_affinity_is_the_mutual_information_of_two_gaussians(x: float, y: float) -> None:
    joint = np.array([[1.0, 0.8], [0.8, 1.0]])
    expected = density(np.array([x, y]), joint) - sum(density(np.array([z]), np.eye(1)) for z in (x, y))
    history, item = np.array([[x, 0.7]], dtype=np.float32), np.array([[y, -3.0]], dtype=np.float32)
    assert gaussian().affinity(history, [2.0], item) == pytest.approx([expected], abs=1e-5)


def test_means_and_maps_come_before_the_correlation() -> None:
    moved = gaussian(
        history_mean=np.array([1.0, 0.0]),
        item_mean=np.array([0.0, 5.0]),
        history_map=np.array([[2.0, 0.0], [0.0, 1.0]]),
        item_map=np.array([[0.0, 1.0], [1.0, 0.0]]),
    )
    plain = gaussian().affinity(np.array([[1.0, 0.0]]), [1.0], np.array([[0.5, 0.0]]))
    assert moved.affinity(np.array([[1.5, 0.0]]), [1.0], np.array([[0.0, 5.5]])) == pytest.approx(plain)
    assert gaussian().appeal(np.array([[1.0, 1.0], [0.0, 2.0]])) == pytest.approx([1.0, -2.0])


def test_canonical_correlations_of_a_small_case_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pair is an item and the same item's other half; without a ridge that is correlation itself."""
    monkeypatch.setattr(text_affinity, "RIDGE", 0.0)
    generator = np.random.default_rng(3)
    x = generator.standard_normal(400)
    first = np.stack([x, generator.standard_normal(400)], axis=1)
    second = np.stack(
        [generator.standard_normal(400), 0.6 * x + 0.8 * generator.standard_normal(400)], axis=1
    )
    vectors = np.concatenate([first, second]).astype(np.float32)
    ids = [f"i{n}" for n in range(800)]
    log = InteractionLog({f"p{n}": [f"i{n}", f"i{n + 400}"] for n in range(400)})
    found = TextAffinity.learn(log, ids, vectors, vectors_of="e")
    assert found is not None
    # The canonical correlations are the square roots of the eigenvalues of Sxx^-1 Sxy Syy^-1 Syx.
    both = np.cov(first.T, second.T)
    xx, xy, yy = both[:2, :2], both[:2, 2:], both[2:, 2:]
    squares = np.linalg.eigvals(np.linalg.solve(xx, xy) @ np.linalg.solve(yy, xy.T)).real
    expected = np.sqrt(np.sort(squares)[::-1])
    assert found.correlations == pytest.approx(expected, rel=0.01, abs=0.01)
    assert expected[0] == pytest.approx(0.6, abs=0.08)
    # The variates have unit variance, and what they correlate by is the correlation.
    person = (first - found.history_mean) @ found.history_map
    item = (second - found.item_mean) @ found.item_map
    assert np.cov(person.T) == pytest.approx(np.eye(2), abs=0.01)
    assert abs(np.corrcoef(person[:, 0], item[:, 0])[0, 1]) == pytest.approx(expected[0], abs=0.01)
    assert person[:, 0] @ item[:, 0] > 0, "both point the same way"


def test_a_history_is_a_mean_in_which_each_later_item_leaves_nine_tenths() -> None:
    generator = np.random.default_rng(1)
    vectors = unit_rows(generator.standard_normal((4, 3)).astype(np.float32))
    places, lengths = np.array([0, 1, -1, 2, 3]), np.array([4, 1])
    histories, following, chosen = text_affinity._pairs(places, lengths, vectors)
    expected = [vectors[0], (0.9 * vectors[0] + vectors[1]) / 1.9]
    assert histories == pytest.approx(np.asarray(expected), abs=1e-6)
    assert following == pytest.approx(vectors[[1, 2]])
    assert chosen == pytest.approx(vectors.mean(axis=0), abs=1e-6), "of everything chosen, alone or not"


def test_too_few_pairs_teach_nothing() -> None:
    log, ids, vectors = world()
    people = list(log.sequences)
    enough = LEAST_PAIRS // 4

    def of(count: int) -> TextAffinity | None:
        some = InteractionLog({person: log.sequences[person] for person in people[:count]})
        return TextAffinity.learn(some, ids, vectors, vectors_of="e")

    assert of(enough - 1) is None
    assert of(enough) is not None
    assert TextAffinity.learn(InteractionLog(), ids, vectors, vectors_of="e") is None
    elsewhere = InteractionLog({person: ["x", "y", "z"] for person in people})
    assert TextAffinity.learn(elsewhere, ids, vectors, vectors_of="e") is None


def test_items_without_words_and_a_catalogue_of_one_do_no_harm() -> None:
    log, ids, vectors = world()
    nothing = TextAffinity.learn(log, ids, np.zeros_like(vectors), vectors_of="e")
    assert nothing is not None
    assert np.isfinite(nothing.affinity(vectors[:1], [1.0], vectors)).all()
    assert not nothing.affinity(np.zeros((1, DIMENSIONS)), [1.0], np.zeros((2, DIMENSIONS))).any()
    again = InteractionLog({f"p{n}": ["a0"] * 5 for n in range(100)})
    assert TextAffinity.learn(again, ["a0"], vectors[:1], vectors_of="e") is None


def test_a_file_holds_the_numbers_to_five_places() -> None:
    affinity, _, vectors = learned()
    back = TextAffinity.from_document(json.loads(json.dumps(affinity.as_document())))
    assert (back.vectors_of, back.pairs) == ("e", affinity.pairs)
    for name in ("history_mean", "item_mean", "history_map", "item_map", "correlations", "appeal_direction"):
        assert getattr(back, name) == pytest.approx(getattr(affinity, name), abs=1e-5)
    scores = affinity.affinity(vectors[:3], [1, 0.9, 0.81], vectors)
    assert back.affinity(vectors[:3], [1, 0.9, 0.81], vectors) == pytest.approx(scores, abs=1e-4)
    assert back.appeal(vectors) == pytest.approx(affinity.appeal(vectors), abs=1e-4)


@pytest.mark.parametrize(
    "damage",
    [
        {"history_mean": [1.0]},
        {"history_map": [1.0, 2.0]},
        {"item_map": [[1.0]]},
        {"correlations": [0.5]},
        {"correlations": [1.0] * DIMENSIONS},
        {"correlations": [float("nan")] * DIMENSIONS},
        {"item_mean": ["much"] * DIMENSIONS},
        {"appeal_direction": None},
        {"history_map": [[1.0], [1.0, 2.0]]},
        {"pairs": "many"},
    ],
)
def test_a_damaged_file_is_told(damage: dict[str, Any]) -> None:
    document = {**learned()[0].as_document(), **damage}
    with pytest.raises((KeyError, TypeError, ValueError)):
        TextAffinity.from_document(document)


def test_a_file_that_lacks_numbers_is_told() -> None:
    document = learned()[0].as_document()
    del document["item_map"]
    with pytest.raises(KeyError):
        TextAffinity.from_document(document)


def test_of_very_many_pairs_a_fixed_part_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    log, ids, vectors = world()
    monkeypatch.setattr(text_affinity, "MOST_PAIRS", 300)
    some, same = (TextAffinity.learn(log, ids, vectors, vectors_of="e") for _ in range(2))
    assert some is not None
    assert same is not None
    assert some.pairs == 300
    assert np.array_equal(some.history_map, same.history_map)
    every, _, _ = learned()
    history = vectors[:2]
    both = np.corrcoef(some.affinity(history, [1, 1], vectors), every.affinity(history, [1, 1], vectors))
    assert both[0, 1] > 0.95
