"""The model's state in plain values, as a panel shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gptoss_magic.session import current
from gptoss_magic.turns.stopping import WORK

if TYPE_CHECKING:
    import torch

    from gptoss_magic.records.panels import ModelState
    from gptoss_magic.records.remote import RemoteModel


def model_state() -> ModelState:
    """`model` (None: none loaded), `device`, `memory` in bytes, `context` and `used` in tokens,
    `tokens_per_s` of the last answer (0: none yet), `greedy` and `working`.

    `memory`: a GPU's allocator, else what the process holds. `used`: the last prompt and answer.
    """
    session = current()
    state: ModelState = {"model": None, "working": WORK.name}
    if session.remote:
        return _of_server(session.remote)
    if session.resident is None:
        return state
    resident, last = session.resident, session.last
    device = resident.model.device
    return {
        **state,
        "model": resident.identity["model"],
        "device": str(device),
        "memory": memory_bytes(device),
        "context": resident.plan.context,
        "used": last.usage.prompt_tokens + last.usage.completion_tokens if last else 0,
        "tokens_per_s": round(last.usage.tokens_per_s, 1) if last else 0.0,
        "greedy": resident.greedy,
    }


def _of_server(remote: RemoteModel) -> ModelState:
    last = current().last
    return {
        "working": WORK.name,
        "memory": 0,
        "used": last.usage.prompt_tokens + last.usage.completion_tokens if last else 0,
        "model": remote.identity["model"],
        "device": remote.server,
        "context": remote.context,
        "tokens_per_s": round(last.usage.tokens_per_s, 1) if last else 0.0,
        "greedy": remote.greedy,
    }


def memory_bytes(device: torch.device) -> int:
    """Bytes that torch holds on a GPU, or that this process holds in the machine's memory."""
    if device.type == "cuda":
        import torch

        return torch.cuda.memory_allocated(device)
    import psutil

    return int(psutil.Process().memory_info().rss)
