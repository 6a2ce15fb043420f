"""Each refusal says what to do: an option, a command, what there is, or a verb that asks for it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gptoss_magic import errors
from gptoss_magic.errors import GptOssError, shown_error

PACKAGE = Path(errors.__file__).parent
TREE = {
    name
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, GptOssError)
} | {"RemoteFault", "ApiError"}
VERBS = (
    "add|agree|ask|attach|begin|branch|bring|call|check|choose|close|compare|connect|copy|define|"
    "delete|detach|do not|download|draft|export|fetch|force|free|get|give|index|install|keep|leave|"
    "list|load|look|lower|make|mask|mend|move|name|offer|put|quote|raise|reflect|rename|resume|run|save|"
    "say|score|see|send|set|share|shorten|stream|take|test|train|unload|upgrade|use|wait|wrap|write"
)
STEP = re.compile(
    r"--[a-z]|%%?gptoss|pip install|did you mean|means something be(side|hind)|options stand|"
    rf"(^|[:;,(…—] ?|\bor |\band |\bthen |\bfirst )({VERBS})\b|"
    r"there (are|is)\b|; it has|the columns are|(name|that) has letters|has a letter|at most|"
    r"may name|need quotes|has to mend|is for|are for|for a URL|such as|nothing to"
)
# told to the model in its browser's own words; why a row is left out, where `sources` says what
# to do about it; what nobody is there to read
NO_USER = re.compile(
    r"agents/browser/|retrieval/pages/|serving/(guard|desk_calls)|"
    r"tuning/(calls|chats|columns|fields|values|written|marks)\.py"
)
# said where these words come from: another refusal, the shelf, the parser, the nearest name
ELSEWHERE = re.compile(
    r"[:'] ?\{error\}'$|str\(error\)$|error\.get|get\('note'|unread\[0\]|record\.why|NAMELESS|"
    r"\{(near|hint|advice|remedy|install|words|why|RAW)\b|failure$|place\}: no JSON|"
    r"self\.(hint|closed_by)|shelf\.no_mxfp4"
)


def raised() -> Iterator[tuple[str, str]]:
    """(file:line, words) of each refusal; of constants and functions that it names, their words."""
    code = {
        path.relative_to(PACKAGE.parent).with_suffix("").as_posix().replace("/", "."): ast.parse(
            path.read_text("utf-8")
        )
        for path in sorted(PACKAGE.rglob("*.py"))
    }
    own = {module: named_in(tree) for module, tree in code.items()}
    for module, tree in code.items():
        known = own[module] | imported(tree, own)
        place = module.partition(".")[2].replace(".", "/") + ".py"
        for node in ast.walk(tree):
            is_ours = isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)
            if not is_ours or getattr(node.exc.func, "id", "") not in TREE or NO_USER.match(place):
                continue
            said = " ".join(ast.unparse(part) for part in node.exc.args)
            if not ELSEWHERE.search(said):
                yield f"{place}:{node.lineno}", words(node.exc, known)


def named_in(tree):
    """The strings of a module's constants and functions, by their names."""
    named = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            named[node.name] = strings(node)
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            named[node.targets[0].id] = strings(node.value)
    return named


def imported(tree, own):
    return {
        alias.name: own[node.module][alias.name]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module in own
        for alias in node.names
        if alias.name in own[node.module]
    }


def strings(node):
    return " … ".join(
        part.value
        for part in ast.walk(node)
        if isinstance(part, ast.Constant) and isinstance(part.value, str)
    )


def words(node, known):
    names = [part.id for part in ast.walk(node) if isinstance(part, ast.Name)]
    return " … ".join([strings(node), *(known[name] for name in names if name in known)])


def test_each_refusal_names_the_next_step():
    said = list(raised())
    assert len(said) > 750
    assert [one for one in said if not STEP.search(one[1])] == []


OTHERS = [
    ImportError("no name"),
    MemoryError(),
    OSError("disk"),
    ValueError("odd"),
    RecursionError(),
    SystemExit(3),
    KeyError("x"),
]


@pytest.mark.parametrize("error", OTHERS, ids=[type(one).__name__ for one in OTHERS])
def test_what_nobody_foresaw_says_where_the_rest_is_or_what_to_do(error):
    assert STEP.search(str(shown_error(error)))
