"""From a data set to questions: whom to ask, what to show, and among which items the target stands.

Every choice follows from the seed, without Python's own hashes, so that another process finds the same. Only
the judge's process calls this.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from llmrec.candidates.log import InteractionLog
from llmrec.errors import InputError
from llmrec.evaluation.datasets import Dataset
from llmrec.evaluation.metrics import chance
from llmrec.evaluation.negatives import NegativeSampler
from llmrec.evaluation.splits import HeldOut, split_dataset
from llmrec.evaluation.types import ProtocolOptions, Query, Variant
from llmrec.settings import Settings, load_settings

PROTOCOL_VERSION = 1
"""Raised when the same options come to mean other questions."""


@dataclass(frozen=True)
class Case:
    """A query with its answer."""

    query: Query
    targets: tuple[str, ...]
    consumed: frozenset[str]
    """All items of the person's history, also of the part that the query does not show."""
    candidates: int
    """How many items are ranked."""


@dataclass(frozen=True)
class Cases:
    """All that follows from a data set and the options."""

    cases: tuple[Case, ...]
    log: InteractionLog
    notes: tuple[str, ...] = ()


def make_cases(
    dataset: Dataset,
    options: ProtocolOptions,
    *,
    variant: Variant | None = None,
    settings: Settings | None = None,
) -> Cases:
    """Ask about each person that the options choose, one query a person.

    The candidates' order is a function of the set of candidates, the seed and the person, and so is the same
    whichever of them is the target. The negatives are drawn with a key that holds the whole data set, the
    targets included: who does not have them cannot draw again to see what was left out.
    Raises InputError when the data set does not allow what the options ask for, or nobody is left.
    """
    settings = settings if settings is not None else load_settings()
    if variant is not None and options.negatives == "all":
        raise InputError("in the whole catalogue no target has a place: give a number of negatives")
    split = split_dataset(dataset, options, settings)
    chosen = choose_people(split.people, options)
    if not chosen:
        raise InputError(f"nobody of {dataset.name} is of the part {options.part}: take all, or another part")
    sampler = None
    if options.negatives not in ("given", "all"):
        sampler = NegativeSampler(dataset.catalog, split.log, options.negatives)
    cases, consumed_negatives, short = [], 0, 0
    for person in chosen:
        consumed = frozenset(event.item_id for event in person.events if event.item_id)
        if options.negatives == "all":
            negatives: list[str] = []
        elif sampler is None:
            given = dict.fromkeys(_given_negatives(person, options.negatives_name, dataset.name))
            negatives = [item_id for item_id in given if item_id not in (*consumed, *person.targets)]
            consumed_negatives += len(consumed & set(given))
        else:
            wanted = options.count * len(person.targets)
            generator = np.random.default_rng(_number(dataset.digest, options.seed, person.user_id))
            negatives = sampler.draw(
                wanted, history=person.events, targets=person.targets, generator=generator
            )
            short += len(negatives) < wanted
        cases.append(_case(person, negatives, consumed, dataset, options, variant))
    notes = list(split.notes)
    if consumed_negatives:
        notes.append(
            f"given negatives that stand in the person's own history were left out: {consumed_negatives}"
        )
    if short:
        notes.append(f"people with fewer than {options.count} negatives a target, for want of items: {short}")
    return Cases(tuple(cases), split.log, tuple(notes))


def choose_people(people: Sequence[HeldOut], options: ProtocolOptions) -> list[HeldOut]:
    """The people of the part that is asked for, and so many of them, in their order.

    With one seed, the people of a smaller number are among those of a larger.
    """
    found = [person for person in people if options.part == "all" or part_of(person.user_id) == options.part]
    if options.users is None or options.users >= len(found):
        return found
    drawn = sorted(found, key=lambda person: _number("people", options.seed, person.user_id))
    kept = {person.user_id for person in drawn[: options.users]}
    return [person for person in found if person.user_id in kept]


def part_of(user_id: str) -> str:
    """The half a person is of, `learning` or `reporting`, by a hash of the id."""
    first = hashlib.sha256(user_id.encode("utf-8", "surrogatepass")).digest()[0]
    return "reporting" if first % 2 else "learning"


def expected_by_chance(cases: Sequence[Case], at: Sequence[int]) -> dict[str, float]:
    """What a random order gives, by metric: the mean over the cases of what is expected of one score for all.

    A figure that some cases do not have, as the AUC where every candidate is a target, is left out.
    """
    alike = Counter((case.candidates, len(case.targets)) for case in cases)
    total: dict[str, float] = {}
    for (candidates, targets), people in alike.items():
        for name, value in chance(candidates, targets, at).items():
            total[name] = total.get(name, 0.0) + people * value / len(cases)
    return {name: value for name, value in total.items() if math.isfinite(value)}


def _case(
    person: HeldOut,
    negatives: Sequence[str],
    consumed: frozenset[str],
    dataset: Dataset,
    options: ProtocolOptions,
    variant: Variant | None,
) -> Case:
    events = person.events
    if options.history_length is not None:
        events = events[max(0, len(events) - options.history_length) :]
    candidates: list[str] = []
    count = len(dataset.catalog) - len(consumed & dataset.catalog.keys())
    if options.negatives != "all":
        # Neither the negatives nor the targets come first into this order: it knows only of a set.
        candidates = sorted(
            {*negatives, *person.targets},
            key=lambda item_id: _number("order", options.seed, person.user_id, item_id),
        )
        count = len(candidates)
    if variant is not None:
        candidates.sort(key=lambda item_id: (item_id in person.targets) == (variant == "target-last"))
    query = Query(id=person.user_id, user_id=person.user_id, events=events, candidates=tuple(candidates))
    return Case(query=query, targets=person.targets, consumed=consumed, candidates=count)


def _given_negatives(person: HeldOut, name: str, dataset: str) -> tuple[str, ...]:
    if not person.negatives:
        raise InputError(f"{dataset} gives no negatives for this split: choose random negatives")
    if not name and len(person.negatives) > 1:
        raise InputError(
            f"{dataset} gives several lists of negatives: name one of {', '.join(person.negatives)}"
        )
    found = person.negatives.get(name or next(iter(person.negatives)))
    if found is None:
        raise InputError(f"{dataset} gives no negatives {name!r}: name one of {', '.join(person.negatives)}")
    return found


def _number(*parts: object) -> int:
    """A number that follows from the parts in every process."""
    text = "\x00".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16], "big")
