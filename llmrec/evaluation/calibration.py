"""How well probabilities are calibrated: expected calibration error, Brier score and reliability bins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from llmrec.errors import InputError
from llmrec.evaluation.types import Reliability, ReliabilityBin

BINS = 10


def reliability(
    system: str,
    probabilities: Sequence[float] | npt.NDArray[np.floating],
    taken: Sequence[bool] | npt.NDArray[np.bool_],
    bins: int = BINS,
) -> Reliability:
    """Compare the probability said of each candidate with whether it was taken.

    The expected calibration error is the mean over candidates of |mean probability - share taken| of their
    bin (Naeini, Cooper and Hauskrecht 2015), in bins of equally many candidates (Nguyen and O'Connor 2015);
    equal probabilities stay in one bin, so that the order of the candidates does not matter. The Brier score
    is the mean of (probability - taken)² (Brier 1950).
    Raises InputError without candidates, for lengths that differ, for fewer than one bin, and for a
    probability outside 0 to 1.
    """
    predicted = np.asarray(probabilities, dtype=np.float64)
    outcome = np.asarray(taken, dtype=np.float64)
    if predicted.shape != outcome.shape or predicted.ndim != 1 or not len(predicted):
        raise InputError(
            f"{predicted.size} probabilities come with {outcome.size} outcomes: give one of each a candidate"
        )
    if not ((predicted >= 0) & (predicted <= 1)).all():
        raise InputError(f"a probability of {system} lies outside 0 to 1: scores are no probabilities")
    if bins < 1:
        raise InputError("calibration needs bins: give 1 or more, such as 10")
    share = float(outcome.mean())
    bin_of = _equal_mass_bins(predicted, bins)
    counts = np.bincount(bin_of, minlength=bins)
    used = counts > 0
    means = np.bincount(bin_of, predicted, bins)[used] / counts[used]
    shares = np.bincount(bin_of, outcome, bins)[used] / counts[used]
    return Reliability(
        system=system,
        calibration_error=float(np.sum(counts[used] * np.abs(means - shares)) / len(predicted)),
        brier=float(np.mean((predicted - outcome) ** 2)),
        brier_constant=share * (1 - share),
        count=len(predicted),
        bins=tuple(
            ReliabilityBin(predicted=min(float(mean), 1.0), taken=float(part), count=int(count))
            for mean, part, count in zip(means, shares, counts[used], strict=True)
        ),
    )


def _equal_mass_bins(predicted: npt.NDArray[np.float64], bins: int) -> npt.NDArray[np.intp]:
    """The bin of each probability: where the middle of its equals lies among all of them."""
    _, value_of, counts = np.unique(predicted, return_inverse=True, return_counts=True)
    middles = np.cumsum(counts) - counts / 2
    numbers = np.floor(middles * bins / len(predicted)).astype(np.intp)
    chosen: npt.NDArray[np.intp] = numbers[value_of]
    return chosen
