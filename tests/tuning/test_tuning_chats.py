"""Records in the shapes that people have them, and the rows that come of them."""

import datetime as dt
import json
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptoss_magic.errors import InputError
from gptoss_magic.harmony import HarmonyCodec, render
from gptoss_magic.records import Message
from gptoss_magic.testing import tiny_tokenizer
from gptoss_magic.tuning.data import Row, encode, encode_all, from_conversation
from gptoss_magic.tuning.sources import read_rows, row_of
from gptoss_magic.tuning.trl import trl_lines

CODEC = HarmonyCodec(tiny_tokenizer())
ASK = {"role": "user", "content": "time in Rome and Oslo?"}


def call(name, key=None, **arguments):
    return {"id": key, "function": {"name": name, "arguments": arguments}}


def chat(*messages):
    return row_of({"messages": [ASK, *messages]}).messages[1:]


def bad(*messages):
    with pytest.raises(InputError) as error:
        chat(*messages)
    return str(error.value)


def test_calls_made_together_stand_with_their_results():
    said = chat(
        {"role": "assistant", "tool_calls": [call("clock", "1", city="Rome"), call("map", "2")]},
        {"role": "tool", "tool_call_id": "2", "content": "north"},
        {"role": "tool", "tool_call_id": "1", "content": "noon"},
        {"role": "assistant", "content": "Noon."},
    )
    assert [(m.recipient or m.author, m.content) for m in said[1:-1]] == [
        ("functions.map", "{}"),
        ("assistant", "north"),
        ("functions.clock", '{"city": "Rome"}'),
        ("assistant", "noon"),
    ]
    assert [m.author for m in said if m.role == "tool"] == ["functions.map", "functions.clock"]


def test_text_beside_a_call_is_its_preamble():
    said = chat(
        {"role": "assistant", "thinking": "t", "content": "I look.", "tool_calls": [call("clock")]},
        {"role": "tool", "content": "noon"},
        {"role": "assistant", "reasoning_content": " ", "content": [{"type": "text", "text": "N"}]},
    )
    channels = [(m.channel, m.recipient) for m in said[1:]]
    to_clock = ("commentary", "functions.clock")
    back = ("commentary", "assistant")
    assert channels == [("analysis", None), ("commentary", None), to_clock, back, ("final", None)]


def test_a_chat_may_end_in_one_call():
    said = chat({"role": "assistant", "tool_calls": [call("clock")]})
    assert said[-1].recipient == "functions.clock"
    (example,) = encode(Row(said), CODEC)
    assert example.ids[-1] == CODEC.special["call"]
    assert example.trained[-1]


def test_harmony_messages_are_taken_as_they_are():
    own = {"role": "assistant", "channel": "commentary", "recipient": "functions.f"}
    said = chat(
        {**own, "content_type": "<|constrain|>json", "content": "{}"},
        {"role": "tool", "content": "1"},
        Message("assistant", "one", "final"),
    )
    assert said[1] == Message("assistant", "{}", "commentary", "functions.f", "<|constrain|>json")
    assert said[2].author == "functions.f"


def test_bad_chats_are_named_by_message():
    calls = {"role": "assistant", "tool_calls": [call("a", "1"), call("b", "2")]}
    end = {"role": "assistant", "content": "x"}
    assert "several calls at the end" in bad(calls)
    assert "message 3: assistant speaks before functions.a gave" in bad(calls, end)
    wrong_key = {"role": "tool", "tool_call_id": "9", "content": "x"}
    assert "message 3: a result of 9, which was not called" in bad(calls, wrong_key)
    assert "says and calls nothing" in bad({"role": "assistant", "content": ""})
    assert "channel 'thoughts'" in bad({"role": "assistant", "content": "x", "channel": "thoughts"})
    assert "no text but int" in bad({"role": "assistant", "content": 4})
    image = [{"type": "image_url", "image_url": "x"}]
    assert "a part of its content is no text" in bad({"role": "assistant", "content": image})
    assert "the user says nothing" in bad({"role": "user", "content": " "}, end)
    assert "does not stand in front" in bad({"role": "system", "content": "x"}, end)
    assert "message 2: it has no role" in bad("x")
    assert "tools is no JSON" in wrong_of({"prompt": "a", "answer": "b", "tools": "["})


