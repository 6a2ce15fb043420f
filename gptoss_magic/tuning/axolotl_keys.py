"""The keys of Axolotl's YAML that a run here knows, and the values of theirs that it has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gptoss_magic.tuning import marks
from gptoss_magic.tuning.columns import TALKS, THOUGHTS, TOOLS

if TYPE_CHECKING:
    from collections.abc import Sequence

DATA_KEYS: dict[str, Sequence[Any]] = {  # of a data set, with the values that rows here know
    "path": (),
    "ds_type": (),
    "type": ("chat_template", "sharegpt", "alpaca"),
    "field_messages": TALKS,
    "message_field_role": ("role", "from"),
    "message_field_content": ("content", "value"),
    "message_property_mappings": (
        {"role": "role", "content": "content"},
        {"role": "from", "content": "value"},
    ),
    "message_field_training": marks.TRAINED,
    "message_field_training_detail": (marks.DETAIL,),
    "field_thinking": THOUGHTS,
    "template_thinking_key": (),  # of the template, not of the rows
    "field_tools": TOOLS,
    "roles_to_train": (["assistant"], ["gpt"], ["gpt", "assistant"], ["assistant", "gpt"]),
    "train_on_eos": ("turn",),
}
COSINE, CONSTANT = {"lr_scheduler": "cosine"}, {"lr_scheduler": "constant_with_warmup"}
DS_TYPES = {".json": "json", ".jsonl": "json", ".csv": "csv", ".parquet": "parquet"}
# keys that are read, or that the trainer decides by itself
READ = {
    *("base_model", "adapter", "lora_r", "lora_alpha", "lora_dropout", "lora_target_modules"),
    *("lora_target_parameters", "lora_target_linear", "datasets", "sequence_len", "sample_packing"),
    *("micro_batch_size", "gradient_accumulation_steps", "num_epochs", "max_steps"),
    *("learning_rate", "lr_scheduler", "cosine_min_lr_ratio", "warmup_ratio", "val_set_size"),
    *("eval_steps", "seed", "optimizer", "gradient_checkpointing", "bf16", "train_on_inputs"),
    *("eot_tokens", "model_quantization_config", "model_quantization_config_kwargs"),
    "attn_implementation",
}
ONLY = {  # values of these keys that a run here has
    "adapter": ("lora",),
    "lora_dropout": (None, 0),
    "lr_scheduler": (None, "cosine", "constant_with_warmup"),
    "optimizer": (None, "adamw_torch", "adamw_torch_fused", "paged_adamw_8bit", "adamw_bnb_8bit"),
    "sample_packing": (None, True),
    "bf16": (None, True, "auto"),
    "train_on_inputs": (None, False),
}
