"""Each file given, read by Axolotl's own schema: a line of JSON of what it understood, or why not.

Axolotl stands here without its dependencies; torch, transformers and pydantic are ours.
"""

import json
import logging
import sys
from pathlib import Path

import yaml

logging.disable(logging.ERROR)

from axolotl.utils.schemas.config import AxolotlConfigWCapabilities  # noqa: E402
from axolotl.utils.schemas.datasets import SFTDataset  # noqa: E402

MACHINE = {
    "capabilities": {
        "bf16": True,
        "fp8": False,
        "n_gpu": 1,
        "n_node": 1,
        "compute_capability": "sm_90",
    },
    "env_capabilities": {"torch_version": "2.9.0"},
}


def understood(path):
    """What Axolotl has of the file; keys that it would drop without a word, or its error."""
    given = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    unknown = [key for key in given if key not in AxolotlConfigWCapabilities.model_fields]
    for data in given["datasets"]:
        unknown += [key for key in data if key not in SFTDataset.model_fields]
    try:
        read = AxolotlConfigWCapabilities(**given, **MACHINE)
    except ValueError as error:
        return {"unknown": unknown, "error": str(error)}
    whole = read.model_dump(mode="json")
    return {
        "unknown": unknown,
        "read": {key: whole[key] for key in given},
        "keeps_rows_apart": read.attn_decontaminates_packing,
    }


for name in sys.argv[1:]:
    print(json.dumps(understood(name)))
