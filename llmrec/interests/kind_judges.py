"""What a model thinks of "X is a kind of Y": by likelihood ratio, or by a structured answer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial

from pydantic import BaseModel, Field

from llmrec.errors import AnswerError, ContextLengthError
from llmrec.interests.extraction import ExtractionTools
from llmrec.interests.placement import TOP, FreeLabel, KindJudge, PlacementWeights
from llmrec.llm.base import LanguageModel, Message, Score
from llmrec.llm.cache import naming_prompt
from llmrec.prompting.structured import ask

PRIOR_EXPONENT = 0.5
"""Of how likely a broader label is without a narrower one. At 1, the ratio itself, rare labels win, and those
that mean the same as the narrower one; a broader label is a likelier word, and half of that is left to it."""
CHOSEN = 20.0
"""What a model's written choice counts: more than all other signs together."""
ALSO = 16.0
"""What a further choice counts."""
WRITTEN_WEIGHTS = PlacementWeights(near=6.0)
"""A further choice lies within `near` of the choice, whatever else adds to them; no other label does."""
MOST_SHOWN = 80
"""Labels a writing model is shown at once."""
TOKENS_PER_LABEL = 30


def kind_judge(tools: ExtractionTools, prompts: dict[str, str]) -> KindJudge | None:
    """The judge that the model's capabilities allow, or None; it notes the templates it used in `prompts`."""
    can = tools.model.capabilities
    if can.open_answers and can.generate and can.structured != "none":
        return WrittenKinds(tools, prompts)
    return LikelyKinds(tools, prompts) if can.score else None


LIKELY_WEIGHTS = PlacementWeights(similarity=2.0, subsumption=4.0, suggested=8.0, top=-1.0, near=0.25)
"""For likelihood ratios, the best of which lie around -2 nats: chosen by benchmarks/placement."""


class LikelyKinds:
    """Scores "X is a kind of Y" against "Something is a kind of Y"."""

    weights = LIKELY_WEIGHTS

    def __init__(self, tools: ExtractionTools, prompts: dict[str, str]) -> None:
        self._tools = tools
        self._prompts = prompts

    def judge(
        self, labels: Mapping[str, FreeLabel], candidates: Mapping[str, Sequence[str]]
    ) -> dict[tuple[str, str], float]:
        """The log-likelihood ratio of each pair, per square root of its tokens, in nats.

        With a the log-probability of " Y" after "X is a kind of" and b that after "Something is a kind of",
        (a - 0.5 b) / sqrt(tokens of Y).
        """
        broader = sorted({other for found in candidates.values() for other in found})
        expected = self._score("", [labels[other] for other in broader], self._tools.priors.model)
        priors = dict(zip(broader, expected, strict=True))
        ratios: dict[tuple[str, str], float] = {}
        for node_id, found in candidates.items():
            scores = self._score(labels[node_id].label, [labels[other] for other in found], self._tools.model)
            for other, score in zip(found, scores, strict=True):
                gained = score.logprob - PRIOR_EXPONENT * priors[other].logprob
                ratios[node_id, other] = gained / math.sqrt(max(score.tokens, 1))
        return ratios

    def _score(self, narrow: str, broader: Sequence[FreeLabel], model: LanguageModel) -> list[Score]:
        prompt = self._tools.library.render("interests/kind_of", self._tools.language, label=narrow)
        self._prompts[f"{prompt.name}.{prompt.language}"] = prompt.fingerprint
        chinese = self._tools.language == "zh"
        texts = [other.label if chinese else f" {other.label.lower()}" for other in broader]
        with naming_prompt(prompt.fingerprint):
            return model.score(prompt.text, texts)


class PlacedLabel(BaseModel):
    """Where a model puts one label."""

    label: int
    """The number of the label that was asked about."""
    broader: int
    """The number of the label it belongs below; 0 when none is broader."""
    further: list[int] = Field(max_length=2)
    """Numbers of further broader labels; most labels have none."""


class PlaceAnswer(BaseModel):
    """Where a model puts the labels it was asked about."""

    places: list[PlacedLabel]


