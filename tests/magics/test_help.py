"""`--help`, `-h` and `?` on all there is, `%gptoss help`, and lines that IPython misreads."""

import pkgutil
import re
from importlib import import_module
from pathlib import Path

import pytest

from gptoss_magic import magics
from gptoss_magic.errors import InputError
from gptoss_magic.magics.helping import FOLDER, topics
from gptoss_magic.magics.nouns import BY_NAME, help_of, help_text, parsers_of
from gptoss_magic.magics.options import HELP, PROMPT, LineParser, flags, words_of
from gptoss_magic.magics.plain import PLAIN
from gptoss_magic.session import current
from tests.shell_cells import new_shell, run

ROOT = Path(__file__).parents[2]
NAMES = [*PLAIN, *BY_NAME]
WIDEST, LONGEST_SCREEN = 100, 26


@pytest.fixture(scope="module")
def bare():
    shell = new_shell()
    yield shell
    type(shell).clear_instance()


@pytest.fixture
def shell(bare, monkeypatch, tmp_path):
    """No model, in an empty folder; afterwards there is still neither a model nor a file."""
    monkeypatch.chdir(tmp_path)
    current().unload()
    names = set(bare.user_ns)
    yield bare
    assert current().loaded is None
    assert list(tmp_path.iterdir()) == []
    assert {name for name in set(bare.user_ns) - names if name[0] != "_"} == set()


def all_parsers():
    """Those of all magics by what is typed in front of the options."""
    found = {}
    for module in pkgutil.iter_modules(magics.__path__):
        for value in vars(import_module(f"gptoss_magic.magics.{module.name}")).values():
            several = value.values() if isinstance(value, dict) else [value]
            found |= {one.prog: one for one in several if isinstance(one, LineParser)}
    return found


def ours(shell, kind):
    return sorted(name for name in shell.magics_manager.magics[kind] if name.startswith("gptoss"))


def shown_help(shell, line):
    result, shown = run(shell, line)
    assert result.success, shown
    return shown


@pytest.mark.parametrize("flag", HELP)
def test_every_magic_shows_what_its_question_mark_shows(shell, flag):
    cells = ours(shell, "cell")
    assert len(cells) >= 5
    for name in cells:
        about = shell.object_inspect(f"%%{name}")["docstring"].strip()
        assert about.startswith("usage: ")
        for cell in (f"%%{name} {flag}", f"%%{name} {flag}\nx", f"%%{name} x {flag}\n"):
            assert shown_help(shell, cell).strip() == about, cell
    for name in ours(shell, "line"):
        about = shell.object_inspect(f"%{name}")["docstring"].strip()
        assert shown_help(shell, f"%{name} {flag}").strip() == about


@pytest.mark.parametrize("name", NAMES)
def test_every_command_and_each_of_its_commands_has_help(shell, name):
    parsers = parsers_of(name)
    assert parsers
    for line in {name, *parsers}:
        about = help_of(line.split())
        assert about.startswith("usage: ")
        for asked in (f"{line} --help", f"{line} -h", f"{line}?", f"help {line}"):
            if asked.removeprefix("help ") not in topics():
                assert shown_help(shell, f"%gptoss {asked}") == about, asked


@pytest.mark.parametrize("name", BY_NAME)
def test_what_tab_offers_behind_a_noun_has_help_too(shell, name):
    for word in BY_NAME[name].words([""]):
        if not word.startswith("-"):
            assert shown_help(shell, f"%gptoss {name} {word} --help").startswith("usage: ")


def test_the_list_of_commands_is_in_groups_and_names_each_once(shell):
    for line in ("%gptoss", "%gptoss --help", "%gptoss -h"):
        assert shown_help(shell, line) == help_text()
    named = re.findall(r"^%gptoss (\w+)", help_text(), re.MULTILINE)
    assert sorted(named) == sorted(NAMES)
    assert "\nmore:\n" not in help_text()
    assert max(map(len, help_text().splitlines())) <= WIDEST


def test_each_group_of_options_has_options_and_each_option_a_group():
    grouped = [one for one in all_parsers().values() if one._action_groups[2:]]  # noqa: SLF001
    assert {one.prog for one in grouped} >= {"%%gptoss", "%%gptoss_tune"}
    for one in grouped:
        plain, *titled = [
            [action for action in group._group_actions if action.option_strings]  # noqa: SLF001
            for group in one._action_groups[1:]  # noqa: SLF001
        ]
        assert [action.option_strings for action in plain] == [[*HELP]], one.prog
        assert all(titled), one.prog


def test_the_help_of_a_prompt_says_each_option_once(shell):
    about = shown_help(shell, "%%gptoss --help")
    assert about.splitlines()[0] == "usage: %%gptoss [OPTIONS]"
    for flag in flags(PROMPT):
        assert len(re.findall(rf"^  .*{flag}(?=[ ,\n])", about, re.MULTILINE)) >= 1, flag


@pytest.mark.parametrize("prog", all_parsers())
def test_each_help_has_examples_that_can_be_typed(prog):
    parsers = all_parsers()
    lines = parsers[prog].epilog.removeprefix("examples:\n").splitlines()
    typed = [line.strip() for line in lines if line.startswith("  %")]
    assert typed
    assert [line for line in typed if parsed(line)[0] is not parsers[prog]] == []
    assert max(map(len, parsers[prog].format_help().splitlines())) <= WIDEST


