"""What is read of the field's data formats, what is named, mended or left out, and what is trained.

The first of each kind is a public report's input; the others are of the same kind.
"""

import json
from types import SimpleNamespace

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gptoss_magic.errors import InputError
from gptoss_magic.harmony import HarmonyCodec, render
from gptoss_magic.records import Message
from gptoss_magic.runs.texts import prompts_of
from gptoss_magic.testing import tiny_tokenizer
from gptoss_magic.tuning.data import encode, encode_all, pieces
from gptoss_magic.tuning.sources import read, row_of

CODEC = HarmonyCodec(tiny_tokenizer())
ASK = {"role": "user", "content": "q"}


def reading(*records):
    return read("data", "", {"data": list(records)})


def said(record):
    """(role or tool, channel, text) of all but the system message."""
    messages = row_of(record).messages
    return [(m.author or m.role, m.channel, m.content) for m in messages if m.role != "system"]


def chat(*messages, **columns):
    return {"messages": [ASK, *messages], **columns}


def assistant(content=None, **fields):
    return {"role": "assistant", "content": content, **fields}


def calling(name, arguments, **columns):
    """A row whose assistant calls a tool, hears 2 and answers b."""
    call = {"id": "c", "function": {"name": name, "arguments": arguments}}
    result = {"role": "tool", "tool_call_id": "c", "content": "2"}
    return chat(assistant(tool_calls=[call]), result, assistant("b"), **columns)


def call_of(record):
    (call,) = [m for m in row_of(record).messages if m.recipient and m.role == "assistant"]
    return call.recipient, call.content


def refused(record):
    with pytest.raises(InputError) as error:
        row_of(record)
    return str(error.value)


def mended(record):
    return list(reading(record).repairs)


def trained(record):
    """The texts that are trained, special tokens taken off."""
    examples = encode(row_of(record), CODEC)
    return ["".join(text for text, on in pieces(example, CODEC) if on) for example in examples]


# Columns


def test_alpacas_history_is_the_turns_before():
    row = {"instruction": "And of Spain?", "input": "", "output": "Madrid."}
    row |= {"system": "Answer in one word.", "history": [["The capital of Italy?", "Rome."]]}
    assert said(row) == [
        ("developer", None, "# Instructions\n\nAnswer in one word."),
        ("user", None, "The capital of Italy?"),
        ("assistant", "final", "Rome."),
        ("user", None, "And of Spain?"),
        ("assistant", "final", "Madrid."),
    ]
    (line,) = reading(row).lines()
    assert line == (
        "read: instruction → the prompt; output → the answer; history → earlier turns; "
        "system → instructions"
    )


@pytest.mark.parametrize(
    "history",
    [
        [("x", "y")],
        '[["x", "y"]]',
        [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}],
        [{"prompt": "x", "response": "y"}],
        [{"user": "x", "bot": "y"}],
    ],
)
def test_a_history_in_each_of_its_forms(history):
    turns = said({"query": "a", "response": "b", "history": history})
    assert [text for _, _, text in turns] == ["x", "y", "a", "b"]


@pytest.mark.parametrize(
    ("history", "wrong"),
    [
        (["x", "y"], "has no role"),
        ([["x"]], "an earlier turn of 1 parts"),
        ([["x", None]], "an earlier turn is no text"),
        ("x and y", "history is no JSON"),
        ([{"said": "x"}], "a turn without a role; it has said"),
    ],
)
def test_a_history_that_cannot_be_read_leaves_the_row_out(history, wrong):
    assert wrong in refused({"prompt": "a", "answer": "b", "history": history})


def test_dollys_context_stands_in_the_prompt():
    row = {"instruction": "When?", "context": "It opened in 1915.", "response": "In 1915."}
    found = reading(row | {"category": "closed_qa"})
    assert found.rows[0].prompt == "When?\n\nIt opened in 1915."
    assert found.lines() == [
        "read: instruction, context → the prompt; response → the answer",
        "not read: category (row 1)",
    ]


