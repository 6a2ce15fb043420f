"""Each hint of a message works when it is typed."""

import ast
import pkgutil
import re
from argparse import ArgumentParser
from importlib import import_module
from pathlib import Path

import pytest

import gptoss_magic
from gptoss_magic import magics
from gptoss_magic.magics.mcp import USAGE
from gptoss_magic.magics.nouns import BY_NAME, NOUNS
from gptoss_magic.magics.plain import PLAIN
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
    "magic",
    [
        *("%%gptoss", "%%gptoss_tune", "%%gptoss_data", "%%gptoss_persona", "%%gptoss_depth"),
        "%%gptoss_goal",
    ],
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


def test_the_help_names_commands_that_are_there(shell):
    _, shown = run(shell, "%gptoss")
    named = set(re.findall(r"^%gptoss (\w+)", shown, re.MULTILINE))
    assert named == {noun.name for noun in NOUNS} | PLAIN.keys()
    for name in named - PLAIN.keys():
        _, said = run(shell, f"%gptoss {name} --no-such-option")  # some would go on to work
        assert f"%gptoss {name}: no such command" not in said


COMMAND = re.compile(r"(?<!%)%gptoss ([a-z]+)(?: ([a-z]+))?|%%gptoss_([a-z]+)")
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*[a-z0-9]")
FOREIGN = {"--packed", "--no-deps", "--force-reinstall", "--json"}  # of `python -m` and pip
FOREIGN |= {"--nnodes", "--nproc-per-node", "--node-rank", "--master-addr", "--master-port"}
FOREIGN |= {"--rdzv-backend", "--rdzv-endpoint", "--rdzv-conf", "--rdzv-id", "--local-addr"}
FOREIGN |= {"--max-restarts", "--signals-to-handle"}  # torch's launcher
FOREIGN |= {"--job-name", "--ntasks-per-node", "--gpus-per-node", "--signal", "--config"}
CELLS = {"tune", "data", "persona", "depth", "goal"}
SENTENCES = {("runs", "lists"), ("traceback", "shows")}  # where the verb is English


def messages():
    """(file:line, text) of each string in the package but docstrings; … for what is put in."""
    for path in sorted(Path(gptoss_magic.__file__).parent.rglob("*.py")):
        tree = ast.parse(path.read_text())
        nodes = list(ast.walk(tree))
        said_elsewhere = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        for node in nodes:
            if isinstance(node, ast.JoinedStr):
                said_elsewhere |= {id(part) for part in node.values}
                parts = (getattr(part, "value", "…") for part in node.values)
                yield (
                    f"{path.name}:{node.lineno}",
                    "".join(part if isinstance(part, str) else "…" for part in parts),
                )
        for node in nodes:
            is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
            if is_text and id(node) not in said_elsewhere:
                yield f"{path.name}:{node.lineno}", node.value


def is_command(noun, verb, cell):
    if cell:
        return cell in CELLS
    if noun in PLAIN:
        return not verb or (noun, verb) in SENTENCES
    if noun not in BY_NAME:
        return False
    return not verb or (noun, verb) in SENTENCES or verb in BY_NAME[noun].words([""])


def test_each_command_that_a_message_names_is_there(shell):
    epilogs = "\n".join(one.epilog or "" for one in parsers())  # test_help types them
    typed = {line.strip() for line in epilogs.splitlines()}
    said = [(place, text) for place, text in messages() if text.split("\n")[0] not in typed]
    named = [(place, *words) for place, text in said for words in COMMAND.findall(text)]
    assert len(named) > 80
    assert [one for one in named if not is_command(*one[1:])] == []


def parsers():
    """Those of all magics: a module has one, or several by name."""
    for module in pkgutil.iter_modules(magics.__path__):
        for value in vars(import_module(f"gptoss_magic.magics.{module.name}")).values():
            several = value.values() if isinstance(value, dict) else [value]
            yield from (one for one in several if isinstance(one, ArgumentParser))


def test_each_option_that_a_message_names_is_there():
    known = {flag for one in parsers() for flag in one._option_string_actions}  # noqa: SLF001
    named = [(place, flag) for place, text in messages() for flag in FLAG.findall(text)]
    assert len(named) > 100
    theirs = {flag for _, flag in named if flag.startswith("--jp-")} | FOREIGN
    assert [one for one in named if one[1] not in known | set(FLAG.findall(USAGE)) | theirs] == []
