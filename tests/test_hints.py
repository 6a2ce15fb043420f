"""Each hint of a message works when it is typed."""

import re

import pytest

from gptoss_magic.magics.nouns import NOUNS
from gptoss_magic.scripted import saying, scripted
from gptoss_magic.session import current
from tests.shell_cells import run, tiny_shell


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    with tiny_shell(tmp_path_factory.mktemp("hints"), 2048) as shell:
        yield shell


ASKED = [
    ("{{ value or '' }}|", "|"),
    ("{{ (rows[0]) or 'x' }}", "x"),
    ("{{ 0 }} {{ nought }} {{ no }}", "{{ 0 }} 0 False"),
    ("{{ nought }}", "0"),
    ("{% raw %}{{ value }}{% endraw %}", "{{ value }}"),
    (r"\frac{{1}}{{2}}", r"\frac{{1}}{{2}}"),
]


@pytest.mark.parametrize(("body", "asked"), ASKED)
def test_braces_and_empty_values_are_asked_as_the_hints_say(shell, body, asked):
    shell.user_ns.update(value=None, rows=[None], nought=0, no=False, self="mine")
    with scripted(current(), saying("Yes.")) as engine:
        result, _ = run(shell, f"%%gptoss -n\n{body}")
    result.raise_error()
    assert f"<|message|>{asked}<|end|>" in engine.prompt_texts[0]


def test_braces_as_text_by_raw(shell):
    with scripted(current(), saying("Yes.")) as engine:
        result, _ = run(shell, "%%gptoss -n --raw\n${{ secrets.TOKEN }}")
    result.raise_error()
    assert "${{ secrets.TOKEN }}<|end|>" in engine.prompt_texts[0]


@pytest.mark.parametrize(
    "magic", ["%%gptoss", "%%gptoss_tune", "%%gptoss_data", "%%gptoss_persona"]
)
def test_a_magic_s_own_options_are_shown_by_its_question_mark(shell, magic):
    _, shown = run(shell, f"{magic} --no-such-option\nx")
    hint = re.search(r"see (\S+\?) for the options", shown)[1]
    assert hint == f"{magic}?"
    name = magic.strip("%")
    about = shell.object_inspect(magic)
    assert about["found"]
    assert "usage:" in about["docstring"]
    assert name in shell.magics_manager.magics["cell"]


LINES = ["load", "lora attach", "lora compare", "memory list", "persona use", "index", "search x y"]


@pytest.mark.parametrize("line", LINES)
def test_a_command_s_options_stand_in_its_error(shell, line):
    _, shown = run(shell, f"%gptoss {line} --no-such-option")
    words = shown.partition("its options: ")[2]
    assert words.startswith(("[-", "NAME"))


PLAIN = {"load", "status", "bench", "unload", "traceback"}


def test_the_help_names_commands_that_are_there(shell):
    _, shown = run(shell, "%gptoss")
    named = set(re.findall(r"^%gptoss (\w+)", shown, re.MULTILINE))
    assert named == {noun.name for noun in NOUNS} | PLAIN
    for name in named - PLAIN:
        _, said = run(shell, f"%gptoss {name}")
        assert "no such command" not in said
