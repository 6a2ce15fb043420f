"""Rows from what people have: a cell's body, files, DataFrames, data sets, lists."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError, MissingPackage
from gptoss_magic.textfiles import json_value, read_text
from gptoss_magic.tuning.arrows import split_lines, without_arrow
from gptoss_magic.tuning.chats import read_row, row_of
from gptoss_magic.tuning.columns import ANSWERS, PROMPTS, is_record, plain_name
from gptoss_magic.tuning.notes import Reading, RowNotes, first_few

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from gptoss_magic.tuning.data import Row

MEND = "mend those rows"

__all__ = ["ANSWERS", "PROMPTS", "Broken", "read", "read_list", "read_rows", "row_of"]


@dataclass(frozen=True)
class Broken:
    """A line that is no record, and why."""

    why: str


def read_rows(source: str | None, body: str, names: Mapping[str, Any]) -> list[Row]:
    """The rows that `read` gives."""
    return read(source, body, names).rows


def read(source: str | None, body: str, names: Mapping[str, Any]) -> Reading:
    """Rows of a cell: of its `body`, or of `source`, a variable among `names` or a file.

    Records have `messages` (OpenAI's, TRL's), `conversations` (ShareGPT's), a prompt and an answer
    (Alpaca's and Dolly's columns too), or harmony as `text`; see `columns`. What was not read, was
    mended or left out stands in the reading. Raises InputError where no row is left.
    """
    if source and body.strip():
        raise InputError(f"{source} and a body: give one of them")
    return read_list(records_of(source, names) if source else body_records(body))


def read_list(records: Iterable[Any]) -> Reading:
    """Rows of records, as `read` has them. Raises InputError where no row is left."""
    reading = Reading()
    for number, record in enumerate(records, 1):
        notes = RowNotes()
        try:
            if isinstance(record, Broken):
                raise InputError(record.why)
            row = read_row(record, notes)
        except InputError as error:
            reading.left_out.append((number, str(error)))
        except Exception as error:  # noqa: BLE001 (a shape nobody thought of costs its row alone)
            what = " ".join(f"{type(error).__name__}: {error}".split())
            reading.left_out.append((number, f"it cannot be read ({what:.200})"))
        else:
            reading.add(replace(row, number=number), number, notes)
    if not reading.rows:
        why = first_few(reading.reasons())
        raise InputError(f"{why}; {MEND}" if why else "no rows: the data is empty; write some")
    return reading


def unbroken(records: list[Any]) -> list[Any]:
    """The records. Raises InputError where a line is none."""
    broken = [record.why for record in records if isinstance(record, Broken)]
    if broken:
        raise InputError(f"{first_few(broken)}; {MEND}")
    return records


def records_of(source: str, names: Mapping[str, Any]) -> list[Any]:
    """The records of a variable or a file; a JSON line that is none stands as `Broken`."""
    if source in names:
        return _listed(source, names[source])
    path = Path(source).expanduser()
    if not path.is_file():
        raise InputError(f"{source}: neither a variable of the notebook nor a file; name one")
    readers = {".jsonl": _json_lines, ".json": _json, ".csv": _table, ".parquet": _table}
    readers |= {".yaml": _yaml_file, ".yml": _yaml_file}
    kind = path.suffix.lower()
    if kind not in readers:
        raise InputError(f"{source}: give a {', '.join(readers)} file")
    return readers[kind](path)


def body_records(body: str) -> list[Any]:
    """JSON lines, `prompt → answer` lines, or YAML."""
    lines = [line for line in body.split("\n") if line.strip()]
    if all(line.lstrip().startswith("{") for line in lines):
        return _json_records(body, "")
    pairs = split_lines(body)
    if pairs:
        return list(pairs)
    try:
        return _yaml(body)
    except InputError:
        line = without_arrow(body)
        if line is None:
            raise
        raise InputError(f"line {line}: no → between a prompt and its answer; write one") from None


def _listed(name: str, value: Any) -> list[Any]:
    """Records of a DataFrame, a data set (rows by iteration), or any list of records."""
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        return [_plain(record) for record in value.to_dict("records")]
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        raise InputError(
            f"{name}: {type(value).__name__} holds no rows; give a list, a DataFrame or a file"
        )
    if isinstance(value, dict):
        raise InputError(f"{name}: a dict; choose one of its values, {', '.join(map(str, value))}")
    return list(value)


def _plain(value: Any) -> Any:
    """Arrays within a table's cells as lists."""
    if hasattr(value, "tolist") and hasattr(value, "ndim") and value.ndim:
        value = value.tolist()
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return {key: _plain(one) for key, one in value.items()} if isinstance(value, dict) else value


def _read(path: Path) -> str:
    """The text of a file in Unicode. Raises InputError for other encodings: a guess is no data."""
    decoded = read_text(path)
    if decoded.note or not decoded.encoding.startswith("utf"):
        why = decoded.note or f"it looks like {decoded.encoding}"
        raise InputError(f"{path}: {why}; give a file in UTF-8")
    return decoded.text


def _json_lines(path: Path) -> list[Any]:
    return _json_records(_read(path), f"{path}, ")


def _json_records(text: str, place: str) -> list[Any]:
    """One record a line, or why it is none. Raises InputError where no line is a record."""
    records: list[Any] = []
    for number, line in enumerate(text.split("\n"), 1):  # a text may hold other line ends
        if line.strip():
            try:
                records.append(_loads(line, f"line {number}"))
            except InputError as error:
                records.append(Broken(str(error)))
    broken = [record.why for record in records if isinstance(record, Broken)]
    if broken and len(broken) == len(records):
        raise InputError(f"{place}{first_few(broken)}; {MEND}")
    return records


def _json(path: Path) -> list[Any]:
    found = json_value(_read(path), str(path))
    if not isinstance(found, list):
        raise InputError(f"{path}: holds no list of rows; give a JSON list")
    return found


def _loads(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{place}: no JSON ({error})") from error


def _yaml_file(path: Path) -> list[Any]:
    return _yaml(_read(path))


def _yaml(text: str) -> list[Any]:
    """A list of records, one record, or a mapping of prompts to answers; all values are texts.

    A prompt that stands twice in a mapping would be lost: it is refused.
    """
    import yaml

    try:
        node = yaml.compose(text, yaml.BaseLoader)
        check_keys(node)
        found = yaml.load(text, yaml.BaseLoader)  # noqa: S506 (it makes texts and lists only)
    except (RecursionError, yaml.YAMLError) as error:
        first = " ".join(str(error).split())
        raise InputError(f"neither JSON lines nor YAML: {first}; mend it there") from error
    if isinstance(found, dict):
        if is_record(found):
            return [found]
        return [{"prompt": prompt, "answer": answer} for prompt, answer in found.items()]
    if isinstance(found, list):
        return found
    raise InputError("no rows: write JSON lines, `prompt → answer` lines, or a YAML mapping")


def check_keys(node: Any) -> None:
    """Raise InputError where the outermost mapping has a key twice."""
    pairs = node.value if type(node).__name__ == "MappingNode" else []
    seen: set[str] = set()
    for key, _ in pairs:
        if str(key.value) in seen:
            line = key.start_mark.line + 1
            raise InputError(f"line {line}: {key.value!r:.60} stands twice; write a list of rows")
        seen.add(str(key.value))


def _table(path: Path) -> list[Any]:
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingPackage(f"{path} needs pandas: pip install 'gptoss_magic[map]'") from error
    try:
        if path.suffix.lower() == ".parquet":
            return _parquet(path)
        text = pd.read_csv(StringIO(_read(path)), dtype=str, keep_default_na=False)
    except Exception as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: cannot be read ({error}); give a CSV or Parquet file") from error
    return [_given(record) for record in text.to_dict("records")]


def _parquet(path: Path) -> list[Any]:
    """Rows by Arrow itself: pandas would turn whole numbers beside nulls into fractions."""
    import pyarrow.parquet

    records: list[Any] = pyarrow.parquet.read_table(path).to_pylist()
    return records


def _given(record: Mapping[Any, Any]) -> dict[Any, Any]:
    """A CSV's record without its empty cells; an empty prompt or answer stays, to be named."""
    needed = {*PROMPTS, *ANSWERS}
    return {
        name: value for name, value in record.items() if value != "" or plain_name(name) in needed
    }
