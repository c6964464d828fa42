"""The strict dialect of JSON schemas."""

from __future__ import annotations

import copy
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field

from llmrec.llm.schemas import REFUSED_KEYWORDS, InexpressibleSchemaError, strict_schema


class Leaf(BaseModel):
    kind: Literal["leaf"] = "leaf"
    label: str = Field(default="", min_length=1, max_length=60)
    events: list[int] = Field(default_factory=list, max_length=8)


class Branch(BaseModel):
    kind: Literal["branch"]
    label: str = Field(description="what it is called", pattern="^.+$")
    weight: int = Field(ge=0, le=10)
    children: list[Branch | Leaf] = []
    nearest: Leaf | None = Field(default=None, description="the leaf beside it")


class Forest(BaseModel):
    title: str
    trees: set[Branch] = Field(default_factory=set)


def _objects(schema: Any) -> list[dict[str, Any]]:
    found = [schema] if isinstance(schema, dict) else []
    for part in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else []:
        found += _objects(part)
    return found


@pytest.mark.parametrize("model", [Leaf, Branch, Forest])
def test_every_object_is_closed_and_complete(model: type[BaseModel]) -> None:
    given = model.model_json_schema()
    before = copy.deepcopy(given)
    strict = strict_schema(given)
    assert given == before
    assert strict["type"] == "object"
    assert "$ref" not in strict
    for part in _objects(strict):
        if part.get("type") == "object":
            assert part["additionalProperties"] is False
            assert part["required"] == list(part["properties"])
        if "$ref" in part:
            assert list(part) == ["$ref"]


def test_refused_keywords_are_gone_and_bounds_of_lists_and_numbers_stay() -> None:
    strict = strict_schema(Branch.model_json_schema())
    leaf = strict["$defs"]["Leaf"]
    for part in (strict, leaf):
        for described in part["properties"].values():
            assert not REFUSED_KEYWORDS.intersection(described)
    assert strict["properties"]["weight"] == {
        "maximum": 10,
        "minimum": 0,
        "title": "Weight",
        "type": "integer",
    }
    assert leaf["properties"]["events"]["maxItems"] == 8
    assert strict["properties"]["label"]["description"] == "what it is called"


def test_recursion_is_kept_and_the_root_is_written_out() -> None:
    given = Branch.model_json_schema()
    assert "$ref" in given
    strict = strict_schema(given)
    choices = strict["properties"]["children"]["items"]["anyOf"]
    assert choices == [{"$ref": "#/$defs/Branch"}, {"$ref": "#/$defs/Leaf"}]
    assert set(strict["$defs"]) == {"Branch", "Leaf"}
    assert strict["properties"]["kind"]["enum"] == ["branch"]


def test_a_property_named_like_a_keyword_stays() -> None:
    schema = {"type": "object", "properties": {"format": {"type": "string"}, "default": {"type": "integer"}}}
    assert strict_schema(schema)["required"] == ["format", "default"]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "additionalProperties": {"type": "number"}},
        {
            "type": "object",
            "properties": {"a": {"type": "object", "additionalProperties": {"type": "number"}}},
        },
        {"type": "object", "properties": {"a": {}}},
        {"type": "object", "properties": {"a": {"type": "array"}}},
        {"type": "object", "properties": {"a": {"type": "array", "prefixItems": [{"type": "string"}]}}},
        {"type": "object", "properties": {"a": True}},
        {"type": "array", "items": {"type": "string"}},
        {"anyOf": [{"type": "object", "properties": {"a": {"type": "string"}}}]},
        {"$ref": "#/$defs/Nowhere"},
        {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}},
        {"type": "object", "properties": {"a": {"not": {"type": "string"}}}},
    ],
)
def test_what_the_dialect_cannot_say_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(InexpressibleSchemaError):
        strict_schema(schema)
