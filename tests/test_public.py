"""What a script gives to a public function is checked at its door, in one line."""

from pathlib import Path

import numpy as np
import pytest

import gptoss_magic
from gptoss_magic.errors import InputError
from gptoss_magic.public import check_kind, is_kind, public
from gptoss_magic.session import current
from gptoss_magic.testing import tiny_checkpoint

KINDS = [
    ("str", ["", "text"], [None, 1, b"x", ["a"], Path("x")]),
    ("str | None", ["", None], [1, False]),
    ("int", [0, -1, np.int64(3)], [True, 1.0, "1", None]),
    ("float", [0, 1.5, np.float32(2), float("nan")], [True, "1", None, 1j]),
    ("bool", [True, False, 0, 1, np.bool_(1)], [2, "x", None, []]),
    ("str | Path", ["x", Path("x")], [b"x", None, 3]),
    ("Sequence[str]", [[], ["a"], ("a", "b")], ["ab", [1], [None], {"a": 1}, 3]),
    ("Sequence[int] | Sequence[str]", [[1], ["a"], []], [[1, "a"], "a", None]),
    ("Sequence[dict[str, Any]]", [[{}], [{"a": 1}]], [[1], {"a": 1}]),
    ("Mapping[str, Any] | None", [{}, None], [[], "x"]),
    ("Callable[[int, int], None] | None", [print, None, len], ["print", 1]),
    ("Any", [None, 1, object()], []),
]


@pytest.mark.parametrize(("kind", "right", "wrong"), KINDS, ids=[kind for kind, *_ in KINDS])
def test_a_kind_has_its_values_and_no_others(kind, right, wrong):
    assert [value for value in right if not is_kind(value, kind)] == []
    for value in wrong:
        with pytest.raises(InputError, match=r"^it is .*: give ") as caught:
            check_kind("it", value, kind)
        assert "\n" not in str(caught.value)


class Unshowable:
    def __repr__(self):
        raise RuntimeError


def test_a_value_that_cannot_show_itself_is_named_by_its_type():
    with pytest.raises(InputError, match="it is of type Unshowable: give a text"):
        check_kind("it", Unshowable(), "str")


@public
def grow(tree: "str", *rings: "int", soil: "str | None" = None) -> "str":
    """Grow."""
    return f"{tree} {sum(rings)} {soil}"


def test_arguments_pass_as_they_are():
    assert grow("oak", 1, 2, soil="clay") == "oak 3 clay"
    assert grow.__doc__ == "Grow."


CALLS = [
    (lambda: grow("oak", soi="clay"), "grow: option soi: .* did you mean soil?"),
    (lambda: grow(), "grow: missing a required argument: 'tree'"),
    (lambda: grow(3), "grow: tree is 3 (int): give a text"),
    (lambda: grow("oak", 1, "two"), "grow: rings is 'two' (str): give a whole number"),
    (lambda: gptoss_magic.generate(None), "generate: prompt is None (NoneType): give a text"),
    (lambda: gptoss_magic.generate("x", temprature=1), "did you mean temperature?"),
    (lambda: gptoss_magic.generate("x", system=3), "setting system is 3 (int): give a text"),
    (lambda: gptoss_magic.generate("x", stop=b"x"), "give a text or a list of texts"),
    (lambda: gptoss_magic.generate("x", tools=[None]), "tool None: give a function"),
    (lambda: gptoss_magic.generate("x", on_delta=None), "on_delta is None (NoneType): give a func"),
    (lambda: gptoss_magic.generate("x", passages=["a"]), "give a list of Passages"),
    (lambda: gptoss_magic.respond("hello"), "give a list of Messages or a list of whole numbers"),
    (lambda: gptoss_magic.map([1], 3), "map: template is 3 (int): give a text"),
    (lambda: gptoss_magic.compare("hello"), "compare: prompts is 'hello' (str): give a list of te"),
    (lambda: gptoss_magic.grid("x", {}), "grid: axes is {} (dict): give an Axes"),
    (lambda: gptoss_magic.index(None), "index: name is None (NoneType): give a text"),
    (lambda: gptoss_magic.search("docs", "x", n=3), "search: option n"),
    (lambda: gptoss_magic.attach(3), "attach: path is 3 (int): give a text or a path"),
    (lambda: gptoss_magic.attach("x", scal=1), "did you mean scale?"),
    (lambda: gptoss_magic.use([]), "use: names is [] (list): give a text"),
    (lambda: gptoss_magic.load("x", contxt=5), "did you mean context?"),
    (lambda: gptoss_magic.load("x", context="5"), "load: context is '5' (str): give a whole num"),
    (lambda: gptoss_magic.tune([], methd="lora"), "did you mean method?"),
    (lambda: gptoss_magic.answer("hello"), "answer: request is 'hello' (str): give a Request"),
    (lambda: gptoss_magic.branch("hello"), "branch: answer is 'hello' (str): give an Answer"),
    (lambda: gptoss_magic.tool(polcy="auto"), "did you mean policy?"),
    (lambda: gptoss_magic.score_routing(["a"], max_tokens="3"), "max_tokens is '3' (str)"),
]


@pytest.fixture
def bare():
    current().unload()


@pytest.mark.parametrize(("call", "says"), CALLS, ids=[says for _, says in CALLS])
def test_a_wrong_call_is_one_line(bare, call, says):
    with pytest.raises(InputError) as caught:
        call()
    said = str(caught.value)
    assert "\n" not in said
    for part in says.split(" .* "):
        assert part in said
    assert current().loaded is None


@pytest.fixture
def loaded(tmp_path):
    gptoss_magic.load(tiny_checkpoint(tmp_path / "tiny"))
    yield
    gptoss_magic.unload()


def test_numpy_s_numbers_are_numbers_and_one_stop_string_is_one(loaded):
    settings = {"temperature": np.float32(0.5), "seed": np.int64(3), "max_tokens": np.int32(4)}
    said = gptoss_magic.generate("Hello", stop="END", **settings).provenance["sampling"]
    assert [type(said[name]) for name in ("temperature", "seed", "max_tokens")] == [float, int, int]
    assert said["stop"] == ["END"]
