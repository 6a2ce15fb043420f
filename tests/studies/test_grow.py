"""Rows grown from seeds by a scripted model."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptoss_magic.errors import InputError
from gptoss_magic.tuning.grow import (
    LONGEST_ANSWER,
    LONGEST_PROMPT,
    RULES,
    GrownRow,
    grow,
    proposal_text,
    read_prompt,
    similar,
)

SEEDS = [("Name a river in France.", "The Loire."), ("What is two plus three?", "Five.")]


@dataclass
class Reply:
    final: str
    analysis: str = "The user asks."
    finish: str = "return"


def scripted(*turns):
    """An `ask` that gives the replies in their order, and what it was asked."""
    replies, asked = iter(turns), []

    def ask(text, seed):
        asked.append((text, seed))
        found = next(replies)
        return Reply(found) if isinstance(found, str) else found

    return ask, asked


def rejected_by(*turns):
    ask, _ = scripted(*turns)
    found = grow("Questions", SEEDS, 1, ask, most_attempts=1)
    assert found.rows == ()
    ((_, rule),) = found.rejected
    assert rule in RULES
    return rule


def test_rows_keep_the_reasoning():
    ask, asked = scripted(
        "1. Who wrote Faust?", Reply(" Goethe. ", " A play. "), "Name a sea.", "B"
    )
    told = []
    found = grow("Short questions", SEEDS, 2, ask, on_row=told.append)
    assert found.rows == (
        GrownRow("Who wrote Faust?", "A play.", "Goethe."),
        GrownRow("Name a sea.", "The user asks.", "B"),
    )
    assert told == list(found.rows)
    assert (found.attempts, found.ended, found.rejected) == (2, "", ())
    assert found.to_records()[0] == {
        "prompt": "Who wrote Faust?",
        "analysis": "A play.",
        "answer": "Goethe.",
    }
    assert [seed for _, seed in asked] == [0, 1, 2, 3]
    assert "Short questions" in asked[0][0]
    assert asked[1][0] == "Who wrote Faust?"  # the model answers as it would anybody
    assert any(prompt in asked[2][0] for prompt, _ in SEEDS)


def test_every_rule_rejects_by_its_name():
    fine = "Who wrote Faust?"
    assert rejected_by("  \n") == "empty"
    assert rejected_by(fine, "  ") == "empty"
    assert rejected_by("Hello") == "too short"
    assert rejected_by("word " * (LONGEST_PROMPT + 1)) == "too long"
    assert rejected_by(fine, "word " * (LONGEST_ANSWER + 1)) == "too long"
    assert rejected_by("name a RIVER in France") == "copies a seed"
    assert rejected_by(fine, Reply("Goe", finish="length")) == "cut off"
    assert rejected_by(fine, Reply("Goethe.", analysis=" ")) == "no analysis"
    for refusal in ("I’m sorry, but no.", "I can't help with that.", "As an AI, I have no"):
        assert rejected_by(fine, refusal) == "refusal"


def test_duplicates_are_left_out_and_attempts_are_bounded():
    def ask(text, seed):
        return Reply("Who wrote Faust and when?" if seed % 2 == 0 else "Goethe, in 1808.")

    found = grow("Questions", [], 3, ask)
    assert len(found.rows) == 1
    assert found.attempts == 18
    assert {rule for _, rule in found.rejected} == {"duplicate"}
    assert found.ended == "no more attempts: 1 of 3 rows after 18 attempts"


def test_an_interrupt_keeps_what_there_is():
    ask, _ = scripted("Who wrote Faust?", "Goethe.", "Name a sea.", Reply("Th", finish="interrupt"))
    found = grow("Questions", SEEDS, 5, ask)
    assert [row.answer for row in found.rows] == ["Goethe."]
    assert found.rejected == ()
    assert found.ended.startswith("interrupted: 1 of 5")


def test_nothing_to_go_by():
    ask, asked = scripted()
    with pytest.raises(InputError, match="give a description"):
        grow("  ", [], 1, ask)
    with pytest.raises(InputError, match="0 rows"):
        grow("x", SEEDS, 0, ask)
    assert asked == []


@pytest.mark.parametrize(
    "reply",
    [
        "Name a lake.",
        '"Name a lake."',
        "1. Name a lake.\n2. Name a sea.",
        "- **Name a lake.**",
        "Prompt: Name a lake.",
        "New prompt: «Name a lake.»",
        "Sure! Here is one:\n\n  1) “Name a lake.”\n",
        "Here's a new prompt:\nPrompt 1: Name a lake.",
    ],
)
def test_replies_of_all_kinds_are_read(reply):
    assert read_prompt(reply).rstrip(".") == "Name a lake"


def test_a_question_that_begins_like_an_introduction_is_one():
    assert read_prompt("Here is a list: 3, 1, 2. Sort it") == "Here is a list: 3, 1, 2. Sort it"


@given(st.text())
def test_any_reply_is_read(text):
    prompt = read_prompt(text)
    assert "\n" not in prompt
    assert prompt == prompt.strip()
    assert similar(text, text)


def test_similar_texts():
    assert similar("What is the capital of France?", "what is the capital of france")
    assert not similar("What is the capital of France?", "What is the height of Mont Blanc?")
    assert similar("Tell me in short what a heron eats", "Tell me in short what a heron eats now")
    assert not similar("?", "!")


def test_a_proposal_lists_prompts_on_one_line_each():
    text = proposal_text("", ["a\nb", "c"])
    assert "Prompt: a b\nPrompt: c\n" in text
    assert "The task" not in text
