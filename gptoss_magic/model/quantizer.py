"""The door into transformers: `from_pretrained` and `save_pretrained` with packed experts.

A config whose quantization_config is a `PackedMxfp4Config` is loaded with `PackedExperts`, and is
saved in the checkpoint's own layout with quant_method 'mxfp4', as it was read.
"""

from __future__ import annotations

from functools import cache
from typing import Any

METHOD = "gptoss_magic_mxfp4"


@cache
def register() -> type:
    """Register quantizer and config with transformers, once; gives the config's class."""
    from transformers.quantizers.auto import register_quantization_config, register_quantizer
    from transformers.quantizers.base import HfQuantizer
    from transformers.utils.quantization_config import QuantizationConfigMixin

    from gptoss_magic.model.experts import use_packed_experts

    @register_quantization_config(METHOD)
    class PackedMxfp4Config(QuantizationConfigMixin):
        """Experts packed in MXFP4, run by gptoss_magic. `original`: what the file said."""

        def __init__(self, original: dict[str, Any] | None = None, **_: Any) -> None:
            self.quant_method: Any = METHOD
            self.original = original or {"quant_method": "mxfp4"}

        def to_dict(self) -> dict[str, Any]:
            return dict(self.original)

    @register_quantizer(METHOD)
    class PackedMxfp4Quantizer(HfQuantizer):
        """Puts `PackedExperts` in before the weights are read; nothing is converted."""

        requires_calibration = False

        def _process_model_before_weight_loading(self, model: Any, **kwargs: Any) -> None:
            use_packed_experts(model, model.config)

        def _process_model_after_weight_loading(self, model: Any, **kwargs: Any) -> Any:
            return model

        def is_serializable(self) -> bool:
            return True

        @property
        def is_trainable(self) -> bool:
            return True

    return PackedMxfp4Config


def packed_config(config: Any) -> Any:
    """`config` (a GptOssConfig of an MXFP4 checkpoint), its quantization_config being ours."""
    register()
    config.quantization_config = {
        "quant_method": METHOD,
        "original": config.quantization_config,
    }
    return config


def mark_packed(model: Any) -> None:
    """Give a model that was filled tensor by tensor the quantizer that `save_pretrained` asks."""
    from transformers.quantizers.auto import AutoHfQuantizer

    kind = register()
    model.config.quantization_config = kind(model.config.quantization_config["original"])
    model.hf_quantizer = AutoHfQuantizer.from_config(
        model.config.quantization_config, pre_quantized=True
    )
