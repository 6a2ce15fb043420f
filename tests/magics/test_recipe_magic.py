"""`%gptoss recipe` and `%gptoss_tune --like` in a real shell: tables, files, refusals; no model."""

import pytest

from gptoss_magic.errors import InputError
from gptoss_magic.magics.complete import candidates
from gptoss_magic.session import current
from tests.shell_cells import clean_session, new_shell, run


@pytest.fixture
def shell(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with clean_session(monkeypatch, tmp_path / "data"):
        yield new_shell()


def outputs(shell, line):
    from IPython.utils.capture import capture_output

    with capture_output() as captured:
        shell.run_cell(line).raise_error()
    return [output.data for output in captured.outputs]


def test_like_shows_a_table_and_no_markdown(shell):
    (data,) = outputs(shell, "%gptoss_tune --like 120b -k 80")
    assert "<table" in data["text/html"]
    assert "|" not in data["text/plain"]
    assert "router+experts" in data["text/plain"]
    assert current().loaded is None


def test_a_recipe_is_shown_kept_and_shown_again(shell):
    (data,) = outputs(shell, "%gptoss recipe --like 20b -k 24 -n 200 -t 2048 -r 16 -o found")
    assert "gpt-oss-20b on 24 GB: 200 rows of 2,048 tokens, rank 16" in data["text/plain"]
    assert "an estimate" in data["text/plain"]
    assert data["text/html"].count("<table") == 2
    again, _ = shell.display_formatter.format(shell.user_ns["found"])
    assert again == data
    one = run(shell, "%gptoss recipe -M router")[1]
    assert "rank" not in one.splitlines()[0]
    assert current().loaded is None


def test_files_are_written_once_into_a_new_folder(shell, tmp_path):
    shown = run(shell, "%gptoss recipe --like 20b -M lora -w 'мой рецепт' -d train.jsonl")[1]
    assert "5 files written" in shown
    cell = (tmp_path / "мой рецепт" / "lora" / "tune_cell.txt").read_text(encoding="utf-8")
    assert cell.startswith("%gptoss_tune train.jsonl --method lora --rank 8")
    before = sorted(path.stat().st_mtime_ns for path in tmp_path.rglob("*"))
    shown = run(shell, "%gptoss recipe --like 20b -M lora -w 'мой рецепт' -o lost")[1]
    assert "is there already" in shown
    assert sorted(path.stat().st_mtime_ns for path in tmp_path.rglob("*")) == before
    assert "lost" not in shell.user_ns


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%gptoss recipe -k 0", "--card"),
        ("%gptoss recipe -n 0", "--rows 0"),
        ("%gptoss recipe -t 7", "--length 7"),
        ("%gptoss recipe -t 999999", "rows of 8 to"),
        ("%gptoss recipe -r 0", "rank 0"),
        ("%gptoss recipe --tflops inf", "tflops"),
        ("%gptoss recipe -d rows.jsonl", "beside --write only"),
        ("%gptoss recipe -k 10 -w somewhere", "nothing of the recipe fits"),
    ],
)
def test_what_cannot_be_is_one_line(shell, line, said, tmp_path):
    result, shown = run(shell, line)
    assert isinstance(result.error_in_exec, InputError)
    assert said in shown
    assert "Traceback" not in shown
    assert not (tmp_path / "somewhere").exists()


def test_tab_offers_it(shell):
    line = "%gptoss recipe --w"
    assert "--write" in candidates(line)
