"""A persona's terms in a real shell with a tiny model: quoted, searched, grown from, in bundles."""

import pandas as pd
import pytest

import gptoss_magic
from gptoss_magic.errors import InputError
from gptoss_magic.records import Message
from gptoss_magic.records.terms import split_terms
from gptoss_magic.scripted import saying, scripted
from gptoss_magic.session import current
from gptoss_magic.turns.prompt import messages_of, opening
from gptoss_magic.turns.settle import settle
from tests.shell_cells import clean_session, run, tiny_shell

MATE = """%%gptoss_persona mate
---
terms:
  корабль: {definition: Судно с тремя мачтами., synonyms: [ship]}
  барк: {definition: A ship with no square sails aft., broader: корабль}
---
Speak as a mate.
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    cells = ("%config GptOssMagics.max_tokens = 4", "%config GptOssMagics.date = '2026-01-02'")
    with tiny_shell(tmp_path_factory.mktemp("terms"), 2048, *cells) as shell:
        yield shell


@pytest.fixture
def shell(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with clean_session(monkeypatch, tmp_path / "data"):
        run(tiny, MATE)
        yield tiny


def prompt_of(shell, name="a"):
    return current().codec.decode(shell.user_ns[name].provenance["prompt_tokens"])


def test_terms_are_quoted_where_the_question_names_them(shell):
    assert "2 terms" in run(shell, MATE)[1]
    shown = run(shell, "%%gptoss -P mate -t 0 -o a\nСколько мачт у кораблей?")[1]
    text = prompt_of(shell)
    assert "- корабль (also: ship): Судно с тремя мачтами. Narrower: барк." in text
    assert text.index("- корабль") < text.index("Сколько мачт")
    assert "- барк" not in text
    assert shell.user_ns["a"].provenance["terms"] == {"quoted": ["корабль"], "left_out": []}
    assert "Terms: корабль." in shown
    run(shell, "%%gptoss -P mate -t 0 -o b\nHello there")
    assert "Terms" not in prompt_of(shell, "b").rpartition("<|start|>user")[2]
    assert "terms" not in shell.user_ns["b"].provenance


def test_what_has_no_room_is_named(shell):
    long = " ".join(["масса"] * 300)
    cell = f"%%gptoss_persona big\n---\nterms: {{тонна: {long}, фунт: A pound.}}\n---\n"
    run(shell, cell)[0].raise_error()
    shown = run(shell, "%%gptoss -P big -t 0 -o a\nСколько фунтов в тонне?")[1]
    assert shell.user_ns["a"].provenance["terms"] == {"quoted": ["фунт"], "left_out": ["тонна"]}
    assert "no room for тонна" in shown


def test_whole_messages_of_others_have_them_in_the_instructions(shell):
    told = (Message("user", "про корабли"), Message("assistant", "x"), Message("user", "О барке"))
    request = settle(messages=told, persona="mate")
    instructions = opening(request)[-1].content
    assert "- барк: A ship" in instructions
    assert "- корабль" not in instructions
    assert messages_of(request) == told


def test_a_map_asks_again_where_the_terms_changed(shell):
    shell.user_ns["df"] = pd.DataFrame({"q": ["ship", "tea"]})
    line = "%%gptoss -M df -P mate -t 0 -o m\nWhat is {{ q }}?"
    run(shell, line)[0].raise_error()
    run(shell, line)[0].raise_error()
    assert shell.user_ns["m"].kept == 2
    run(shell, MATE.replace("тремя", "двумя"))
    run(shell, line)[0].raise_error()
    assert shell.user_ns["m"].kept == 0
    assert "terms" not in shell.user_ns["m"].provenance


def test_the_terms_are_searched(shell):
    run(shell, "%gptoss persona use mate")
    shown = run(shell, "%gptoss search terms барки")[1]
    assert shown.index("барк: A ship") < shown.index("корабль (also: ship)")
    assert "persona:mate" in shown
    refused = run(shell, "%gptoss search terms барки -A 1")[1]
    assert "are for indexes" in refused
    run(shell, "%gptoss persona use none")
    assert "terms" in run(shell, "%gptoss search terms барки")[1]


def test_the_tool_looks_them_up(shell):
    from gptoss_magic.magics.toolbox import ToolPlace, named

    (tool,) = named("search:terms", ToolPlace("", shell, persona=("mate",)))
    result = tool.function("судно")
    assert "корабль (also: ship): Судно с тремя мачтами." in result.text
    assert result.passages[0].source == "persona:mate"
    with pytest.raises(InputError):
        named("search:terms", ToolPlace("", shell, persona=()))


def test_rows_are_grown_from_each_term_in_turn(shell):
    script = (
        saying("What has a ship on deck?"),
        saying("Masts, and a crew.", "Hm."),
        saying("Where do people keep their tea?"),
        saying("In a tin box.", "Hm."),
        saying("Каких кораблей больше?"),
        saying("Парусных.", "Hm."),
    )
    with scripted(current(), *script) as engine:
        shown = run(shell, "%%gptoss_data -T mate -n 2 -o grown\n ")[1]
    prompts = engine.prompt_texts
    assert "The new prompt is about the term корабль." in prompts[0]
    assert "- корабль (also: ship)" in prompts[1]
    assert "The new prompt is about the term барк." in prompts[2]
    assert "The new prompt is about the term корабль." in prompts[4]
    assert [row["prompt"] for row in shell.user_ns["grown"]] == [
        "What has a ship on deck?",
        "Каких кораблей больше?",
    ]
    assert "quoted data" not in str(shell.user_ns["grown"])
    assert "without the term" in shown


@pytest.mark.parametrize(
    ("name", "said"), [("nobody", "no such persona"), ("bare", "has no terms")]
)
def test_rows_want_a_persona_with_terms(shell, name, said):
    run(shell, "%%gptoss_persona bare\nHi")
    result, shown = run(shell, f"%%gptoss_data -T {name}\nQuestions")
    assert isinstance(result.error_in_exec, InputError)
    assert said in shown


def test_a_turtle_file_lies_beside_the_persona(shell, tmp_path):
    pytest.importorskip("rdflib", reason="rdflib is an extra")
    (tmp_path / "sea.ttl").write_text(
        "@prefix skos: <http://www.w3.org/2004/02/skos/core#> .\n"
        '<urn:a> a skos:Concept ; skos:prefLabel "Barque" ; skos:definition "It sails." ;\n'
        "  skos:related <urn:b> .\n",
        encoding="utf-8",
    )
    shown = run(shell, "%%gptoss_persona cook\n---\nterms: sea.ttl\n---\nHi")[1]
    assert "relations to urn:b left out" in shown
    assert "persona cook kept; 1 terms" in shown
    run(shell, "%gptoss persona export cook cook.md")
    text = (tmp_path / "cook.md").read_text(encoding="utf-8")
    assert "Barque: It sails." in text
    (tmp_path / "sea.ttl").unlink()
    assert "1 terms" in run(shell, "%gptoss persona import cook.md --as chef")[1]
    assert "cannot be read" in run(shell, "%%gptoss_persona lost\n---\nterms: sea.ttl\n---\n")[1]
    assert "lost" not in current().personas


def test_a_script_has_them_too(shell):
    answer = gptoss_magic.generate("ships?", persona="mate", max_tokens=2, temperature=0)
    assert answer.provenance["terms"]["quoted"] == ["корабль"]


FLEET = "\n".join(
    ["%%gptoss_persona fleet", "---", "terms:"]
    + [f"  судно{n}: {{definition: Судно номер {n}., synonyms: [лодка{n}]}}" for n in range(9)]
    + ["---"]
)


def test_rows_grow_from_other_terms_than_the_suite_asks_about(shell):
    run(shell, FLEET)
    terms = current().personas["fleet"].terms
    learned, asked = split_terms(terms)
    assert (len(learned), len(asked)) == (6, 3)
    with scripted(current(), *(saying("no") for _ in range(4))) as engine:
        _, shown = run(shell, "%%gptoss_data --from-terms fleet -n 1 -o grown\nAbout boats.")
    assert f"6 of 9 terms; kept for the suite terms:fleet: {asked[0].name}" in shown
    told = "".join(current().codec.decode(ids) for ids in engine.prompts)
    assert not any(term.name in told for term in asked)
    assert any(term.name in told for term in learned)


def test_the_suite_of_terms_compares_bare_with_the_persona(shell):
    run(shell, FLEET)
    line = "%gptoss evaluate terms:fleet -a base,persona:fleet -t 0 -m 4 -o e"
    result, shown = run(shell, line)
    assert result.success
    assert "terms:fleet: 9 items of persona fleet, 3 of its 9 terms" in shown
    assert "6 terms that --from-terms grows rows from" in shown
    assert {one.arm for one in shell.user_ns["e"].attempts} == {"base", "persona:fleet"}
    result, _ = run(shell, "%gptoss evaluate terms:nobody")
    assert "persona nobody: no such persona" in str(result.error_in_exec)
