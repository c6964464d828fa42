"""Generation: what a schema costs a token, and whether every finished object fits it."""

from __future__ import annotations

import time
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from benchmarks.comparison import Comparison, Workbench
from llmrec.llm.base import Message
from llmrec.llm.llama_cpp import LlamaCppModel

QUESTION = [
    Message(
        role="user",
        content='Two interests as JSON, {"类别":"电影","weight":9,"notes":["quiet"],"narrower":'
        '{"类别":"科幻","weight":5,"notes":[],"narrower":null}} for example. Now another one, in one line.',
    )
]
TOKENS = 96
LONGEST = 120
TEMPERATURE = 0.7


class Interest(BaseModel):
    """A node of a tree of interests: recursion, a numeric range, bounded lists and texts, Chinese."""

    model_config = ConfigDict(extra="forbid")

    类别: Literal["电影", "科幻", "书", "Films"]
    weight: Annotated[int, Field(ge=3, le=17)]
    notes: Annotated[list[Annotated[str, Field(max_length=6)]], Field(max_length=2)]
    narrower: Interest | None


class Prose(BaseModel):
    """A schema that leaves the model free for most of its tokens."""

    model_config = ConfigDict(extra="forbid")

    story: Annotated[str, Field(min_length=2000)]


def against_free_generation(bench: Workbench) -> list[Comparison]:
    """Seconds a token, the prompt read before, with and without a schema."""
    sides: dict[str, list[float]] = {"free": [], "prose": [], "objects": []}
    schemas = {"free": None, "prose": Prose.model_json_schema(), "objects": Interest.model_json_schema()}
    with bench.model() as model:
        for run in range(bench.runs + 1):
            bench.tell(f"generation, run {run + 1}")
            for name, schema in schemas.items():
                spent = 0.0
                tokens = 0
                seed = 100 * run
                while tokens < TOKENS:
                    model.score("", [" warm"])
                    model.generate(QUESTION, schema=schema, max_tokens=1)
                    began = time.perf_counter()
                    answer = model.generate(
                        QUESTION,
                        schema=schema,
                        max_tokens=TOKENS - tokens,
                        temperature=TEMPERATURE,
                        seed=seed,
                    )
                    spent += time.perf_counter() - began
                    tokens += answer.usage.completion_tokens
                    seed += 1
                if run:
                    sides[name].append(1000 * spent / tokens)
    return [
        Comparison(
            name=f"generation held to a schema, {name}",
            ours=what,
            other="free generation",
            unit="ms/token",
            ours_values=sides[name],
            other_values=sides["free"],
            ratio_is="ours / other",
            target="<= 1.3",
        )
        for name, what in (
            ("prose", "one long string: nearly every token is the model's choice"),
            ("objects", "recursion, ranges, bounded lists, Chinese keys: forced tokens are read at once"),
        )
    ]


def validity(bench: Workbench, objects: int) -> list[Comparison]:
    """How many of so many completed objects fit their schema, read strictly."""
    schema = Interest.model_json_schema()
    valid = completed = seed = 0
    began = time.perf_counter()
    with bench.model() as model:
        while completed < objects:
            answer = _object(model, schema, seed)
            seed += 1
            if answer is None:
                continue
            completed += 1
            try:
                Interest.model_validate_json(answer, strict=True)
                valid += 1
            except ValueError:
                bench.tell(f"not valid: {answer}")
            if completed % 50 == 0:
                bench.tell(f"validity, {completed} of {objects} objects")
    return [
        Comparison(
            name="valid objects",
            ours="completed objects that fit their schema",
            other="completed objects",
            unit="objects",
            ours_values=[valid],
            other_values=[completed],
            ratio_is="ours / other",
            target=">= 1",
            note=f"{seed - completed} more were cut off by the limit of tokens; "
            f"{(time.perf_counter() - began) / max(seed, 1):.2f} s each",
        )
    ]


def _object(model: LlamaCppModel, schema: dict[str, object], seed: int) -> str | None:
    answer = model.generate(QUESTION, schema=schema, max_tokens=LONGEST, temperature=TEMPERATURE, seed=seed)
    return answer.text if answer.finish_reason == "stop" else None
