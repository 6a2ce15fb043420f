"""A tune cell's run as files of others: Axolotl's YAML, read and written, and DeepSpeed's JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.session import current

if TYPE_CHECKING:
    from argparse import Namespace


def take_axolotl(options: Namespace) -> None:
    """Fill what the line leaves open from the YAML; name what this run leaves out of it."""
    from gptoss_magic.tuning.axolotl import read_axolotl

    found = read_axolotl(options.axolotl)
    given = {**found.train.record(), "method": found.method.name, "data": found.data}
    if options.method in (None, found.method.name):
        given |= {name: value for name, value in found.method.record().items() if name != "name"}
    for name, value in given.items():
        if getattr(options, name, "") is None:
            setattr(options, name, value)
    if found.not_understood:
        print(f"{options.axolotl}: left out: {'; '.join(found.not_understood)}")


def write_axolotl_file(wanted: Any, options: Namespace) -> None:
    """The same run as Axolotl's YAML, its rows beside it; what they cannot say is named."""
    from gptoss_magic.atomic import whole_file
    from gptoss_magic.tuning.axolotl import write_axolotl
    from gptoss_magic.tuning.trl import trl_lines

    model = current().require().identity["model"]
    path = Path(options.write_axolotl)
    data = path.with_suffix(".rows.jsonl")
    if options.data and data == Path(options.data):
        raise InputError(f"{path}: its rows go to {data}, which is the data; give another name")
    for file in (path, data):
        if file.exists():
            raise InputError(f"{file}: is there already; give the name of a new file")
    text, lost = write_axolotl(wanted.method, wanted.train, model, str(data))
    lines, more = trl_lines(wanted.rows)
    with whole_file(path) as yaml, whole_file(data) as rows:  # both, or none of them
        rows.write_text(lines, encoding="utf-8")
        yaml.write_text(text, encoding="utf-8")
    print(f"{path} and {data} written; they cannot say: {'; '.join([*lost, *more]) or 'nothing'}")


def write_deepspeed_file(wanted: Any, options: Namespace) -> None:
    """The run's ZeRO-3 config, for a trainer that takes one. Raises InputError, StorageError."""
    from gptoss_magic.atomic import whole_file
    from gptoss_magic.ranks.deepspeed import deepspeed_text
    from gptoss_magic.tuning.methods import method_of

    path, resident = Path(options.write_deepspeed).expanduser(), current().require_local()
    if path.exists():
        raise InputError(f"{path}: is there already; give the name of a new file")
    is_packed = hasattr(resident.model.get_decoder().layers[0].mlp.experts, "packed")
    trains_all = method_of(wanted.method).trains_all
    text = deepspeed_text(wanted.train, options.launch or 1, is_frozen=is_packed and not trains_all)
    with whole_file(path) as fresh:
        fresh.write_text(text, encoding="utf-8")
    print(
        f"{path} written: ZeRO-3 for {options.launch or 1} processes, which others' trainers take"
    )
