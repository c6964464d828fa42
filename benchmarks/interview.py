"""What questions are worth: ranking by interests after 0, 1, 3 and 5 answers of people nothing is known of.

    python -m benchmarks.interview --data PATH

The people of MovieLens answer as their histories do, from which the film held out is left out: yes to an
interest that weighs more among the films they liked than in the catalogue, no to one that weighs less than
half as much or whose films they mostly disliked, else no opinion; of the narrower interests offered they take
the one that stands out most, where it does so clearly more than the whole. 20 candidates, the film held out
and 19 films they have not seen, are then ranked by the interests so learnt alone; what is tied stands in an
order drawn with a fixed seed. Questions are chosen by expected change, at random, or by how many films the
interest has. The chances of answers and the threshold were learned on one half of the people (`--tune` shows
that half, and how often each answer was given); figures are of the other half, with 95% bootstrap intervals.
"""

from __future__ import annotations

import argparse
import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from benchmarks.histories import (
    Person,
    empty_profile,
    interval,
    read_films,
    read_targets,
    read_viewers,
    told,
)
from llmrec.behavior.events import Catalog
from llmrec.interests.neighbourhood import Neighbourhood
from llmrec.interests.profile import InterestProfile
from llmrec.interests.taxonomy import Vocabulary
from llmrec.prompting.templates import PromptLibrary
from llmrec.ranking.catalog_interests import CatalogInterests
from llmrec.ranking.interview import NO, NO_OPINION, YES, Question, answer_events, make_question, with_answers
from llmrec.ranking.lexical import InterestMatcher
from llmrec.ranking.questions import next_question, open_questions

Method = Literal["expected change", "random", "popularity"]
METHODS: tuple[Method, ...] = ("expected change", "random", "popularity")
STEPS = (0, 1, 3, 5)
K = 10
LITTLE = 0.5
STANDS_OUT = 1.5


@dataclass(frozen=True)
class World:
    """What an interview is held with."""

    films: Catalog
    vocabulary: Vocabulary
    matcher: InterestMatcher
    catalog: CatalogInterests
    neighbourhood: Neighbourhood
    library: PromptLibrary


class SimulatedPerson:
    """Answers from a history."""

    def __init__(self, person: Person, catalog: CatalogInterests) -> None:
        self.liked: Counter[str] = Counter()
        self.disliked: Counter[str] = Counter()
        self._base = dict(zip(catalog.ids, catalog.item_shares, strict=True))
        for entry, reading in zip(person.entries, person.readings, strict=True):
            shown = {step.id for label in reading.labels for step in label.path}
            (self.liked if entry.strength > 0 else self.disliked).update([*shown, ""])

    def lift(self, interest_id: str) -> float:
        """How much more it weighs among what was liked than in the catalogue: 1 for as much."""
        share = self.liked[interest_id] / max(1, self.liked[""])
        return share / max(float(self._base.get(interest_id, 0.0)), 1e-9)

    def answer(self, question: Question) -> str:
        """The id of the answer taken."""
        offered = question.interests[1:]
        best = max(offered, key=self.lift, default=None)
        lift = self.lift(question.id)
        if best is not None and self.lift(best) >= STANDS_OUT * max(lift, 1.0) and self.liked[best] > 1:
            return best
        if lift >= 1:
            return YES
        if lift < LITTLE or self.disliked[question.id] > self.liked[question.id]:
            return NO
        return NO_OPINION


def choose(
    method: Method, profile: InterestProfile, world: World, asked: set[str], draw: random.Random
) -> Question | None:
    """The next question by one of the methods; those that all items belong to are asked by none."""
    whole = {i for i, share in zip(world.catalog.ids, world.catalog.item_shares, strict=True) if share == 1}
    if method == "expected change":
        return next_question(
            profile,
            world.catalog,
            vocabulary=world.vocabulary,
            library=world.library,
            asked=asked | whole,
            neighbourhood=world.neighbourhood,
        )
    columns = open_questions(profile, world.catalog, world.vocabulary, asked | whole)
    if not columns:
        return None
    shares = world.catalog.item_shares
    column = draw.choice(columns) if method == "random" else max(columns, key=lambda c: (shares[c], -c))
    return make_question(
        world.catalog.ids[column],
        world.catalog,
        vocabulary=world.vocabulary,
        library=world.library,
        language="en",
        known={one.id for one in profile.interests},
    )


