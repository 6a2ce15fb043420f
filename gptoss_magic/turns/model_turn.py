"""How one call has the model: in turn with other threads, its adapters and its probe in place."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from gptoss_magic.session import current

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gptoss_magic.records import Listener, Request


class ModelTurn:
    """`open` for each stretch of an answer. Raises InputError for a probe of no experts."""

    def __init__(self, request: Request, listener: Listener) -> None:
        self.names, self.is_gone = request.adapters or ("none",), listener.is_gone
        self.experts = probed(request)

    @contextmanager
    def open(self, is_back: bool) -> Iterator[None]:
        """Wait for the model, in front where `is_back`; give it up at the end."""
        from gptoss_magic.routing.probe import probing

        session = current()
        with session.using(self.names, self.is_gone, is_back=is_back), ExitStack() as stack:
            if self.experts:
                stack.enter_context(probing(session.require_local().model, *self.experts))
            yield


def probed(request: Request) -> list[Any]:
    """The experts that a probe masks, and those that it forces; [] without a probe."""
    from gptoss_magic.routing.probe import parse_experts

    if not request.probe:
        return []
    config = current().require_local().model.config
    size = config.num_hidden_layers, config.num_local_experts
    return [parse_experts(spec, *size) for spec in (request.probe.mask, request.probe.force)]
