"""Any JSON schema in the forms that harmony's tool definitions can write as a type.

References stand in place, `allOf` is merged, alternatives are one `anyOf`, and a keyword of null is
none. All drafts from 3 to 2020-12 are read, and OpenAPI's `nullable`. What has no type of
TypeScript (`not`, `if`, ranges, patterns) is left to the check of the arguments.
"""

from __future__ import annotations

from itertools import islice, product
from typing import Any
from urllib.parse import unquote

Schema = dict[str, Any]

ANY_OBJECT: Schema = {"type": "object", "additionalProperties": {}}
NULL: Schema = {"type": "null"}
SIMPLE = ("string", "number", "integer", "boolean", "null")
WORDS = ("description", "default", "examples")
VALUES = ("default", "const", "enum", "example", "examples")  # they hold values, no schemas
NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
MAX_PARTS = 2000  # of one schema: references can repeat each other without end
MAX_ALTERNATIVES = 24


def plain(schema: Any) -> Schema:
    """`schema` without references: objects, arrays, tuples, enums, `anyOf` and simple types.

    {} is any value; so is what would take more than MAX_PARTS parts or lies too deep.
    """
    try:
        root = cleaned(schema)
        return _Forms(root).form(root)
    except RecursionError:
        return {}


def cleaned(schema: Any) -> Any:
    """A copy in which no keyword is null and `nullable` is a type or an alternative."""
    if not isinstance(schema, dict):
        return schema
    copy = {
        key: _cleaned_keyword(key, value)
        for key, value in schema.items()
        if value is not None or key in ("default", "const")
    }
    if copy.pop("nullable", False) is not True:
        return copy
    if isinstance(copy.get("enum"), list):
        copy["enum"] = [*copy["enum"], None]
    if isinstance(copy.get("type"), str):
        return copy | {"type": [copy["type"], "null"]}
    return {"anyOf": [copy, NULL]}


def _cleaned_keyword(key: str, value: Any) -> Any:
    if key in VALUES:
        return value
    if key in NAMED and isinstance(value, dict):
        # a field whose schema is null has none: any value
        return {name: True if inner is None else cleaned(inner) for name, inner in value.items()}
    return [cleaned(one) for one in value] if isinstance(value, list) else cleaned(value)


class _Forms:
    """The forms of the parts of `root`, whose places references name."""

    def __init__(self, root: Any) -> None:
        self.root = root
        self.parts_left = MAX_PARTS

    def form(self, schema: Any, passed: tuple[str, ...] = ()) -> Schema:
        """The form of `schema`, which was reached through the references `passed`."""
        self.parts_left -= 1
        if not isinstance(schema, dict) or self.parts_left < 0:
            return {}
        flat, passed = self._flat(schema, passed)
        words = {key: flat.pop(key) for key in WORDS if key in flat}
        if not isinstance(words.get("description", ""), str):
            del words["description"]
        form = self._wordless(flat, passed, is_null_said=words.get("default", 0) is None)
        if words.get("default", 0) is None:
            del words["default"]
        return form | words

    def _flat(self, schema: Schema, passed: tuple[str, ...]) -> tuple[Schema, tuple[str, ...]]:
        """`schema` with its reference and its `allOf` merged into it; the references passed.

        A reference to what it stands in says nothing more: that part is any value.
        """
        flat = {k: v for k, v in schema.items() if k not in ("$ref", "allOf", "oneOf", *NAMED[2:])}
        parts = [*_list(schema, "allOf")]
        if "oneOf" in schema:
            parts.append({"anyOf": _list(schema, "oneOf")})
        reference = schema.get("$ref")
        if isinstance(reference, str) and reference not in passed:
            passed = (*passed, reference)
            parts.insert(0, self._target(reference))
        for part in parts:
            if isinstance(part, dict):
                merged, passed = self._flat(part, passed)
                flat = _both(flat, merged)
        return flat, passed

    def _target(self, reference: str) -> Any:
        """What `reference` names in this schema; True (any value) for one elsewhere."""
        if reference != "#" and not reference.startswith("#/"):
            return True
        place = self.root
        for step in reference.split("/")[1:]:
            key = unquote(step).replace("~1", "/").replace("~0", "~")
            if isinstance(place, list) and key.isdecimal() and int(key) < len(place):
                place = place[int(key)]
            else:
                place = place.get(key, True) if isinstance(place, dict) else True
        return place

    def _wordless(self, flat: Schema, passed: tuple[str, ...], *, is_null_said: bool) -> Schema:
        """`is_null_said`: null is the default, so leaving the value out says it."""
        alternatives = _list(flat, "anyOf")
        kinds = flat.get("type")
        if alternatives:
            core = {key: value for key, value in flat.items() if key != "anyOf"}
        elif isinstance(kinds, list) and "enum" not in flat and "const" not in flat:
            core = {key: value for key, value in flat.items() if key != "type"}
            alternatives = [one if isinstance(one, dict) else {"type": one} for one in kinds]
        else:
            return self._one(flat, passed)
        said = [one for one in alternatives if one is not False]
        valued = [one for one in said if not _is_null(one)]
        forms = [self.form(_within(one, core), passed) for one in valued[:MAX_ALTERNATIVES]]
        if len(valued) > MAX_ALTERNATIVES or {} in forms:
            return {}
        has_null = len(valued) < len(said) and not (is_null_said and valued)
        return _union(forms, has_null=has_null)

    def _one(self, flat: Schema, passed: tuple[str, ...]) -> Schema:
        kind = flat.get("type")
        values = [flat["const"]] if "const" in flat else flat.get("enum")
        if kind == "null" or isinstance(values, list):
            return _literals(values if isinstance(values, list) else [None])
        if isinstance(kind, str) and kind in SIMPLE:
            return {"type": kind}
        if kind == "array" or (kind is None and ("items" in flat or "prefixItems" in flat)):
            return self._array(flat, passed)
        if kind == "object" or (kind is None and _has_fields(flat)):
            return self._object(flat, passed)
        return {}

    def _array(self, flat: Schema, passed: tuple[str, ...]) -> Schema:
        items = flat.get("items")
        leading = _list(flat, "prefixItems") or (items if isinstance(items, list) else [])
        rest = flat.get("additionalItems") if isinstance(items, list) else items
        array: Schema = {"type": "array"}
        if leading:
            array["prefixItems"] = [_as_item(self.form(one, passed)) for one in leading]
        if isinstance(rest, dict):
            array["items"] = _as_item(self.form(rest, passed))
        return array

    def _object(self, flat: Schema, passed: tuple[str, ...]) -> Schema:
        inner = {k: v for k, v in _dict(flat, "properties").items() if v is not False}
        required = [name for name in _list(flat, "required") if isinstance(name, str)]
        inner |= {name: True for name in required if name not in inner}
        # draft 3: a field says of itself that it is required
        required += [
            k for k, v in inner.items() if isinstance(v, dict) and v.get("required") is True
        ]
        made: Schema = {
            "type": "object",
            "properties": {name: self.form(one, passed) for name, one in inner.items()},
        }
        if required:
            made["required"] = list(dict.fromkeys(required))
        others = [*_dict(flat, "patternProperties").values()]
        rest = flat.get("additionalProperties")
        if isinstance(rest, dict) or (rest is True and not inner):
            others.append(rest)
        if others:
            made["additionalProperties"] = self.form(others[0], passed) if len(others) == 1 else {}
        return made


