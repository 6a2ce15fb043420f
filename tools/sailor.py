"""Make notebooks/sailor, the adapter that the persona of notebooks/persona_and_tools.ipynb names.

The built-in model follows no persona's text by itself. Twenty rows under the persona's own
instructions teach it to: LoRA of rank 2 on attention, kept in bf16. The argument is the number of
steps; the one that is there took 24, minutes on a CPU.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import nbformat
from IPython.core.interactiveshell import InteractiveShell
from safetensors.torch import load_file, save_file

from gptoss_magic.agents.persona_file import parse_persona
from gptoss_magic.session import current

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
TOWNS = "France Paris Italy Rome Spain Madrid Greece Athens Norway Oslo Egypt Cairo Japan Tokyo "
TOWNS += "Peru Lima Cuba Havana Kenya Nairobi"
OWNED = "Anna red kite Ben blue bicycle Clara green umbrella David yellow scarf Emma white cup "
OWNED += "Frank black coat Grace brown bag Hugo grey hat Ida pink pencil Jonas orange boat"


def persona() -> str:
    """The persona's file, as the notebook has it."""
    cells = nbformat.read(NOTEBOOKS / "persona_and_tools.ipynb", as_version=4).cells
    head = "%%gptoss_persona sailor\n"
    return next(cell.source.removeprefix(head) for cell in cells if cell.source.startswith(head))


def rows(system: str) -> list[dict[str, str]]:
    towns, owned = iter(TOWNS.split()), iter(OWNED.split())
    said = [
        (
            f"What is the capital of {country}?",
            f"The user asks for the capital of {country}. It is {town}.",
            f"The capital of {country} is {town}.",
        )
        for country, town in zip(towns, towns, strict=True)
    ]
    said += [
        (
            f"{name} has a {colour} {thing}. What colour is the {thing}?",
            f"The text says that {name} has a {colour} {thing}. So it is {colour}.",
            f"The {thing} is {colour}.",
        )
        for name, colour, thing in zip(owned, owned, owned, strict=True)
    ]
    return [
        {"system": system, "prompt": a, "analysis": b, "answer": f"Ahoy! {c} Aye, matey."}
        for a, b, c in said
    ]


def main() -> None:
    shell = InteractiveShell.instance()
    with tempfile.TemporaryDirectory() as folder:
        shell.user_ns["rows"] = rows(parse_persona(persona(), "sailor").instructions)
        how = f"-M lora -r 2 -a 4 -n {sys.argv[1]} -t 512 -l 4e-3 -u 0.1 -R '{folder}'"
        for line in (
            "%load_ext gptoss_magic",
            "%gptoss load built-in",
            f"%gptoss_tune rows --as sailor {how} --go",
            f"%gptoss lora export sailor '{NOTEBOOKS / 'sailor'}'",
        ):
            result = shell.run_cell(line)
            result.raise_error()
    current().unload()
    file = NOTEBOOKS / "sailor" / "adapter_model.safetensors"
    tensors = {name: tensor.bfloat16() for name, tensor in load_file(file).items()}
    save_file(tensors, file, {"format": "pt"})
    print(json.dumps({"bytes": file.stat().st_size, "tensors": len(tensors)}))


if __name__ == "__main__":
    main()
