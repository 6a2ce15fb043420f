"""`%gptoss page` in a real shell."""

import json

import pytest

from gptoss_magic.magics.complete import candidates
from gptoss_magic.sharing.page_records import notebook_of_page
from gptoss_magic.sharing.recorded import recorded_answers
from tests.page_cases import answer, code, markdown, notebook
from tests.shell_cells import new_shell, run


@pytest.fixture
def shell(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    book = notebook(markdown("# One"), code("%%gptoss\nHello", answer()))
    (tmp_path / "one two.ipynb").write_text(json.dumps(book))
    return new_shell()


def test_a_page_is_written_beside_the_notebook_or_where_one_says(shell, tmp_path):
    result, said = run(shell, "%gptoss page 'one two.ipynb'")
    assert result.success
    assert said.startswith("one two.html: 2 cells, 1 answer with tokens, ")
    assert run(shell, "%gptoss page 'one two.ipynb' -o sub/page.html")[0].success
    for path in (tmp_path / "one two.html", tmp_path / "sub/page.html"):
        assert notebook_of_page(path.read_text("utf-8"))
        assert [one.cell for one in recorded_answers(path)] == [2]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", "the following arguments are required: notebook"),
        ("none.ipynb", "no such notebook"),
        ("notes.txt", "no JSON"),
        ("'one two.ipynb' -o notes.txt", "something else is there; give another name, or --force"),
        ("'one two.ipynb' -o .", "a folder"),
        ("'one two.ipynb' --nosuch", "unrecognized arguments"),
        ("'one two.ipynb' -o ''", "nothing is given"),
    ],
)
def test_what_cannot_be_is_one_line_and_nothing_is_written(shell, tmp_path, line, words):
    (tmp_path / "notes.txt").write_text("mine")
    before = sorted(path.name for path in tmp_path.iterdir())
    result, _ = run(shell, f"%gptoss page {line}")
    assert not result.success
    assert words in str(result.error_in_exec)
    assert sorted(path.name for path in tmp_path.iterdir()) == before
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_force_overwrites(shell, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    assert run(shell, "%gptoss page 'one two.ipynb' -o notes.txt --force")[0].success
    assert notebook_of_page((tmp_path / "notes.txt").read_text("utf-8"))


def test_tab_offers_notebooks_and_options(shell):
    assert "one two.ipynb" in candidates("%gptoss page ")
    assert {"--force", "--output"} <= set(candidates("%gptoss page one.ipynb --"))
