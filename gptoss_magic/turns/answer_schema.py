"""What an answer must be: a JSON schema, or a pydantic model."""

from __future__ import annotations

import json
from typing import Any

from gptoss_magic.errors import InputError, MissingPackage


class AnswerSchema:
    """`name` and `schema` are shown to the model; `parse` and `value` check what it says.

    Raises InputError where `given` is neither a JSON schema (a dict) nor a pydantic model class.
    """

    def __init__(self, given: Any, name: str = "answer") -> None:
        made = getattr(given, "model_json_schema", None)
        self.schema: dict[str, Any] = made() if made else given
        self.model = given if made else None
        self.name = getattr(given, "__name__", name)
        if not isinstance(self.schema, dict):
            raise InputError(f"schema {given!r}: give a JSON schema (a dict) or a pydantic model")
        self._validator = _validator(self.schema)

    @property
    def enforced(self) -> dict[str, Any]:
        """What the answer is held to: a pydantic model's objects have no fields but its own."""
        return _closed(self.schema) if self.model else self.schema

    @property
    def formats(self) -> dict[str, Any]:
        """As the developer message's response formats."""
        return {self.name: self.schema}

    def value(self, text: str) -> Any:
        """An instance of the pydantic model, if one was given, else the JSON value of `text`.

        Raises InputError with the first place that is wrong.
        """
        value = self.parse(text)
        if self.model is None:
            return value
        try:
            return self.model.model_validate_json(text)
        except ValueError as error:  # pydantic's ValidationError is one
            raise InputError(f"{self.name} refuses the answer: {_one_line(error)}") from error

    def parse(self, text: str) -> Any:
        """The plain JSON value of `text`. Raises InputError with the first place that is wrong."""
        try:
            value = json.loads(_bare(text))
        except (ValueError, RecursionError) as error:
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
        raise MissingPackage(
            "schemas need jsonschema: pip install 'gptoss_magic[schema]'"
        ) from error
    kind = validator_for(schema)
    try:
        kind.check_schema(schema)
    except SchemaError as error:
        raise InputError(f"the schema is wrong at {error.json_path}: {error.message}") from error
    return kind(schema)


def _closed(node: Any) -> Any:
    """A JSON schema whose objects allow no property that is not named."""
    if isinstance(node, list):
        return [_closed(one) for one in node]
    if not isinstance(node, dict):
        return node
    made = {key: _closed(value) for key, value in node.items()}
    if made.get("type") == "object" and "properties" in made:
        made.setdefault("additionalProperties", False)
    return made


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _bare(text: str) -> str:
    """`text` without the Markdown fence that models like to put around JSON."""
    text = text.strip()
    if text.startswith("```") and text.endswith("```"):
        return text.partition("\n")[2].removesuffix("```")
    return text
