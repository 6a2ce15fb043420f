"""A ZeRO-3 config of DeepSpeed (arXiv 1910.02054), for the trainers of others that take one.

accelerate, TRL and Axolotl read it; nothing here runs it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from gptoss_magic.errors import InputError
from gptoss_magic.tuning.trainer import CLIP

if TYPE_CHECKING:
    from gptoss_magic.tuning.settings import TrainSettings

PACKED = (
    "ZeRO-3 cuts all weights as one row of numbers of one dtype, in the middle of MXFP4 blocks; "
    "packed experts are shared out by --strategy ep or fsdp, or load the model in bf16"
)


def deepspeed_text(train: TrainSettings, num_ranks: int, *, is_frozen: bool) -> str:
    """JSON for so many processes. `is_frozen`: packed experts stay beside what is trained.

    A sequence a process, as many of them as a step has tokens for. Raises InputError where frozen
    experts are packed.
    """
    if is_frozen:
        raise InputError(f"--write-deepspeed: {PACKED}")
    pieces = max(1, round(train.step_tokens / (train.max_tokens * num_ranks)))
    config = {
        "bf16": {"enabled": True},
        "zero_optimization": {
            "stage": 3,
            "overlap_comm": True,
            "contiguous_gradients": True,
            "stage3_gather_16bit_weights_on_model_save": True,
        },
        "optimizer": {
            "type": "AdamW",
            "params": {"lr": train.learning_rate, "weight_decay": 0.0},
        },
        "gradient_clipping": CLIP,
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": pieces,
        "train_batch_size": num_ranks * pieces,
    }
    return json.dumps(config, indent=2) + "\n"
