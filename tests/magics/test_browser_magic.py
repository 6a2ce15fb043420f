"""`%%gptoss --tool browser:…` in a shell: every path of a run that looks things up and cites."""

import json
from dataclasses import replace

import pytest

import gptoss_magic
from gptoss_magic.agents.consent import by_policy
from gptoss_magic.errors import InputError
from gptoss_magic.magics.consent import question
from gptoss_magic.magics.show import transcript
from gptoss_magic.records import PAGES
from gptoss_magic.retrieval.pages.fetch import Fetcher
from gptoss_magic.retrieval.pages.hosts import HostPages
from gptoss_magic.scripted import calling, saying, scripted
from gptoss_magic.session import current
from gptoss_magic.sharing.answer_json import answer_json
from gptoss_magic.turns.surgery import branch
from gptoss_magic.widgets.static_html import transcript_html
from tests.shell_cells import clean_session, run, tiny_shell

MOON = """# The Moon

The Moon orbits the Earth in 27.3 days. See [the tides](tides.md).

It has no air.
"""
TIDES = "# Tides\n\nTides come twice a day, and the Moon makes them.\n"
RUSSIAN = "# Луна\n\nЛуна обращается вокруг Земли за 27 суток.\n\nВоздуха на ней нет.\n"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    with tiny_shell(tmp_path_factory.mktemp("browser"), 16384) as shell:
        yield shell


@pytest.fixture
def shell(tiny, tmp_path, monkeypatch):
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "moon.md").write_text(MOON)
    (docs / "tides.md").write_text(TIDES)
    (docs / "луна.md").write_text(RUSSIAN)
    monkeypatch.chdir(tmp_path)
    with clean_session(monkeypatch, tmp_path / "data"):
        yield tiny


def call(name, **arguments):
    return calling(f"browser.{name}", json.dumps(arguments, ensure_ascii=False), "I look it up.")


def asked(shell, options, *script, prompt="How long is a month?"):
    """(answer, engine, what was shown) of a cell that is answered from `script`."""
    with scripted(current(), *script) as engine:
        result, shown = run(shell, f"%%gptoss -o a {options}\n{prompt}")
        result.raise_error()
    return shell.user_ns["a"], engine, shown


def allowed(shell, options, *script, **how):
    run(shell, "%gptoss tools allow browser:./docs")
    return asked(shell, f"--tool browser:./docs {options}", *script, **how)


LOOKED = [
    call("search", query="moon month"),
    call("open", id=0),
    call("find", pattern="27.3"),
]
CITED = "The Moon orbits the Earth in 27.3 days 【1†L4】."


def test_search_open_find_and_an_answer_with_a_checked_citation(shell):
    answer, engine, shown = allowed(shell, "-n", *LOOKED, saying(CITED))
    assert [step.outcome for step in answer.steps] == ["result"] * 3
    assert [step.page.cursor for step in answer.steps] == [0, 1, 2]
    assert (
        "L4: The Moon orbits the Earth in 27.3 days. See 【0†the tides】." in answer.steps[1].result
    )
    assert "【0†match at L4】" in answer.steps[2].result
    (citation,) = answer.citations
    assert (citation.valid, citation.doubt, citation.number) == (True, "", 1)
    assert answer.passages[1].source == "folder:./docs/moon.md"
    assert "cited" in shown
    assert "namespace browser {" in engine.prompt_texts[0].split("<|end|>")[0]
    assert "functions" not in engine.prompt_texts[0]


def test_results_are_the_tool_s_messages_in_the_channel_of_the_call(shell):
    _, engine, _ = allowed(shell, "-n", *LOOKED[:2], saying("Done."))
    told = engine.prompt_texts[2]
    assert "<|start|>assistant to=browser.open<|channel|>analysis code<|message|>" in told
    assert (
        "<|start|>browser.open to=assistant<|channel|>analysis<|message|>"
        "[1] The Moon (folder:./docs/moon.md)\n**viewing lines [0 - 6] of 6**\n\nL0: \n"
    ) in told


def test_a_view_is_not_cut_by_the_limit_of_a_result(shell):
    tools = gptoss_magic.browser("./docs", policy="auto")
    limits = gptoss_magic.Limits(chars=50)
    with scripted(current(), call("open", id="folder:./docs/moon.md"), saying("Long.")):
        answer = gptoss_magic.generate("Moon?", tools=tools, limits=limits, consent=by_policy())
    (step,) = answer.steps
    assert step.result.endswith("L6: It has no air.")
    assert step.note == ""


WRONG = [
    ("It has no air 【1†L99】.", False, ""),
    ("It has no air 【7†L1】.", False, ""),
    ("The Moon orbits in 28.3 days 【1†L4】.", True, "28 does not stand in these lines"),
    ("They write “the Moon is cheese” 【1†L4】.", True, "the quoted words"),
    (
        "Green people built pyramids upon Mars long ago 【1†L4】.",
        True,
        "words stand in these lines",
    ),
]


