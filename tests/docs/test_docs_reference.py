"""The reference has every magic, option, public name, error, key and variable; and no other."""

import ast
import dataclasses
import inspect
import re
from pathlib import Path

import pytest

import gptoss_magic
from gptoss_magic import errors
from gptoss_magic.agents import persona_file, terms
from gptoss_magic.agents.position import KINDS
from gptoss_magic.magics.complete import PLAIN
from gptoss_magic.magics.gptoss import GptOssMagics
from gptoss_magic.magics.nouns import NOUNS
from gptoss_magic.tuning.methods import METHODS
from tests.docs.docs_pages import first_column, made, written
from tools.docs_site.magic_pages import magics, parsers
from tools.docs_site.markdown import plain, prose, signature
from tools.docs_site.record_pages import typed_dicts

ROOT = Path(gptoss_magic.__file__).parent
PERSONA_KEYS = "reference/persona-keys.md"
ENVIRONMENT = "reference/environment.md"


def test_each_magic_has_a_page():
    names = {magic.name for magic in magics()}
    assert {f"%gptoss {noun.name}" for noun in NOUNS} < names
    assert {f"%gptoss {name}" for name in PLAIN} < names
    assert {"%%gptoss", "%%gptoss_tune", "%%gptoss_data", "%%gptoss_persona"} < names
    index = made()["reference/magics/index.md"]
    for magic in magics():
        assert f"[`{magic.name}`]({magic.slug}.md)" in index
        assert made()[magic.uri].startswith(f"# `{magic.name}`\n")
        assert magic.about, magic.name


def test_each_option_of_each_parser_stands_on_the_page_of_its_magic():
    pages = {magic.name: made()[magic.uri] for magic in magics()}
    assert len(parsers()) > 40
    for prog, parser in parsers().items():
        name = prog if prog.startswith("%%") else " ".join(prog.split()[:2])
        section = pages[name].partition(f"`{prog}`\n")[2].partition("\n## ")[0]
        for action in (one for one in parser._actions if one.dest != "help"):  # noqa: SLF001
            for flag in action.option_strings or [action.metavar or action.dest]:
                assert f"`{flag}`" in section, f"{prog} {flag}"
            words = (action.help or "").replace("%%", "%")
            assert plain(words) in section, f"{prog} {action.dest}"


def test_each_public_name_is_on_a_page_with_how_it_is_called_and_what_it_says():
    pages = "\n".join(made().values())
    for name in gptoss_magic.__all__:
        value = getattr(gptoss_magic, name)
        assert f"{{ #gptoss_magic.{name} }}" in pages, name
        if inspect.isfunction(value):
            assert f"```python\n{signature(name, value)}\n```" in pages, name
            assert prose(inspect.getdoc(value)) in pages, name
        if dataclasses.is_dataclass(value):
            section = pages.partition(f"{{ #gptoss_magic.{name} }}")[2].partition("\n## ")[0]
            for field in dataclasses.fields(value):
                assert f"`{field.name}`" in section, f"{name}.{field.name}"


def test_each_error_is_on_its_page_with_who_raises_it():
    page = made()["reference/api/errors.md"]
    classes = [
        value
        for value in vars(errors).values()
        if inspect.isclass(value) and issubclass(value, errors.GptOssError)
    ]
    assert len(classes) >= 10
    for kind in classes:
        section = page.partition(f"## {kind.__name__} ")[2].partition("\n## ")[0]
        assert prose(inspect.getdoc(kind)) in section, kind
    assert "[`load`](turns.md#gptoss_magic.load)" in page.partition("## DoesNotFit ")[2]


def test_the_keys_of_a_persona_are_those_that_are_read():
    position = ["text", *KINDS]
    assert sorted(first_column(PERSONA_KEYS, "In `sampler`")) == sorted(persona_file.SAMPLER)
    assert sorted(first_column(PERSONA_KEYS, "In `position`")) == sorted(position)
    keys = [
        re.match(r"\| `(\w+)`", line)[1]
        for line in written()[PERSONA_KEYS].partition("\n## ")[0].splitlines()
        if line.startswith("| `")
    ]
    assert keys == list(persona_file.KEYS)
    said = re.findall(r"`(\w+)`", written()[PERSONA_KEYS].partition("## In a term")[2])
    assert {name for name in terms.KEYS.values() if name != "name"} <= set(said)


def variables(tree):
    """The environment variables that a module reads or sets by name."""
    constants = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }

    def is_environment(node):
        return isinstance(node, ast.Attribute) and node.attr == "environ"

    for node in ast.walk(tree):
        named = None
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if is_environment(node.func.value) or node.func.attr == "getenv":
                named = node.args[0] if node.args else None
        elif isinstance(node, ast.Subscript) and is_environment(node.value):
            named = node.slice
        elif isinstance(node, ast.Compare) and any(map(is_environment, node.comparators)):
            named = node.left
        if isinstance(named, ast.Constant):
            yield named.value
        elif isinstance(named, ast.Name) and isinstance(constants.get(named.id), str):
            yield constants[named.id]


def test_each_environment_variable_that_is_read_is_on_its_page():
    found = {name for path in ROOT.rglob("*.py") for name in variables(ast.parse(path.read_text()))}
    assert {"GPTOSS_MAGIC_CACHE", "OPENAI_API_KEY", "GOMP_SPINCOUNT", "CXX"} <= found
    assert found <= set(first_column(ENVIRONMENT))


def test_the_variables_of_the_page_are_named_in_the_code_or_are_of_those_it_calls():
    source = "\n".join(path.read_text() for path in ROOT.rglob("*.py"))
    theirs = {"OMP_NUM_THREADS", "XDG_DATA_HOME", "HF_HOME", "HF_TOKEN", "HF_HUB_OFFLINE"}
    for name in set(first_column(ENVIRONMENT)) - theirs:
        assert name in source, name


def test_settings_methods_and_records_are_whole():
    settings, methods = made()["reference/settings.md"], made()["reference/methods.md"]
    for name in GptOssMagics.class_own_traits(config=True):
        assert f"| `{name}` |" in settings
    for method in METHODS.values():
        assert f"## `{method.name}`\n" in methods
        for field in dataclasses.fields(method.settings):
            assert f"`{field.metadata['flags'][1]}`" in methods
    record = made()["reference/record.md"]
    for kind in typed_dicts():
        section = record.partition(f"## {kind.__name__}\n")[2].partition("\n## ")[0]
        assert kind.__annotations__
        for key in kind.__annotations__:
            assert f"| `{key}` |" in section, f"{kind.__name__}.{key}"


def sample(first, /, *rest: int, kind: str = "x", **more: object) -> None:
    """A function with all kinds of parameters."""


def both(first: int, *, second: float | None = None) -> str:
    """A function whose second parameter is given by name."""


@pytest.mark.parametrize(
    ("function", "written"),
    [
        (sample, "f(first, /, *rest: int, kind: str = 'x', **more: object) -> None"),
        (both, "f(first: int, *, second: float | None = None) -> str"),
    ],
)
def test_a_signature_is_written_as_it_stands(function, written):
    assert signature("f", function).replace("NoneType", "None") == written


def test_text_of_the_code_is_no_markup():
    assert plain("a|b *c* [d] <e> & _f_") == r"a\|b \*c\* \[d\] &lt;e> &amp; \_f\_"
    assert prose("`<a>` and <b> of `[T, H]`") == "`<a>` and &lt;b> of `[T, H]`"
