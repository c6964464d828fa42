"""Weights of signals from people whose choices are known: numbers in, numbers out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from llmrec.candidates.item_places import load_scipy
from llmrec.errors import InputError
from llmrec.evaluation.metrics import figures
from llmrec.ranking.fusion import fuse, gate, z_scores
from llmrec.ranking.pipeline import sureness
from llmrec.weights import SIGNAL_FIELDS, SignalWeights

FloatArray = npt.NDArray[np.float64]

HEADLINE = "ndcg@10"
FOLDS = 5
FEWEST_CASES = 20
PENALTIES = (1.0, 3.0, 10.0, 30.0, 100.0)
"""How strongly learned weights are held to those so far; chosen by cross-validation."""
GATES = ((0.0, 1e-6), (0.0, 0.05), (0.0, 0.1), (0.0, 0.2), (0.05, 0.2), (0.1, 0.3))
"""The pairs of certainties that are tried; the first leaves the gate open."""


@dataclass(frozen=True)
class LabelledCase:
    """The signals of one query's candidates, and which of them was taken."""

    person: str
    signals: Mapping[str, Sequence[float]]
    """By name, in the candidates' order."""
    taken: Sequence[bool]


@dataclass(frozen=True)
class LearnedFusion:
    """Weights, and how good they are on people they were not learned from."""

    weights: SignalWeights
    people: tuple[str, ...]
    """The person of each case."""
    before: tuple[float, ...]
    """NDCG@10 of each case with the weights so far."""
    after: tuple[float, ...]
    """NDCG@10 of each case with weights learned from the other folds' people."""
    penalty: float
    signals_alone: dict[str, float]
    """The mean NDCG@10 of each signal by itself."""


def learn_weights(
    cases: Sequence[LabelledCase],
    so_far: SignalWeights,
    *,
    model_signal: str | None,
    capable: bool = False,
    seed: int = 0,
) -> LearnedFusion:
    """Fit the weights of a conditional logit (McFadden 1974): the taken against the other candidates.

    Weights are 0 or more, and held to those so far by a squared penalty, so that few people cannot lead far
    astray. Penalty and gate are those with the best likelihood in a cross-validation of five folds, by
    person. `after` comes from the same folds, which so chose penalty and gate too: it flatters a little,
    and figures to report want other people. A signal that a case lacks tells its candidates not apart.
    `model_signal` is the signal whose weight is `model`; `capable` says that its model follows instructions,
    so that its weight so far is `capable_model`. What is learned of it holds for that model whatever it can.
    Raises InputError for fewer than 20 cases, and when scipy is not installed.
    """
    if len(cases) < FEWEST_CASES:
        raise InputError(
            f"weights cannot be learned from {len(cases)} labelled people: give at least {FEWEST_CASES}"
        )
    names = _signal_names(cases, model_signal)
    fold = _folds([case.person for case in cases], seed)
    start = _start(so_far, names, model_signal, capable=capable)
    taken = _padded([np.asarray(case.taken, dtype=np.float64) for case in cases], 0.0)
    present = _padded([np.ones(len(case.taken)) for case in cases], 0.0)
    best: tuple[float, float, tuple[float, float], list[FloatArray]] | None = None
    gates = GATES if model_signal in names else GATES[:1]
    for low_high in gates:
        tensor = _tensor(cases, names, model_signal, low_high)
        for penalty in PENALTIES:
            found = [
                _fit(tensor[fold != at], taken[fold != at], present[fold != at], start, penalty)
                for at in range(FOLDS)
            ]
            likelihood = sum(
                _log_likelihood(tensor[fold == at], taken[fold == at], present[fold == at], found[at])
                for at in range(FOLDS)
            )
            if best is None or likelihood > best[0] + 1e-9:
                best = likelihood, penalty, low_high, found
    assert best is not None
    _, penalty, low_high, found = best
    tensor = _tensor(cases, names, model_signal, low_high)
    held_out = [tensor[at] @ found[fold[at]] for at in range(len(cases))]
    fitted = _fit(tensor, taken, present, start, penalty)
    return LearnedFusion(
        weights=_as_weights(so_far, names, model_signal, fitted, low_high),
        people=tuple(case.person for case in cases),
        before=_ndcg(cases, _scores_with(cases, names, model_signal, so_far, capable=capable)),
        after=_ndcg(cases, held_out),
        penalty=penalty,
        signals_alone={name: _alone(cases, name) for name in names},
    )


def fused_scores(
    signals: Mapping[str, Sequence[float]],
    weights: SignalWeights,
    *,
    model_signal: str | None,
    capable: bool = False,
) -> list[float]:
    """The scores that weights give to signals that were measured before, as the ranking does.

    `capable` says whether the model follows instructions, as for `learn_weights`.
    """
    names = [name for name in signals if name in SIGNAL_FIELDS or name == model_signal]
    by_signal = weights.by_signal(capable=capable)
    if model_signal in signals and model_signal is not None:
        part = gate(sureness(model_signal, signals[model_signal]), weights.gate_low, weights.gate_high)
        by_signal[model_signal] = by_signal["model"] * part
    parts = fuse({name: signals[name] for name in names}, by_signal)
    return [float(value) for value in np.sum(list(parts.values()), axis=0)]