@pytest.mark.parametrize(("final", "is_valid", "words"), WRONG)
def test_citations_that_do_not_hold_are_marked(shell, final, is_valid, words):
    answer, _, shown = allowed(shell, "-n", *LOOKED, saying(final))
    (citation,) = answer.citations
    assert citation.valid is is_valid
    assert words in citation.doubt
    assert ("Doubtful: " if is_valid else "Not among the sources: ") in shown
    html = transcript_html(transcript(answer))
    assert "jp-error-color1" in html
    assert not words or words in html


def test_the_record_keeps_the_lines_without_a_kernel(shell):
    answer, _, _ = allowed(shell, "-n", *LOOKED, saying(CITED))
    record = json.loads(json.dumps(answer_json(answer)))
    passage = next(p for p in record["passages"] if p["number"] == 1)
    assert passage["index"] == PAGES
    assert "27.3 days" in passage["text"]
    assert record["citations"][0] | {"start": 0} == {
        "text": "【1†L4】",
        "start": 0,
        "number": 1,
        "first_line": 4,
        "last_line": 4,
        "valid": True,
        "doubt": "",
    }
    assert {p["number"] for p in record["record"]["passages"]} == {0, 1, 2}


def test_in_russian(shell):
    answer, _, _ = allowed(
        shell,
        "-n",
        call("search", query="обращение Луны"),
        call("open", id=0),
        saying("Луна обращается вокруг Земли примерно за 27 суток 【1†L4】; там «живут» 【1†L6】."),
    )
    assert "Луна обращается вокруг Земли" in answer.steps[1].result
    assert [c.valid for c in answer.citations] == [True, True]
    assert "“живут” do not stand" in answer.citations[1].doubt


def test_a_later_turn_cites_what_is_open_still(shell):
    allowed(shell, "-n", *LOOKED, saying(CITED))
    answer, _, _ = allowed(shell, "", saying("It has no air 【1†L6】."), prompt="Air?")
    assert [(c.valid, c.doubt) for c in answer.citations] == [(True, "")]
    assert [p.number for p in answer.passages] == [1]
    later, _, _ = allowed(shell, "", call("open", cursor=1, loc=6), saying("No air 【3†L6】."))
    assert later.steps[0].result.startswith("[3] The Moon")
    assert later.citations[0].valid


def test_a_page_that_left_the_window_can_still_be_cited(shell):
    allowed(shell, "-n", *LOOKED, saying(CITED))
    (name,) = current().conversations
    for number in range(3):
        allowed(shell, "", saying(f"Turn {number}."), prompt="And?")
    last = current().conversations.last(name)
    current().conversations.add(replace(last, first=last.id))  # all before it left the window
    assert len(current().conversations.chain(name)) == 1
    answer, _, _ = allowed(shell, "", saying(CITED), prompt="Again?")
    assert answer.citations[0].valid


def test_a_new_conversation_has_nothing_open(shell):
    allowed(shell, "-n", *LOOKED, saying(CITED))
    answer, _, _ = allowed(shell, "-n", call("open", cursor=1), saying(CITED))
    assert answer.steps[0].result == "No pages to access!"
    assert answer.steps[0].outcome == "error"
    assert answer.citations == ()
    other, _, _ = allowed(shell, "-c other", call("find", pattern="x"), saying("No."))
    assert other.steps[0].result == "No pages to access!"


def test_a_branch_has_the_stack_of_what_it_kept(shell):
    answer, _, _ = allowed(shell, "-n", *LOOKED, saying(CITED))
    with scripted(current(), [gptoss_magic.Message("assistant", "no air 【1†L6】.", "final")]):
        made = branch(answer, 0)
    (name,) = current().conversations
    assert [one.cursor for one in current().conversations.pages(name)] == [0, 1, 2]
    assert made.citations[0].valid
    after, _, _ = allowed(shell, "", call("open", cursor=0), saying("x"), prompt="More")
    assert after.steps[0].page.cursor == 3


def test_a_rolled_back_turn_takes_its_pages_along(shell):
    allowed(shell, "-n", call("search", query="moon"), saying("One."))
    conversations = current().conversations
    (name,) = conversations
    first = conversations.last(name)
    allowed(shell, "", call("open", id=0), saying("Two."), prompt="More")
    assert [one.cursor for one in conversations.pages(name)] == [0, 1]
    conversations.latest[name] = first.id
    assert [one.cursor for one in conversations.pages(name)] == [0]
    answer, _, _ = allowed(shell, "", call("open", id=1), saying("Anew."), prompt="Again")
    assert answer.steps[0].page.cursor == 1


def test_unasked_nothing_is_read(shell):
    answer, _, shown = asked(shell, "-n --tool browser:./docs", LOOKED[0], saying("No."))
    assert answer.steps[0].outcome == "refused"
    assert answer.steps[0].page is None
    assert "%gptoss tools allow browser:./docs" in shown