def ndcg(profile: InterestProfile, candidates: Sequence[str], target: str, world: World) -> float:
    """NDCG@10 of the one film that is wanted, ranked by interests alone."""
    scores = [
        sum(part.amount for part in world.matcher.contributions(profile.hierarchy, world.films[film]))
        for film in candidates
    ]
    order = sorted(range(len(candidates)), key=lambda at: -round(scores[at], 6))
    rank = [candidates[at] for at in order].index(target) + 1
    return 1 / math.log2(rank + 1) if rank <= K else 0.0


def interview(
    person: Person, target: str, method: Method, world: World, answers: Counter[tuple[str, str]]
) -> list[float]:
    """NDCG@10 after each of `STEPS` questions."""
    draw = random.Random(f"{person.user_id} {method}")
    candidates = sorted([*person.negatives, target])
    random.Random(person.user_id).shuffle(candidates)
    simulated = SimulatedPerson(person, world.catalog)
    profile, asked, found = empty_profile(person.user_id), set[str](), []
    for number in range(max(STEPS) + 1):
        if number in STEPS:
            found.append(ndcg(profile, candidates, target, world))
        question = choose(method, profile, world, asked, draw) if number < max(STEPS) else None
        if question is not None:
            asked.add(question.id)
            given = simulated.answer(question)
            answers[question.id, given if given in (YES, NO, NO_OPINION) else "narrower"] += 1
            held = {entry.event.id for entry in profile.entries}
            profile = with_answers(profile, answer_events(question, given, person.user_id, held=held))
    return found


def report(
    people: Sequence[Person], targets: dict[str, str], world: World, tell: Callable[[str], None]
) -> None:
    """Write the figures."""
    tell(f"NDCG@{K} of {len(people)} people, 20 candidates, ranked by interests alone")
    found: dict[Method, np.ndarray[tuple[int, int], np.dtype[np.float64]]] = {}
    for method in METHODS:
        answers: Counter[tuple[str, str]] = Counter()
        rows = [interview(one, targets[one.user_id], method, world, answers) for one in people]
        found[method] = np.array(rows)
        for column, step in enumerate(STEPS):
            told(tell, f"{method}, {step} questions", interval(list(found[method][:, column])))
        kinds = Counter({kind: 0 for _, kind in answers})
        for (_, kind), count in answers.items():
            kinds[kind] += count
        tell(f"  answers: {', '.join(f'{kind} {count}' for kind, count in kinds.most_common())}")
        first = Counter({interest: 0 for interest, _ in answers})
        for (interest, _), count in answers.items():
            first[interest] += count
        tell(f"  asked most: {', '.join(f'{interest} {count}' for interest, count in first.most_common(6))}")
    for method in METHODS[1:]:
        for column, step in enumerate(STEPS[1:], start=1):
            difference = found["expected change"][:, column] - found[method][:, column]
            told(tell, f"expected change less {method}, {step}", interval(list(difference)))


def calibrate(people: Sequence[Person], world: World, tell: Callable[[str], None]) -> None:
    """Show how often each answer is given, by the share of the films that belong to the interest."""
    bands: dict[int, Counter[str]] = {}
    for person in people:
        simulated = SimulatedPerson(person, world.catalog)
        for interest_id, share in zip(world.catalog.ids, world.catalog.item_shares, strict=True):
            question = make_question(
                interest_id, world.catalog, vocabulary=world.vocabulary, library=world.library, language="en"
            )
            bands.setdefault(math.floor(math.log2(share)), Counter())[simulated.answer(question)] += 1
    for band, counts in sorted(bands.items()):
        total = sum(counts.values())
        no, nothing = counts[NO] / total, counts[NO_OPINION] / total
        yes = 1 - no - nothing
        tell(f"share of items from {2.0**band:.4f}: yes {yes:.2f}, no {no:.2f}, no opinion {nothing:.2f}")


def main() -> None:
    """Interview everyone in each way, and print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds movielens/")
    parser.add_argument("--tune", action="store_true", help="show the tuning half instead")
    arguments = parser.parse_args()
    vocabulary, films = Vocabulary.load(), read_films(arguments.data)
    matcher = InterestMatcher(vocabulary)
    world = World(
        films,
        vocabulary,
        matcher,
        CatalogInterests(films.items_in_order, matcher, vocabulary),
        Neighbourhood(vocabulary),
        PromptLibrary(),
    )
    people = [
        person
        for person in read_viewers(arguments.data, films, vocabulary)
        if person.tuning == arguments.tune
    ]
    if arguments.tune:
        calibrate(people, world, print)
    report(people, read_targets(arguments.data), world, print)


if __name__ == "__main__":
    main()
