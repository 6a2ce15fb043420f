"""`%gptoss replay` in a shell: a table, what parted, and one line where there is nothing to run."""

import json

import pytest

from gptoss_magic.records.packed import pack_ids, unpack_ids
from gptoss_magic.session import current
from gptoss_magic.sharing.answer_json import answer_json
from gptoss_magic.sharing.notebooks import KEY
from tests.shell_cells import run, tiny_shell


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    with tiny_shell(tmp_path_factory.mktemp("replay"), 2048) as made:
        yield made


@pytest.fixture
def file(shell, tmp_path):
    """A notebook of one answer, and of the same with another tenth token."""
    run(shell, "%%gptoss -n -q -t 0 -m 16 -d 2026-01-01\nГде луна?")
    whole = answer_json(current().last)
    other = json.loads(json.dumps(whole["record"]))
    other["turn"]["id"] = "other"
    (call,) = other["generations"]
    ids = unpack_ids(call["answer"])
    call["answer"] = pack_ids([*ids[:9], 100 if ids[9] != 100 else 101, *ids[10:]])
    outputs = [{"metadata": {KEY: record}} for record in (whole["record"], other)]
    cell = {"source": "%%gptoss\nГде луна?", "execution_count": 3, "outputs": outputs}
    path = tmp_path / "луна 1.ipynb"
    path.write_text(json.dumps({"cells": [cell]}))
    return path


def test_a_table_and_what_parted(shell, file):
    result, shown = run(shell, f"%gptoss replay '{file}' -o done")
    assert result.success
    assert "2 answers replayed: 1 identical, 1 parts" in shown
    assert "16 tokens are identical" in shown
    assert "parts at token 9 of 16" in shown
    assert "Где луна?" in shown
    assert "recorded:" in shown
    assert [one.verdict for one in shell.user_ns["done"]] == ["identical", "parts"]


@pytest.mark.parametrize(
    ("line", "says"),
    [("replay", "FILE"), ("replay nowhere.ipynb", "no such file"), ("replay a b", "b")],
)
def test_an_error_is_one_line(shell, line, says):
    _, shown = run(shell, f"%gptoss {line}")
    assert says in shown
    assert len(shown.strip().splitlines()) == 1


def test_a_provenance_is_a_short_table(shell, file):
    run(shell, "%%gptoss -n -q -t 0 -m 16 -o moon\nГде луна?")
    _, shown = run(shell, "moon.provenance")
    assert len(shown.splitlines()) < 20
    assert f"{len(shell.user_ns['moon'].provenance['prompt_tokens'])} tokens: " in shown
    assert max(map(len, shown.splitlines())) < 200
