"""The name by which a forward takes its KV cache: transformers 5.24 renamed it."""

from __future__ import annotations

from functools import cache
from inspect import signature
from typing import Any


def given_cache(kv_cache: Any) -> dict[str, Any]:
    """The keyword of a forward that gives it `kv_cache`."""
    return {_name(): kv_cache}


@cache
def _name() -> str:
    from transformers import GptOssForCausalLM

    names = signature(GptOssForCausalLM.forward).parameters
    return "cache" if "cache" in names else "past_key_values"