@pytest.mark.parametrize(
    ("record", "prompt"),
    [
        ({"instruction": "Answer.", "question": "2+2?", "output": "4"}, "Answer.\n\n2+2?"),
        ({"Instruction": "Add", "Input ": "1 2", "Output": "3"}, "Add\n\n1 2"),
        ({"input": "1 2", "output": "3"}, "1 2"),
        ({"question": "q", "context": ["one", "two"], "answer": "r"}, "q\n\none\n\ntwo"),
        ({"system_prompt": "s", "question": "q", "response": "r"}, "q"),
        ({"question": "q", "query": "q", "answer": "r"}, "q"),
        ({"Question": "q", "Complex_CoT": "t", "Response": "r"}, "q"),
    ],
)
def test_columns_by_their_names_in_the_field(record, prompt):
    assert row_of(record).prompt == prompt


def test_the_system_prompt_by_each_of_its_names():
    for name in ("system", "system_prompt", "System Prompt", "developer"):
        turns = said({name: "be kind", "prompt": "q", "answer": "a"})
        assert turns[0] == ("developer", None, "# Instructions\n\nbe kind")


@pytest.mark.parametrize(
    ("record", "wrong"),
    [
        ({"prompt": "a", "question": "b", "answer": "c"}, "prompt and question differ"),
        ({"prompt": "a", "answer": "b", "output": "c"}, "answer and output differ"),
        ({"prompt": "a", "answer": "b", "cot": "c", "thinking": "d"}, "thinking and cot differ"),
        ({"prompt": "a", "Prompt": "b", "answer": "c"}, "columns prompt and Prompt are one"),
        ({"prompt": "a", "chosen": "b", "rejected": "c"}, "no answer; it has prompt, chosen"),
        ({"prompt": "a", "answer": "b", "image": "cat.png"}, "image: a row with more than text"),
        ({"prompt": "a", "context": 5, "answer": "b"}, "a part of the prompt is no text but int"),
        ({"text": "plain"}, "no prompt; it has text"),
    ],
)
def test_a_row_whose_columns_are_unclear_is_left_out(record, wrong):
    assert wrong in refused(record)


def test_what_is_not_read_is_named_with_its_rows():
    plain = {"prompt": "a", "answer": "b"}
    rows = [plain | {"id": n, "note": None, "tags": []} for n in range(5)]
    odd = chat(assistant("x", refusal="no", annotations=[]))
    lines = reading(*rows, odd).lines()
    assert lines[1] == "not read: id (rows 1, 2, 3 and 2 more); messages.refusal (row 6)"


def test_fields_that_a_role_does_not_have_are_named():
    ask = {"role": "user", "content": "q", "name": "Ada", "reasoning": "r", "train": True}
    row = {"messages": [ask | {"weight": 0}, assistant("b", name="Bo", tool_call_id=None)]}
    assert reading(row).lines()[1] == (
        "not read: messages.name (row 1); messages.reasoning (row 1); messages.train (row 1)"
    )


def test_a_message_with_two_texts_is_left_out():
    assert "content and value differ" in refused(chat(assistant("a", value="b")))
    assert said(chat(assistant("a", value="a")))[1] == ("assistant", "final", "a")


# Marks


def test_a_turn_of_weight_0_is_context_only():
    row = chat(
        assistant("bad", weight=0), {"role": "user", "content": "c"}, assistant("good", weight=1)
    )
    (text,) = trained(row)
    assert "good" in text
    (example,) = encode(row_of(row), CODEC)
    assert "bad" in CODEC.decode(list(example.ids))
    found = reading(row)
    assert found.lines()[1] == "context only, not trained: turns marked so in row 1"
    assert found.figures() == {"mended": 0, "partly trained": 1, "left out": 0}


@pytest.mark.parametrize(
    "mark",
    [
        {"weight": 0.0},
        {"weight": "0"},
        {"train": False},
        {"training": "false"},
        {"loss": False},
        {"loss_mask": 0},
        {"masked": True},
        {"train_detail": [{"begin_offset": 0, "end_offset": 2, "train": False}]},
    ],
)
def test_every_mark_of_the_field_is_heeded(mark):
    row = row_of(chat(assistant("bad", **mark), ASK, assistant("good")))
    assert row.untrained == {2}
    sharegpt = [{"from": "human", "value": "q"}, {"from": "gpt", "value": "bad", **mark}]
    sharegpt += [{"from": "human", "value": "q"}, {"from": "gpt", "value": "good"}]
    assert row_of({"conversations": sharegpt}).messages == row.messages
    assert row_of({"conversations": sharegpt}).untrained == {2}


