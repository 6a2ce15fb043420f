"""Each refusal of a magic says what to do: an option, a command, or a verb that asks for it."""

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

from gptoss_magic import errors, magics
from gptoss_magic.errors import GptOssError, shown_error

PACKAGE = Path(magics.__file__).parent
TREE = {
    name
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, GptOssError)
}
STEP = re.compile(
    r"--[a-z]|%%?gptoss|did you mean|there are|means something be(side|hind)|options stand|"
    r"\b(give|write|name|add|leave|run|see|use|choose|close|install|say|ask|delete|define|mend|"
    r"compare|quote|save|put|free|lower|take|is for|are for|for a URL|such as)\b"
)


# said where these words come from: the shelf, the parser, the nearest name, another room
ELSEWHERE = ("shelf.no_mxfp4", "self.hint", "{near}", "{NAMELESS}")


def raised():
    """(file:line, words) of each refusal; … for what is put in, and of constants their words."""
    for path in sorted(PACKAGE.rglob("*.py")):
        module = import_module(f"gptoss_magic.magics.{path.stem}")
        for node in ast.walk(ast.parse(path.read_text())):
            is_ours = isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)
            if not is_ours or getattr(node.exc.func, "id", "") not in TREE:
                continue
            if not any(told in ast.unparse(node.exc) for told in ELSEWHERE):
                yield f"{path.name}:{node.lineno}", words(node.exc, vars(module))


def words(node, names):
    found = []
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            found.append(part.value)
        elif isinstance(part, ast.Name) and isinstance(names.get(part.id), str):
            found.append(names[part.id])
        elif isinstance(part, ast.Call) and part is not node:
            found.append(told(part.func, names))
    return " … ".join(found)


def told(function, names):
    """The strings of a function of the same module that a message is made by."""
    value = names.get(getattr(function, "id", ""))
    code = getattr(value, "__code__", None)
    return " ".join(one for one in code.co_consts if isinstance(one, str)) if code else ""


def test_each_refusal_of_a_magic_names_the_next_step():
    said = list(raised())
    assert len(said) > 70
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
