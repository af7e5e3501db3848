"""What a setting may be, in words, from the JSON schema of its type."""

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

Schema = Mapping[str, Any]

PLAIN = {"boolean": "true or false", "null": "null", "string": "text"}
NUMBERS = {"integer": "whole number", "number": "number"}
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def allowed(hint: Any) -> str:
    """One phrase for a type that holds no section."""
    return _words(TypeAdapter(hint).json_schema())


def _words(schema: Schema) -> str:
    if "$ref" in schema or schema.get("type") == "object":
        return _mapping(schema)
    if choices := schema.get("enum", [schema["const"]] if "const" in schema else []):
        return " or ".join(f"`{choice}`" for choice in choices)
    if parts := schema.get("anyOf", schema.get("oneOf")):
        return "; or ".join(map(_words, parts))
    if schema["type"] == "array":
        several = schema.get("prefixItems")
        return (
            f"list of {len(several)}: {', '.join(map(_words, several))}" if several else f"list of: {_words(schema['items'])}"
        )
    if schema["type"] in NUMBERS:
        return " ".join([NUMBERS[schema["type"]], _range(schema)]).strip()
    return PLAIN[schema["type"]]


def _mapping(schema: Schema) -> str:
    """From patterns or names to something; or a record that a reference names."""
    inside = [*schema.get("patternProperties", {}).values(), schema.get("additionalProperties")]
    values = next((one for one in inside if isinstance(one, Mapping)), None)
    return "a section" if values is None else f"by name: {_words(values)}"


def _range(schema: Schema) -> str:
    return ", ".join(f"{sign} {schema[bound]:,.10g}" for bound, sign in BOUNDS.items() if bound in schema)