def test_the_question_names_what_is_read(shell):
    """The user sees the URL behind a link's number, and whose page it is."""
    asked_about = []

    def no(tool, arguments, note):
        asked_about.append(question(tool, arguments, note))
        return "not run: no"

    def yes_then_no(tool, arguments, note):
        return no(tool, arguments, note) if tool.name == "browser.open" else None

    tools = gptoss_magic.browser("./docs")
    with scripted(current(), *LOOKED[:2], saying("No.")):
        answer = gptoss_magic.generate("Moon?", tools=tools, consent=yes_then_no)
    assert [step.outcome for step in answer.steps] == ["result", "refused"]
    assert "\n".join(asked_about) == (
        "The model wants to call browser.open (built in; reads ./docs):\n    id = 0\n"
        "    (reads folder:./docs/moon.md)"
    )


REFUSED = [
    ("--tool browser:nothing_here", "give an index, a folder"),
    ("--tool browser:./docs,./docs", "given twice"),
    ("--tool browser:zim:./no.zim", "no such file"),
    ("--tool browser:host:127.0.0.1", "no public address"),
    ("--tool browser:./docs --tool browser:notebook", "given twice"),
]


@pytest.mark.parametrize(("options", "words"), REFUSED)
def test_sources_that_cannot_be_are_refused_before_a_model_speaks(shell, options, words):
    with scripted(current(), saying("x")) as engine:
        result, _ = run(shell, f"%%gptoss -n {options}\nHello")
    assert words in str(result.error_in_exec)
    assert engine.prompts == []


def test_two_ways_of_counting_sources_do_not_meet(shell):
    run(shell, "%gptoss index ./docs --as lunar --embedder words")
    for options in ("--rag lunar", "--tool search:lunar"):
        result, _ = run(shell, f"%%gptoss -n --tool browser:./docs {options}\nHello")
        assert "number their sources differently" in str(result.error_in_exec)


def test_a_persona_names_no_host_and_no_folder(shell):
    for source in ("host:evil.test", "./docs", "zim:/x.zim", "site:/"):
        run(shell, f"%%gptoss_persona guest\n---\ntools: ['browser:{source}']\n---\nHi")
        result, _ = run(shell, "%%gptoss -q -n -P guest\nHello")
        assert f"may not name browser:{source}" in str(result.error_in_exec)


def test_the_notebook_itself_and_an_index(shell):
    run(shell, "%gptoss index ./docs --as lunar --embedder words")
    run(shell, "%gptoss tools allow browser:notebook,lunar")
    run(shell, "comet_year = 1986")
    answer, engine, _ = asked(
        shell,
        "-n --tool browser:notebook,lunar",
        call("search", query="orbits Earth days", source="lunar"),
        call("open", id=0),
        saying(CITED),
    )
    assert "sources=notebook, lunar (default: all)" in engine.prompt_texts[0]
    assert "27.3 days" in answer.steps[1].result
    assert answer.steps[1].page.page.url.startswith("index:lunar/")
    assert answer.citations[0].valid


def test_from_python(shell):
    tools = gptoss_magic.browser("./docs", policy="auto")
    with scripted(current(), *LOOKED, saying(CITED)):
        answer = gptoss_magic.generate("Moon?", tools=tools, consent=by_policy())
    assert answer.citations[0].valid
    with pytest.raises(InputError, match="give ask, auto or never"):
        gptoss_magic.browser("./docs", policy="maybe")


def test_a_host_has_a_consent_of_its_own(shell):
    """What was allowed for a folder is not allowed for a host: nobody is asked over the network."""
    reached = []
    fetcher = Fetcher("far.test", resolve=lambda host, port: reached.append(host) or [])
    sources = ["./docs", HostPages("far.test", fetcher)]
    docs_only = gptoss_magic.browser(sources)
    policies = current().policies
    for tool in gptoss_magic.browser("./docs"):
        policies.say(tool, "auto")
    with scripted(
        current(),
        call("open", id="folder:./docs/moon.md"),
        call("open", id="https://far.test/?q=27.3"),
        saying("No."),
    ):
        answer = gptoss_magic.generate("Moon?", tools=docs_only, consent=by_policy(policies))
    assert [step.outcome for step in answer.steps] == ["result", "refused"]
    assert "%gptoss tools allow browser:host:far.test" in answer.steps[1].result
    assert reached == []


def test_a_call_that_was_cut_and_a_tool_of_no_such_name(shell):
    answer, _, _ = allowed(
        shell, "-n", calling("browser.click", '{"id": 1}'), call("serch", query="moon"), saying("x")
    )
    assert [step.outcome for step in answer.steps] == ["unknown", "result"]
    assert "browser.search, browser.open, browser.find" in answer.steps[0].result
    assert "taken as browser.search" in answer.steps[1].note
