"""`%%gptoss_depth` in a shell: plan, study, resume, completion, refusals."""

import pytest
from IPython.utils.capture import capture_output

from gptoss_magic.magics.complete import candidates
from gptoss_magic.records.depth import Depth
from gptoss_magic.session import current
from tests.shell_cells import run, tiny_shell

BODY = """
rows: rows
checker: right
system: "Отвечай числом. {{ 1 / 0 }}"
max_tokens: 8
steps: 2
guards: {form: 2, general-text: 1}
"""


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    with tiny_shell(tmp_path_factory.mktemp("depth"), 2048) as shell:
        yield shell


@pytest.fixture
def place(shell, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shell.user_ns["rows"] = [{"prompt": f"{{{{ {n} }}}}?", "answer": str(n)} for n in range(10)]
    shell.user_ns["right"] = lambda item, final: final == item.expected
    return tmp_path


def shown(shell, cell):
    """(result, all that is shown as text, as HTML, metadata)."""
    with capture_output() as captured:
        result = shell.run_cell(cell)
    texts = [output.data["text/plain"] for output in captured.outputs]
    htmls = [output.data.get("text/html", "") for output in captured.outputs]
    metadata = [output.metadata or {} for output in captured.outputs]
    return result, "\n".join([captured.stdout, *texts]), "".join(htmls), metadata


def test_without_go_only_the_plan_is_shown(shell, place):
    result, text, html, _ = shown(shell, f"%%gptoss_depth -r 0,1,3,5 -t usual -u 4 -M 5{BODY}")
    result.raise_error()
    for words in ("6 rows to learn from, 4 held out", "the task has no tools", "4 rows", "of 5 min",
                  "nothing is run; add --go"):  # fmt: skip
        assert words in text
    assert "<table" in html
    assert list(place.iterdir()) == []


def test_a_study_is_run_kept_and_gone_on_with(shell, place):
    line = "%%gptoss_depth digits -r 1,7 -t usual --go -o found"
    result, text, html, metadata = shown(shell, line + BODY)
    result.raise_error()
    found = shell.user_ns["found"]
    assert isinstance(found, Depth)
    assert [one.rung.key for one in found.results] == ["bare", "system", "attention-r8"]
    assert "digits: 3 of 3 rungs" in text
    assert "LoRA on attention" in html
    assert any("depth" in one.get("gptoss_magic", {}) for one in metadata)
    assert found.results[1].attempts[0].prompt.startswith("{{ ")
    assert current().shelf.held == {}
    result, text, *_ = shown(shell, "%gptoss_depth --resume digits -o again")
    result.raise_error()
    assert shell.user_ns["again"].results == found.results


def test_a_study_s_runs_are_ordinary_runs(shell, place):
    run(shell, f"%%gptoss_depth -r 7 -t usual --go{BODY}")
    _, text, *_ = shown(shell, "%gptoss runs")
    assert "depth-attention-r8" in text
    assert shell.run_cell(
        "%gptoss lora attach gptoss_runs/depth-attention-r8/adapter -n it"
    ).success
    assert shell.run_cell("%gptoss lora detach it").success


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("%%gptoss_depth\n# nothing", "the body: write keys"),
        ("%gptoss_depth", "the body: write keys"),
        ("%%gptoss_depth -r 1;2\nrows: rows", "give numbers, such as"),
        ("%%gptoss_depth -r 20\nrows: rows", "rung 20"),
        ("%%gptoss_depth -M 0\nrows: rows", "minutes 0"),
        ("%%gptoss_depth -M nan\nrows: rows", "minutes nan"),
        ("%%gptoss_depth -u 99\nrows: rows", "held out 99"),
        ("%%gptoss_depth -g nosuch\nrows: rows", "guard nosuch"),
        ("%%gptoss_depth\nrows: nothing", "neither a variable of the notebook nor a file"),
        ("%%gptoss_depth\nrows: rows\nchecker: nothing", "there is no nothing in the notebook"),
        ("%%gptoss_depth --resume nothing\nrows: rows", "has its body already"),
        ("%gptoss_depth --resume nothing", "no study lies there"),
        ("%gptoss_depth --resume nothing -r 1", "--rungs means nothing beside it"),
        ("%%gptoss_depth two words\nrows: rows", "unrecognized arguments: words"),
        ("%%gptoss_depth ../x\nrows: rows", "name '../x'"),
    ],
)
def test_what_cannot_be_is_one_line_and_nothing_is_written(cell, words, shell, place):
    _, text = run(shell, cell)
    assert words in text
    assert list(place.iterdir()) == []


def test_options_are_offered():
    assert "--resume" in candidates("%%gptoss_depth --")
    assert candidates("%%gptoss_depth -t u") == ["usual"]
