"""Each class of error thrown through the one door of the magics: one line, nothing chained."""

import errno
import json
import subprocess

import pytest
import torch
from IPython.core.error import UsageError
from jupyter_client.manager import start_new_kernel

from gptoss_magic import errors
from gptoss_magic.magics.door import in_background
from gptoss_magic.scripted import calling, saying, scripted
from gptoss_magic.session import current
from gptoss_magic.testing import tiny_tokenizer
from gptoss_magic.textfiles import Unreadable
from tests.shell_cells import run, tiny_shell
from tests.warm import python


class Wordless(Exception):
    def __str__(self):
        raise ValueError("no words")


class OddlyMade(errors.InputError):
    def __init__(self, code, *, words):
        super().__init__(words)
        self.code = code


def from_json():
    json.loads('{"a": ')


def from_tokenizer():
    tiny_tokenizer()._tokenizer.encode(7)


def from_bytes():
    b"\xff".decode("utf-8")


def from_surrogate():
    "\ud83d".encode()


def from_import():
    import no_such_package_of_anyone  # noqa: F401


def from_recursion():
    from_recursion()


def raising(error):
    def action():
        raise error

    return action


def grouped():
    inner = ExceptionGroup("inner", [KeyError("x"), ValueError("y")])
    raise ExceptionGroup("outer", [inner, OSError("z")])


def within_group():
    """An ordinary error whose context is a group: IPython prints such a chain whole."""
    try:
        grouped()
    except ExceptionGroup:
        raise errors.InputError("chained: mend it")  # noqa: B904


def from_group():
    try:
        grouped()
    except ExceptionGroup as group:
        raise errors.InputError("caused: mend it") from group


def deep_group():
    error = ValueError("deep")
    for _ in range(50):
        error = ExceptionGroup("more", [error])
    raise error


def cancelled():
    from asyncio import CancelledError

    raise CancelledError


OURS = sorted(
    name
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.GptOssError)
)
CASES = [
    *((raising(getattr(errors, name)("a: b; do c")), name, "a: b; do c") for name in OURS),
    (raising(Unreadable("binary")), "InputError", "binary"),
    (raising(OddlyMade(7, words="odd: mend it")), "InputError", "odd: mend it"),
    (raising(KeyError("name")), "UnexpectedError", "KeyError: 'name'"),
    (from_tokenizer, "UnexpectedError", "TypeError: "),
    (from_json, "UnexpectedError", "JSONDecodeError: Expecting value"),
    (from_bytes, "UnexpectedError", "UnicodeDecodeError: "),
    (from_surrogate, "UnexpectedError", "UnicodeEncodeError: "),
    (grouped, "UnexpectedError", "KeyError: 'x' (and 2 more)"),
    (within_group, "InputError", "chained: mend it"),
    (from_group, "InputError", "caused: mend it"),
    (deep_group, "UnexpectedError", "ValueError: deep"),
    (raising(MemoryError()), "DoesNotFit", "MemoryError; free some memory"),
    (raising(torch.OutOfMemoryError("2 GiB\nwanted")), "DoesNotFit", "2 GiB wanted; free"),
    (raising(OSError(errno.ENOSPC, "No space left on device")), "StorageError", "No space left"),
    (raising(PermissionError(errno.EACCES, "denied", "a\nb")), "StorageError", "denied"),
    (raising(FileNotFoundError(2, "none", "a\udcff.txt")), "StorageError", "none"),
    (raising(ImportError("no\nname")), "MissingPackage", "ImportError: no name; install"),
    (from_import, "MissingPackage", "no_such_package_of_anyone"),
    (from_recursion, "UnexpectedError", "RecursionError: "),
    (raising(RuntimeError()), "UnexpectedError", "RuntimeError; %gptoss traceback"),
    (
        raising(ValueError("one\n\n two\r\nthree\u2028four")),
        "UnexpectedError",
        "one two three four",
    ),
    (raising(ValueError("half \ud83d, bell \a")), "UnexpectedError", "half \\ud83d, bell \\x07"),
    (raising(ValueError("x" * 50_000)), "UnexpectedError", "x …;"),
    (raising(Wordless()), "UnexpectedError", "Wordless: its message cannot be read (ValueError)"),
    (raising(StopIteration(3)), "UnexpectedError", "StopIteration: 3"),
    (raising(AssertionError()), "UnexpectedError", "AssertionError"),
    (raising(UsageError("of IPython")), "UnexpectedError", "UsageError: of IPython"),
    (raising(SystemExit(2)), "UnexpectedError", "SystemExit: 2"),
    (raising(GeneratorExit()), "UnexpectedError", "GeneratorExit"),
    (cancelled, "UnexpectedError", "CancelledError"),
]
NAMES = [f"{number}-{case[1]}" for number, case in enumerate(CASES)]


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    with tiny_shell(tmp_path_factory.mktemp("door"), 2048) as shell:
        yield shell


@pytest.fixture
def throw(shell):
    """What runs an action behind `%%gptoss`, through its door: the body's expression calls it."""

    def thrown(action, cell="%gptoss nothing"):
        magics = shell.magics_manager.registry["GptOssMagics"]
        magics._command = lambda line: action()  # noqa: SLF001
        try:
            return run(shell, cell)
        finally:
            del magics._command

    return thrown


@pytest.mark.parametrize(("action", "kind", "says"), CASES, ids=NAMES)
def test_one_line_and_the_whole_on_request(throw, shell, action, kind, says):
    result, shown = throw(action)
    error = result.error_in_exec
    assert type(error) is getattr(errors, kind)
    assert says in str(error)
    assert (error.__cause__, error.__context__) == (None, None)
    lines = shown.strip().splitlines()
    assert lines == [f"{kind}: {error}"]
    assert len(lines[0]) < 1200
    run(shell, "kept = 1")
    _, whole = run(shell, "%gptoss traceback")
    assert "Traceback (most recent call last)" in whole
    assert shell.user_ns["kept"] == 1


