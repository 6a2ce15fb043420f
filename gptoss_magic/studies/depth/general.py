"""General text on a rung: its loss, and how far the model has moved from the bare one.

Legend: N tokens of a text that count (analysis and final), H hidden size, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gptoss_magic.evaluation.suite import SuiteItem
from gptoss_magic.records import Example
from gptoss_magic.session import current
from gptoss_magic.studies.depth.setup import BARE_SETUP, base_request, request_of
from gptoss_magic.turns.prompt import messages_of
from gptoss_magic.vocabulary import NONE

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from gptoss_magic.records import Message
    from gptoss_magic.studies.depth.setup import Setup
    from gptoss_magic.tuning.drift import Drifting

PROBE = 512  # tokens on which the routing is measured


@dataclass(frozen=True)
class TextFigures:
    """By text: `losses` in nats a token, `kls` from the bare model in nats a token."""

    losses: tuple[float, ...] = ()
    kls: tuple[float, ...] = ()


class GeneralTexts:
    """The first `num` shipped conversations; what the bare model makes of them is kept."""

    def __init__(self, num: int) -> None:
        self.talks = _talks()[:num]
        self._bare: dict[bool, list[tuple[torch.Tensor, torch.Tensor]]] = {}
        self._routing: Drifting | None = None

    def figures(self, setup: Setup) -> TextFigures:
        """Of the texts, asked as the setup asks. Raises ContextOverflow.

        A soft prompt is read module by module, and so is what it is compared with: the two ways
        round differently.
        """
        with current().using(setup.adapters or (NONE,)) as active:
            by_modules = active.soft is not None
        if by_modules not in self._bare:
            self._bare[by_modules] = [_states(BARE_SETUP, talk, by_modules) for talk in self.talks]
        pairs = []
        for talk, (bare_NH, targets_N) in zip(self.talks, self._bare[by_modules], strict=True):
            states_NH = bare_NH if setup == BARE_SETUP else _states(setup, talk, by_modules)[0]
            pairs.append(_compared(bare_NH, states_NH, targets_N))
        return TextFigures(tuple(loss for loss, _ in pairs), tuple(kl for _, kl in pairs))

    def drift(self, adapters: Sequence[str]) -> float | None:
        """How far the adapters move the routing, in [0, 1]; None for a soft prompt.

        A soft prompt or prefix leaves every weight as it is: only what follows it is routed
        otherwise.
        """
        self._routing = self._routing or _routing()
        with current().using(adapters) as active:
            return None if active.soft is not None else self._routing.measure().distance


def _routing() -> Drifting:
    """The bare model's, of the first tokens of all conversations."""
    from gptoss_magic.tuning.drift import Drifting

    session = current()
    ids: list[int] = []
    for talk in _talks():
        ids += _example(BARE_SETUP, talk).ids
    with session.using((NONE,)):
        return Drifting(session.require_local().model, ids[:PROBE])


def _talks() -> list[list[Message]]:
    from gptoss_magic.routing.baseline import conversations

    return conversations()


def _example(setup: Setup, talk: Sequence[Message]) -> Example:
    """A conversation behind what the setup puts before it; what the assistant says counts."""
    from gptoss_magic.harmony import render

    codec = current().codec
    question, said = talk[1], talk[2:]
    request = request_of(base_request(setup, 1), setup, SuiteItem("text", question.content))
    before = render(messages_of(request), codec, prompt=False)
    ids, counts = list(before), [False] * len(before)
    for message in said:
        piece = render([message], codec, prompt=False)
        content = len(codec.encode(message.content))
        ids += piece
        counts += [len(piece) - 1 - content <= n < len(piece) - 1 for n in range(len(piece))]
    return Example(tuple(ids), tuple(counts))


def _states(
    setup: Setup, talk: Sequence[Message], by_modules: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """(states [N, H] that predict what counts, those tokens [N])."""
    import torch

    from gptoss_magic.tuning.loss import hidden_states

    session, example = current(), _example(setup, talk)
    session.local_engine.check(example.ids, 1)
    model: Any = session.require_local().model
    with torch.no_grad(), session.using(setup.adapters or (NONE,)) as active:
        pieces = hidden_states(model, [example], active.soft, by_modules=by_modules)
        states_NH = torch.cat(list(pieces))
    targets = [token for token, counts in zip(example.ids, example.trained, strict=True) if counts]
    return states_NH, torch.tensor(targets, device=states_NH.device)


def _compared(
    bare_NH: torch.Tensor, states_NH: torch.Tensor, targets_N: torch.Tensor
) -> tuple[float, float]:
    """(loss, KL from the bare model to this one), both in nats a token."""
    import torch

    from gptoss_magic.tuning.loss import LOGIT_ROWS, logits_of

    model: Any = current().require_local().model
    loss = kl = 0.0
    with torch.no_grad():
        for start in range(0, len(targets_N), LOGIT_ROWS):
            rows = slice(start, start + LOGIT_ROWS)
            log_q_NV = logits_of(model, states_NH[rows]).log_softmax(-1)
            log_p_NV = logits_of(model, bare_NH[rows]).log_softmax(-1)
            loss -= float(log_q_NV.gather(1, targets_N[rows, None]).double().sum())
            kl += float((log_p_NV.exp() * (log_p_NV - log_q_NV)).double().sum())
    return loss / len(targets_N), max(0.0, kl / len(targets_N))
