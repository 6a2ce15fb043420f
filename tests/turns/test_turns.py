"""A turn is kept in exact tokens, and all that comes later reads that record."""

import dataclasses

import pytest

import gptoss_magic
from gptoss_magic.conversations import Conversations
from gptoss_magic.errors import InputError
from gptoss_magic.harmony import parse, render
from gptoss_magic.harmony.exact import with_ids
from gptoss_magic.records import Message
from gptoss_magic.scripted import calling, saying, scripted
from gptoss_magic.session import current
from tests.shell_cells import run, tiny_shell

ASK = {"temperature": 1.3, "max_tokens": 30, "date": "2026-01-01"}


@pytest.fixture(scope="module", autouse=True)
def shell(tmp_path_factory):
    with tiny_shell(tmp_path_factory.mktemp("turns"), 4096) as shell:
        yield shell


@pytest.fixture(autouse=True)
def no_turns():
    current().conversations.clear()


def odd_tokens(text):
    """The text's tokens, one byte each: not as the tokenizer would write it."""
    codec = current().codec
    return [token for byte in text for token in codec.encode(byte)]


def test_the_next_prompt_has_the_very_tokens_of_the_answer():
    """The script says a text in other tokens than the tokenizer's; the next prompt has those."""
    codec, special = current().codec, current().codec.special
    said = [special["channel"], *codec.encode("final"), special["message"]]
    said += [*odd_tokens("the the the"), special["return"]]
    kept = with_ids(parse(said, codec), said, codec)
    assert kept[0].ids == (
        *(special["start"], *codec.encode("assistant")),
        *(*said[:-1], special["end"]),
    )
    assert list(kept[0].ids) != render([Message("assistant", "the the the", "final")], codec)[:-2]
    assert render(kept, codec, prompt=False) == list(kept[0].ids)


def test_a_conversation_is_a_chain_of_turns():
    for number in range(3):
        answer = gptoss_magic.generate(
            f"Question {number}", conversation="talk", seed=number, **ASK
        )
    turns = current().conversations.chain("talk")
    assert [turn.asked.content for turn in turns] == [f"Question {n}" for n in range(3)]
    assert [turn.parent for turn in turns] == ["", turns[0].id, turns[1].id]
    assert turns[-1].id == answer.provenance["turn"]["id"]
    assert answer.provenance["turn"]["parent"] == turns[1].id
    for turn in turns:
        assert list(turn.prompt_ids) == turn.answer.provenance["prompt_tokens"]
        assert turn.answer_ids == turn.answer.raw_tokens
        assert turn.generations[0].total_s > 0
        assert turn.request.prompt == turn.asked.content
    gptoss_magic.generate("Anew", conversation="talk", new=True, **ASK)
    assert [t.asked.content for t in current().conversations.chain("talk")] == ["Anew"]


def test_what_was_said_stands_in_the_next_prompt_token_by_token():
    first = gptoss_magic.generate("One", conversation="talk", seed=3, **ASK)
    second = gptoss_magic.generate("Two", conversation="talk", seed=3, **ASK)
    (turn, _) = current().conversations.chain("talk")
    prompt = second.provenance["prompt_tokens"]
    exact = [m for m in turn.said if m.ids and m.channel != "analysis"]
    for message in exact:
        size = len(message.ids)
        assert any(tuple(prompt[n : n + size]) == message.ids for n in range(len(prompt)))
    assert first.raw_tokens == turn.answer_ids


