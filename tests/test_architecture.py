"""The house's rules, read from the imports."""

import ast
import subprocess
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

import gptoss_magic

ROOT = Path(gptoss_magic.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))
HEAVY = {
    "torch",
    "transformers",
    "peft",
    "lancedb",
    "faiss",
    "chromadb",
    "accelerate",
    "bitsandbytes",
    "pandas",
    "pyarrow",
    "langchain_core",
    "llama_index",
    "haystack",
    "semantic_text_splitter",
    "sentence_transformers",
    "triton",
    "wordllama",
    "docstring_parser",
    "json_repair",
    "mcp",
    "pydantic",
}
# modules of torch classes or Triton kernels: others import them inside functions only
MADE_OF_TORCH = {
    "model.activation",
    "model.attached",
    "model.attention",
    "model.experts",
    "model.graph_step",
    "model.kv_cache",
    "model.linear",
    "model.parts",
    "model.parts.expert_lora",
    "model.parts.expert_weights",
    "model.parts.low_rank",
    "model.parts.part",
    "model.parts.prefix",
    "model.parts.router_delta",
    "model.parts.soft_prompt",
    "model.parts.whole_module",
    "model.reading",
    "model.router",
    "model.rows_cache",
    "model.step",
    "model.taps",
    "model.triton_kernels",
    "model.wide",
    "ranks.anchor",
    "ranks.expert_parallel",
    "tuning.methods.head_lora",
    "tuning.methods.svd",
    "tuning.rounded",
}
THEIRS = {"torch", "transformers", "triton"}
LEAVES = {
    "public",
    "errors",
    "vocabulary",
    "records",
    "quoting",
    "headings",
    "textfiles",
    "atomic",
    "stems",
    "children",
}
MAY = {
    "errors": {"quoting"},
    "vocabulary": {"errors"},
    "records": {"errors", "vocabulary"},
    "conversations": {"errors", "records", "vocabulary"},
    "quoting": set(),
    "headings": set(),
    "stems": set(),
    "children": set(),
    "textfiles": {"errors", "quoting"},
    "atomic": {"errors", "quoting"},
    "public": {"errors", "quoting", "vocabulary"},
    "agents": LEAVES,
    "model": LEAVES,
    "harmony": {"model"} | LEAVES,
    "generation": {"model", "harmony"} | LEAVES,
    "routing": {"model", "harmony"} | LEAVES,
    "adapters": {"model", "harmony"} | LEAVES,
    "tuning": {"model", "harmony"} | LEAVES,
    "retrieval": LEAVES,
    "evaluation": LEAVES,
    "widgets": {"records", "headings", "vocabulary", "quoting"},
    "session": {"conversations", "model", "harmony", "generation", "adapters", "agents"} | LEAVES,
    "turns": {"session", "model", "harmony", "generation", "routing", "retrieval", "agents"}
    | LEAVES,
    "runs": {"turns", "session", "model", "harmony", "generation", "routing", "adapters", "tuning"}
    | LEAVES,
    "ranks": {"runs", "turns", "session", "model", "tuning"} | LEAVES,
    "studies": {"turns", "runs", "session", "model", "harmony", "generation", "routing", "tuning"}
    | {"agents", "retrieval", "evaluation"}
    | LEAVES,
    "sharing": {"turns", "session", "harmony", "routing", "retrieval", "agents", "adapters"}
    | LEAVES,
    "serving": {"turns", "session", "harmony", "generation", "adapters", "model"} | LEAVES,
    "neighbours": {"turns", "session", "retrieval", "agents"} | LEAVES,
    "magics": {
        "turns",
        "runs",
        "ranks",
        "studies",
        "session",
        "routing",
        "tuning",
        "retrieval",
        "agents",
    }
    | {"sharing", "serving", "evaluation"}
    | {"widgets"}
    | LEAVES,
    "extension": {"magics", "model"} | LEAVES,
    "doctor": {"model", "agents"} | LEAVES,
    "__main__": {"ranks", "serving", "turns", "model", "doctor"} | LEAVES,
    "scripted": {"harmony", "generation"} | LEAVES,
    "testing": {"model", "harmony"} | LEAVES,
}


