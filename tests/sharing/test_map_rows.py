"""A map's rows, replayed from its journal: where it is found, and where it is not looked for."""

import json
import re
import shutil

import nbformat
import pandas as pd
import pytest

import gptoss_magic
from gptoss_magic.errors import InputError
from gptoss_magic.magics.mapping import map_record
from gptoss_magic.session import current
from gptoss_magic.sharing.notebooks import KEY
from gptoss_magic.sharing.recorded import recorded_answers
from gptoss_magic.sharing.replay import replay
from gptoss_magic.testing import tiny_checkpoint
from gptoss_magic.turns.rows.journal import read_journal

ROWS = ["море", "sea", "sea", "мор\ud800е", "の海"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_checkpoint(tmp_path_factory.mktemp("rows") / "tiny")


@pytest.fixture
def loaded(model):
    current().unload()
    gptoss_magic.load(str(model), context=512)
    yield
    current().unload()


@pytest.fixture
def mapped(loaded, tmp_path):
    """(notebook's file, journal's folder) of a map of ROWS."""
    journal = tmp_path / "books" / "my journal"
    ask = {"temperature": 1.0, "max_tokens": 6, "seed": 3, "date": "2025-08-05"}
    frame = pd.DataFrame({"x": pd.Series(ROWS, dtype=object)})
    done = gptoss_magic.map(frame, "Say {{ x }}", journal=journal, **ask)
    return write(tmp_path / "books", done, map_record(done)), journal


def write(folder, done, about):
    record = {**done.provenance, "map": about} if done else {"sampling": {}, "map": about}
    output = nbformat.v4.new_output("display_data", {"text/plain": "5 rows"})
    output["metadata"][KEY] = json.loads(json.dumps(record))
    cell = nbformat.v4.new_code_cell("%%gptoss --map rows\nSay {{ x }}", outputs=[output])
    folder.mkdir(exist_ok=True)
    path = folder / "заметки.ipynb"
    path.write_text(nbformat.writes(nbformat.v4.new_notebook(cells=[cell])), encoding="utf-8")
    return path


def changed(path, **about):
    """The notebook with its map's record changed."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    notebook["cells"][0]["outputs"][0]["metadata"][KEY]["map"].update(about)
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return path


def faults(path, **how):
    return [answer.fault for answer in recorded_answers(path, **how)]


def test_rows_are_identical_each_by_its_own_seed(mapped):
    done = replay(mapped[0])
    assert [one.words for one in done] == ["6 tokens are identical"] * len(ROWS)
    assert [one.answer.asked[:6] for one in done] == [f"row {n} ·"[:6] for n in range(len(ROWS))]
    assert max(one.change for one in done) < 0.02


def test_one_journal_may_have_rows_of_other_maps(mapped):
    path, journal = mapped
    gptoss_magic.map(pd.DataFrame({"x": ["else"]}), "Say {{ x }}", journal=journal, max_tokens=4)
    assert len(read_journal(journal)) == len(ROWS) + 1
    assert faults(path) == [""] * len(ROWS)


def test_a_journal_that_moved(mapped, tmp_path):
    path, journal = mapped
    elsewhere = journal.rename(tmp_path / "elsewhere")
    (fault,) = faults(path)
    assert fault.endswith("my journal is not here: say where it lies by --journal FOLDER")
    assert not journal.exists()  # looking makes nothing
    assert faults(path, journal=elsewhere) == [""] * len(ROWS)
    with_bundle = path.parent / "journals" / journal.name
    shutil.copytree(elsewhere, with_bundle)
    assert faults(path) == [""] * len(ROWS)
    (fault,) = faults(path, journal=tmp_path / "нет")
    assert re.fullmatch(r"--journal .*нет: no such folder", fault)


@pytest.mark.parametrize("up", ["../apart", "{}/apart", "my journal/../../apart"])
def test_no_journal_is_read_because_a_notebook_says_so(mapped, tmp_path, up):
    path, journal = mapped
    journal.rename(tmp_path / "apart")
    (fault,) = faults(changed(path, journal=up.format(tmp_path)))
    assert "is not here: say where it lies by --journal" in fault


def test_rows_that_are_gone_are_told(mapped):
    path, journal = mapped
    kept = list(read_journal(journal))[:2]
    known = json.loads(path.read_text(encoding="utf-8"))
    about = known["cells"][0]["outputs"][0]["metadata"][KEY]["map"]
    gone = "".join(key[:12] for key in kept) + "0" * 24
    assert len(about["keys"]) == 12 * len(ROWS)
    assert faults(changed(path, keys=gone)) == [
        "",
        "",
        "1 of 3 rows are not in the journal any more",
    ]


@pytest.mark.parametrize("keys", ["", "abc", "x" * 12, 7, ["0" * 12], "0" * 13, {}])
def test_damaged_keys(mapped, keys):
    (fault,) = faults(changed(mapped[0], keys=keys))
    assert fault == "the record is damaged: a map's keys cannot be read; get the file again"


def test_a_record_of_an_older_version(mapped):
    (fault,) = faults(changed(mapped[0], keys=None))
    assert fault == (
        "a map's rows stand in its journal, and an older version kept no keys: run the map again"
    )


def test_a_damaged_row_is_named_and_the_others_run(mapped):
    path, journal = mapped
    (file,) = journal.glob("*.parquet")
    frame = pd.read_parquet(file)
    texts = ["{", "[1]", '{"generations": []}', '{"generations": 5, "sampling": 3}']
    frame.loc[range(4), "provenance"] = texts
    frame.to_parquet(file)
    done = replay(path)
    assert [one.verdict for one in done] == ["not comparable"] * 4 + ["identical"]
    assert all("damaged" in one.causes[0] or "older version" in one.causes[0] for one in done[:4])


def test_a_file_that_is_no_parquet(mapped):
    path, journal = mapped
    (file,) = journal.glob("*.parquet")
    file.write_bytes(b"PAR1 no")
    (fault,) = faults(path)
    assert "cannot be read: delete it" in fault


def test_a_map_without_rows(loaded, tmp_path):
    about = {"rows": 0, "journal": "", "keys": ""}
    (fault,) = faults(write(tmp_path / "empty", None, about))
    assert "damaged" in fault
    with pytest.raises(InputError, match="cell 4: no answer is recorded there"):
        recorded_answers(tmp_path / "empty" / "заметки.ipynb", 4)