def wrong_of(record):
    with pytest.raises(InputError) as error:
        row_of(record)
    return str(error.value)


def test_tools_may_be_json_text():
    tools = json.dumps([{"type": "function", "function": {"name": "clock"}}])
    row = row_of({"prompt": "a", "answer": "b", "tools": tools})
    assert "type clock = () => any;" in row.messages[1].content


def test_a_table_of_chats_keeps_them(tmp_path):
    said = [ASK, {"role": "assistant", "content": "noon", "thinking": "t"}]
    frame = pd.DataFrame({"messages": [said, said]})
    frame.to_parquet(tmp_path / "rows.PARQUET")
    wanted = [row_of({"messages": said})] * 2
    assert read_rows(str(tmp_path / "rows.PARQUET"), "", {}) == wanted
    again = pd.read_parquet(tmp_path / "rows.PARQUET")  # lists are numpy's arrays there
    assert isinstance(again.messages[0], np.ndarray)
    assert read_rows("again", "", {"again": again}) == wanted
    trl = pd.DataFrame({"prompt": [said[:1]], "completion": [said[1:]]})
    assert read_rows("trl", "", {"trl": trl}) == wanted[:1]


def test_empty_cells_are_no_texts():
    frame = pd.DataFrame(
        {"prompt": ["a", "b"], "answer": ["c", "d"], "analysis": ["so", None]}, dtype="string"
    )
    assert frame.analysis[1] is pd.NA
    assert [row.has_analysis for row in read_rows("f", "", {"f": frame})] == [True, False]


class Rows:
    """What `datasets.Dataset` is to a reader: columns, and rows by iteration."""

    column_names = ("prompt", "answer")

    def __iter__(self):
        return iter([{"prompt": "a", "answer": "b"}])


def test_a_data_set_is_read_by_iteration():
    assert [row.prompt for row in read_rows("d", "", {"d": Rows()})] == ["a"]
    with pytest.raises(InputError, match="choose one of its values, train"):
        read_rows("d", "", {"d": {"train": Rows()}})


def test_csv_and_yaml_values_are_texts(tmp_path):
    (tmp_path / "r.csv").write_text("prompt,answer\n6*7,42\nWho?,NA\nday,2020-01-02\n")
    rows = read_rows(str(tmp_path / "r.csv"), "", {})
    assert [row.messages[-1].content for row in rows] == ["42", "NA", "2020-01-02"]
    rows = read_rows(None, "is it so?: yes\nwhen?: 2020-01-02\n6*7: 42", {})
    assert [row.messages[-1].content for row in rows] == ["yes", "2020-01-02", "42"]
    with pytest.raises(InputError, match=r"row 1: answer is no text but date"):
        read_rows("r", "", {"r": [{"prompt": "when?", "answer": dt.date(2020, 1, 2)}]})


def test_one_record_in_yaml_is_one_row():
    (row,) = read_rows(None, "prompt: a\nanalysis: so\nanswer: b", {})
    assert (row.prompt, row.has_analysis, row.messages[-1].content) == ("a", True, "b")


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ("a: b\nc: d\na: e", "line 3: 'a' stands twice"),
        ('{"prompt": "a"\n\n{"prompt": 1', "line 1: no JSON.*; line 3: no JSON"),
        ("a -> b\nc -> d\nno arrow", "line 3: no →"),
        ("x: [", "nor YAML"),
        ("[" * 100_000, "nor YAML|no JSON"),
        ("{" + '"a":{' * 100_000, "no JSON"),
        ("", "empty"),
    ],
)
def test_a_bad_body_is_said(body, wrong):
    with pytest.raises(InputError, match=wrong):
        read_rows(None, body, {})


def test_a_text_may_hold_line_separators(tmp_path):
    record = {"prompt": "a\u2028b", "answer": "c\x85d"}
    (tmp_path / "r.jsonl").write_text(json.dumps(record, ensure_ascii=False), encoding="utf-8")
    (row,) = read_rows(str(tmp_path / "r.jsonl"), "", {})
    assert (row.prompt, row.messages[-1].content) == ("a\u2028b", "c\x85d")


