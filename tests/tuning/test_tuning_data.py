"""Rows from what people have, and rows as token ids with their masks."""

import json

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptoss_magic.errors import InputError
from gptoss_magic.harmony import HarmonyCodec, parse, prune, render
from gptoss_magic.records import Example, Message
from gptoss_magic.testing import tiny_tokenizer
from gptoss_magic.tuning.data import (
    Row,
    encode,
    encode_all,
    from_conversation,
    pack_steps,
    pieces,
    split,
)
from gptoss_magic.tuning.settings import TrainSettings
from gptoss_magic.tuning.sources import read, read_rows, row_of

CODEC = HarmonyCodec(tiny_tokenizer())
words = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=12)


def said(role, text, channel=None, **more):
    return Message(role, text, channel, **more)


@st.composite
def conversations(draw):
    messages = [said("system", draw(words))]
    for _ in range(draw(st.integers(1, 3))):
        messages.append(said("user", draw(words)))
        if draw(st.booleans()):
            messages.append(said("assistant", draw(words), "analysis"))
        if draw(st.booleans()):
            call = {"recipient": "functions.f", "content_type": "<|constrain|>json"}
            messages.append(said("assistant", draw(words), "commentary", **call))
            result = {"recipient": "assistant", "author": "functions.f"}
            messages.append(said("tool", draw(words), "commentary", **result))
            messages.append(said("assistant", draw(words), "analysis"))
        messages.append(said("assistant", draw(words), "final"))
    return Row(tuple(messages))


@given(conversations())
def test_an_example_is_what_the_model_is_shown_and_says(row):
    examples, places = encode(row, CODEC), [0]
    for n, message in enumerate(row.messages):
        if message.role == "user":
            places.append(n + 1)
    ends = [*[n - 1 for n in places[2:]], len(row.messages)]
    assert len(examples) == len(ends)
    for example, begin, end in zip(examples, places[1:], ends, strict=True):
        first = example.trained.index(True)
        shown = render(prune(row.messages[:begin]), CODEC)
        assert list(example.ids[:first]) == shown
        turn = row.messages[begin:end]
        assert example.ids[-1] == CODEC.special["return"]
        mine = [token for token, on in zip(example.ids, example.trained, strict=True) if on]
        wanted = [m for m in turn if m.role == "assistant"]
        heard = parse([CODEC.special["start"], *CODEC.encode("assistant"), *_reopened(mine)], CODEC)
        assert [(m.content, m.channel) for m in heard] == [(m.content, m.channel) for m in wanted]


def _reopened(mine):
    """What was trained, with the header back that the engine gives after a tool's result."""
    special, whole = CODEC.special, []
    for token in mine:
        if whole and whole[-1] in (special["call"], special["end"]) and token != special["start"]:
            whole += [special["start"], *CODEC.encode("assistant")]
        whole.append(token)
    return whole


def test_tool_results_are_not_trained():
    row = row_of(
        {
            "messages": [
                {"role": "user", "content": "time?"},
                {
                    "role": "assistant",
                    "thinking": "ask",
                    "tool_calls": [{"function": {"name": "clock", "arguments": {"city": "Rome"}}}],
                },
                {"role": "tool", "content": "noon"},
                {"role": "assistant", "content": "It is noon."},
            ],
            "tools": [{"type": "function", "function": {"name": "clock", "parameters": {}}}],
        }
    )
    (example,) = encode(row, CODEC)
    texts = pieces(example, CODEC)
    trained = "".join(text for text, on in texts if on)
    assert "noon<|end|>" not in trained
    assert '{"city": "Rome"}<|call|>' in trained
    assert "It is noon.<|return|>" in trained
    assert "ask<|end|>" in trained
    assert "".join(text for text, _ in texts) == CODEC.decode(list(example.ids))
    assert "namespace functions" in row.messages[1].content


@pytest.mark.parametrize(
    "body",
    [
        '{"prompt": "a", "answer": "b"}\n{"prompt": "c", "completion": "d"}',
        "a → b\nc -> d",
        "a: b\nc: d",
        "- prompt: a\n  answer: b\n- question: c\n  response: d",
    ],
)
def test_bodies_say_the_same(body):
    rows = read_rows(None, body, {})
    assert [(row.prompt, row.messages[-1].content) for row in rows] == [("a", "b"), ("c", "d")]


def test_files_frames_and_lists_say_the_same(tmp_path):
    records = [
        {"prompt": "a", "answer": "b", "analysis": "so", "system": "be kind"},
        {"prompt": "c", "answer": "d", "analysis": None, "system": None},
    ]
    frame = pd.DataFrame(records)
    frame.to_csv(tmp_path / "rows.csv", index=False)
    frame.to_parquet(tmp_path / "rows.parquet")
    (tmp_path / "rows.json").write_text(json.dumps(records))
    lines = "\n".join(map(json.dumps, records))
    (tmp_path / "rows.jsonl").write_text("\ufeff" + lines + "\n\n")
    wanted = read_rows("records", "", {"records": records})
    assert [row.has_analysis for row in wanted] == [True, False]
    assert wanted[0].messages[1].content.endswith("be kind")
    for name in ("rows.csv", "rows.parquet", "rows.json", "rows.jsonl"):
        assert read_rows(str(tmp_path / name), "", {}) == wanted
    assert read_rows("frame", "", {"frame": frame}) == wanted


