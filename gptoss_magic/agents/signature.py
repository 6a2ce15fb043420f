"""A function's signature and docstring as a JSON schema, and a check of arguments against it."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from gptoss_magic.agents.forms import plain
from gptoss_magic.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pydantic import TypeAdapter, ValidationError

    Check = Callable[[dict[str, Any]], dict[str, Any]]

BY_KEYWORD = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def described(function: Any) -> tuple[str, dict[str, Any], Check]:
    """(description, JSON schema of the parameters, check of the arguments) of `function`.

    Raises InputError for what cannot be called by name with JSON values.
    """
    from docstring_parser import parse

    parameters = _parameters(function)
    doc = parse(inspect.getdoc(function) or "")
    said = {param.arg_name: (param.description or "").strip() for param in doc.params}
    adapter = _adapter(function, parameters, said)
    schema = _json_schema(adapter, function)
    about = (doc.short_description or "").strip()
    for name, default in ((p.name, p.default) for p in parameters):
        if default is None or isinstance(default, (str, int, float, bool)):
            schema["properties"][name]["default"] = default
    told = plain(schema) if parameters else {}
    return about, told, lambda given: checked(adapter, given)


def _parameters(function: Any) -> list[inspect.Parameter]:
    if not callable(function):
        raise InputError(f"{function!r} is no function: a tool is made of one; give a function")
    name = _name(function)
    if inspect.iscoroutinefunction(function):
        raise InputError(f"{name}: a coroutine cannot be a tool; wrap it in a plain function")
    try:
        found = list(inspect.signature(function).parameters.values())
    except ValueError as error:
        raise InputError(f"{name}: its parameters are not known; wrap it in a function") from error
    for parameter in found:
        if parameter.kind not in BY_KEYWORD:
            raise InputError(
                f"{name}: parameter {parameter}: a tool's have a name each; write it out, without "
                "* or **"
            )
    return found


def _adapter(
    function: Any, parameters: Iterable[inspect.Parameter], said: dict[str, str]
) -> TypeAdapter[Any]:
    """A pydantic check of the arguments, as a dict of the function's keywords."""
    from typing import Annotated, NotRequired, get_type_hints

    from pydantic import ConfigDict, Field, TypeAdapter
    from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError
    from typing_extensions import TypedDict

    try:
        typed = function if inspect.isroutine(function) else type(function).__call__
        hints = get_type_hints(typed, include_extras=True)
    except (NameError, TypeError) as error:
        raise InputError(
            f"{_name(function)}: its type hints cannot be read: {error}; mend them"
        ) from error
    fields: dict[str, Any] = {}
    for p in parameters:
        hint: Any = Annotated[hints.get(p.name, Any), Field(description=said.get(p.name) or None)]
        fields[p.name] = hint if p.default is p.empty else NotRequired[hint]
    make: Any = TypedDict
    kind = make("Arguments", fields)
    kind.__pydantic_config__ = ConfigDict(extra="forbid")
    try:
        return TypeAdapter(kind)
    except (PydanticSchemaGenerationError, PydanticUserError) as error:
        raise InputError(_untyped(function, error)) from error


def _json_schema(adapter: TypeAdapter[Any], function: Any) -> dict[str, Any]:
    from pydantic.errors import PydanticInvalidForJsonSchema

    try:
        return adapter.json_schema()
    except PydanticInvalidForJsonSchema as error:
        raise InputError(_untyped(function, error)) from error


def _name(function: Any) -> str:
    return str(getattr(function, "__name__", type(function).__name__))


def _untyped(function: Any, error: Exception) -> str:
    reason = str(error).split("\n", maxsplit=1)[0]
    return (
        f"{_name(function)}: a parameter's type has no JSON form: {reason}; give str, int, list "
        "or a dataclass"
    )


def checked(adapter: TypeAdapter[Any], given: dict[str, Any]) -> dict[str, Any]:
    """`given` as the function takes it. Raises ValueError with a line for each fault."""
    from pydantic import ValidationError

    try:
        return dict(adapter.validate_python(given))
    except ValidationError as error:
        raise ValueError(_faults(error)) from None


def _faults(error: ValidationError) -> str:
    lines = []
    for fault in error.errors(include_url=False, include_context=False):
        place = ".".join(map(str, fault["loc"])) or "arguments"
        message = "no such parameter" if fault["type"] == "extra_forbidden" else fault["msg"]
        lines.append(f"{place}: {message}")
    return "; ".join(lines)
