"""Write the calibration tokens of the packed stand-in: python -m tools.stand_in.calibration."""

from __future__ import annotations

import json

from transformers import AutoTokenizer

from gptoss_magic.harmony import HarmonyCodec, render
from gptoss_magic.model.stand_in.source import DATA
from tools.stand_in.cases import GENERAL, training


def main() -> None:
    """60 synthetic conversations, and the general answers as plain text."""
    codec = HarmonyCodec(AutoTokenizer.from_pretrained(DATA, local_files_only=True))
    spoken = [render([*case.prompt(), *case.completion()], codec) for case in training(123, 60)]
    text = codec.encode("\n\n".join(f"{question} {answer}" for question, answer in GENERAL))
    plain = [text[at : at + 256] for at in range(0, len(text), 256)]
    (DATA / "calibration.json").write_text(json.dumps(spoken + plain, separators=(",", ":")))


if __name__ == "__main__":
    main()
