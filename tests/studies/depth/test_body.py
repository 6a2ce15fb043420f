"""What a cell's body may say, and what it may not."""

import pandas as pd
import pytest

from gptoss_magic.errors import InputError
from gptoss_magic.studies.depth.body import body_of, guard_numbers, read_body, read_rows

INLINE = """
rows:
  - {prompt: "Столица Франции?", answer: Париж}
  - {prompt: "Is it so?", answer: no}
checker: answer
guards: {reasoning: 4, tool-calls: 2}
max_tokens: 64
tools: add, mul
"""


def test_a_body_is_yaml_whose_values_stay_texts():
    body = read_body(INLINE)
    rows = read_rows(body.rows, {}).rows
    assert [row.prompt for row in rows] == ["Столица Франции?", "Is it so?"]
    assert rows[1].messages[-1].content == "no"
    assert guard_numbers(body.guards) == {"reasoning": 4, "tool calls": 2}
    assert (body.max_tokens, body.tools) == (64, ("add", "mul"))


def test_json_is_a_body_too_and_the_line_goes_before_it():
    body = read_body('{"rows": "data", "guards": ["form"]}', guards="languages,general-text")
    assert guard_numbers(body.guards) == {"languages": None, "general text": None}


def test_a_template_in_a_row_is_text():
    rows = read_rows("{{ 1 / 0 }} → {% raw %}\nb → c", {}).rows
    assert rows[0].prompt == "{{ 1 / 0 }}"
    assert rows[0].messages[-1].content == "{% raw %}"


@pytest.mark.parametrize(
    "rows",
    [
        [{"question": "a?", "answer": "b"}, {"question": "c?", "answer": "d"}],
        pd.DataFrame({"prompt": ["a?", "c?"], "completion": ["b", "d"]}),
        {"a?": "b", "c?": "d"},
        "a? → b\nc? → d",
        ["a? → b", "c? → d"],
    ],
    ids=["records", "frame", "mapping", "lines", "list of lines"],
)
def test_rows_are_what_people_have(rows):
    read = read_rows(rows, {}).rows
    assert [(row.prompt, row.messages[-1].content) for row in read] == [("a?", "b"), ("c?", "d")]


def test_rows_are_a_variable_or_a_file(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("prompt,answer\nÄ?,ö\n", "utf-8")
    assert read_rows(str(path), {}).rows[0].prompt == "Ä?"
    assert read_rows(path, {}).rows[0].prompt == "Ä?"
    assert read_rows("mine", {"mine": [{"prompt": "a", "answer": "b"}]}).rows[0].prompt == "a"


def test_what_was_not_read_is_named():
    lines = read_rows(
        [{"prompt": "a", "answer": "b", "colour": "red"}, {"prompt": "x"}], {}
    ).lines()
    assert any("colour" in line for line in lines)
    assert any("left out, 1 row" in line for line in lines)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the body: write keys"),
        ("- a\n- b", "the body: write keys"),
        ("rows: [", "no YAML or JSON"),
        ("checker: answer", "no rows: write rows:"),
        ("rows: ' '", "no rows: write rows:"),
        ("rows: x\nrows: y", "line 2: 'rows' stands twice"),
        ("rows:\n  a?: b\n  a?: c", "line 3: 'a?' stands twice"),
        ("rows: x\nchekcer: y", "did you mean checker"),
        ("rows: x\nsystem: [a]", "system: ['a'] is no text"),
        ("rows: x\nsteps: many", "steps: 'many'; give a whole number, 0 or more"),
        ("rows: x\nmax_tokens: -3", "max_tokens: '-3'"),
        ("rows: x\nrubric: kind\nchecker: f", "give one of them"),
    ],
)
def test_a_body_that_cannot_be_is_refused(text, words):
    with pytest.raises(InputError) as refused:
        read_body(text)
    assert words in str(refused.value)


def test_guards_have_counts_above_0():
    with pytest.raises(InputError, match="guards: form: '0'; give a whole number, 1 or more"):
        guard_numbers({"form": "0"})


@pytest.mark.parametrize("rows", [3, "no_such_name", [], [{"prompt": "a"}]])
def test_rows_that_are_none_are_refused(rows):
    with pytest.raises(InputError):
        read_rows(body_of({"rows": rows}).rows, {})
