"""What an answer must be: a JSON schema, or a type that pydantic knows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, get_origin

from gptoss_magic.errors import InputError, MissingPackage, error_line
from gptoss_magic.quoting import one_line

if TYPE_CHECKING:
    from pydantic import TypeAdapter

GIVE = "give a JSON schema (a dict), a pydantic model, a dataclass or a TypedDict"
MAX_CHARS = 300  # of an error's reason
REQUEST_PARTS = ("response_format", "text", "format")  # where OpenAI's requests have the wrapper


class AnswerSchema:
    """`name` and `schema` are shown to the model; `parse` and `value` check what it says.

    `given` is a JSON schema (a dict or its JSON text, also in OpenAI's wrapper), or a type: a
    pydantic model, a dataclass, a TypedDict, an Enum, a `TypeAdapter`, a hint like `list[City]`.
    `model` is the type, or None. Raises InputError for anything else, and for a schema that would
    let every answer be.
    """

    def __init__(self, given: Any, name: str = "answer") -> None:
        self._adapter = _adapter(given)
        self.model = given if self._adapter else None
        if self._adapter:
            self.schema = _schema_of(self._adapter, given)
            is_class = isinstance(given, type) and get_origin(given) is None
            self.name = given.__name__ if is_class else str(self.schema.get("title", name))
        else:
            self.schema, self.name = _unwrapped(_dict_of(given), name)
        _check_keywords(self.schema, self.name)
        self._validator = _validator(self.schema)

    @property
    def enforced(self) -> dict[str, Any]:
        """What the answer is held to: a type's objects have no fields but its own."""
        return _closed(self.schema) if self.model else self.schema

    @property
    def formats(self) -> dict[str, Any]:
        """As the developer message's response formats."""
        return {self.name: self.schema}

    def value(self, text: str) -> Any:
        """An instance of the type, if one was given, else the JSON value of `text`.

        Raises InputError with the first place that is wrong.
        """
        value = self.parse(text)
        if self._adapter is None:
            return value
        try:
            return self._adapter.validate_json(_bare(text))
        except Exception as error:  # a validator of the user's raises what it likes
            raise InputError(
                f"{self.name} refuses the answer: {_refusal(error)}; ask again"
            ) from error

    def parse(self, text: str) -> Any:
        """The plain JSON value of `text`. Raises InputError with the first place that is wrong."""
        try:
            value = json.loads(_bare(text))
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"the answer is not JSON ({error}); ask again, or give more --max-tokens"
            ) from error
        try:
            wrong = next(iter(self._validator.iter_errors(value)), None)
        except Exception as error:  # a reference that leads nowhere, a pattern that is none
            raise InputError(
                f"the schema cannot be followed: {error_line(error)}; mend it"
            ) from error
        if wrong is not None:
            words = one_line(wrong.message, MAX_CHARS)
            raise InputError(
                f"the answer breaks the schema at {wrong.json_path}: {words}; ask again"
            )
        return value


def _adapter(given: Any) -> TypeAdapter[Any] | None:
    """Pydantic's view of a type; None for what is none. Raises InputError for other classes."""
    from pydantic import TypeAdapter

    if isinstance(given, TypeAdapter):
        return given
    if not isinstance(given, type) and get_origin(given) is None:
        return None
    try:
        return TypeAdapter(given)
    except Exception as error:  # pydantic has a family of errors for what it cannot read
        raise InputError(f"schema {_shown(given)}: {_first_line(error)}; {GIVE}") from error


def _schema_of(adapter: TypeAdapter[Any], given: Any) -> dict[str, Any]:
    try:
        return adapter.json_schema()
    except Exception as error:  # a field without a JSON form, a name that is not defined yet
        raise InputError(f"schema {_shown(given)}: {_first_line(error)}; {GIVE}") from error


def _dict_of(given: Any) -> dict[str, Any]:
    """A JSON schema's dict, or that of its JSON text. Raises InputError."""
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except (ValueError, RecursionError) as error:
            raise InputError(f"schema {_shown(given)}: not JSON ({error}); {GIVE}") from error
    if isinstance(given, bool):
        every = "every answer" if given else "no answer"
        raise InputError(f"schema {given}: {every} would do; {GIVE}, or leave --schema out")
    if isinstance(given, dict):
        return given
    kind = type(given)
    if hasattr(kind, "model_json_schema") or hasattr(kind, "__dataclass_fields__"):
        raise InputError(f"schema: a value of {kind.__name__}; give {kind.__name__} itself")
    raise InputError(f"schema {_shown(given)}: {GIVE}")