def test_reasoning_and_calls_of_a_marked_turn_are_not_trained_either():
    call = {"id": "c", "function": {"name": "f", "arguments": "{}"}}
    row = chat(
        assistant("I look.", thinking="secret", tool_calls=[call], weight=0),
        {"role": "tool", "tool_call_id": "c", "content": "2"},
        assistant("good"),
    )
    (text,) = trained(row)
    assert "good<|return|>" in text
    for untaught in ("secret", "I look.", "{}"):
        assert untaught not in text


def test_the_prompt_shown_before_and_after_is_that_of_what_is_trained():
    call = {"id": "c", "function": {"name": "f", "arguments": "{}"}}
    row = row_of(chat(
        assistant(tool_calls=[call]),
        {"role": "tool", "tool_call_id": "c", "content": "2"},
        assistant("bad", weight=0),
    ))  # fmt: skip
    (example,) = encode(row, CODEC)
    engine = SimpleNamespace(codec=CODEC)
    assert prompts_of([[example]], engine) == [render(row.messages[:2], CODEC)]


@pytest.mark.parametrize(
    ("mark", "wrong"),
    [
        ({"weight": 0.5}, "weight 0.5: a turn counts or not"),
        ({"weight": -1}, "weight -1: a turn counts or not"),
        ({"weight": 1, "train": False}, "weight and train contradict each other"),
        ({"mask": 1}, "mask may mean trained or not"),
        ({"loss_weight": 0}, "loss_weight 0 may mark it as not trained"),
        ({"train_on": False}, "train_on False may mark it as not trained"),
        ({"train_detail": [{"train": True}, {"train": False}]}, "trains parts of an answer"),
        ({"train_detail": "all"}, "train_detail is no list"),
    ],
)
def test_an_unclear_mark_leaves_the_row_out(mark, wrong):
    assert wrong in refused(chat(assistant("x", **mark)))


@pytest.mark.parametrize(
    ("columns", "wrong"),
    [
        ({"weight": 0}, "weight 0: marked as not to be trained"),
        ({"train": "false"}, "train 'false': marked"),
        ({"masked": True}, "masked True: marked"),
        ({"label": False}, "label False: marked as an answer that is not wanted"),
    ],
)
def test_a_marked_row_is_left_out(columns, wrong):
    assert wrong in refused({"prompt": "a", "answer": "b", **columns})


def test_a_row_of_marked_turns_alone_is_left_out():
    assert "each of its turns is marked" in refused(chat(assistant("x", weight=0)))


# Reasoning and templates inside answers


RENDERED = (
    "assistant<|channel|>analysis<|message|>so<|end|>\n"
    "<|start|>assistant<|channel|>final<|message|>b<|return|>\n"
)


def test_think_tags_become_analysis():
    row = chat(assistant("<think>A cat has four legs.</think>8 legs."))
    assert said(row)[1:] == [
        ("assistant", "analysis", "A cat has four legs."),
        ("assistant", "final", "8 legs."),
    ]
    assert mended(row) == ["<think> became analysis"]


@pytest.mark.parametrize(
    "text",
    [
        "\n<think>\nso\n</think>\n\nb",
        "<thinking>so</thinking> b",
        "<Think>so</THINK>b",
        "[THINK]so[/THINK]b",
        "◁think▷so◁/think▷b",
        "<reasoning>\nso\n</reasoning>\nb",
        "so\n</think>\n\nb",
        "<analysis>so</analysis>b",
        "analysis\nsoassistantfinalb",
        "<|begin_of_thought|>so<|end_of_thought|>\n<|begin_of_solution|>b<|end_of_solution|>",
        "<|channel|>analysis<|message|>so<|end|><|start|>assistant<|channel|>final<|message|>b",
        RENDERED,
    ],
)
def test_reasoning_in_each_of_its_tags(text):
    wanted = [("user", None, "q"), ("assistant", "analysis", "so"), ("assistant", "final", "b")]
    assert said({"prompt": "q", "answer": text}) == wanted
    assert len(mended({"prompt": "q", "answer": text})) == 1