def room(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[0]


def imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node, node.module
        elif isinstance(node, ast.Import):
            for name in node.names:
                yield node, name.name


@cache
def parsed(path):
    return ast.parse(path.read_text("utf-8"))


def reached(path):
    """What a module imports of the rooms."""
    names = [name for _, name in imports(parsed(path))]
    return [name for name in names if name.startswith("gptoss_magic.")]


def test_rooms_import_only_what_they_may():
    strays = [
        f"{dotted(path)} imports {name}"
        for path in MODULES
        if (here := room(path)) != "__init__"
        for name in reached(path)
        if name.split(".")[1] not in MAY[here] | {here}
    ]
    assert strays == []


def dotted(path):
    parts = ("gptoss_magic", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(part for part in parts if part != "__init__")


def typing_only(tree):
    """Nodes under `if TYPE_CHECKING`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            yield from ast.walk(node)


def targets(node, name, modules):
    """The modules of ours that one import statement reaches: submodules, or the module itself."""
    aliases = node.names if isinstance(node, ast.ImportFrom) else ()
    inner = {f"{name}.{alias.name}" for alias in aliases} & set(modules)
    return inner or {name} & set(modules)


def circle(modules):
    """Names along an import circle of {name: syntax tree}, or None."""
    graph = {
        here: {there for node, name in imports(tree) for there in targets(node, name, modules)}
        for here, tree in modules.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return None


def test_no_module_imports_itself_in_a_circle_types_included():
    modules = {dotted(path): parsed(path) for path in MODULES}
    assert circle(modules) is None
    lazily = "def f():\n    from p import b"
    typed = "if TYPE_CHECKING:\n    from p import b"
    assert circle({"p": ast.parse(""), "p.a": ast.parse(typed), "p.b": ast.parse("import p.a")})
    assert circle({"p": ast.parse(""), "p.a": ast.parse(lazily), "p.b": ast.parse("import p.a")})


def at_module_level(path):
    """Names that a module imports as it is imported itself."""
    for node in parsed(path).body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from (name for _, name in imports(ast.Module([node], [])))


def is_heavy(name, path):
    """True where an import brings torch, or what is as heavy, to a module that must be light."""
    there, here = (one.removeprefix("gptoss_magic.") for one in (name, dotted(path)))
    if here in MADE_OF_TORCH and (name.split(".")[0] in THEIRS or there in MADE_OF_TORCH):
        return False
    packages = {there.rsplit(".", up)[0] for up in range(there.count(".") + 1)}
    return bool(packages & MADE_OF_TORCH) or name.split(".")[0] in HEAVY


def test_nothing_heavy_is_imported_at_module_level():
    heavy = [
        f"{dotted(path)} imports {name}"
        for path in MODULES
        for name in at_module_level(path)
        if is_heavy(name, path)
    ]
    assert heavy == []


def test_import_and_load_ext_load_nothing_heavy():
    code = (
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "shell = InteractiveShell.instance()\n"
        "shell.run_line_magic('load_ext', 'gptoss_magic')\n"
        "assert shell.find_cell_magic('gptoss')\n"
        "import sys; print(sorted({n.split('.')[0] for n in sys.modules}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(ast.literal_eval(done.stdout.strip().splitlines()[-1]))
    assert not loaded & HEAVY


def test_the_public_surface_is_the_list():
    """What the package says to have, to type checkers, to `dir` and by name, is the same."""
    tree = ast.parse((ROOT / "__init__.py").read_text())
    typed = {
        alias.name: node.module
        for node in typing_only(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert sorted(typed) == gptoss_magic.__all__
    assert dir(gptoss_magic) == sorted([*typed, "__version__"])
    for name, module in typed.items():
        assert getattr(gptoss_magic, name) is getattr(import_module(module), name)
    with pytest.raises(AttributeError, match="no attribute 'nosuchname'"):
        gptoss_magic.nosuchname  # noqa: B018


def test_no_two_public_classes_have_one_name():
    """But those of the frameworks that an index is offered to: each is imported from its own."""
    places = {}
    for path in MODULES:
        for node in parsed(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(path.name)
    twice = {name: where for name, where in places.items() if len(where) > 1}
    assert set(twice) == {"IndexRetriever"}
