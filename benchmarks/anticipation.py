"""How often an interest not shown yet is predicted: the hit rate of the next new interest among five.

    python -m benchmarks.anticipation --data PATH

People are replayed event by event, never with the event held out of their history. After 3, 5 and 10 events,
before profiles are saturated, the first later event they liked that shows interests which the profile before
it does not hold is the case, and all its new interests, broader ones included, are the answer. Interests come
from what a catalogue says of its items: a film's genres and tags, a product's title and area. All of it is
shown, since nothing is asked of a text here but which interests follow in time; labels are by names and
categories alone, so that the answer is certain. The people whose interests are counted or compared are all
others of the sample, with their whole histories. Weights were learned on one half of the people (`--tune`
shows how; by a hash of the id), figures are of the other half, with 95% bootstrap intervals over people; the
model is asked for a sample of them.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.histories import (
    Person,
    by_person,
    interval,
    read_films,
    read_shoppers,
    read_viewers,
    told,
    tools_without_model,
)
from llmrec.interests import anticipation
from llmrec.interests.anticipation import (
    SOURCE_WEIGHTS,
    WEIGHTS_ALONE,
    OtherPeople,
    PredictionSource,
    SourceScores,
    Values,
    best_of,
    candidate_interests,
    combined,
    model_scores,
    neighbourhood_scores,
    people_scores,
)
from llmrec.interests.extraction import ExtractionTools
from llmrec.interests.neighbourhood import Neighbourhood, own_interests
from llmrec.interests.taxonomy import Vocabulary, VocabularyNode
from llmrec.llm.priors import Priors
from llmrec.llm.registry import open_embedder, open_model
from llmrec.prompting.templates import PromptLibrary
from llmrec.settings import load_settings

CUTS = (3, 5, 10)
LEAST_EVENTS = 8
MOST_PEOPLE = 400
K = 5
GRID = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True)
class Case:
    """A moment before a new interest was shown."""

    person: Person
    events: int
    """How many events are known."""
    answer: frozenset[str]
    """The ids of the new interests."""


@dataclass(frozen=True)
class Scored:
    """What each source says in a case."""

    case: Case
    candidates: list[VocabularyNode]
    sources: Mapping[PredictionSource, SourceScores]
    popularity: Values


def cases_of(person: Person, vocabulary: Vocabulary) -> list[Case]:
    """The next new interest after each cut; cuts with the same next one make a single case."""
    shown = [
        {
            step.id
            for label in reading.labels
            for step in label.path
            if step.id in vocabulary and vocabulary[step.id].attribute is None
        }
        for reading in person.readings
    ]
    found: dict[int, Case] = {}
    for cut in CUTS:
        held = set().union(*shown[:cut])
        for at in range(cut, len(shown)):
            new = shown[at] - held
            if new and person.entries[at].strength > 0:
                found[at] = Case(person, at, frozenset(new))
                break
            held |= shown[at]
    return list(found.values())


class World:
    """Everything a case is scored with."""

    def __init__(self, people: Sequence[Person], vocabulary: Vocabulary, tools: ExtractionTools) -> None:
        self.vocabulary = vocabulary
        self.tools = tools
        self.neighbourhood = Neighbourhood(vocabulary, tools.embedder)
        self.people = OtherPeople.of((person.profile() for person in people), vocabulary)

    def score(self, case: Case) -> Scored:
        """Ask every source."""
        profile = case.person.profile(case.events)
        own = own_interests(profile, self.vocabulary)
        candidates = candidate_interests(profile, self.vocabulary)
        sources: dict[PredictionSource, SourceScores] = {
            "neighbourhood": neighbourhood_scores(own, candidates, self.neighbourhood),
            "people": people_scores(profile.user_id, own, candidates, self.people, self.neighbourhood),
        }
        if self.tools.model.capabilities.score:
            near = sources["neighbourhood"].values
            asked = best_of(near, candidates, anticipation.ASKED_OF_MODEL)
            sources["model"], _ = model_scores(own, candidates, asked, self.tools)
        others = [row for row, other in enumerate(self.people.user_ids) if other != profile.user_id]
        holders = (self.people.balances[others] > 0).sum(axis=0)
        columns = [self.neighbourhood.places[node.id] for node in candidates]
        return Scored(case, candidates, sources, holders[columns].astype(np.float64))


def hits(scored: Sequence[Scored], score: Callable[[Scored], Values]) -> tuple[list[float], set[str]]:
    """Whether the answer is among the first five, averaged for each person; and all that was predicted."""
    found, predicted = [], set()
    for one in scored:
        total = score(one)
        order = sorted(range(len(total)), key=lambda at: (-round(float(total[at]), 9), one.candidates[at].id))
        first = {one.candidates[at].id for at in order[:K] if total[at] > 0}
        predicted |= first
        found.append(float(bool(first & one.case.answer)))
    return by_person(np.array(found), [one.case.person.user_id for one in scored]), predicted


def tune(scored: Mapping[str, Sequence[Scored]], tell: Callable[[str], None]) -> None:
    """Show the best weights on the tuning halves: by the mean of the datasets."""
    rows = []
    for weights in itertools.product(GRID, repeat=3):
        if abs(sum(weights) - 1) > 1e-9:
            continue
        given: dict[PredictionSource, float] = dict(
            zip(("neighbourhood", "people", "model"), weights, strict=True)
        )
        means = [float(np.mean(hits(of, partial(_weighted, given))[0])) for of in scored.values()]
        rows.append((float(np.mean(means)), weights, means))
    tell(f"mean  neighbourhood, people, model  {', '.join(scored)}")
    for title, chosen in (
        ("with other people", rows),
        ("without", [row for row in rows if row[1][1] == 0]),
    ):
        tell(title)
        for mean, weights, means in sorted(chosen, reverse=True)[:10]:
            tell(f"{100 * mean:5.1f}  {weights}  {', '.join(f'{100 * one:.1f}' for one in means)}")


def _weighted(weights: Mapping[PredictionSource, float], one: Scored) -> Values:
    return combined(one.sources, weights)


def report(scored: Sequence[Scored], tell: Callable[[str], None]) -> None:
    """Write the figures of the reporting half; in brackets how many different interests were predicted."""
    methods: dict[str, Callable[[Scored], Values]] = {
        "popularity": lambda one: one.popularity,
        "neighbourhood alone": lambda one: one.sources["neighbourhood"].values,
        "people alone": lambda one: one.sources["people"].values,
    }
    if all("model" in one.sources for one in scored):
        methods["model alone"] = lambda one: one.sources["model"].values
        methods["neighbourhood and model (nobody else)"] = partial(_weighted, WEIGHTS_ALONE)
    methods["all together"] = partial(_weighted, SOURCE_WEIGHTS)
    found = {name: hits(scored, score) for name, score in methods.items()}
    for name, (values, predicted) in found.items():
        told(tell, f"{name} ({len(predicted)} different)", interval(values))
    for name in list(methods)[:-1]:
        difference = np.array(found["all together"][0]) - np.array(found[name][0])
        told(tell, f"  all together less {name}", interval(list(difference)))


def main() -> None:
    """Replay, predict, and print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder of the datasets")
    parser.add_argument("--model", default="embedded", help="the model to ask, or none (default embedded)")
    parser.add_argument("--sample", type=int, default=60, help="people of each dataset whom the model reads")
    parser.add_argument("--tune", action="store_true", help="show the grid on the tuning half instead")
    arguments = parser.parse_args()
    vocabulary = Vocabulary.load()
    settings = load_settings()
    tools = replace(tools_without_model(), embedder=open_embedder(None, settings))
    if arguments.model != "none":
        model = open_model(arguments.model, settings)
        library = PromptLibrary(settings.prompts)
        tools = replace(tools, model=model, priors=Priors(model, settings.cache_dir), library=library)
    datasets = {"movielens": read_viewers(arguments.data, read_films(arguments.data), vocabulary)}
    for name in ("games", "food-kitchen"):
        datasets[name] = read_shoppers(arguments.data, name, vocabulary, least=LEAST_EVENTS, most=MOST_PEOPLE)
    found: dict[str, list[Scored]] = {}
    for name, people in datasets.items():
        half = [person for person in people if person.tuning == arguments.tune]
        asked = half[: arguments.sample] if tools.model.capabilities.score else half
        world = World(people, vocabulary, tools)
        found[name] = [world.score(case) for person in asked for case in cases_of(person, vocabulary)]
        if not arguments.tune:
            print(
                f"{name}: {len(found[name])} new interests of {len(asked)} people; {len(half)} in this half"
            )
            report(found[name], print)
    if arguments.tune:
        tune(found, print)


if __name__ == "__main__":
    main()
