"""The search benchmark: its texts and questions, how a hit is judged, and our side in full."""

from dataclasses import replace

import pytest

from benchmarks.__main__ import FIGURES
from benchmarks.corpus import Question, answerable, is_hit, questions, topic
from benchmarks.figure import compared
from benchmarks.peers import side
from benchmarks.retrieval import summary
from benchmarks.retrieval_growth import grown


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus") / "texts"
    assert side("corpus", folder) > 1_000_000
    return folder


def test_every_question_has_its_answer_in_the_texts(corpus):
    held = questions()
    assert len({question.text for question in held}) == len(held) > 150
    assert len(answerable(corpus)) > 0.9 * len(held)


def test_a_hit_is_a_good_part_of_the_section(corpus):
    text = (corpus / "textwrap.md").read_text()
    start = text.index("## textwrap.dedent\n")
    asked = Question("", "textwrap.md", ("textwrap.dedent",))
    assert is_hit(asked, corpus, "/elsewhere/textwrap.md", start, start + 150)
    assert not is_hit(asked, corpus, "textwrap.md", start - 500, start + 60)
    assert not is_hit(asked, corpus, "json.md", start, start + 150)
    assert is_hit(replace(asked, headings=()), corpus, "textwrap.md", 0, 200)
    assert answerable(corpus)


def test_titles_of_topics_become_headings():
    assert topic("Names\n*****\n\nText\n\nMore\n====\nx == y\n") == (
        "# Names\n\n\nText\n\n## More\n\nx == y\n"
    )


def test_our_side_answers_most_questions(corpus):
    found = side("search_ours", corpus)
    assert found["chunks"] > 1000
    assert found["hybrid"]["recall"] > found["vector"]["recall"] > 0.3
    made = summary([found, found])
    assert made["vector_p50_ms"] <= made["vector_p95_ms"]
    assert made["hybrid_recall_at_5"] > 0.6


def test_a_table_grows_as_an_index_is_made_today(tmp_path):
    lines = grown(tmp_path, (300, 600))
    assert [line["chunks"] for line in lines] == [300, 600]
    assert all(line["both_ms"][0] > 0 for line in lines)


def test_the_figures_are_registered_and_a_line_has_what_else_was_measured():
    names = "ingest_vs_langchain_chroma ingest_vs_llamaindex vector_query_vs_langchain_chroma"
    names += " hybrid_query_vs_langchain_chroma hybrid_recall_vs_llamaindex"
    assert set(names.split()) <= set(FIGURES)
    made = compared("a", "s", 1.0, 2.0, "x", less_is_better=True)
    assert '"more"' not in made.line()
    assert replace(made, more={"p95": 3}).line().endswith('"more": {"p95": 3}}')
