"""Probes: rank again with something changed that should, or should not, matter."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from llmrec.behavior.events import Catalog, Event
from llmrec.errors import InputError
from llmrec.evaluation.baselines import candidate_ids
from llmrec.evaluation.intervals import interval, paired
from llmrec.evaluation.types import Interval, ProbeResult, Query, Scored, Variant
from llmrec.ranking.fusion import order_of

ProbeName = Literal[
    "candidate-order",
    "target-position",
    "history-shuffled",
    "other-history",
    "paraphrase",
    "title-contamination",
]
PROBES: tuple[ProbeName, ...] = get_args(ProbeName)

Change = Callable[[Sequence[Query], int], list[Query]]
"""The same queries, changed; the number is a seed."""

QUESTIONS: dict[str, str] = {
    "candidate-order": "Does the ranking stay when the candidates are listed in another order?",
    "target-first": "Does it help an item to be listed first?",
    "target-last": "Does it hurt an item to be listed last?",
    "history-shuffled": "Does it matter in which order the person did things?",
    "other-history": "Does the ranking need this person's history, or does any history do?",
    "paraphrase": "Does the ranking stay when the prompts say the same in other words?",
}
TARGET_VARIANTS: tuple[Variant, ...] = ("target-first", "target-last")
"""Made by the judge, who alone knows the target."""


def checked_probes(names: Iterable[str]) -> tuple[ProbeName, ...]:
    """The probes of these names, each once. Raises InputError for a name that is none."""
    found: dict[ProbeName, None] = {}
    for name in names:
        known = next((probe for probe in PROBES if probe == name), None)
        if known is None:
            raise InputError(f"there is no probe {name[:60]!r}: choose among {', '.join(PROBES)}")
        found[known] = None
    return tuple(found)


def probed_people(queries: Sequence[Query], most: int, seed: int) -> list[Query]:
    """At most so many queries, drawn by the seed, in their order."""
    if len(queries) <= most:
        return list(queries)
    drawn = set(random.Random(seed).sample(range(len(queries)), most))  # noqa: S311 - no secret
    return [query for at, query in enumerate(queries) if at in drawn]


def with_candidates_shuffled(queries: Sequence[Query], seed: int) -> list[Query]:
    """The candidates of each query in another order; a query without two of them stays as it is."""
    changed = []
    for query in queries:
        order = list(query.candidates)
        draw = _drawing(seed, "candidates", query)
        while len(set(order)) > 1 and tuple(order) == query.candidates:
            draw.shuffle(order)
        changed.append(query.model_copy(update={"candidates": tuple(order)}))
    return changed


def with_history_shuffled(queries: Sequence[Query], seed: int) -> list[Query]:
    """What each person did in another order: the moments stay, and what was done at them is exchanged."""
    changed = []
    for query in queries:
        order = list(range(len(query.events)))
        _drawing(seed, "history", query).shuffle(order)
        events = tuple(
            _remade(query.events[was], timestamp=query.events[now].timestamp) for now, was in enumerate(order)
        )
        changed.append(query.model_copy(update={"events": events}))
    return changed


def with_history_of_another(queries: Sequence[Query], seed: int) -> list[Query]:
    """Each person's history changed for that of somebody else, less events on the query's own candidates.

    Raises InputError when all queries are of one person.
    """
    if len({query.user_id for query in queries}) < 2:
        raise InputError("the probe other-history needs the queries of at least two people")
    changed = []
    for at, query in enumerate(queries):
        others = [q for q in (*queries[at + 1 :], *queries[:at]) if q.user_id != query.user_id]
        other = _drawing(seed, "another", query).choice(others)
        candidates = set(query.candidates)
        events = tuple(
            _remade(event, user_id=query.user_id)
            for event in other.events
            if event.item_id is None or event.item_id not in candidates
        )
        changed.append(query.model_copy(update={"events": events}))
    return changed


def unchanged(queries: Sequence[Query], seed: int) -> list[Query]:  # noqa: ARG001
    """The queries as they are, for another wording of the prompts."""
    return list(queries)


CHANGES: Mapping[str, Change] = {
    "candidate-order": with_candidates_shuffled,
    "history-shuffled": with_history_shuffled,
    "other-history": with_history_of_another,
    "paraphrase": unchanged,
}
"""How the queries of a probe are changed, for those that need no target."""


def to_original(originals: Iterable[Query], catalog: Catalog) -> Callable[[Query, Scored], Scored]:
    """What puts the scores of a changed query in the order of the original's candidates.

    A candidate that the changed query lacks gets a score below all others.
    """
    by_id = {query.id: query for query in originals}

    def restored(changed: Query, scored: Scored) -> Scored:
        given = candidate_ids(changed, catalog)
        wanted = candidate_ids(by_id[changed.id], catalog)
        if given == wanted or len(given) != len(scored.scores):
            return scored
        places = {item_id: at for at, item_id in enumerate(given)}
        below = min(scored.scores, default=0.0) - 1.0
        return scored.model_copy(
            update={
                "scores": tuple(
                    scored.scores[places[item_id]] if item_id in places else below for item_id in wanted
                ),
                "probabilities": None,
                "signals": {},
            }
        )

    return restored


@dataclass(frozen=True)
class ProbeFigures:
    """One metric of one system on the same queries, without and with the change."""

    before: Sequence[float]
    after: Sequence[float]
    people: Sequence[str]
    """Whose query each is."""
    rankings_changed: int = 0
    """Of how many queries the order of the candidates is another."""
    chance: float = 0.0


def rankings_changed(
    before: Mapping[str, Scored], after: Mapping[str, Scored], queries: Iterable[Query], catalog: Catalog
) -> int:
    """How many of the queries have another order of their candidates; equal scores stand by their ids."""
    count = 0
    for query in queries:
        if query.id in before and query.id in after:
            ids = candidate_ids(query, catalog)
            orders = [order_of(scored.scores, ids) for scored in (before[query.id], after[query.id])]
            count += orders[0] != orders[1]
    return count


def probe_result(name: str, system: str, figures: ProbeFigures, *, metric: str) -> ProbeResult:
    """The intervals of a probe, and what they mean. Raises InputError when there are no figures."""
    before = interval(figures.before, figures.people)
    after = interval(figures.after, figures.people)
    difference = paired(figures.after, figures.before, figures.people)
    return ProbeResult(
        name=name,
        question=QUESTIONS[name],
        system=system,
        before=before,
        after=after,
        difference=difference,
        verdict=_verdict(name, figures, after, difference, _shown_metric(metric)),
    )


def _verdict(name: str, figures: ProbeFigures, after: Interval, difference: Interval, metric: str) -> str:
    moved = f"{abs(difference.mean) * 100:.1f} points of {metric}"
    differs = difference.low > 0 or difference.high < 0
    fell = difference.mean < 0
    changed, total = figures.rankings_changed, len(figures.before)
    if name in ("candidate-order", "paraphrase"):
        what = "the order of the candidates" if name == "candidate-order" else "the wording of the prompts"
        if not changed:
            return f"No ranking of {total} changes with {what}."
        quality = f"it {'costs' if fell else 'gains'} {moved}" if differs else "how good they are does not"
        return f"{changed} of {total} rankings change with {what}; {quality}."
    if name in TARGET_VARIANTS:
        place = name.removeprefix("target-")
        if not differs:
            return f"Being listed {place} makes no difference that can be measured."
        effect = f"{'costs' if fell else 'gains'} an item {moved}"
        return f"Being listed {place} {effect}: places are not treated alike."
    if name == "history-shuffled":
        if not differs:
            return "The order of the history makes no difference that can be measured."
        effect = f"{'loses' if fell else 'gains'} {moved}"
        return f"The order of the history matters: without it the ranking {effect}."
    chance = f"chance ({figures.chance * 100:.1f})"
    above = after.low > figures.chance
    if differs and fell:
        rest = f"; what it keeps above {chance} is not about the person" if above else f", down to {chance}"
        return f"The history is needed: with another person's the ranking loses {moved}{rest}."
    rest = f"what it has above {chance} is not about the person" if above else f"it is at {chance}"
    return f"Another person's history does the ranking as well: {rest}."


def _shown_metric(metric: str) -> str:
    return metric.upper() if metric.startswith(("ndcg", "mrr", "map", "auc")) else metric


def _remade(event: Event, **fields: object) -> Event:
    """The event with other fields, and the id that follows from them."""
    return Event.model_validate({**event.model_dump(), **fields, "id": ""})


def _drawing(seed: int, what: str, query: Query) -> random.Random:
    return random.Random(f"{seed} {what} {query.id}")  # noqa: S311 - no secret