def test_only_the_first_errors_are_told():
    with pytest.raises(InputError, match=r"row 1: .*row 3: .*\(and 2 more\)") as error:
        read_rows("r", "", {"r": [{}] * 5})
    assert "row 4" not in str(error.value)


letters = st.characters(exclude_categories=("Cs",))
# marks of reasoning and of tokens are read as such; hypothesis draws texts of the package, too
marks = re.compile(r"<\||\|>|think", re.IGNORECASE)
words = st.text(letters, min_size=1, max_size=9).filter(lambda text: not marks.search(text))
texts = words.filter(str.strip)


@st.composite
def rows(draw):
    record = {"messages": []}
    if draw(st.booleans()):
        record["system"] = draw(texts)
    for _ in range(draw(st.integers(1, 2))):
        record["messages"].append({"role": "user", "content": draw(texts)})
        if draw(st.booleans()):
            thought = {"thinking": draw(texts)} if draw(st.booleans()) else {}
            called = {"tool_calls": [call("f", x=draw(words))]}
            record["messages"].append({"role": "assistant", **thought, **called})
            record["messages"].append({"role": "tool", "content": draw(words)})
        thought = {"thinking": draw(texts)} if draw(st.booleans()) else {}
        record["messages"].append({"role": "assistant", "content": draw(texts), **thought})
    return row_of(record)


@given(st.lists(rows(), min_size=1, max_size=3))
def test_rows_written_as_trl_are_read_the_same(given_rows):
    lines, unsaid = trl_lines(given_rows)
    assert unsaid == []
    assert read_rows(None, lines, {}) == given_rows


def test_what_trl_cannot_say_is_named():
    tool = {"function": {"name": "clock"}}
    row = row_of({"prompt": "a", "answer": "b", "tools": [tool]})
    assert trl_lines([row, row_of({"prompt": "a", "answer": "b"})])[1] == [
        "row 1: its tools' definitions, which stay text"
    ]


def test_marks_are_written_and_read_again():
    marked = chat_row(
        {"role": "assistant", "content": "bad", "thinking": "t", "weight": 0},
        ASK,
        {"role": "assistant", "content": "good"},
    )
    lines, unsaid = trl_lines([marked])
    assert json.loads(lines)["messages"][1]["train"] is False
    assert unsaid == ["row 1: to TRL, that some of its turns are not trained"]
    assert read_rows(None, lines, {}) == [marked]


def chat_row(*messages):
    return row_of({"messages": [ASK, *messages]})


def exchange(number, size):
    answer = Message("assistant", "b" * size, "final")
    return [Message("user", f"{number}" * size), answer]


def test_too_long_a_row_loses_whole_exchanges():
    opening = [Message("system", "s")]
    talk = [*opening, *exchange(1, 40), *exchange(2, 10), *exchange(3, 10)]
    kept = [*opening, *talk[3:]]
    (_, _, whole) = encode(Row(tuple(talk)), CODEC)
    (_, short) = encode(Row(tuple(kept)), CODEC)
    cut = []
    examples = encode_all(
        [Row(tuple(talk))], CODEC, len(whole.ids) - 1, truncate=True, numbers=[7], on_cut=cut.append
    )
    assert examples[2] == short
    assert list(short.ids[: len(render(opening, CODEC, prompt=False))]) == render(
        opening, CODEC, prompt=False
    )
    assert cut == [7]
    with pytest.raises(InputError, match=rf"row 7 has {len(whole.ids)} tokens"):
        encode_all([Row(tuple(talk))], CODEC, len(whole.ids) - 1, numbers=[7])


def test_two_answers_in_a_row_are_two_turns():
    talk = [Message("user", "a"), Message("assistant", "b", "final")]
    talk.append(Message("assistant", "c", "final"))
    examples = encode(Row(tuple(talk)), CODEC)
    assert [e.ids[-1] for e in examples] == [CODEC.special["return"]] * 2
    first = examples[1].trained.index(True)
    assert list(examples[1].ids[:first]) == render(talk[:2], CODEC)


def test_a_conversation_ends_with_the_assistant():
    talk = [Message("user", "a"), Message("assistant", "{}", "commentary", "functions.f")]
    talk.append(Message("tool", "1", "commentary", "assistant", author="functions.f"))
    assert from_conversation(talk, {}).messages == tuple(talk[:2])
