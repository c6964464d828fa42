"""The sentences at the head of a report: what was done, and what came out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from llmrec.behavior.text import clean_text
from llmrec.evaluation.metric_labels import metric_label
from llmrec.evaluation.types import (
    Comparison,
    EvaluationResult,
    Interval,
    ProtocolOptions,
    SystemResult,
)

Verdict = Literal["better", "worse", "even"]

FEW_PEOPLE = 30
"""With fewer people, percentile intervals are known to be too narrow."""

_SPLITS = {
    "given": "Held out is what the data set itself names as targets",
    "leave-one-out": "Held out is each person's last liked item",
    "temporal": "Held out is everything liked after one moment for all, in the last {share} of events",
}
_NEGATIVES = {
    "given": "it is ranked among the data set's own negatives{named}",
    "random": "it is ranked among {count} other items, drawn evenly",
    "popularity": "it is ranked among {count} other items, drawn by popularity",
    "retriever": "it is ranked among the {count} items that BM25 finds closest to the history",
    "all": "it is ranked among the whole catalogue",
}
_PARTS = {
    "all": "",
    "learning": "These are the people that weights are learned on: their figures flatter",
    "reporting": "These people are the half that llmrec tune leaves out",
}


def verdict_of(difference: Interval) -> Verdict:
    """Whether a difference is above 0, below it, or may be either."""
    if difference.low > 0:
        return "better"
    return "worse" if difference.high < 0 else "even"


def by_headline(result: EvaluationResult) -> list[SystemResult]:
    """The systems, best first by the headline metric; those without it last."""

    def place(system: SystemResult) -> tuple[bool, float, str]:
        found = system.metrics.get(result.headline)
        return found is None, -found.mean if found else 0.0, system.name

    return sorted(result.systems, key=place)


def comparisons_of(result: EvaluationResult) -> dict[tuple[str, str], Comparison]:
    """The comparisons in the headline metric, by system and baseline."""
    return {(one.system, one.baseline): one for one in result.comparisons if one.metric == result.headline}


def protocol_sentence(options: ProtocolOptions) -> str:
    """How people, targets and candidates were chosen, in words."""
    share = f"{options.temporal_share:.0%}"
    named = f" ({clean_text(options.negatives_name)})" if options.negatives_name else ""
    said = [
        _SPLITS[options.split].format(share=share)
        + "; "
        + _NEGATIVES[options.negatives].format(count=options.count, named=named)
    ]
    if options.least_rating is not None:
        said.append(f"A rating of at least {options.least_rating:g} is a like")
    if options.history_length is not None:
        events = "event" if options.history_length == 1 else "events"
        said.append(f"Only the last {options.history_length} {events} of each history are shown")
    if options.users is not None:
        said.append(f"Up to {options.users:,} people are drawn")
    if _PARTS[options.part]:
        said.append(_PARTS[options.part])
    said.append(f"Seed {options.seed}")
    return ". ".join(said) + "."


def headline_sentence(result: EvaluationResult) -> str:
    """What came out: the best system, the best baseline, and whether they can be told apart."""
    metric = metric_label(result.headline)
    ordered = [system for system in by_headline(result) if result.headline in system.metrics]
    if not ordered:
        return f"No system has a figure for {metric.label}."
    baselines = [system for system in ordered if system.is_baseline]
    best = next((system for system in ordered if not system.is_baseline), ordered[0])
    name = clean_text(best.name)
    said = f"{name} reaches {metric.label} {metric.interval(best.metrics[result.headline])}."
    if best.is_baseline or not baselines:
        return said
    rival = baselines[0]
    said += (
        f" The best baseline, {clean_text(rival.name)}, reaches "
        f"{metric.interval(rival.metrics[result.headline])}."
    )
    found = comparisons_of(result).get((best.name, rival.name))
    if found is None:
        return said
    difference = found.difference
    shown, bounds = metric.number(difference.mean, signed=True), metric.bounds(difference, signed=True)
    points = f"{shown} points ({bounds})" if bounds else f"{shown} points"
    exceeds = f"the difference, {points}, exceeds what the choice of people explains."
    ending = {
        "better": exceeds.capitalize(),
        "worse": f"The baseline is better: {exceeds}",
        "even": f"The two cannot be told apart with these people: the difference is {points}.",
    }
    return f"{said} {ending[verdict_of(difference)]}"


def cautions(result: EvaluationResult) -> Sequence[str]:
    """What a reader should know before believing the figures, beyond the result's own notes."""
    found = []
    if result.people < FEW_PEOPLE:
        found.append(f"With {result.people} people the intervals are too narrow: take at least {FEW_PEOPLE}.")
    failed = [system for system in result.systems if system.failures]
    if failed:
        each = ", ".join(f"{clean_text(system.name)} {system.failures:,}" for system in failed)
        found.append(f"Failures of the model, each counted with what stood in for it: {each}.")
    return found
