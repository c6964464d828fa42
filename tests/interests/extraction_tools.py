"""What an extraction works with, for tests that call it without a Recommender."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from llmrec.interests.extraction import ExtractionTools, StageProgress
from llmrec.llm.base import Completion, LanguageModel
from llmrec.llm.embedder import FloatMatrix, unit_rows
from llmrec.llm.priors import Priors
from llmrec.llm.scripted import ScriptedAnswer, ScriptedModel
from llmrec.prompting.templates import PromptLibrary
from llmrec.settings import load_settings
from tests.builders import WRITES_ONLY


def tools_of(
    model: LanguageModel, *, language: str = "en", embedder: Any = None, progress: StageProgress | None = None
) -> ExtractionTools:
    """Tools around a model; its priors are kept in the cache folder of the tests."""
    priors = Priors(model, load_settings().cache_dir)
    return ExtractionTools(
        model, priors, PromptLibrary(), language, progress or (lambda done, total: None), embedder
    )


class ToldEmbedder:
    """Gives a text the sum of the directions that its words were told to have."""

    name = "told"
    fingerprint = "told"
    dimensions = 64
    languages = ("en",)

    def __init__(self, directions: Mapping[str, Sequence[float]]) -> None:
        self._directions = {
            word: np.asarray(numbers, dtype=np.float32) for word, numbers in directions.items()
        }

    def embed(self, texts: Sequence[str]) -> FloatMatrix:
        rows = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in re.findall(r"\w+", text.casefold()):
                numbers = self._directions.get(word)
                if numbers is not None:
                    rows[row, : len(numbers)] += numbers
        return unit_rows(rows)

    def close(self) -> None:
        pass


class AgreeableModel(ScriptedModel):
    """Writes what is enqueued, finds every claim of it supported, and leaves every label at the top.

    Answers to the further questions can be given in `checks` and `places`; those come first.
    """

    def __init__(self, *answers: ScriptedAnswer, **options: Any) -> None:
        super().__init__(*answers, capabilities=options.pop("capabilities", WRITES_ONLY), **options)
        self.checks: list[ScriptedAnswer] = []
        self.places: list[ScriptedAnswer] = []

    def generate(self, messages: Any, **options: Any) -> Completion:
        stage = stage_of(options.get("schema"))
        if stage != "reading":
            given = self.checks if stage == "check" else self.places
            agree = _supported if stage == "check" else _at_the_top
            answer = given.pop(0) if given else agree(messages[-1].content)
            # The queue may hold answers for later readings; this one comes before them.
            with self._lock:
                self._answers.appendleft(answer)
        return super().generate(messages, **options)

    def asked(self, stage: str) -> list[str]:
        """What the model was shown at a stage: `reading`, `check` or `place`."""
        return [call.messages[-1].content for call in self.history if stage_of(call.schema) == stage]


def stage_of(schema: Mapping[str, Any] | None) -> str:
    """Which question of the open strategy a schema belongs to."""
    properties = (schema or {}).get("properties", {})
    return "check" if "claims" in properties else "place" if "places" in properties else "reading"


def _supported(asked: str) -> dict[str, Any]:
    claims = re.findall(r"(?m)^(\d+)\. .*[(（](\d+) (?:steps?|级)[)）][:：] ?([\d, 、]+)$", asked)
    return {
        "claims": [
            {
                "claim": int(number),
                "events": [
                    {"event": int(event), "steps": int(steps)} for event in re.split("[,、] ?", events)
                ],
            }
            for number, steps, events in claims
        ]
    }


def _at_the_top(asked: str) -> dict[str, Any]:
    found = re.search(r"(?m)^(?:Below which of them belong these: ([\d, ]+)\?|.*：([\d、]+)？)$", asked)
    numbers = re.split("[,、] ?", (found[1] or found[2])) if found else []
    return {"places": [{"label": int(number), "broader": 0, "further": []} for number in numbers]}
