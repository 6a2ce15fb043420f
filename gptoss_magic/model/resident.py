"""Turn a gpt-oss model of transformers into the one that this package works with."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gptoss_magic.model.protocol import Model


def make_resident(model: Model) -> None:
    """Our attention, linears, routers and experts in `model`, in place; weights stay as they are.

    Values are the same up to rounding; LoRA branches, captures and probes can be attached.
    """
    from gptoss_magic.model.attention import use_block_attention
    from gptoss_magic.model.experts import use_resident_experts
    from gptoss_magic.model.linear import use_resident_linears
    from gptoss_magic.model.router import use_resident_routers

    use_resident_linears(model)
    use_resident_routers(model)
    use_resident_experts(model)
    use_block_attention(model)