def test_a_line_within_an_except_is_one_line_too(throw):
    cell = """
try:
    raise ExceptionGroup("of the cell", [ValueError("x")])
except ExceptionGroup:
    get_ipython().run_line_magic("gptoss", "x")
"""
    result, shown = throw(raising(KeyError("x")), cell)
    assert result.error_in_exec.__context__ is None
    assert shown.strip().splitlines() == [
        "UnexpectedError: KeyError: 'x'; %gptoss traceback shows where"
    ]


@pytest.mark.parametrize(
    "error",
    [KeyboardInterrupt(), BaseExceptionGroup("all", [ValueError("x"), KeyboardInterrupt()])],
    ids=["alone", "grouped"],
)
def test_an_interrupt_passes(throw, error):
    before = current().last_error
    result, shown = throw(raising(error))
    assert isinstance(result.error_in_exec, KeyboardInterrupt)
    assert type(result.error_in_exec).__name__ == "KeyboardInterrupt"
    assert shown.strip() == "KeyboardInterrupt"
    assert current().last_error is before


@pytest.mark.parametrize("error", [ValueError("two\nlines"), SystemExit(3), Wordless()])
def test_an_error_in_the_background_is_one_printed_line_and_kept(capsys, error):
    in_background("the run x", raising(error)).join()
    printed = capsys.readouterr().out.strip().splitlines()
    assert len(printed) == 1
    assert printed[0].startswith(f"the run x: {type(error).__name__}")
    assert current().last_error is error


TOOL_ERRORS = {
    "quits": "SystemExit: 3",
    "group": "KeyError: 'a' (and 1 more)",
    "wordless": "Wordless: its message cannot be read (ValueError)",
    "lines": "ValueError: one two",
}


@pytest.mark.parametrize("name", TOOL_ERRORS)
def test_an_error_of_a_tool_is_told_to_the_model(shell, name):
    def fails() -> str:
        "Fail."
        if name == "quits":
            raise SystemExit(3)
        if name == "group":
            raise ExceptionGroup("two", [KeyError("a"), ValueError("b")])
        raise Wordless if name == "wordless" else ValueError("one\ntwo")

    shell.user_ns["fails"] = fails
    run(shell, "%gptoss tools allow fails")
    with scripted(current(), calling("fails", "{}"), saying("Sorry.")):
        result, _ = run(shell, "%%gptoss -n -o a -T fails\nTry")
    result.raise_error()
    answer = shell.user_ns["a"]
    assert (answer.steps[0].outcome, answer.steps[0].result) == ("error", TOOL_ERRORS[name])
    assert answer.final == "Sorry."


def test_an_error_of_an_expression_is_one_line_and_nothing_changes(shell):
    cell = "def leave():\n    raise SystemExit(4)"
    run(shell, cell)
    before = dict(current().conversations.latest)
    result, shown = run(shell, "%%gptoss\nHello {{ leave() }}")
    assert isinstance(result.error_in_exec, errors.UnexpectedError)
    assert len(shown.strip().splitlines()) == 1
    assert current().conversations.latest == before


KERNEL = """
%load_ext gptoss_magic
class Wordless(Exception):
    def __str__(self):
        raise ValueError
def group():
    raise ExceptionGroup("g", [ExceptionGroup("h", [KeyError("x")]), ValueError("y")])
def within():
    try:
        group()
    except ExceptionGroup:
        raise ValueError("one\\ntwo")
def leave():
    raise SystemExit(3)
def memory():
    raise MemoryError
def wordless():
    raise Wordless
"""


def test_a_real_kernel_shows_one_line():
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        client.execute_interactive(KERNEL, timeout=60, output_hook=lambda message: None)
        for name in ("group", "within", "leave", "memory", "wordless"):
            outputs = []
            client.execute_interactive(
                f"%%gptoss\n{{{{ {name}() }}}}", timeout=60, output_hook=outputs.append
            )
            shown = [m["content"] for m in outputs if m["msg_type"] == "error"]
            streams = [m["content"]["text"] for m in outputs if m["msg_type"] == "stream"]
            assert len(shown) == 1, name
            assert len(shown[0]["traceback"]) == 1, name
            assert "\n" not in shown[0]["traceback"][0], name
            assert streams == [], name
        outputs = []
        client.execute_interactive("%gptoss traceback", timeout=60, output_hook=outputs.append)
        text = "".join(m["content"]["text"] for m in outputs if m["msg_type"] == "stream")
        assert "Traceback (most recent call last)" in text
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_a_script_gets_one_line_of_the_tree_for_what_can_be_foreseen(tmp_path):
    code = """
import gptoss_magic as gpt
doors = [
    lambda: gpt.load("no-such-folder/of/anyone", offline=True),
    lambda: gpt.generate("x", temperature=float("nan")),
    lambda: gpt.map([1], "{{ a }}"),
    lambda: gpt.search("no index", "x"),
    lambda: gpt.evaluate_retrieval("no index", []),
    lambda: gpt.index("a name", "no such file"),
    lambda: gpt.attach("no/such/adapter"),
    lambda: gpt.tune([], name="x"),
]
for door in doors:
    try:
        door()
    except gpt.GptOssError as error:
        assert str(error) and len(str(error).splitlines()) == 1, error
    else:
        raise AssertionError("no error")
print("all of the tree")
"""
    done = subprocess.run(
        [python(), "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.stdout.strip() == "all of the tree", done.stderr
