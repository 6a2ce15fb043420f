"""The models that can be asked, as OpenAI lists them."""

from __future__ import annotations

from typing import Any

from gptoss_magic.errors import InputError
from gptoss_magic.serving.faults import ApiError
from gptoss_magic.session import current
from gptoss_magic.turns import names
from gptoss_magic.turns.names import ModelName, base_name, names_beside


def read_name(name: str) -> ModelName:
    """What `name` means. Raises ApiError: 404 for a name that no model has; NotLoaded."""
    try:
        return names.read_name(name)
    except InputError as error:
        raise ApiError(404, str(error), code="model_not_found", param="model") from None


def models() -> list[dict[str, Any]]:
    """All that can be asked by name, as OpenAI lists models, with vLLM's `root` and `parent`."""
    base = base_name()
    return [_entry(base, None), *(_entry(name, base) for name in names_beside(base))]


def _entry(name: str, parent: str | None) -> dict[str, Any]:
    session = current()
    return {
        "id": name,
        "object": "model",
        "created": 0,
        "owned_by": "gptoss_magic",
        "root": base_name(),
        "parent": parent,
        "max_model_len": session.engine.context,
    }
