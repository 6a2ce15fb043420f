"""A JSON body, read field by field; a null is as good as a missing field."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from gptoss_magic.quoting import encodable
from gptoss_magic.serving.faults import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def json_body(raw: bytes) -> Body:
    """The object that `raw` is. Raises ApiError."""
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ApiError(
            400, f"the body is not JSON: {reason}; mend it", code="invalid_json"
        ) from None
    if not isinstance(value, dict):
        raise ApiError(400, "the body is not a JSON object: give one", code="invalid_json")
    return Body(value)


def json_bytes(value: Any) -> bytes:
    """JSON in UTF-8, also of text with half characters and of numbers that JSON has not."""
    text = json.dumps(_finite(value), ensure_ascii=False, separators=(",", ":"))
    return encodable(text).encode()


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return -9999.0 if value < 0 else None
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    return value


class Body:
    """A JSON object at `path` of a request. Each method raises ApiError for another kind."""

    def __init__(self, value: dict[str, Any], path: str = "") -> None:
        self.value, self.path = value, path

    def __contains__(self, name: str) -> bool:
        return self.value.get(name) is not None

    def raw(self, name: str) -> Any:
        """The field as it is; None where it is missing."""
        return self.value.get(name)

    def text(self, name: str, default: str = "", *, is_needed: bool = False) -> str:
        """A text. `is_needed`: it may not be missing."""
        value = self.value.get(name)
        if value is None and not is_needed:
            return default
        if not isinstance(value, str):
            raise self.fault(name, "a text", value)
        return value

    def word(self, name: str, words: Sequence[str], default: str) -> str:
        """One of `words`."""
        value = self.text(name, default)
        if value not in words:
            raise self.fault(name, f"one of {', '.join(words)}", value)
        return value

    def number(self, name: str, low: float, high: float = math.inf) -> float | None:
        """A number within bounds; None where it is missing."""
        value = self.value.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.fault(name, "a number", value)
        if not low <= value <= high or not math.isfinite(value):
            bounds = f"from {low:g} to {high:g}" if math.isfinite(high) else f"of {low:g} or more"
            raise self.fault(name, f"a number {bounds}", value)
        return float(value)

    def whole(self, name: str, low: int, high: int = 2**63 - 1) -> int | None:
        """A whole number within bounds; None where it is missing."""
        value = self.value.get(name)
        if value is None:
            return None
        is_whole = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_whole or not math.isfinite(value) or value != int(value):
            raise self.fault(name, "a whole number", value)
        if not low <= value <= high:
            raise self.fault(name, f"a whole number from {low} to {high}", value)
        return int(value)

    def flag(self, name: str, *, default: bool) -> bool:
        """True or false."""
        value = self.value.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.fault(name, "true or false", value)
        return value

    def items(self, name: str) -> list[Any]:
        """A list; an empty one where it is missing."""
        value = self.value.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.fault(name, "a list", value)
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A text or a list of texts."""
        value = self.value.get(name)
        values = [value] if isinstance(value, str) else self.items(name)
        if not all(isinstance(one, str) for one in values):
            raise self.fault(name, "a text or a list of texts", value)
        return tuple(values)

    def inner(self, name: str) -> Body | None:
        """The object in a field; None where it is missing."""
        value = self.value.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.fault(name, "an object", value)
        return Body(value, self._at(name))

    def objects(self, name: str) -> Iterator[Body]:
        """The objects of a list."""
        for place, one in enumerate(self.items(name)):
            if not isinstance(one, dict):
                raise self.fault(f"{name}[{place}]", "an object", one)
            yield Body(one, self._at(f"{name}[{place}]"))

    def fault(self, name: str, wanted: str, value: Any) -> ApiError:
        """What is wrong with a field."""
        if value is None:
            at = self._at(name)
            return ApiError(
                400, f"{at} is missing: give {wanted}", code="missing_required_parameter", param=at
            )
        shown = json.dumps(value, default=str)
        shown = shown if len(shown) < 60 else f"{shown[:57]}..."
        return ApiError(400, f"{self._at(name)} is {shown}: give {wanted}", param=self._at(name))

    def _at(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name