def _signal_names(cases: Sequence[LabelledCase], model_signal: str | None) -> list[str]:
    measured = {name for case in cases for name in case.signals}
    known = [name for name in SIGNAL_FIELDS if name in measured and name != "model"]
    return [*known, model_signal] if model_signal in measured and model_signal is not None else known


def _folds(people: Sequence[str], seed: int) -> npt.NDArray[np.int64]:
    """The fold of each case; all cases of one person are in one."""
    each = sorted(set(people))
    order = np.random.default_rng(seed).permutation(len(each))
    fold_of = {person: int(order[at]) % FOLDS for at, person in enumerate(each)}
    return np.asarray([fold_of[person] for person in people])


def _start(
    so_far: SignalWeights, names: Sequence[str], model_signal: str | None, *, capable: bool
) -> FloatArray:
    by_signal = so_far.by_signal(capable=capable)
    weights = np.asarray([by_signal["model" if name == model_signal else name] for name in names])
    total = weights.sum()
    return np.asarray(weights / total * so_far.scale if total else weights, dtype=np.float64)


def _tensor(
    cases: Sequence[LabelledCase],
    names: Sequence[str],
    model_signal: str | None,
    low_high: tuple[float, float],
) -> FloatArray:
    """(cases, candidates, signals): z-scores, the model's times its gate; zeros where nothing is."""
    most = max(len(case.taken) for case in cases)
    tensor = np.zeros((len(cases), most, len(names)))
    for at, case in enumerate(cases):
        for column, name in enumerate(names):
            if name not in case.signals:
                continue
            part = 1.0
            if name == model_signal:
                part = gate(sureness(name, case.signals[name]), *low_high)
            tensor[at, : len(case.taken), column] = part * z_scores(case.signals[name])
    return tensor


def _padded(rows: Sequence[FloatArray], filler: float) -> FloatArray:
    most = max(len(row) for row in rows)
    return np.stack([np.pad(row, (0, most - len(row)), constant_values=filler) for row in rows])


def _log_likelihood(tensor: FloatArray, taken: FloatArray, present: FloatArray, weights: FloatArray) -> float:
    """The sum over cases of the mean log-probability of what was taken, among the candidates."""
    scores = np.where(present > 0, tensor @ weights, -np.inf)
    top = scores.max(axis=1, keepdims=True)
    log_chances = scores - top - np.log(np.exp(scores - top).sum(axis=1, keepdims=True))
    share = taken / np.maximum(taken.sum(axis=1, keepdims=True), 1.0)
    return float((share * np.where(present > 0, log_chances, 0.0)).sum())


def _fit(
    tensor: FloatArray, taken: FloatArray, present: FloatArray, start: FloatArray, penalty: float
) -> FloatArray:
    optimize = load_scipy("scipy.optimize")
    share = taken / np.maximum(taken.sum(axis=1, keepdims=True), 1.0)

    def loss(weights: FloatArray) -> tuple[float, FloatArray]:
        scores = np.where(present > 0, tensor @ weights, -np.inf)
        grown = np.exp(scores - scores.max(axis=1, keepdims=True))
        chances = grown / grown.sum(axis=1, keepdims=True)
        gradient = -((share - chances)[:, :, None] * tensor).sum(axis=(0, 1))
        away = weights - start
        value = -_log_likelihood(tensor, taken, present, weights) + penalty * float(away @ away)
        return value, gradient + 2 * penalty * away

    found = optimize.minimize(
        loss, np.maximum(start, 0.01), jac=True, method="L-BFGS-B", bounds=[(0.0, None)] * len(start)
    )
    return np.asarray(found.x, dtype=np.float64)


def _as_weights(
    so_far: SignalWeights,
    names: Sequence[str],
    model_signal: str | None,
    fitted: FloatArray,
    low_high: tuple[float, float],
) -> SignalWeights:
    total = float(fitted.sum())
    if total <= 0:
        raise InputError("no signal tells what these people chose: give other people, or other candidates")
    values = dict.fromkeys(SIGNAL_FIELDS, 0.0)
    for name, weight in zip(names, fitted, strict=True):
        values["model" if name == model_signal else name] = round(float(weight) / total, 4)
    if model_signal not in names:
        # What was not measured keeps its place beside what was.
        values["capable_model"] = so_far.capable_model
    return SignalWeights(**values, scale=round(total, 4), gate_low=low_high[0], gate_high=low_high[1])


def _scores_with(
    cases: Sequence[LabelledCase],
    names: Sequence[str],
    model_signal: str | None,
    weights: SignalWeights,
    *,
    capable: bool,
) -> list[FloatArray]:
    tensor = _tensor(cases, names, model_signal, (weights.gate_low, weights.gate_high))
    start = _start(weights, names, model_signal, capable=capable)
    return [tensor[at, : len(case.taken)] @ start for at, case in enumerate(cases)]


def _alone(cases: Sequence[LabelledCase], name: str) -> float:
    """The mean NDCG@10 of one signal over the cases that have it."""
    having = [case for case in cases if name in case.signals]
    return float(np.mean(_ndcg(having, [np.asarray(case.signals[name]) for case in having])))


def _ndcg(cases: Sequence[LabelledCase], scores: Sequence[FloatArray]) -> tuple[float, ...]:
    return tuple(
        figures(list(map(float, own[: len(case.taken)])), list(case.taken), (10,))[HEADLINE]
        for case, own in zip(cases, scores, strict=True)
    )