def parsed(line):
    """(the parser that reads a line, its options). A line magic is also the cell's."""
    parsers = all_parsers()
    words = line.replace("%gptoss_", "%%gptoss_").replace("%%%", "%%").split(" ")
    heads = (" ".join(words[:count]) for count in range(len(words), 0, -1))
    head = next((one for one in heads if one in parsers), "")
    if not head:  # a noun of several commands, alone
        assert words[0] == "%gptoss"
        assert words[1:] in [[name] for name in BY_NAME]
        return None, None
    rest = line.split(" ", head.count(" ") + 1)[head.count(" ") + 1 :]
    return parsers[head], parsers[head].parse_args(words_of(head, "".join(rest)))


@pytest.mark.parametrize("topic", topics())
def test_a_topic_is_a_screen_of_lines_that_can_be_typed(shell, topic):
    text = shown_help(shell, f"%gptoss help {topic}")
    assert text == (FOLDER / f"{topic}.txt").read_text("utf-8")
    assert len(text.splitlines()) <= LONGEST_SCREEN
    assert max(map(len, text.splitlines())) <= WIDEST
    typed = [line.strip() for line in text.splitlines() if re.match(r"  %%?gptoss", line)]
    assert len(typed) >= 1
    for line in typed:
        command = re.split(r" {2,}", line)[0]
        if command != "%gptoss":
            parsed(command)
    pages = re.findall(r"(README\.md|docs/\S+\.md)", text)
    assert pages
    assert [page for page in pages if not (ROOT / page).is_file()] == []


def test_topics_are_listed_and_an_unknown_one_names_the_nearest(shell):
    shown = shown_help(shell, "%gptoss help")
    assert re.findall(r"^%gptoss help (\w+)", shown, re.MULTILINE) == list(topics())
    for name in ("tuning", "routing", "retrieval", "tools", "personas", "sharing", "serving"):
        assert name in topics()
    result, _ = run(shell, "%gptoss help tunning")
    assert isinstance(result.error_in_exec, InputError)
    assert "did you mean tuning?; there are adapters, depth, " in str(result.error_in_exec)
    assert shown_help(shell, "%gptoss help Tuning").startswith("tune the resident model")


@pytest.mark.parametrize(
    ("line", "near"),
    [
        ("%gptoss serch docs x", "did you mean search?"),
        ("%gptoss lora atach x", "did you mean attach?"),
        ("%gptoss xyzzy", "there are load, status, "),
        ("%gptoss memory lst", "did you mean list?"),
        ("%%gptoss --tempurature 1\nHello", "did you mean --temperature?; see %%gptoss? for"),
        ("%gptoss lora attach x --scal=2", "did you mean --scale?; its options: "),
    ],
)
def test_an_unknown_command_names_the_nearest(shell, line, near):
    assert near in str(run(shell, line)[0].error_in_exec)


QUESTIONS = [
    "compare What is the capital of France?",
    "lora compare What is 4+9?",
    "search docs Who is {help}?",
    "memory recall Where does Clara live??",
    "compare Что такое столица Франции?",
]


@pytest.mark.parametrize("line", QUESTIONS)
def test_a_question_reaches_the_magic_as_it_was_typed(shell, line):
    for before in ("", "x = 1\n", "for x in [1]:\n    ", "\n\n"):
        code = shell.transform_cell(f"{before}%gptoss {line}\n")
        assert f"get_ipython().run_line_magic('gptoss', {line!r})" in code
        compile(code, "cell", "exec")


def test_what_is_not_ours_is_read_as_before(shell):
    text = 'text = """\n%gptoss compare What?\n"""\n'
    assert shell.transform_cell(text) == text
    markdown = "%%writefile x\n%gptoss compare What?\n"
    assert shell.transform_cell(markdown).startswith("get_ipython().run_cell_magic('writefile'")
    assert "%gptoss compare What?" in shell.transform_cell(markdown)
    assert "pinfo" in shell.transform_cell("%gptoss?\n")
    assert "pinfo" in shell.transform_cell("print?\n")
    assert "pinfo" in shell.transform_cell("%%gptoss?\n")
    assert shell.input_transformer_manager.check_complete("%%gptoss -e low")[0] == "incomplete"


def test_a_cell_without_a_body_is_told_what_it_lacks(shell):
    result, shown = run(shell, "%%gptoss -e low")
    assert isinstance(result.error_in_exec, InputError)
    assert shown.strip() == (
        "InputError: the cell has no prompt: write one below the %%gptoss line"
    )


def test_lines_are_read_as_before_once_the_extension_is_gone(shell):
    shell.run_line_magic("unload_ext", "gptoss_magic")
    code = shell.transform_cell("%gptoss compare What is the capital of France?\n")
    assert "pinfo" in code
    assert len(shell.transform_cell("%%gptoss\n").splitlines()) == 1
    shell.run_line_magic("load_ext", "gptoss_magic")


def test_an_open_quote_says_what_to_do(shell):
    result, _ = run(shell, "%gptoss compare What's this")
    assert "put the text in double quotes" in str(result.error_in_exec)
