"""An answer that follows a schema: the grammar before it, the value behind it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.turns.answer_schema import AnswerSchema

if TYPE_CHECKING:
    from gptoss_magic.generation import Engine, Grammar
    from gptoss_magic.records import Answer


def checked(schema: Any) -> AnswerSchema | None:
    """A JSON schema (a dict) or a pydantic model, made ready; None where none is given.

    Raises InputError, MissingPackage.
    """
    if schema is None or isinstance(schema, AnswerSchema):
        return schema
    return AnswerSchema(schema)


def grammar_of(schema: AnswerSchema | None, engine: Engine, *, calls: bool) -> Grammar | None:
    """What an answer may say. Raises InputError for what cannot be enforced, MissingPackage."""
    from gptoss_magic.generation import Grammar

    if schema is None:
        return None
    return Grammar(schema.enforced, engine.codec, engine.model.config.vocab_size, calls=calls)


def record_of(schema: AnswerSchema | None, *, calls: bool) -> dict[str, Any]:
    """For a provenance."""
    if schema is None:
        return {}
    return {"schema": {"name": schema.name, "schema": schema.schema, "calls": calls}}


def valued(answer: Answer, schema: AnswerSchema | None) -> Answer:
    """The answer with its value; what no grammar can see (a pydantic validator) is an `error`."""
    if schema is None or answer.finish != "return":
        return answer
    try:
        return replace(answer, parsed=schema.value(answer.final))
    except InputError as error:
        record = {**answer.provenance["schema"], "error": str(error)}
        return replace(answer, provenance={**answer.provenance, "schema": record})