def test_a_run_of_tools_records_each_call_of_the_model():
    @gptoss_magic.tool(policy="auto")
    def double(n: int) -> int:
        """Twice n."""
        return 2 * n

    consent, long = gptoss_magic.by_policy(), {**ASK, "max_tokens": 600}
    with scripted(
        current(), calling("double", '{"n": 4}', "I call."), saying("It is 8.")
    ) as engine:
        answer = gptoss_magic.generate(
            "Double 4", tools=[double], consent=consent, conversation="run", **long
        )
        gptoss_magic.generate("And now?", conversation="run", **ASK)
    turn = current().conversations.chain("run")[0]
    assert turn.tool_results == ("8",)
    assert [list(g.prompt_ids) for g in turn.generations] == engine.prompts[:2]
    assert [g.finish for g in turn.generations] == ["call", "return"]
    assert answer.finish == "return"
    # the call's tokens, as they were said, stand in the prompts after it
    call = turn.generations[0].answer_ids
    assert tuple(engine.prompts[1])[len(engine.prompts[0]) :][: len(call)] == call


def test_surgery_changes_the_record_in_its_place():
    gptoss_magic.generate("One", conversation="talk", **ASK)
    last = gptoss_magic.generate("Two", conversation="talk", seed=1, **ASK)
    before = current().conversations.chain("talk")
    changed = gptoss_magic.branch(last, 2, seed=9, temperature=1.5)
    after = current().conversations.chain("talk")
    assert after[0] == before[0]
    assert after[1].answer is changed
    assert (after[1].parent, after[1].asked) == (before[1].parent, before[1].asked)
    assert current().conversations.get(before[1].id).answer is last


def test_a_bound_drops_the_oldest_and_reload_drops_nothing(shell):
    for number in range(5):
        gptoss_magic.generate(f"Question {number}", conversation="talk", **ASK)
    kept = list(current().conversations.turns)
    assert run(shell, "%reload_ext gptoss_magic")[0].success
    assert list(current().conversations.turns) == kept
    assert "kept from now on: the latest 2; 2 are there" in run(shell, "%gptoss turns keep 2")[1]
    assert list(current().conversations.turns) == kept[-2:]
    assert len(current().conversations.chain("talk")) == 2
    gptoss_magic.generate("More", conversation="talk", **ASK)
    assert [t.asked.content for t in current().conversations.chain("talk")] == [
        "Question 4",
        "More",
    ]
    assert "all turns" in run(shell, "%gptoss turns keep all")[1]


def test_turns_are_listed_and_forgotten(shell):
    assert "no turn yet" in run(shell, "%gptoss turns")[1]
    run(shell, "%%gptoss -q -m 6\nHello there")
    run(shell, "%%gptoss -q -m 6 -c other\nAnother")
    shown = run(shell, "%gptoss turns")[1]
    assert "Hello there" in shown
    assert "Another" in shown
    assert "Hello there" not in run(shell, "%gptoss turns -c other")[1]
    assert run(shell, "%gptoss turns forget other")[0].success
    assert list(current().conversations) == ["default"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("keep 0", "give 1 turn or more"),
        ("keep some", "give a number of turns"),
        ("forget nobody", "there is none"),
        ("drop", "there are list, keep N"),
    ],
)
def test_a_wrong_line_is_one_line(shell, line, says):
    result, shown = run(shell, f"%gptoss turns {line}")
    assert isinstance(result.error_in_exec, InputError)
    assert says in str(result.error_in_exec)
    assert len(shown.strip().splitlines()) == 1


def test_a_chain_begins_where_its_latest_prompt_began():
    conversations = Conversations()
    base = gptoss_magic.generate("x", conversation="talk", **ASK)
    turn = current().conversations.get(base.provenance["turn"]["id"])
    ids, parent = [], ""
    for number in range(4):
        first = ids[2] if number == 3 else (ids[0] if ids else f"t{number}")
        made = dataclasses.replace(turn, id=f"t{number}", parent=parent, first=first)
        parent = conversations.add(made).id
        ids.append(parent)
    assert [t.id for t in conversations.chain("talk")] == ["t2", "t3"]
    assert conversations.chain("nothing") == []


def test_a_variable_of_the_user_is_not_filled_with_rows(shell):
    shell.user_ns["rows"] = ["mine"]
    result, _ = run(shell, "%%gptoss_data --rows 1\nquestions about the sea")
    assert "name another one by -o" in str(result.error_in_exec)
    assert shell.user_ns["rows"] == ["mine"]