def _unwrapped(schema: dict[str, Any], name: str) -> tuple[dict[str, Any], str]:
    """(the schema inside OpenAI's wrapper, its name); what has no wrapper as it is."""
    for part in REQUEST_PARTS:
        if schema.keys() == {part} and isinstance(schema[part], dict):
            return _unwrapped(schema[part], name)
    if schema.get("type") == "json_schema":
        wrapper = schema.get("json_schema", schema)
    elif "schema" in schema and not _keywords() & schema.keys():
        wrapper = schema
    else:
        return schema, name
    inner = wrapper.get("schema") if isinstance(wrapper, dict) else None
    if not isinstance(inner, dict):
        raise InputError(
            f"schema {name}: OpenAI's wrapper without a schema in it; give "
            '{"name": …, "schema": {"type": "object", …}}'
        )
    said = wrapper.get("name")
    return inner, " ".join(said.split()) or name if isinstance(said, str) else name


def _check_keywords(schema: dict[str, Any], name: str) -> None:
    """Raises InputError where every answer would do, or where it cannot be written as JSON."""
    if not _keywords() & schema.keys():
        only = f"only {', '.join(map(str, schema))[:MAX_CHARS]}" if schema else "it is empty"
        raise InputError(
            f"schema {name}: no keyword of JSON schemas in it ({only}), so every answer would do; "
            'give one such as {"type": "object", "properties": {…}}'
        )
    try:
        json.dumps(schema, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"schema {name}: it is no JSON: {one_line(str(error), MAX_CHARS)}; give one that JSON "
            "can hold"
        ) from error


def _keywords() -> frozenset[str]:
    """Every keyword, of any draft, that asks something of a value."""
    validators = _jsonschema().validators
    drafts = (validators.Draft3Validator, validators.Draft7Validator)
    return frozenset().union(
        *(draft.VALIDATORS for draft in (*drafts, validators.Draft202012Validator))
    )


def _validator(schema: dict[str, Any]) -> Any:
    from referencing import Registry

    jsonschema = _jsonschema()
    try:
        draft = jsonschema.validators.validator_for(schema)
        draft.check_schema(schema)
    except jsonschema.SchemaError as error:
        raise InputError(
            f"the schema is wrong at {error.json_path}: {one_line(error.message, MAX_CHARS)}; "
            "mend it"
        ) from error
    except Exception as error:  # a `$schema` that is no text, keys that are none
        raise InputError(f"the schema is wrong: {error_line(error)}; mend it") from error
    # an empty registry: nothing is fetched from where a reference points
    return draft(schema, registry=Registry())


def _jsonschema() -> Any:
    try:
        import jsonschema
    except ImportError as error:
        raise MissingPackage(
            "schemas need jsonschema: pip install 'gptoss_magic[schema]'"
        ) from error
    return jsonschema


def _closed(node: Any) -> Any:
    """A JSON schema whose objects allow no property that is not named."""
    if isinstance(node, list):
        return [_closed(one) for one in node]
    if not isinstance(node, dict):
        return node
    closed = {key: _closed(value) for key, value in node.items()}
    if closed.get("type") == "object" and "properties" in closed:
        closed.setdefault("additionalProperties", False)
    return closed


def _shown(given: Any) -> str:
    """What was given, short."""
    return str(getattr(given, "__name__", None) or one_line(repr(given), 80))


def _first_line(error: Exception) -> str:
    return str(error).split("\n", maxsplit=1)[0][:MAX_CHARS]


def _refusal(error: Exception) -> str:
    """What a validator says: pydantic's first complaint with its place, or any error in a line."""
    found = error.errors(include_url=False) if hasattr(error, "errors") else []
    if not found:
        return error_line(error)
    place = ".".join(str(part) for part in found[0]["loc"])
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return one_line(f"{place}: {found[0]['msg']}{more}" if place else found[0]["msg"], MAX_CHARS)


def _bare(text: str) -> str:
    """`text` without the Markdown fence that models like to put around JSON."""
    text = text.strip()
    if text.startswith("```") and text.endswith("```"):
        return text.partition("\n")[2].removesuffix("```")
    return text