def test_empty_tags_are_no_reasoning():
    row = {"prompt": "q", "answer": "<think>\n\n</think>\n\nb"}
    assert said(row) == [("user", None, "q"), ("assistant", "final", "b")]
    assert not row_of(row).has_analysis


def test_reasoning_that_stands_twice_is_said_once():
    row = chat(assistant("<think>so</think>b", thinking="so"))
    assert [channel for _, channel, _ in said(row)[1:]] == ["analysis", "final"]


@pytest.mark.parametrize("text", ["Write `<think>` first.", "The tag `</think>` ends it.", "1 < 2"])
def test_tags_that_are_spoken_about_stay_text(text):
    row = {"prompt": "q", "answer": text}
    assert said(row)[1:] == [("assistant", "final", text)]
    assert mended(row) == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("<think>never ends", "<think> is not closed"),
        ("<think>only</think>", "reasoning without an answer"),
        ("<think>a</think>b<think>c</think>d", "<think> stands twice"),
        ("b <think>late</think> c", "<think> within an answer"),
        ("Hello<|end|><|start|>assistant<|channel|>final<|message|>b", "harmony's channels within"),
        ("<|message|>a<|return|>", "has to be guessed: a header without a channel"),
        ("<|channel|>thoughts<|message|>a<|return|>", "has to be guessed: "),
        ("<|channel|>final<|message|>a<|return|>and more", "cannot be read"),
        ("<|channel|>analysis<|message|>a<|end|>", "reasoning without an answer"),
        ("b<|im_end|>\n<|im_start|>user\nc", "another model's template"),
        ("<tool_call>{}", "<tool_call> is not closed"),
        ("analysisWe call.assistantcommentary to=f{}assistantfinalb", "its calls cannot be told"),
    ],
)
def test_an_answer_that_cannot_be_taken_apart_leaves_the_row_out(text, wrong):
    assert wrong in refused({"prompt": "q", "answer": text})


@pytest.mark.parametrize("end", ["<|return|>", "<|end|>", "<|im_end|>\n", "<|eot_id|>", "</s>"])
def test_end_tokens_in_letters_are_taken_off(end):
    row = {"prompt": "q", "answer": f"b{end}"}
    assert said(row)[1:] == [("assistant", "final", "b")]
    assert mended(row) == [f"{end.strip()} taken off the end of answers"]


def test_harmony_tokens_that_are_spoken_about_are_named():
    found = reading({"prompt": "q", "answer": "Turns end with <|return|> there."})
    assert found.lines()[1] == (
        "kept, but look at it: harmony's tokens mentioned in answers, as letters (row 1)"
    )


def test_a_column_of_rendered_harmony_is_a_conversation():
    text = (
        "<|start|>system<|message|>You are a test.\n# Valid channels: final<|end|>"
        "<|start|>developer<|message|># Instructions\n\nbe kind<|end|>\n"
        "<|start|>user<|message|>w?<|end|>"
        "<|start|>assistant<|channel|>analysis<|message|>t<|end|>"
        "<|start|>assistant to=functions.f<|channel|>commentary <|constrain|>json"
        '<|message|>{"a": 1}<|call|>'
        "<|start|>functions.f to=assistant<|channel|>commentary<|message|>2<|end|>"
        "<|start|>assistant<|channel|>final<|message|>b<|return|>"
    )
    row = row_of({"text": text})
    json_kind = "<|constrain|>json"
    assert row.messages == (
        Message("system", "You are a test.\n# Valid channels: final"),
        Message("developer", "# Instructions\n\nbe kind"),
        Message("user", "w?"),
        Message("assistant", "t", "analysis"),
        Message("assistant", '{"a": 1}', "commentary", "functions.f", json_kind),
        Message("tool", "2", "commentary", "assistant", author="functions.f"),
        Message("assistant", "b", "final"),
    )
    assert mended({"text": text}) == []
    (example,) = encode(row, CODEC)
    assert CODEC.decode(list(example.ids)) == text.replace("\n<|start|>", "<|start|>")


