"""What a recommender may not bring into an evaluation: a log of its own, and weights that do not fit."""

from __future__ import annotations

from llmrec.errors import InputError
from llmrec.evaluation.types import Material, ProtocolOptions
from llmrec.ranking.context import Basis
from llmrec.ranking.learned import LearnedFrom, LearnedWeights
from llmrec.recommender import Recommender

OF_WEIGHTS = "the learned "
"""How the notes of a ranking begin that tell of learned weights."""


def check_log(recommender: Recommender, material: Material) -> None:
    """Raise InputError for a recommender with another log than the run's: it may hold what is held out."""
    if recommender.log is not None and recommender.log.fingerprint != material.log.fingerprint:
        raise InputError(
            "the recommender's interaction log is not that of the run, so it may hold the targets: open it "
            "with log=material.log, or without a log"
        )


def check_weights(learned: LearnedWeights, *, basis: Basis, with_log: bool) -> None:
    """Raise InputError for learned weights that would not hold in a run, and so be left out of it."""
    if (learned.basis, learned.with_log) != (basis, with_log):
        raise InputError(
            f"the learned weights are for the basis {learned.basis} {_log(learned.with_log)} an interaction "
            f"log, and this run ranks by the basis {basis} {_log(with_log)} one: change its basis, its log "
            "or its weights"
        )


def taught_note(learned: LearnedFrom, dataset: str, options: ProtocolOptions) -> str:
    """A note where the people of a run may have taught the weights it ranks with; else empty."""
    apart = learned.part == "learning" and options.part == "reporting"
    if learned.dataset != dataset or apart:
        return ""
    return (
        f"the weights were learned on {dataset} too, so these people may have taught them: learn with "
        "--part learning and evaluate with --part reporting"
    )


def _log(there: bool) -> str:
    return "with" if there else "without"
