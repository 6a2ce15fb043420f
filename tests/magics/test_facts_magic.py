"""`%gptoss memory on --facts` in a real shell; the model's words are given."""

import json

import pytest

from gptoss_magic.scripted import saying, scripted
from gptoss_magic.session import current
from tests.shell_cells import clean_session, run, tiny_shell


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    cells = ("%config GptOssMagics.max_tokens = 200", "%config GptOssMagics.date = '2026-01-02'")
    with tiny_shell(tmp_path_factory.mktemp("facts"), 8000, *cells) as shell:
        yield shell


@pytest.fixture
def shell(tiny, tmp_path, monkeypatch):
    with clean_session(monkeypatch, tmp_path / "data"):
        yield tiny


def said(shell, *cells, script):
    """What each cell shows, the model saying one line of `script` after the other."""
    with scripted(current(), *map(saying, script), is_bounded=True) as engine:
        shown = [run(shell, cell)[1] for cell in cells]
    return shown, engine.prompt_texts


def test_facts_are_drawn_from_what_the_user_says_and_supersede(shell):
    pytest.importorskip("llguidance")
    assert run(shell, "%gptoss memory on --facts")[0].success
    lyon = {"facts": [{"subject": "Clara", "attribute": "home", "fact": "Clara lives in Lyon."}]}
    bergen = {
        "facts": [{"subject": "Clara", "attribute": "home", "fact": "Clara lives in Bergen."}]
    }
    shown, prompts = said(
        shell,
        "%%gptoss\nClara lives in Lyon.",
        "%%gptoss\nThank you, that is all.",
        "%%gptoss --new\nClara has moved to Bergen.",
        "%%gptoss --new -o a\nWhere does Clara live?",
        script=[
            "Fine.",
            json.dumps(lyon | {"over": []}),
            "Bye.",
            json.dumps({"facts": [], "over": []}),
            "Oh.",
            json.dumps(bergen | {"over": []}),
            "In Bergen.",
            json.dumps({"facts": [], "over": []}),
        ],
    )
    assert "Learned: «Clara lives in Lyon.»" in shown[0]
    assert "Learned: nothing." in shown[1]
    assert "Learned: «Clara lives in Bergen.»" in shown[2]
    assert "Clara: home" in prompts[5]  # what is known is shown to the one who draws
    assert "M1: fact" in prompts[6]
    assert "(fact, " in shown[3]
    assert "of Clara" in shown[3]
    recalled = shell.user_ns["a"].provenance["memory"]["recalled"]
    assert recalled[0]["text"] == "Clara lives in Bergen."
    assert recalled[0]["why"] == "of Clara"
    listed = run(shell, "%gptoss memory list --kind fact")[1]
    assert "Clara lives in Lyon." in listed
    assert "Clara lives in Bergen." in listed


def test_an_answer_that_is_no_list_of_facts_is_said_and_nothing_is_lost(shell):
    run(shell, "%gptoss memory on --facts")
    shown, _ = said(shell, "%%gptoss\nMy cat is called Miso.", script=["Nice.", "no JSON"])
    assert "Not remembered: facts: " in shown[0]
    assert "Miso" in run(shell, "%gptoss memory list")[1]