def test_prompt_and_completion_may_both_be_rendered():
    prompt = "<|start|>user<|message|>Hi<|end|><|start|>assistant"
    row = {"prompt": prompt, "completion": "<|channel|>final<|message|>Hello<|return|>"}
    assert said(row) == [("user", None, "Hi"), ("assistant", "final", "Hello")]


@pytest.mark.parametrize(
    "text",
    [
        "<|start|>user<|message|>Hi<|end|>junk<|start|>assistant<|channel|>final<|message|>b",
        "<|start|>user<|channel|>Hi<|end|><|start|>assistant<|channel|>final<|message|>b",
        "<|start|>assistant<|channel|>final<|channel|>final<|message|>b<|return|>",
    ],
)
def test_rendered_harmony_that_is_broken_leaves_the_row_out(text):
    assert "rendered harmony that cannot be read" in refused({"text": text})


def test_reasoning_without_an_answer_leaves_the_row_out():
    only = chat(assistant("", reasoning_content="only thought"))
    assert "reasoning without an answer or a call ('only thought')" in refused(only)
    good = {"prompt": "a", "answer": "b"}
    assert reading(good, only, good).lines()[-1].startswith("left out, 1 row: row 2: reasoning")
    middle = chat(assistant(None, thinking="so"), ASK, assistant("b"))
    assert "reasoning without an answer" in refused(middle)
    apart = chat(assistant(None, thinking="so"), assistant("b"))
    assert [channel for _, channel, _ in said(apart)[1:]] == ["analysis", "final"]
    own = chat(assistant("so", channel="analysis"))
    assert "reasoning without an answer" in refused(own)


def test_reasoning_among_the_parts_of_a_content():
    parts = [{"type": "thinking", "thinking": "so"}, {"type": "thinking", "thinking": "then"}]
    parts += [{"type": "text", "text": "b"}]
    assert said(chat(assistant(parts)))[1:] == [
        ("assistant", "analysis", "so\n\nthen"),
        ("assistant", "final", "b"),
    ]


# Calls


@pytest.mark.parametrize("name", ["f", "functions.f", "functions.functions.f", " f"])
def test_a_tools_name_stands_once(name):
    assert call_of(calling(name, '{"a": 1}')) == ("functions.f", '{"a": 1}')
    assert [m.author for m in row_of(calling(name, "{}")).messages if m.role == "tool"] == [
        "functions.f"
    ]
    wanted = [] if name == "f" else ["tool names without functions. and spaces"]
    assert mended(calling(name, "{}")) == wanted


def test_a_tools_definition_has_its_bare_name_too():
    row = row_of(calling("f", "{}", tools=[{"name": "functions.f"}]))
    assert "type f = () => any;" in row.messages[1].content


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        ('{"a": ', "the arguments of f is no JSON"),
        (None, "the call of f has no arguments"),
        ("", "the call of f has no arguments"),
        ("null", "the call of f has no arguments"),
        ("[1]", "the arguments of f are no JSON object but list"),
        ([1], "the arguments of f are no JSON object but list"),
        ("a=1", "the arguments of f is no JSON"),
        ('{"a": NaN}', "NaN or Infinity"),
        ('"{"', "the arguments of f is no JSON"),
    ],
)
def test_broken_arguments_leave_the_row_out(arguments, wrong):
    assert wrong in refused(calling("f", arguments))
    own = {"role": "assistant", "channel": "commentary", "recipient": "functions.f"}
    if isinstance(arguments, str) and arguments:
        assert wrong in refused(chat(own | {"content": arguments}, assistant("b")))


@pytest.mark.parametrize("name", [None, "", "get rate", "f<|channel|>", 5])
def test_a_call_without_a_right_name_leaves_the_row_out(name):
    assert "name" in refused(calling(name, "{}"))


def test_a_tool_without_parameters_may_be_called_without_arguments():
    row = calling("f", None, tools=[{"name": "f", "parameters": {"type": "object"}}])
    assert call_of(row) == ("functions.f", "{}")
    assert mended(row) == ["absent arguments became {}"]


def test_json_within_json_is_unwrapped():
    row = calling("f", json.dumps('{"a": 1}'))
    assert call_of(row) == ("functions.f", '{"a": 1}')
    assert mended(row) == ["arguments in JSON within JSON unwrapped"]