def test_other_shapes_of_records():
    trl = {
        "prompt": [{"role": "user", "content": "a"}],
        "completion": [{"role": "assistant", "content": "b", "thinking": "t"}],
    }
    assert [m.channel for m in row_of(trl).last_turn] == ["analysis", "final"]
    alpaca = {"instruction": "add", "input": "1 2", "output": "3"}
    assert row_of(alpaca).prompt == "add\n\n1 2"


@pytest.mark.parametrize(
    ("record", "wrong"),
    [
        ({"prompt": "a"}, "no answer"),
        ({"answer": "a"}, "no prompt"),
        ({"prompt": "", "answer": "a"}, "prompt is empty"),
        ({"prompt": "a", "answer": float("nan")}, "no answer"),
        ({"messages": []}, "does not end with an answer"),
        ({"messages": [{"role": "user", "content": "a"}]}, "does not end with an answer"),
        ({"messages": [{"role": "robot", "content": "a"}]}, "'robot'"),
        ({"messages": [{"role": "assistant", "content": "a"}]}, "no message of the user"),
        (
            {"messages": [{"role": "user", "content": "a"}, {"role": "tool", "content": "b"}]},
            "without the tool's name",
        ),
        ({"prompt": "a", "answer": "b", "effort": "huge"}, "effort"),
        ("text", "not an object"),
    ],
)
def test_a_bad_row_is_named(record, wrong):
    good = {"prompt": "a", "answer": "b"}
    reading = read("rows", "", {"rows": [good, record, good]})
    assert [row.number for row in reading.rows] == [1, 3]
    (line,) = [line for line in reading.lines() if line.startswith("left out, 1 row: row 2: ")]
    assert wrong in line
    with pytest.raises(InputError, match="row 1: .*" + wrong):
        read_rows("rows", "", {"rows": [record]})


@pytest.mark.parametrize(
    ("name", "content", "wrong"),
    [
        ("x.jsonl", b'{"prompt": 1', "line 1: no JSON"),
        ("x.jsonl", b"\xff\xfe\x00", "UTF-8"),
        ("x.jsonl", b"", "empty"),
        ("x.json", b"{}", "no list"),
        ("x.parquet", b"PAR1", "cannot be read"),
        ("x.txt", b"a", "give a .jsonl"),
        ("x.yaml", b"a: [", "nor YAML"),
    ],
)
def test_a_bad_file_is_said(tmp_path, name, content, wrong):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=wrong):
        read_rows(str(tmp_path / name), "", {})


lengths = st.lists(st.integers(1, 40), min_size=1, max_size=30)


@given(lengths, st.integers(0, 5), st.sampled_from([1.0, 2.0, 0.5, 1.5]))
def test_packing_keeps_every_example_and_its_bounds(sizes, seed, epochs):
    examples = [Example((n,) * size, (True,) * size) for n, size in enumerate(sizes)]
    train = TrainSettings(seed=seed, epochs=epochs, step_tokens=64, max_tokens=48)
    steps = pack_steps(examples, train)
    assert steps == pack_steps(examples, train)
    seen = [e for step in steps for sequence in step for e in sequence]
    whole = int(epochs) * len(examples)
    part = max(1, round(len(examples) * (epochs % 1))) if epochs % 1 else 0
    assert len(seen) == whole + part
    assert set(seen) <= set(examples)
    if epochs >= 1:
        assert set(seen) == set(examples)
    for step in steps:
        assert sum(len(e.ids) for sequence in step for e in sequence) <= 64
        assert all(sum(len(e.ids) for e in sequence) <= 48 for sequence in step)
    counted = pack_steps(examples, TrainSettings(num_steps=7, step_tokens=64, max_tokens=48))
    assert len(counted) == 7


@given(st.integers(0, 30), st.floats(0, 0.9), st.integers(0, 3))
def test_a_split_parts_the_rows(count, share, seed):
    rows = [row_of({"prompt": str(n), "answer": "x"}) for n in range(count)]
    kept, held = split(rows, share, seed)
    assert sorted(kept + held, key=lambda row: int(row.prompt)) == rows
    if share > 0 and count > 1:
        assert kept
        assert held


def test_too_long_rows_are_refused_or_cut():
    rows = [row_of({"prompt": "a" * 50, "answer": "b"})]
    with pytest.raises(InputError, match=r"row 1 has \d+ tokens, more than 60"):
        encode_all(rows, CODEC, 60)
    (cut,) = encode_all(rows, CODEC, 60, truncate=True)
    assert len(cut.ids) == 60
    assert any(cut.trained)


def test_reasoning_put_before_a_turn_leaves_its_marks_where_they_were():
    marked = {"role": "assistant", "content": "bad", "weight": 0}
    turns = [{"role": "user", "content": "a"}, marked, {"role": "assistant", "content": "good"}]
    row = row_of({"messages": turns})
    thinking = row.with_thought("so")
    assert [m.content for m in thinking.last_turn] == ["so", "bad", "good"]
    assert [thinking.messages[n].content for n in thinking.untrained] == ["bad"]


def test_a_conversation_becomes_a_row_with_its_edits():
    talk = [said("user", "a"), said("assistant", "b", "final"), said("user", "c")]
    row = from_conversation(talk, {1: "better"})
    assert [m.content for m in row.messages] == ["a", "better"]
    with pytest.raises(InputError, match="messages 0 to 2"):
        from_conversation(talk, {5: "x"})
    with pytest.raises(InputError, match="no answer"):
        from_conversation(talk[:1], {})