def _both(first: Schema, second: Schema) -> Schema:
    """What holds where both do. In words and types that differ the first is taken."""
    both = {**second, **first}
    if "properties" in first and "properties" in second:
        own, other = _dict(first, "properties"), _dict(second, "properties")
        common = {name: {"allOf": [own[name], other[name]]} for name in own if name in other}
        both["properties"] = {**other, **own, **common}
    required = [_list(one, "required") for one in (first, second)]
    if any(required):
        both["required"] = [*required[0], *required[1]]
    if "anyOf" in first and "anyOf" in second:
        pairs = product(_list(first, "anyOf"), _list(second, "anyOf"))
        both["anyOf"] = [{"allOf": [*pair]} for pair in islice(pairs, MAX_ALTERNATIVES + 1)]
    return both


def _within(alternative: Any, core: Schema) -> Any:
    """An alternative with what holds for all of them."""
    return {"allOf": [alternative, core]} if core else alternative


def _union(forms: list[Schema], *, has_null: bool) -> Schema:
    distinct = [form for at, form in enumerate(forms) if form not in forms[:at]]
    if not distinct:
        return _literals([None]) if has_null else {}
    if len(distinct) == 1:
        return distinct[0] | ({"nullable": True} if has_null else {})
    if all(form.keys() == {"type"} and form["type"] in SIMPLE for form in distinct):
        kinds = [form["type"] for form in distinct]
        return {"type": [*kinds, "null"] if has_null else kinds}
    return {"anyOf": [*distinct, _literals([None])] if has_null else distinct}


def _literals(values: list[Any]) -> Schema:
    if values and all(isinstance(value, str) for value in values):
        return {"type": "string", "enum": values}
    return {"enum": values} if values else {}


def _as_item(form: Schema) -> Schema:
    """An array's item: harmony writes alternatives of a plain type without brackets there."""
    kinds, words = form.get("type"), {key: form[key] for key in WORDS if key in form}
    if isinstance(kinds, list):
        return {
            "anyOf": [_literals([None]) if k == "null" else {"type": k} for k in kinds],
            **words,
        }
    bare = {key: value for key, value in form.items() if key != "nullable"}
    if bare.get("enum"):
        bare.pop("type", None)
    return {"anyOf": [bare, _literals([None])]} if form.get("nullable") else bare


def _is_null(schema: Any) -> bool:
    return isinstance(schema, dict) and (
        schema.get("type") in ("null", ["null"])
        or schema.get("enum") == [None]
        or ("const" in schema and schema["const"] is None)
    )


def _has_fields(flat: Schema) -> bool:
    rest = flat.get("additionalProperties")
    return isinstance(rest, dict) or any(
        flat.get(key) for key in ("properties", "required", "patternProperties")
    )


def _list(schema: Schema, key: str) -> list[Any]:
    value = schema.get(key)
    return value if isinstance(value, list) else []


def _dict(schema: Schema, key: str) -> dict[str, Any]:
    value = schema.get(key)
    return value if isinstance(value, dict) else {}
