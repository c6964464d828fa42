"""JSON schemas in the dialects servers understand."""

from __future__ import annotations

from typing import Any

# What strict structured outputs refuse, and what a validator checks afterwards anyway.
REFUSED_KEYWORDS = frozenset(
    {
        "$schema",
        "$id",
        "contentEncoding",
        "contentMediaType",
        "default",
        "deprecated",
        "discriminator",
        "examples",
        "format",
        "maxLength",
        "minLength",
        "pattern",
        "readOnly",
        "uniqueItems",
        "writeOnly",
    }
)
# Keywords whose meaning would be lost without a word, so a schema that uses them has no strict form.
INEXPRESSIBLE_KEYWORDS = frozenset(
    {
        "contains",
        "dependentRequired",
        "dependentSchemas",
        "else",
        "if",
        "maxProperties",
        "minProperties",
        "not",
        "patternProperties",
        "prefixItems",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)


class InexpressibleSchemaError(ValueError):
    """A schema says something that the strict dialect has no words for."""


def strict_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema in the dialect of strict structured outputs; the given one stays as it is.

    The root is an object, every object lists all its properties as required and allows no others, and
    keywords that the dialect refuses are gone. References, recursive ones too, are kept.
    Raises InexpressibleSchemaError for open mappings, tuples, conditions and roots that are no objects.
    """
    definitions = {**schema.get("definitions", {}), **schema.get("$defs", {})}
    root = schema
    for _ in range(len(definitions) + 1):
        if "$ref" not in root:
            break
        root = _resolve(root["$ref"], definitions)
    strict = _strict({key: value for key, value in root.items() if key not in ("$defs", "definitions")})
    if strict.get("type") != "object" or "anyOf" in strict:
        raise InexpressibleSchemaError("the root of the schema is not an object")
    if definitions:
        strict["$defs"] = {name: _strict(definition) for name, definition in definitions.items()}
    return strict


def _resolve(reference: str, definitions: dict[str, Any]) -> dict[str, Any]:
    name = reference.rpartition("/")[2].replace("~1", "/").replace("~0", "~")
    found = definitions.get(name)
    if not isinstance(found, dict):
        raise InexpressibleSchemaError(f"the schema refers to {reference!r}, which it does not define")
    return found


def _strict(schema: Any) -> dict[str, Any]:
    if not isinstance(schema, dict):
        raise InexpressibleSchemaError("a part of the schema allows anything")
    if "$ref" in schema:
        # The dialect allows no neighbours beside a reference.
        return {"$ref": str(schema["$ref"]).replace("#/definitions/", "#/$defs/")}
    lost = INEXPRESSIBLE_KEYWORDS.intersection(schema)
    if lost:
        raise InexpressibleSchemaError(f"the schema uses {sorted(lost)[0]}")
    parts = schema.get("allOf")
    if parts:
        if len(parts) > 1:
            raise InexpressibleSchemaError("the schema uses allOf with several parts")
        merged = {**{key: value for key, value in schema.items() if key != "allOf"}, **parts[0]}
        return _strict(merged)
    strict = {key: value for key, value in schema.items() if key not in REFUSED_KEYWORDS}
    if "const" in strict:
        strict["enum"] = [strict.pop("const")]
    choices = [*strict.pop("oneOf", ()), *strict.pop("anyOf", ())]
    if choices:
        strict["anyOf"] = [_strict(choice) for choice in choices]
    if strict.get("type") == "object" or "properties" in strict:
        _close_object(strict)
    if strict.get("type") == "array" or "items" in strict:
        strict["items"] = _strict(strict.get("items"))
    if not {"type", "enum", "anyOf"}.intersection(strict):
        raise InexpressibleSchemaError("a part of the schema allows anything")
    return strict


def _close_object(schema: dict[str, Any]) -> None:
    if not schema.get("properties") or schema.get("additionalProperties"):
        raise InexpressibleSchemaError("the schema holds a mapping with keys of the model's choice")
    schema["type"] = "object"
    schema["properties"] = {name: _strict(part) for name, part in schema["properties"].items()}
    schema["required"] = list(schema["properties"])
    schema["additionalProperties"] = False