def test_calls_in_tags_and_in_openais_old_form_are_calls():
    tags = chat(
        assistant('I look.\n<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>'),
        {"role": "tool", "content": "2"},
        assistant("b"),
    )
    old = chat(
        assistant("I look.", function_call={"name": "f", "arguments": '{"a": 1}'}),
        {"role": "function", "name": "f", "content": "2"},
        assistant("b"),
    )
    assert said(tags) == said(old)
    assert said(tags)[1:4] == [
        ("assistant", "commentary", "I look."),
        ("assistant", "commentary", '{"a": 1}'),
        ("functions.f", "commentary", "2"),
    ]


def test_calls_of_tools_that_are_not_defined_are_named():
    found = reading(calling("g", "{}", tools=[{"name": "f"}]))
    assert "calls of tools that the row does not define (row 1)" in found.lines()[1]


def test_sharegpt_with_calls_and_tools_as_text():
    row = {
        "conversations": [
            {"from": "system", "value": "be kind"},
            {"from": "human", "value": "Rate of EUR?"},
            {"from": "function_call", "value": '{"name": "rate", "arguments": {"base": "EUR"}}'},
            {"from": "observation", "value": '{"rate": 1.1}'},
            {"from": "gpt", "value": "It is 1.1."},
        ],
        "tools": '[{"name": "rate", "parameters": {"type": "object"}}]',
    }
    assert said(row)[1:] == [
        ("user", None, "Rate of EUR?"),
        ("assistant", "commentary", '{"base": "EUR"}'),
        ("functions.rate", "commentary", '{"rate": 1.1}'),
        ("assistant", "final", "It is 1.1."),
    ]
    assert "be kind" in said(row)[0][2]
    assert "type rate" in said(row)[0][2]
    assert reading(row).lines() == ["read: tools → tools; conversations → messages"]


# Arrow's nulls


WEATHER = {"city": {"type": "string", "enum": ["Oslo", "Rome"]}}
NUMBERS = {"a": {"type": "integer", "minimum": 0}, "b": {"type": "integer", "minimum": 0}}


def tool(name, properties):
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    about = {"name": name, "description": "it", "parameters": schema}
    return {"type": "function", "function": about}


def unified(tmp_path, tools):
    """Two rows with other arguments each, as Arrow stores them: in one form, absent is null."""
    rows = [calling("weather", {"city": "Oslo"}), calling("add", {"a": 2, "b": 3})]
    rows = [row | tools for row in rows]
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def test_arrows_nulls_are_no_arguments(tmp_path):
    found = read(str(unified(tmp_path, {})), "", {})
    calls = [m.content for row in found.rows for m in row.messages if m.role == "assistant"]
    assert calls[::2] == ['{"city": "Oslo"}', '{"a": 2, "b": 3}']
    assert found.lines()[1] == "mended: nulls left out of arguments (rows 1, 2)"


def test_arrows_nulls_are_no_part_of_a_tools_definition(tmp_path):
    tools = [tool("weather", WEATHER), tool("add", NUMBERS)]
    found = read(str(unified(tmp_path, {"tools": tools})), "", {})
    (plain,) = reading(calling("weather", {"city": "Oslo"}, tools=tools)).rows
    assert found.rows[0] == plain
    assert "a: number,\nb: number," in found.rows[0].messages[1].content
    assert "nulls left out of tool definitions (rows 1, 2)" in found.lines()[1]


def test_a_frame_of_the_same_rows_is_read_the_same(tmp_path):
    tools = [tool("weather", WEATHER), tool("add", NUMBERS)]
    path = unified(tmp_path, {"tools": tools})
    found = read("frame", "", {"frame": pd.read_parquet(path)})
    assert found.rows == read(str(path), "", {}).rows  # pandas made fractions of the integers
    assert "whole numbers written as integers, as declared (row 2)" in found.lines()[1]


def test_a_null_that_says_something_stays():
    kinds = {"x": {"type": ["string", "null"]}}
    row = calling("f", {"x": None, "y": None}, tools=[tool("f", kinds)])
    assert call_of(row) == ("functions.f", '{"x": null}')
    assert call_of(calling("f", '{"x": null}')) == ("functions.f", '{"x": null}')
    schema = {"type": "object", "properties": {"x": {"type": "string", "default": None}}}
    row = row_of(calling("f", "{}", tools=[{"name": "f", "parameters": schema}]))
    assert "// default: null" in row.messages[1].content