class WrittenKinds:
    """Asks a model that writes where labels belong, in one structured answer."""

    def __init__(self, tools: ExtractionTools, prompts: dict[str, str]) -> None:
        self._tools = tools
        self._prompts = prompts
        self.failed = False
        """Whether no usable answer could be had."""

    @property
    def weights(self) -> PlacementWeights:
        """A choice outweighs closeness and words, which decide alone where there is none."""
        return PlacementWeights() if self.failed else WRITTEN_WEIGHTS

    def judge(
        self, labels: Mapping[str, FreeLabel], candidates: Mapping[str, Sequence[str]]
    ) -> dict[tuple[str, str], float]:
        """The choices of the model; nothing when no usable answer could be had."""
        shown = _shown(labels, candidates)
        asked = [number for number, node_id in enumerate(shown, start=1) if node_id in candidates]
        try:
            answer = self._ask([_path(labels, node_id) for node_id in shown], asked)
        except (AnswerError, ContextLengthError):
            self.failed = True
            return {}
        choices: dict[tuple[str, str], float] = {}
        for place in answer.places:
            node_id = shown[place.label - 1]
            for other in place.further:
                choices[node_id, shown[other - 1]] = ALSO
            choices[node_id, shown[place.broader - 1] if place.broader else TOP] = CHOSEN
        return choices

    def _ask(self, paths: Sequence[Sequence[str]], asked: Sequence[int]) -> PlaceAnswer:
        tools = self._tools
        system = tools.library.render("interests/place_system", tools.language)
        prompt = tools.library.render(
            "interests/place",
            tools.language,
            labels=[{"number": number, "path": path} for number, path in enumerate(paths, start=1)],
            asked=asked,
        )
        self._prompts.update({f"{used.name}.{used.language}": used.fingerprint for used in (system, prompt)})
        with naming_prompt(prompt.fingerprint):
            answer = ask(
                tools.model,
                [Message(role="system", content=system.text), Message(role="user", content=prompt.text)],
                PlaceAnswer,
                library=tools.library,
                language=tools.language,
                max_tokens=200 + TOKENS_PER_LABEL * len(asked),
                check=partial(_faults, asked=asked, size=len(paths)),
            )
        return answer.value


def _shown(labels: Mapping[str, FreeLabel], candidates: Mapping[str, Sequence[str]]) -> list[str]:
    """The ids of the labels to show: those asked about, and their possible parents, most wanted first."""
    ranks: dict[str, float] = {}
    for found in candidates.values():
        for rank, other in enumerate(found):
            ranks[other] = ranks.get(other, 0.0) + 1 / (1 + rank)
    wanted = sorted(ranks, key=lambda node_id: (-ranks[node_id], node_id))
    kept = list(dict.fromkeys([*sorted(candidates), *wanted]))[:MOST_SHOWN]
    return sorted(kept, key=lambda node_id: (_path(labels, node_id), node_id))


def _path(labels: Mapping[str, FreeLabel], node_id: str) -> list[str]:
    path = [labels[node_id].label]
    seen = {node_id}
    parent = labels[node_id].parent
    while parent is not None and parent not in seen:
        seen.add(parent)
        path.append(labels[parent].label)
        parent = labels[parent].parent
    return path[::-1]


def _faults(answer: PlaceAnswer, asked: Sequence[int], size: int) -> list[str]:
    faults = []
    answered: set[int] = set()
    for at, place in enumerate(answer.places):
        if place.label not in asked:
            faults.append(f"places.{at}.label: label {place.label} was not asked about")
        if place.label in answered:
            faults.append(f"places.{at}.label: label {place.label} is answered twice")
        answered.add(place.label)
        if not 0 <= place.broader <= size or place.broader == place.label:
            faults.append(f"places.{at}.broader: give another label, 1 to {size}, or 0")
        if any(not 1 <= other <= size or other == place.label for other in place.further):
            faults.append(f"places.{at}.further: give other labels, 1 to {size}")
    missing = [number for number in asked if number not in answered]
    if missing:
        faults.append(f"places: label {missing[0]} is missing")
    return faults
