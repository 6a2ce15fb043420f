"""Missing values, marks, half characters, odd labels and braces of others, in cells and frames."""

import asyncio

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import gptoss_magic
from gptoss_magic.errors import InputError
from gptoss_magic.harmony.schema import definition
from gptoss_magic.magics.body import expand
from gptoss_magic.records import ToolSpec
from gptoss_magic.scripted import calling, saying, scripted
from gptoss_magic.session import current
from gptoss_magic.textfiles import decode
from gptoss_magic.tuning.sources import read
from gptoss_magic.turns.rows.template import RowTemplate
from tests.shell_cells import run, tiny_shell


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    with tiny_shell(tmp_path_factory.mktemp("odd"), 2048) as shell:
        yield shell


TEXTS = [
    r"\frac{{1}}{{2}}",
    "x^{{1/2}} y_{{1,2}}",
    "$a_{{1, 2}}$",
    '{"a": {{"b": 1}}}',
    "{{#if a}}b{{/if}}",
    "{{ .Values.image }}",
    "{{> partial}} {{ $json.a }} {{ @index }}",
    "{{{{raw}}}}",
    "style={{color: 'red'}}",
    "{%+ raw +%}{{ x }}{%+ endraw +%}",
]


@pytest.mark.parametrize("text", TEXTS)
def test_braces_of_other_languages_pass(text):
    assert expand(text, {}) == text.replace("{%+ raw +%}", "").replace("{%+ endraw +%}", "")


@pytest.mark.parametrize("text", ["{{ self }}", "{{ range }}", "{{ dict }}", "{{ cycler() }}"])
def test_jinja_s_own_names_are_none_of_the_notebook_s(text):
    with pytest.raises(InputError, match="--raw"):
        expand(text, {})


def test_expressions_are_computed():
    names = {"n": 3, "self": "me"}
    assert expand("{{ 1 + 1 }} {{ n + 1 }} {{ self }} {{ '{{' }}", names) == "2 4 me {{"
    assert expand("{{ range(n) | list }}", names) == "[0, 1, 2]"


NO_VALUES = [None, float("nan"), np.float32("nan"), pd.NA, pd.NaT, np.datetime64("NaT")]


@pytest.mark.parametrize("value", [*NO_VALUES, np.ma.masked, pa.scalar(None, pa.string())], ids=str)
def test_no_value_is_asked_as_a_word(value):
    template = RowTemplate("{{ a b }}".replace("a b", "row['a b']"), ["a b"], {})
    with pytest.raises(InputError, match=r"write \{\{ row\['a b'\] or '' \}\}"):
        template.render([value])
    assert RowTemplate("{{ a or 'none' }}", ["a"], {}).render([value]) == "none"


def rendered(label, body, value="x"):
    return RowTemplate(body, [label], {}).render([value])


def test_labels_that_are_no_names_are_reached():
    assert rendered(0, "{{ row[0] }} {{ row['0'] }}") == "x x"
    assert rendered(True, "{{ row[True] }}") == "x"
    assert rendered(("a", 1), "{{ row[('a', 1)] }}") == "x"
    assert rendered(pd.Timestamp("2020-01-01"), "{{ row['2020-01-01 00:00:00'] }}") == "x"
    assert rendered("\ufeffid", "{{ id }}") == "x"
    assert rendered("ｉｄ", "{{ id }} {{ ｉｄ }}") == "x x"


class Unshowable:
    def __init__(self, error):
        self.error = error

    def __repr__(self):
        raise self.error


@pytest.mark.parametrize("error", [ValueError("a\nb"), RecursionError("deep"), MemoryError()])
def test_a_value_that_cannot_show_itself_fails_its_own_row(shell, error):
    shell.user_ns["odd"] = frame = pd.DataFrame({"q": ["a", Unshowable(error)]}, dtype=object)
    for _ in range(2):
        run(shell, "%%gptoss --map odd -t 0 -m 2\n{{ q }}")[0].raise_error()
    first, second = frame["answer_error"]
    assert "cut off" in first
    assert second.startswith(f"template: {type(error).__name__}")
    assert "\n" not in second


