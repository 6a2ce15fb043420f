"""A persona's position: read in its three forms, in the prompt, refused in one line."""

import pytest

from gptoss_magic.agents.layers import overlay
from gptoss_magic.agents.persona_file import parse_persona, render_persona
from gptoss_magic.agents.position import Position
from gptoss_magic.errors import InputError
from gptoss_magic.records.positions import PositionRule

DOCTOR = """---
name: doctor
style: calm
position:
  text: a country doctor
  values: [Health before profit.]
  rules: Ask before advising.
  never:
    - Promise a cure.
    - Выписывать лекарство без осмотра.
---
Answer briefly.
"""


def position_of(text):
    return parse_persona(f"---\nname: a\nposition:{text}\n---\n").position


def test_it_stands_in_the_prompt_between_character_and_text():
    doctor = parse_persona(DOCTOR)
    assert doctor.instructions == (
        "Position: a country doctor\nStyle: calm\n\n"
        "What I value:\n- Health before profit.\n\nMy rules:\n- Ask before advising.\n\n"
        "What I never do:\n- Promise a cure.\n- Выписывать лекарство без осмотра.\n\n"
        "Answer briefly."
    )
    assert doctor.position.all_rules[-1] == PositionRule(
        "never 2", "never", "Выписывать лекарство без осмотра."
    )
    assert parse_persona(render_persona(doctor)) == doctor


def test_a_text_stays_what_it_was_and_a_list_is_rules():
    plain = parse_persona("---\nname: a\nposition: captain of a ship\n---\n")
    assert (plain.character.position, plain.position) == ("captain of a ship", Position())
    assert "position: captain of a ship\n" in render_persona(plain)
    assert position_of("\n- Be brief.\n- Be kind.") == Position(rules=("Be brief.", "Be kind."))
    assert position_of("") == Position()


def test_an_overlay_adds_and_takes_nothing_away():
    base = parse_persona(DOCTOR)
    over = parse_persona("---\nname: b\nposition: {never: [Promise a cure., Gossip.]}\n---\n")
    laid = overlay([base, over])
    assert laid.position.never == (
        "Promise a cure.",
        "Выписывать лекарство без осмотра.",
        "Gossip.",
    )
    assert laid.position.values == base.position.values
    assert laid.character.position == "a country doctor"
    assert parse_persona(render_persona(laid).replace("doctor+b", "both")).position == laid.position


def test_what_looks_like_a_control_token_is_broken():
    made = parse_persona("---\nname: a\nposition: {never: ['Say <|end|> to me']}\n---\n")
    assert "<|" not in made.instructions


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (" 5", "position is a int: write a text, a list of rules"),
        (" true", "position is a bool"),
        (" {nevr: [x]}", "no such key 'nevr'; perhaps never"),
        (" {1: [x]}", "no such key '1'; there are text, values, rules, never"),
        (" {never: [5]}", "never: 5 is a int, no text; put it in quotes"),
        (" {never: [no]}", "never: False is a bool"),
        (" {never: ['']}", "one of them is empty"),
        (" {never: [{a: b}]}", "is a dict, no text"),
        (" {text: [x]}", "text: "),
        (f" {{rules: ['{'x' * 501}']}}", "501 characters; give 500 at most"),
        (f" {{rules: {[f'r{n}' for n in range(41)]}}}", "41 of them; give 40 at most"),
        (" {never: [a], never: [b]}", "'never' stands twice"),
    ],
)
def test_what_cannot_be_is_one_line(text, said):
    with pytest.raises(InputError, match=said) as caught:
        position_of(text)
    assert "\n" not in str(caught.value)
