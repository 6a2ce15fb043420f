"""A notebook that a real kernel wrote, replayed: identical, parted, or not comparable and why."""

import copy
import json
from pathlib import Path

import nbclient
import nbformat
import pytest

import gptoss_magic
from gptoss_magic.errors import InputError
from gptoss_magic.session import current
from gptoss_magic.sharing.notebooks import KEY, MIME
from gptoss_magic.sharing.records import records_of
from gptoss_magic.sharing.replay import replay
from gptoss_magic.testing import tiny_checkpoint

CELLS = [
    "%load_ext gptoss_magic\n%gptoss load {model} --context 2048",
    "%%gptoss -t 0 -m 24\nHello",
    "%%gptoss -t 1 -m 30 -s 5 -o warm\nПривет, мир 🌍",
    "%%gptoss -t 0 -m 12 --mask-experts 0:1\nMasked",
    "%gptoss branch 4 --of warm -s 9",
    "%%gptoss -t 0 -m 40 -n --schema S\nJSON",
    "%gptoss compare -s 1,2 -t 0.7 -m 8 Which way",
    "import pandas as pd\nrows = pd.DataFrame({'x': ['a', 'b']})",
    "%%gptoss -t 0 -m 4 --map rows --journal 'of a map'\nSay {{ x }}",
]
CELLS[7] += "\nS = {'type': 'object'}"
CELLS[5], CELLS[7] = CELLS[7], CELLS[5]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """(notebook as JSON, checkpoint) of a kernel that ran CELLS."""
    folder = tmp_path_factory.mktemp("replay")
    model = tiny_checkpoint(folder / "tiny")
    cells = [nbformat.v4.new_code_cell(cell.replace("{model}", str(model))) for cell in CELLS]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute(cwd=str(folder))
    return json.loads(nbformat.writes(notebook)), str(model)


@pytest.fixture
def loaded(written):
    current().unload()
    gptoss_magic.load(written[1], context=2048)
    yield
    current().unload()


@pytest.fixture
def file(written, tmp_path):
    path = tmp_path / "заметки.ipynb"
    path.write_text(json.dumps(written[0]), encoding="utf-8")
    return path


def changed(written, tmp_path, change):
    """The notebook with each record changed by `change(record)`, as a file."""
    notebook = copy.deepcopy(written[0])
    for cell in notebook["cells"]:
        for output in cell.get("outputs", []):
            for record in (output.get("metadata", {}).get(KEY), inside(output)):
                if record:
                    change(record)
    path = tmp_path / "changed.ipynb"
    path.write_text(json.dumps(notebook))
    return path


def inside(output):
    return output.get("data", {}).get(MIME, {}).get("record")


def test_every_answer_is_identical(written, file, loaded):
    turns, last = len(current().conversations.turns), current().last
    done = replay(file, journal=Path(written[1]).parent / "of a map")
    print([(o.answer.cell, o.words) for o in done])
    assert [one.verdict for one in done] == ["identical"] * 9
    assert all(one.change < 0.02 for one in done[:2] + done[7:])
    assert [one.answer.asked for one in done[7:]] == [f"row {n} · {CELLS[8]}" for n in range(2)]
    assert [one.answer.asked for one in done[:2]] == ["Hello", "Привет, мир 🌍"]
    assert (len(current().conversations.turns), current().last) == (turns, last)


def test_a_record_is_small(written):
    for cell in written[0]["cells"]:
        for output in cell["outputs"]:
            record = output.get("metadata", {}).get(KEY)
            if record is None or "grid" in record or "map" in record:
                continue
            calls = next(records_of({"cells": [cell]})).calls
            num_tokens = sum(len(call.prompt_ids) + len(call.answer_ids) for call in calls)
            assert len(json.dumps(record)) <= 6 * num_tokens + 2048
            assert inside(output) == record


def test_one_cell(file, loaded):
    (one,) = replay(file, cell=3)
    assert one.answer.cell == 3
    with pytest.raises(InputError, match="cell 99: no answer is recorded there; there are cells 2"):
        replay(file, cell=99)


