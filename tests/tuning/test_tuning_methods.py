"""A tuning method is one object in one file: what it is, and that nobody else knows its name."""

import ast
from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest

import gptoss_magic
from gptoss_magic.errors import InputError
from gptoss_magic.magics import options as opt
from gptoss_magic.magics import tune_options
from gptoss_magic.tuning import methods
from gptoss_magic.tuning.methods import (
    DEFAULT,
    METHODS,
    method_of,
    options,
    settings_from,
    settings_of,
)

ROOT = Path(gptoss_magic.__file__).parent
OWN = ROOT / "tuning" / "methods"
# Words that mean other things elsewhere: there they are not held to be a method's name
WORDS = {"experts", "lora", "router", "heads", "prompt", "prefix", "full"}
ROOMS = ("tuning", "runs")  # and the tune magics: where such a word would be the method
ELSEWHERE = {  # file, word → what the word is there
    ("tuning/axolotl_keys.py", "lora"): "a kind of adapter in Axolotl's own words",
    ("tuning/axolotl.py", "lora"): "Axolotl's kind of adapter",
    ("tuning/arrows.py", "prompt"): "a row's column",
    ("tuning/columns.py", "prompt"): "a row's column",
    ("tuning/sources.py", "prompt"): "a row's column",
    ("tuning/layout.py", "experts"): "an attribute of a part",
}
EARLIER = {  # what a run.json held when all methods shared their settings
    "rank": 4,
    "alpha": 16.0,
    "choice": "all",
    "coverage": 0.5,
    "num_experts": 0,
    "num_layers": 0,
    "num_heads": 8,
    "num_virtual": 16,
    "adam": "8-bit",
}


def literals(path):
    """The texts that a module has, docstrings left out."""
    tree = ast.parse(path.read_text("utf-8"))
    heads = (ast.Module, ast.ClassDef, ast.FunctionDef)
    said = [node.body[0].value for node in ast.walk(tree) if isinstance(node, heads) and node.body
            and isinstance(node.body[0], ast.Expr)]  # fmt: skip
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return {node.value for node in nodes if isinstance(node.value, str) and node not in said}


def others():
    return [path for path in ROOT.rglob("*.py") if OWN not in path.parents]


def test_no_other_module_knows_a_methods_name():
    own, shared = set(METHODS) - WORDS, set(METHODS) & WORDS
    assert shared == WORDS
    found = set()
    for path in others():
        name = path.relative_to(ROOT).as_posix()
        assert not literals(path) & own, f"{name} names a tuning method"
        if name.startswith(ROOMS) or name.startswith("magics/tune"):
            found |= {(name, word) for word in literals(path) & shared}
    assert found == set(ELSEWHERE)


def test_no_other_module_imports_a_methods_file():
    files = {f"gptoss_magic.tuning.methods.{path.stem}" for path in OWN.glob("*.py")}
    shared = {"method", "context"}
    for path in others():
        imported = {
            node.module for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.ImportFrom)
        }  # fmt: skip
        foreign = imported & files - {f"gptoss_magic.tuning.methods.{name}" for name in shared}
        assert not foreign, f"{path.name} imports {foreign}"


def test_each_method_is_a_file_with_one_object():
    shared = {"__init__", "method", "context", "svd", "head_lora"}
    files = {path.stem for path in OWN.glob("*.py")} - shared
    found = {getattr(methods, name).METHOD.name for name in files}
    assert found == set(METHODS)
    assert next(iter(METHODS)) == DEFAULT
    for name, method in METHODS.items():
        assert method.settings.name == name
        assert method.help
        with pytest.raises(FrozenInstanceError):
            method.name = "x"


def test_a_methods_settings_have_its_own_options_alone():
    has = {name: [field.name for field in fields(one.settings)] for name, one in METHODS.items()}
    low_rank = ["rank", "alpha"]
    of_experts = [*low_rank, "choice", "coverage", "num_experts", "num_layers"]
    assert has == {
        "experts": of_experts,
        "lora": low_rank,
        "router": [],
        "router+experts": of_experts,
        "experts-full": ["num_experts"],
        "last-layers": [*low_rank, "num_layers"],
        "heads": [*low_rank, "num_heads"],
        "adalora": low_rank,
        "prompt": ["num_virtual"],
        "prefix": ["num_virtual"],
        "full": ["adam"],
    }


@pytest.mark.parametrize("name", METHODS)
def test_settings_come_back_from_their_record_and_from_an_earlier_runs(name):
    settings = settings_of(name)
    assert settings_from(settings.record()) == settings
    assert method_of(settings) is METHODS[name]
    has = [field.name for field in fields(settings)]
    wanted = settings_of(name, **{field: EARLIER[field] for field in has})
    assert settings_from({"name": name, **EARLIER}) == wanted


@pytest.mark.parametrize(
    ("name", "given", "wrong"),
    [
        ("qlora", {}, "method 'qlora': there are experts, lora"),
        ("lora", {"num_heads": 2}, "method lora has no num_heads (--heads); it has rank, alpha"),
        ("router", {"rank": 2}, "method router has no rank (--rank); it has no options"),
        ("lora", {"rnak": 2}, "method lora has no rnak; it has rank, alpha"),
        ("lora", {"rank": 0}, "rank 0, alpha 16.0: give numbers above 0"),
        ("experts", {"choice": "cold"}, "experts 'cold': give hot, random or all"),
        ("experts", {"coverage": 1.5}, "coverage 1.5"),
        ("experts-full", {"num_experts": -1}, "start at 0"),
        ("last-layers", {"num_layers": -1}, "start at 0"),
        ("heads", {"num_heads": 0}, "0 heads"),
        ("prefix", {"num_virtual": 0}, "0 virtual tokens"),
        ("full", {"adam": "4-bit"}, "adam '4-bit': give fp32 or 8-bit"),
    ],
)
def test_wrong_settings_are_refused_in_one_line(name, given, wrong):
    with pytest.raises(InputError) as error:
        settings_of(name, **given)
    assert wrong in str(error.value)
    assert "\n" not in str(error.value)


def test_the_magic_offers_every_option_once():
    assert sorted(tune_options.METHOD_FIELDS) == sorted(EARLIER)
    assert [option.name for option in options()] == list(tune_options.METHOD_FIELDS)
    parser = opt.parser("%%gptoss_tune", tune_options.TUNE, "")
    parsed = opt.parse(parser, "-M heads -H 3 -r 2 -a 4 -C all -g 0.3 -x 1 -y 2 -v 5 -B fp32")
    given = {name: getattr(parsed, name) for name in ("method", *tune_options.METHOD_FIELDS)}
    assert given == {
        "method": "heads",
        "rank": 2,
        "alpha": 4.0,
        "choice": "all",
        "coverage": 0.3,
        "num_experts": 1,
        "num_layers": 2,
        "num_heads": 3,
        "num_virtual": 5,
        "adam": "fp32",
    }