def test_half_a_character_in_a_row_is_noted(shell):
    shell.user_ns["halves"] = frame = pd.DataFrame({"q": pd.Series(["\ud800x", "y"], dtype=object)})
    result, shown = run(shell, "%%gptoss --map halves -t 0 -m 2 -o done\n{{ q }}")
    result.raise_error()
    assert "1 with half a character (a lone surrogate), read as U+FFFD" in shown
    assert shell.user_ns["done"].num_broken == 1
    frame.columns = pd.Index(["\ud800", "answer", "answer_error"], dtype=object)
    assert "\\ud800" in run(shell, "%%gptoss --map halves\n{{ nosuch }}")[1]


LINES = ["load x?", "persona use ?", "panel --save ?", "index . --as ?", "memory note ?", "runs ?"]


@pytest.mark.parametrize("line", LINES)
def test_half_a_character_in_a_line_is_refused_by_name(shell, line):
    result, shown = run(shell, f"%gptoss {line}".replace("?", "\ud800"))
    assert not result.success
    assert "\\ud800: half a character" in shown
    assert "\n" not in shown.strip()


def test_a_schema_that_is_none_is_refused(shell):
    shell.user_ns["form"] = None
    assert "--schema form: it is None" in run(shell, "%%gptoss -S form\nHello")[1]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le"])
def test_marks_of_joined_files_are_no_text(encoding, tmp_path):
    rows = '\ufeff\ufeff[{"ｐｒｏｍｐｔ": "Как?", "\ufeffanswer": "Так."}]'
    assert decode(rows.encode(encoding)).text[0] == "["
    (tmp_path / "rows.json").write_bytes(rows.encode(encoding))
    (row,) = read(str(tmp_path / "rows.json"), "", {}).rows
    assert [message.content for message in row.messages[-2:]] == ["Как?", "Так."]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_axolotl_s_file_is_read_as_any_other(shell, encoding, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = "adapter: lora\nlora_r: 2\nlora_target_modules: [q_proj]\ndatasets:\n  - path: a.jsonl\n"
    (tmp_path / "ax.yaml").write_bytes(text.encode(encoding))
    (tmp_path / "a.jsonl").write_text('{"prompt": "a", "answer": "b"}')
    assert run(shell, "%gptoss_tune --axolotl ax.yaml")[0].success


def test_a_field_s_name_cannot_end_its_line():
    fields = {"": {"type": "string"}, "a\nb": {"type": "string"}, "a-b": {"type": "string"}}
    told = definition(ToolSpec("f", "d", {"type": "object", "properties": fields}))
    assert '""?: string' in told
    assert '"a\\nb"?: string' in told
    assert "a-b?: string" in told


GROUPS = [KeyboardInterrupt(), BaseExceptionGroup("both", [ValueError(), KeyboardInterrupt()])]


@pytest.mark.parametrize("error", GROUPS, ids=repr)
def test_an_interrupt_of_a_tool_ends_the_run(shell, error):
    def act() -> str:
        """Act."""
        raise error

    tool = gptoss_magic.tool(policy="auto")(act)
    with scripted(current(), calling("act", "{}"), saying("Done.")):
        said = gptoss_magic.generate("Hi", tools=[tool], consent=gptoss_magic.by_policy())
    assert said.finish == "interrupt"
    assert said.steps[0].outcome == "interrupt"


OTHERS = [SystemExit(3), GeneratorExit(), asyncio.CancelledError(), MemoryError(), StopIteration(1)]


@pytest.mark.parametrize("error", OTHERS, ids=repr)
def test_any_other_error_of_a_tool_is_told_to_the_model(shell, error):
    def act() -> str:
        """Act."""
        raise error

    tool = gptoss_magic.tool(policy="auto")(act)
    with scripted(current(), calling("act", "{}"), saying("Done.")):
        said = gptoss_magic.generate("Hi", tools=[tool], consent=gptoss_magic.by_policy())
    assert said.final == "Done."
    assert said.steps[0].result.startswith(type(error).__name__)
