"""What the pages tell to type can be typed: lines are parsed, and the pages' own code runs."""

import re
import sys

import pytest

import gptoss_magic
from gptoss_magic.magics import options as opt
from gptoss_magic.magics.mcp import USAGE
from gptoss_magic.magics.nouns import BY_NAME
from gptoss_magic.scripted import saying, scripted
from gptoss_magic.session import current
from gptoss_magic.testing import tiny_checkpoint
from gptoss_magic.tuning.methods import METHODS
from tests.docs.docs_pages import blocks, cells, parser_of, written
from tests.shell_cells import run, tiny_shell
from tools.docs_site.magic_pages import parsers

FLAG = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*[a-z0-9]")
FOREIGN = {  # of pip, of nbconvert, of tools.stand_in.evaluate, of vLLM and the like
    *("--no-deps", "--to", "--following", "--force-reinstall", "--json", "--panel"),
}
CELLS = list(cells())


def test_there_are_many_cells():
    assert len(CELLS) > 40


@pytest.mark.parametrize(("uri", "cell"), CELLS, ids=[f"{u}:{c.splitlines()[0]}" for u, c in CELLS])
def test_each_line_is_read_by_its_parser(uri, cell):
    line, _, body = cell.partition("\n")
    parser, rest = parser_of(line)
    if parser is None:  # its module reads the words itself
        noun, *words = rest.split()
        assert not words or noun not in BY_NAME or words[0] in BY_NAME[noun].words([""])
        return
    options = opt.parse(parser, rest)
    if parser.prog == "%%gptoss":
        opt.check_together(options)
        assert body.strip()


def test_each_option_that_a_page_names_is_there():
    known = {flag for one in parsers().values() for flag in one._option_string_actions}  # noqa: SLF001
    known |= set(FLAG.findall(USAGE)) | {"--port", "--token-env"} | FOREIGN
    pages = {uri: text for uri, text in written().items() if uri != "neighbours.md"}
    named = {(uri, flag) for uri, text in pages.items() for flag in FLAG.findall(text)}
    assert len(named) > 80
    assert sorted(one for one in named if one[1] not in known) == []


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    with tiny_shell(tmp_path_factory.mktemp("docs"), 2048) as shell:
        yield shell


PROMPTS = [
    ("how-to/write-a-retriever.md", "The ferry Linnea sails to Bergen on Tuesdays.", "Puffins"),
    ("how-to/bring-a-store.md", "The library opens at nine.", "The baths open"),
]


@pytest.mark.parametrize(("uri", "quoted", "left_out"), PROMPTS)
def test_a_retriever_and_a_store_of_the_pages_are_asked(shell, uri, quoted, left_out):
    (code,) = blocks(uri, "python")
    assert run(shell, code)[0].success
    cell = next(cell for page, cell in CELLS if page == uri and cell.startswith("%%gptoss"))
    with scripted(current(), saying("On Tuesdays [1].")) as engine:
        result, _ = run(shell, cell.replace("%%gptoss", "%%gptoss -n", 1))
    result.raise_error()
    assert quoted in engine.prompt_texts[0]
    assert left_out not in engine.prompt_texts[0]


def test_the_tool_of_the_page_is_described_checked_and_run(shell):
    (code,) = blocks("how-to/write-a-tool.md", "python")
    assert run(shell, code)[0].success
    tide = shell.user_ns["tide"]
    assert tide("Bergen", 3) == "In Bergen the water is rising."
    assert tide.description == "The tide in a harbour."
    assert tide.parameters["properties"]["hour"]["description"] == "of the day, from 0 to 23"
    assert tide.policy == "ask"
    with pytest.raises(ValueError, match="hour"):
        tide.check({"harbour": "Bergen", "hour": "noon"})
    cell = next(c for page, c in CELLS if page.endswith("write-a-tool.md"))
    with scripted(current(), saying("Yes.")) as engine:
        run(shell, cell)[0].raise_error()
    assert "type tide" in engine.prompt_texts[0]


def test_the_tool_of_the_how_to_runs(shell):
    (code,) = blocks("how-to/tools.md", "python")
    assert run(shell, code)[0].success
    assert "21 degrees" in shell.user_ns["get_weather"]("Lisbon")


def test_the_method_of_the_page_trains(tmp_path, brief):
    (code,) = blocks("how-to/write-a-method.md", "python")
    source = tmp_path / "values_method.py"
    source.write_text("from __future__ import annotations\n" + code)
    sys.path.insert(0, str(tmp_path))
    from values_method import METHOD

    gptoss_magic.load(tiny_checkpoint(tmp_path / "tiny"), replace=True)
    METHODS["values"] = METHOD
    try:
        rows = [{"prompt": f"Say {n}.", "answer": f"Aye, {n}!"} for n in ("one", "two", "six")]
        report = gptoss_magic.tune(
            rows, name="sailor", method="values", rank=2, num_steps=2, folder=tmp_path / "runs"
        )
    finally:
        del METHODS["values"]
        gptoss_magic.unload()
    assert report
    targets = (tmp_path / "runs/sailor/adapter/adapter_config.json").read_text()
    assert "v_proj" in targets
    assert "q_proj" not in targets