def test_another_token_parts_there(written, tmp_path, loaded):
    from gptoss_magic.records.packed import pack_ids, unpack_ids

    def change(record):
        for call in record.get("generations", []):
            ids = unpack_ids(call["answer"])
            if len(ids) == 24:
                ids[10] = 100 if ids[10] != 100 else 101
            call["answer"] = pack_ids(ids)

    done = replay(changed(written, tmp_path, change))
    (parted,) = [one for one in done if one.verdict == "parts"]
    assert parted.parting.at == 10
    assert parted.parting.gap > 0
    assert parted.words.startswith("parts at token 10 of 24, ")
    assert parted.change > 0.1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda r: r.update(weights="0" * 64), "weights: "),
        (lambda r: r.update(weights="0" * 64, template="other"), "template: "),
        (
            lambda r: r.update(adapters=[{"name": "sea", "uid": "x", "scale": 1.0, "path": ""}]),
            "adapter: not attached as it was: sea at 1",
        ),
        (lambda r: r.update(versions={"torch": "1.0"}), "package: "),
    ],
    ids=["weights", "template", "adapter", "package"],
)
def test_causes_are_named_where_tokens_part(written, tmp_path, loaded, change, says):
    from gptoss_magic.records.packed import pack_ids, unpack_ids

    def parting(record):
        change(record)
        for call in record.get("generations", []):
            ids = unpack_ids(call["answer"])
            call["answer"] = pack_ids([*ids[:-1], 100 if ids[-1] != 100 else 101])

    done = replay(changed(written, tmp_path, parting), cell=2)
    assert [one.verdict for one in done] == ["not comparable"]
    assert says in done[0].words


def test_other_packages_with_the_same_tokens_are_a_note(written, tmp_path, loaded):
    path = changed(written, tmp_path, lambda record: record.update(versions={"torch": "1.0"}))
    (one,) = replay(path, cell=2)
    assert one.verdict == "identical"
    assert one.notes[0].startswith("package: ")


ODD = [
    lambda r: r.update(generations="x"),
    lambda r: r.update(generations=[]),
    lambda r: r.update(generations=[None]),
    lambda r: r.update(generations=[{"prompt": "3:AAAA", "answer": "0:"}]),
    lambda r: r.update(generations=[{"prompt": "0:", "answer": "0:"}]),
    lambda r: r.update(sampling={"temperature": "hot"}),
    lambda r: r.update(sampling={"max_tokens": -1}),
    lambda r: r.update(schema={"schema": {"type": 5}}),
    lambda r: r.update(probe={"mask": "99:99"}),
    lambda r: r.pop("generations", None),
    lambda r: [call.update(kept=99) for call in r.get("generations", [])],
    lambda r: [call.update(prompt="1:eJxjYGBgAAAABAAB") for call in r.get("generations", [])],
]


@pytest.mark.parametrize("change", ODD)
def test_a_damaged_record_is_one_line_and_the_rest_goes_on(written, tmp_path, loaded, change):
    for one in replay(changed(written, tmp_path, change)):
        assert len(one.words.splitlines()) == 1
        assert one.verdict == "not comparable" or one.num_tokens >= 0
    (first,) = replay(changed(written, tmp_path, change), cell=2)
    assert first.verdict == "not comparable", first.words


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{}", "no list of cells"),
        ("[1", "no JSON"),
        ('{"cells": []}', "no answer of gptoss_magic is recorded"),
        ('{"cells": [3, {"outputs": [null, {"metadata": 5}]}, {}]}', "no answer of gptoss_magic"),
    ],
)
def test_a_file_without_records_is_one_line(tmp_path, loaded, text, says):
    path = tmp_path / "a.ipynb"
    path.write_text(text)
    with pytest.raises(InputError, match=says):
        replay(path)
    with pytest.raises(InputError, match="no such file"):
        replay(tmp_path / "none.ipynb")


def test_records_in_the_bundle_alone_are_read(written, tmp_path, loaded):
    notebook = copy.deepcopy(written[0])
    for cell in notebook["cells"]:
        for output in cell["outputs"]:
            if MIME in output.get("data", {}):
                output["metadata"] = {}
    path = tmp_path / "colab.ipynb"
    path.write_text(json.dumps(notebook))
    assert [one.verdict for one in replay(path, cell=2)] == ["identical"]
