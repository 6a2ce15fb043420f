"""A call's arguments against the JSON schema of a stranger, whatever draft it was written for."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from gptoss_magic.agents.forms import cleaned
from gptoss_magic.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from jsonschema.protocols import Validator

MAX_FAULTS = 5
MAX_CHARS = 300


def check_by(schema: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """A check of arguments; it raises ValueError with a line for each fault.

    Raises InputError for what is no JSON schema in any draft, with what the newest finds wrong.
    A schema that cannot be followed here (a reference elsewhere, an unknown type, a pattern of
    another language) lets every argument pass: the server has its own check.
    """
    validator = _validator(cleaned(schema))

    def check(arguments: dict[str, Any]) -> dict[str, Any]:
        try:
            faults = [_fault(one) for one in islice(validator.iter_errors(arguments), MAX_FAULTS)]
        except Exception:  # noqa: BLE001 (each draft and each pattern fails in its own way)
            return arguments
        if faults:
            raise ValueError("; ".join(faults))
        return arguments

    return check


def _validator(schema: Any) -> Validator:
    import jsonschema
    from jsonschema.validators import validator_for
    from referencing import Registry

    drafts: list[Any] = [
        jsonschema.Draft202012Validator,
        jsonschema.Draft7Validator,
        jsonschema.Draft4Validator,
        jsonschema.Draft3Validator,
    ]
    if isinstance(schema, dict) and isinstance(schema.get("$schema"), str):
        drafts.insert(0, validator_for(schema, default=drafts[0]))
    reasons: list[str] = []
    for draft in drafts:
        try:
            draft.check_schema(schema, format_checker=None)  # patterns may be another language's
        except jsonschema.SchemaError as error:
            reasons.append(f"{error.json_path}: {error.message[:MAX_CHARS]}")
        else:
            # an empty registry: nothing is fetched from where a reference points
            return _as_told(draft)(schema, registry=Registry())
    raise InputError(
        f"its input schema is wrong at {' '.join(reasons[0].split())}; its server has to mend it"
    )


def _as_told(draft: Any) -> Any:
    """The draft with `oneOf` as the model is told it: what fits two alternatives is no fault."""
    from jsonschema.validators import extend

    any_of = draft.VALIDATORS.get("anyOf")
    return extend(draft, {"oneOf": any_of}) if any_of else draft


def _fault(error: Any) -> str:
    """The fault that tells most: of alternatives, that of the nearest one."""
    from jsonschema.exceptions import best_match

    nearest = best_match([error]) or error
    place = ".".join(map(str, nearest.absolute_path)) or "arguments"
    return f"{place}: {nearest.message[:MAX_CHARS]}"
