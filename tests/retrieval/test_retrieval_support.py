"""What comparing words finds for sentences without citation, and how citations are shown."""

import re

import pytest
from bs4 import BeautifulSoup
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gptoss_magic.magics.show import notes
from gptoss_magic.records import Passage, Transcript
from gptoss_magic.retrieval.cite import check
from gptoss_magic.retrieval.support import overlap, sentences, support
from gptoss_magic.widgets.sources import file_link
from gptoss_magic.widgets.static_html import transcript_html, transcript_text

CATS = Passage(
    1, "x", "/d/cats.md", "Cats", 3, 6, "A cat sleeps 15 hours\na day, says\nAnn.\nIt purrs."
)
DOGS = Passage(2, "x", "/d/dogs.md", "", 1, 1, "Dogs bark at <b>strangers</b>.")
BOTH = [CATS, DOGS]


def supported(answer, question="", passages=BOTH):
    return support(answer, passages, check(answer, passages), question)


@pytest.mark.parametrize(
    ("answer", "question", "place"),
    [
        ("Cats sleep 15 hours.", "", (1, 3, 3)),  # a final s is no part of a word
        ("A cat sleeps 15 hours.", "How long does a cat sleep?", (1, 3, 3)),
        ("The cat sleeps for 15 hours a day.", "", (1, 3, 4)),
        ("A cat sleeps 16 hours a day.", "", (0, 0, 0)),
        ("Strangers.", "At whom do dogs bark?", (2, 1, 1)),
        ("Dogs bark.", "What do dogs bark?", (0, 0, 0)),  # the question again
        ("Whales sing at night.", "", (0, 0, 0)),
    ],
)
def test_where_the_words_of_a_sentence_stand(answer, question, place):
    (found,) = supported(answer, question)
    assert (found.number, found.first_line, found.last_line) == place
    assert answer[found.start : found.start + len(found.text)] == found.text


def test_a_sentence_with_a_valid_citation_needs_no_support():
    assert supported("Whales sing 【1†L3】. Dogs bark at strangers. 【2】") == ()
    (found,) = supported("Whales sing 【7†L3】.")
    assert found.number == 0


@pytest.mark.parametrize(
    "answer",
    ["It is not in the sources.", "The sources do not say.", "Yes.", "```\nWhales sing\n```", ""],
)
def test_what_claims_nothing_is_left_out(answer):
    assert supported(answer) == ()


@settings(max_examples=50)
@given(st.text(st.sampled_from("ab1 .\n"), max_size=40), st.text(st.sampled_from("ab1 .\n")))
def test_support_is_only_ever_found_where_words_are(answer, text):
    passage = Passage(4, "x", "s", "", 7, 7 + text.count("\n"), text)
    found = supported(answer, "", [passage])
    for each in found:
        assert answer[each.start : each.start + len(each.text)] == each.text
        assert each.found <= each.words
        if each.number:
            assert 7 <= each.first_line <= each.last_line <= passage.last_line
            lines = "\n".join(text.split("\n")[each.first_line - 7 : each.last_line - 6])
            held = set(re.findall(r"[^\W_]+", f"{lines} {lines.casefold()}"))
            assert held, "lines without any word support nothing"
    assert all(each.number == 0 for each in supported(answer, "", []))


@given(st.text(st.sampled_from("ab.!? \n`[1]【】*")))
def test_sentences_are_the_text_in_order(text):
    end = 0
    for start, sentence in sentences(text):
        assert start >= end
        assert sentence[0] == text[start]
        assert not text[start].isspace()
        end = start + len(sentence)


def test_overlap_and_what_is_said_of_silence():
    assert overlap("How long does a cat purr daily?", BOTH) == pytest.approx(2 / 4)
    assert overlap("What of it?", BOTH) == 1
    assert overlap("Cats", []) == 0
    assert "No passage matched" in " ".join(notes({"passages": [], "question_overlap": 0.0}))
    assert "may be silent" in " ".join(notes({"passages": [{}], "question_overlap": 0.25}))
    assert not any(notes({"passages": [{}], "question_overlap": 0.5}))
    assert not any(notes({}))


