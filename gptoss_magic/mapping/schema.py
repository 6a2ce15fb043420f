"""What an answer must be: a JSON schema, or a pydantic model."""

from __future__ import annotations

import json
from typing import Any

from gptoss_magic.errors import InputError, MissingPackage


class AnswerSchema:
    """`name` and `schema` are shown to the model; `parse` checks what it says.

    `parse` gives plain JSON values. Raises InputError where `given` is neither a JSON schema of
    type object nor a pydantic model class.
    """

    def __init__(self, given: Any, name: str = "answer") -> None:
        made = getattr(given, "model_json_schema", None)
        self.schema: dict[str, Any] = made() if made else given
        self.name = getattr(given, "__name__", name)
        if not isinstance(self.schema, dict):
            raise InputError(f"schema {given!r}: give a JSON schema (a dict) or a pydantic model")
        self._validator = _validator(self.schema)

    def parse(self, text: str) -> Any:
        """The JSON value of `text`. Raises InputError with the first place that is wrong."""
        try:
            value = json.loads(_bare(text))
        except ValueError as error:
            raise InputError(f"the answer is not JSON ({error})") from error
        wrong = next(iter(self._validator.iter_errors(value)), None)
        if wrong is not None:
            raise InputError(f"the answer breaks the schema at {wrong.json_path}: {wrong.message}")
        return value


def _validator(schema: dict[str, Any]) -> Any:
    try:
        from jsonschema import SchemaError
        from jsonschema.validators import validator_for
    except ImportError as error:
        raise MissingPackage("schemas need jsonschema: pip install 'gptoss_magic[map]'") from error
    kind = validator_for(schema)
    try:
        kind.check_schema(schema)
    except SchemaError as error:
        raise InputError(f"the schema is wrong at {error.json_path}: {error.message}") from error
    return kind(schema)


def _bare(text: str) -> str:
    """`text` without the Markdown fence that models like to put around JSON."""
    text = text.strip()
    if text.startswith("```") and text.endswith("```"):
        return text.partition("\n")[2].removesuffix("```")
    return text
