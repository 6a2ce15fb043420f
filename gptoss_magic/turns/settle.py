"""What stands around a prompt: sampler, opening messages, provenance."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gptoss_magic.turns.loading import versions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.model.load import Resident
    from gptoss_magic.records import ToolSpec

PROVENANCE_KEY = "gptoss_magic"


def sampling_settings(*, greedy: bool, **given: Any) -> Any:
    """SamplingSettings of what was given; temperature as the checkpoint asks, a drawn seed."""
    from gptoss_magic.generation import SamplingSettings

    given = without_none(given)
    given.setdefault("temperature", 0.0 if greedy else 1.0)
    given.setdefault("seed", secrets.randbelow(2**31))
    return SamplingSettings(**given)


def without_none(options: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if value is not None}


def opening(
    system: str | None,
    tools: Sequence[ToolSpec],
    effort: str,
    date: str | None,
    response_formats: dict[str, Any] | None = None,
) -> list[Any]:
    """What stands before the user's text: system and developer message; without a date, today."""
    from gptoss_magic.harmony import SystemSettings, developer_message, system_message

    settings = SystemSettings(effort=effort, current_date=date or _today(), has_tools=bool(tools))
    messages = [system_message(settings)]
    if system or tools or response_formats:
        messages.append(developer_message(system or "", tools, response_formats))
    return messages


def provenance_of(resident: Resident, adapters: Sequence[Any], effort: str) -> dict[str, Any]:
    """What an answer is made of, besides its prompt and its sampler."""
    known = {**resident.identity, "adapters": list(adapters)}
    return {**known, "versions": versions(), "effort": effort}


def _today() -> str:
    return datetime.now(UTC).astimezone().date().isoformat()
