"""What the JupyterLab extension shows of this kernel: plain values, which `asdict` makes JSON."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AdapterState:
    """An attached adapter; `is_used` by prompts that name none."""

    name: str
    scale: float
    is_used: bool


@dataclass(frozen=True)
class ConversationState:
    """A conversation: its turns, the tokens of its latest turn, and what was asked last."""

    name: str
    num_turns: int
    num_tokens: int
    asked: str


@dataclass(frozen=True)
class ServedState:
    """A request of the endpoint. `state`: waiting, answering, or how it ended."""

    id: str
    asked: str
    model: str
    state: str
    num_tokens: int


@dataclass(frozen=True)
class RunCurve:
    """A tuning run with (step, nats a token) of training and held-out texts.

    `finish`: as of a run: 'running', 'return', 'stopped', 'interrupt'.
    """

    name: str
    method: str
    finish: str
    step: int
    num_steps: int
    loss: tuple[tuple[int, float], ...] = ()
    held_out: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class LabState:
    """All but the runs. `model`: None where none is loaded; then what follows it is empty.

    `memory` and `cache` in bytes, `context` and `used` in tokens, `tokens_per_s` of the last
    answer. `working`: what a cell does now; `training`: the run that has the model; `queue`: who
    waits for the model, by thread; `served`: the endpoint's latest requests; `note`: what could not
    be read.
    """

    model: str | None
    device: str = ""
    memory: int = 0
    context: int = 0
    used: int = 0
    tokens_per_s: float = 0.0
    cache: int = 0
    cache_limit: int = 0
    working: str = ""
    training: str = ""
    persona: str = ""
    queue: tuple[str, ...] = ()
    adapters: tuple[AdapterState, ...] = ()
    conversations: tuple[ConversationState, ...] = ()
    indexes: tuple[str, ...] = ()
    served: tuple[ServedState, ...] = ()
    note: str = ""