def shown(answer, question=""):
    citations = check(answer, BOTH)
    return Transcript(
        final=answer,
        passages=tuple(BOTH),
        citations=citations,
        support=support(answer, BOTH, citations, question),
    )


def test_each_citation_unfolds_its_passage():
    answer = (
        "So 【1†L3-L4】, *and* [2].\n\n- Ann said 【9】 so\n\nA cat sleeps 15 hours. Whales sing."
    )
    soup = BeautifulSoup(transcript_html(shown(answer)), "html.parser")
    final = soup.find(class_="gptoss-final")
    folds = final.find_all("details")
    assert [fold.summary.text for fold in folds] == [
        "[1 · lines 3–4]",
        "[2]",
        "(found: 1 · line 3)",
    ]
    assert folds[0].summary["title"] == "cited by the model"
    assert "not cited by the model" in folds[2].summary["title"]
    assert [bold.text for bold in folds[0].div.find_all("strong")][1:] == [
        "A cat sleeps 15 hours",
        "a day, says",
    ]
    assert "<b>strangers</b>" in folds[1].text
    assert not final.find_all("b")
    assert not final.find_all("p")  # each of these has a citation, and <details> would end a <p>
    assert "【9】 (not a source)" in final.text
    assert "Whales sing. (not found in the sources)" in final.text
    text = transcript_text(shown(answer))
    assert (
        "Found by comparing words, not cited by the model: A cat sleeps 15 hours. → [1] L3" in text
    )
    assert "Not found in the sources: Whales sing." in text
    assert "Not among the sources: 【9】" in text


@example("【†{\ue00099\ue001}】")
@given(st.text(st.sampled_from("ab12.†L \n`[]()【】*_~{}\ue000\ue001#|<>&-"), max_size=60))
def test_no_mark_and_no_tag_of_an_answer_is_left(answer):
    soup = BeautifulSoup(transcript_html(shown(answer)), "html.parser")
    assert not {"\ue000", "\ue001"} & set("".join(map(str, soup.select(".gptoss-final"))))
    assert not soup.find_all(["b", "i", "script"])
    unfolding = [s.text for s in soup.select(".gptoss-final summary")]
    valid = [c for c in check(answer, BOTH) if c.valid]
    assert len([u for u in unfolding if not u.startswith("(found")]) <= len(valid)


def test_links_lead_to_the_place_in_the_file(tmp_path, monkeypatch):
    (tmp_path / "notes").mkdir()
    monkeypatch.chdir(tmp_path / "notes")
    places = [
        ("a b.md", "Top > My part", "../a%20b.md#My-part"),
        ("code.py", "", "../code.py#line=6"),
        ("r.pdf", "page 3", "../r.pdf#page=3"),
        ("m.docx", "Top", "../m.docx"),
        ("javascript:alert(1)", "", "../javascript%3Aalert%281%29#line=6"),
        ("gone.md", "Top", None),
    ]
    for name, heading, href in places:
        if href:
            (tmp_path / name).touch()
        passage = Passage(1, "x", str(tmp_path / name), heading, 7, 8, "one\ntwo")
        t = Transcript(final="So [1].", passages=(passage,), citations=check("So [1].", [passage]))
        links = BeautifulSoup(transcript_html(t), "html.parser").find_all("a")
        assert {link["href"] for link in links} == ({href} if href else set())
    two = Passage(1, "x", str(tmp_path / "a b.md"), "Top > A", 7, 11, "a\n\n## B c ##\n```\n# in B")
    assert [file_link(two, line).split("#")[1] for line in (0, 7, 11)] == ["A", "A", "B-c"]
    frame = Passage(1, "x", "frame:pets", "row 1", 1, 1, "x")
    assert "href" not in transcript_html(Transcript(final="", passages=(frame,)))