# Odd texts, lines and arrows


def test_lone_surrogates_become_replacement_characters(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "a\\ud83d", "answer": "b"}\n{"prompt": "c", "answer": "\\udc00d"}')
    found = read(str(path), "", {})
    assert [row.prompt for row in found.rows] == ["a\ufffd", "c"]
    assert found.lines()[1] == "mended: lone surrogates became U+FFFD (rows 1, 2)"
    assert encode_all(found.rows, CODEC, 999)
    call = calling("f", {"a": "\ud83d", "b": ["\udc00"], "\udc01": 1}, system="\ud83d")
    assert call_of(call) == ("functions.f", '{"a": "\ufffd", "b": ["\ufffd"], "\ufffd": 1}')
    assert said({"prompt": "\ud83d\ude00", "answer": "whole"})[0][2] == "\U0001f600"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl"])
def test_a_file_in_any_unicode_is_read(tmp_path, name, encoding):
    text = "prompt,answer\nWas heißt grün?,green\n"
    if name == "rows.jsonl":
        text = json.dumps({"prompt": "Was heißt grün?", "answer": "green"}, ensure_ascii=False)
    (tmp_path / name).write_text(text, encoding=encoding)
    (row,) = read(str(tmp_path / name), "", {}).rows
    assert row.prompt == "Was heißt grün?"
    (tmp_path / name).write_text(text, encoding="cp1252")
    with pytest.raises(InputError, match=r"rows\.\w+: .*; give a file in UTF-8"):
        read(str(tmp_path / name), "", {})


def test_a_broken_line_leaves_the_others(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(
        '{"prompt": "a", "answer": "b"}\n{"prompt": "c\n\n{"prompt": "d", "answer": ""}'
    )
    found = read(str(path), "", {})
    assert [row.prompt for row in found.rows] == ["a"]
    line = found.lines()[1]
    assert line.startswith("left out, 2 rows: row 2: line 2: no JSON")
    assert line.endswith("row 3: answer is empty")


def test_a_row_of_a_shape_that_nobody_thought_of_leaves_the_others():
    class Odd(dict):
        def items(self):
            raise RuntimeError("torn\nin two")

    good = {"prompt": "a", "answer": "b"}
    found = reading(good, Odd(prompt="a"), good)
    assert found.left_out == [(2, "it cannot be read (RuntimeError: torn in two)")]
    tools = [{"name": "f", "parameters": [5]}]
    assert "the parameters of f are no JSON schema" in refused(good | {"tools": tools})


def test_rows_too_long_are_called_by_the_users_number():
    found = reading({"prompt": "a"}, {"prompt": "b" * 99, "answer": "c"})
    with pytest.raises(InputError, match="row 2 has"):
        encode_all(found.rows, CODEC, 20, numbers=[row.number for row in found.rows])


@pytest.mark.parametrize(
    ("line", "prompt", "answer"),
    [
        ("def area(r: float) -> float → the area", "def area(r: float) -> float", "the area"),
        ("def f(x: int) -> int => returns x", "def f(x: int) -> int", "returns x"),
        ("def f(x) -> int -> returns x", "def f(x) -> int", "returns x"),
        ("(x) => x + 1 -> adds one", "(x) => x + 1", "adds one"),
        ("p->x -> a field", "p->x", "a field"),
        ("a->b", "a", "b"),
        ("sqrt(4) -> 2", "sqrt(4)", "2"),
        ("6*7 => 42", "6*7", "42"),
    ],
)
def test_a_line_is_split_at_the_arrow_that_separates(line, prompt, answer):
    (row,) = read(None, line, {}).rows
    assert (row.prompt, row.messages[-1].content) == (prompt, answer)


@pytest.mark.parametrize(
    "body",
    ["x => x*2 -> doubles", "1 → 2 → 3", "a -> b -> c", "a → b\ndef f(x) -> int"],
)
def test_a_line_with_several_such_arrows_is_refused(body):
    with pytest.raises(InputError, match="several arrows may separate"):
        read(None, body, {})
