"""Declares the body of a call that parses it by itself, in one pass and with our own errors."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel


def takes(
    *schemas: type[BaseModel], examples: Mapping[str, Any], required: bool = True
) -> dict[str, Any]:
    """The OpenAPI declaration of a JSON body: one of these schemas."""
    references = [{"$ref": f"#/components/schemas/{schema.__name__}"} for schema in schemas]
    return {
        "requestBody": {
            "required": required,
            "content": {
                "application/json": {
                    "schema": references[0] if len(references) == 1 else {"anyOf": references},
                    "examples": dict(examples),
                }
            },
        }
    }
