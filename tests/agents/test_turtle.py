"""Terms from Turtle files of several kinds: read whole, damaged ones refused in one line."""

import os

import pytest

from gptoss_magic.agents.persona_file import parse_persona, render_persona
from gptoss_magic.agents.persona_terms import with_terms
from gptoss_magic.agents.turtle import read_turtle
from gptoss_magic.errors import InputError
from gptoss_magic.records import Term

pytest.importorskip("rdflib", reason="rdflib is an extra: pip install 'gptoss_magic[ontology]'")

HEAD = """@prefix skos: <http://www.w3.org/2004/02/skos/core#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix : <http://example.org/sea#> .
"""
SEA = (
    HEAD
    + """
:scheme a skos:ConceptScheme ; skos:prefLabel "Sea words" .
:ship a skos:Concept ; skos:prefLabel "корабль"@ru, "Ship"@en ; skos:altLabel "vessel" ;
  skos:definition "С тремя мачтами."@ru, "It has three masts."@en ; skos:inScheme :scheme .
:barque a skos:Concept ; skos:prefLabel "Barque" ; skos:definition "No square sails aft." ;
  skos:broader :ship ; skos:related <http://other.org/rig> .
"""
)


def read(text):
    return read_turtle(text.encode(), "поле.ttl")


def test_concepts_with_names_in_two_languages():
    terms, remarks = read(SEA)
    assert terms == (
        Term("Barque", "No square sails aft.", broader=("Ship",)),
        Term("Ship", "It has three masts. / С тремя мачтами.", ("vessel", "корабль")),
    )
    assert remarks == [
        "поле.ttl: relations to http://other.org/rig left out: not a concept of this file"
    ]


def test_classes_of_rdfs_and_owl():
    text = (
        HEAD
        + """
:Animal a owl:Class ; rdfs:comment "It eats." .
:Cat a owl:Class ; rdfs:label "Cat" ; rdfs:comment "It purrs." ; rdfs:subClassOf :Animal ,
  [ a owl:Restriction ; owl:onProperty :eats ; owl:someValuesFrom :Fish ] .
"""
    )
    terms, remarks = read(text)
    assert terms == (Term("Animal", "It eats."), Term("Cat", "It purrs.", broader=("Animal",)))
    assert remarks == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("this is no turtle {", "no Turtle"),
        (SEA[:-40], "no Turtle"),
        (HEAD + ":a skos:broader undefined:b .", "no Turtle"),
        ("[" * 5000, "no Turtle"),
        ("", "no skos:Concept or class is in it"),
        (HEAD + ':a a skos:Concept ; skos:prefLabel "A" .', "term «A» has no definition"),
        (
            HEAD + ':a a skos:Concept ; skos:prefLabel "A"; skos:definition "x" .\n'
            ':b a skos:Concept ; skos:prefLabel "a"; skos:definition "y" .',
            "stands twice",
        ),
        (
            HEAD + ':a a skos:Concept ; skos:prefLabel "A"; skos:definition "x"; skos:broader :b.\n'
            ':b a skos:Concept ; skos:prefLabel "B"; skos:definition "y"; skos:broader :a .',
            "goes in a circle",
        ),
        (HEAD + "#" * (1 << 20), "larger than 1 MiB"),
    ],
)
def test_what_cannot_be_is_one_line(text, said):
    with pytest.raises(InputError, match=said) as caught:
        read(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_other_bytes_and_a_byte_order_mark():
    assert len(read_turtle(b"\xef\xbb\xbf" + SEA.encode(), "a.ttl")[0]) == 2
    with pytest.raises(InputError, match="no Turtle"):
        read_turtle(SEA.encode("cp1251", "replace") + b"\xff\xfe", "a.ttl")
    with pytest.raises(InputError, match="no Turtle"):
        read_turtle(bytes(range(256)), "a.ttl")


def test_nothing_is_fetched(monkeypatch):
    import socket

    def refuse(*_given):
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    base = (
        "@base <http://example.org/> .\n<http://example.org/x> a owl:Ontology ; owl:imports <y> .\n"
    )
    assert len(read(SEA + base)[0]) == 2


def test_a_persona_takes_its_file_in(tmp_path):
    (tmp_path / "sea.ttl").write_text(SEA, encoding="utf-8")
    named = parse_persona("---\nname: mate\nterms: sea.ttl\n---\nHi")
    whole, remarks = with_terms(named, tmp_path)
    assert [term.name for term in whole.terms] == ["Barque", "Ship"]
    assert len(remarks) == 1
    assert parse_persona(render_persona(whole)) == whole
    assert with_terms(whole, tmp_path / "elsewhere") == (whole, [])
    with pytest.raises(InputError, match=r"sea\.ttl: cannot be read"):
        with_terms(named, tmp_path / "elsewhere")


def test_a_name_that_no_disk_takes_is_one_line(tmp_path):
    named = parse_persona(f"---\nname: mate\nterms: {'я' * 300}.ttl\n---\nHi")
    with pytest.raises(InputError, match="cannot be read"):
        with_terms(named, tmp_path)


def test_a_pipe_and_a_folder_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe.ttl")
    (tmp_path / "folder.ttl").mkdir()
    for name in ("pipe", "folder"):
        named = parse_persona(f"---\nname: mate\nterms: {name}.ttl\n---\nHi")
        with pytest.raises(InputError, match="no file"):
            with_terms(named, tmp_path)


def test_terms_that_no_persona_could_hold(tmp_path):
    concepts = [
        f':c{n} a skos:Concept; skos:prefLabel "c{n}"; skos:definition "{"x" * 900}".'
        for n in range(300)
    ]
    (tmp_path / "big.ttl").write_text(HEAD + "\n".join(concepts), encoding="utf-8")
    with pytest.raises(InputError, match="more than 200,000 characters"):
        with_terms(parse_persona("---\nname: a\nterms: big.ttl\n---\n"), tmp_path)
