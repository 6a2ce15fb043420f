"""`%%gptoss` cells in the editors of JupyterLab and Notebook 7, and completion there."""

import pytest

from tests.labextension.front import SAVED

MATCHES = """async code => {
  const { kernel } = window.jupyterapp.shell.currentWidget.sessionContext.session;
  return (await kernel.requestComplete({ code, cursor_pos: code.length })).content.matches;
}"""
PROMPT = "%%gptoss --persona none -t 0\nDon't say {{ france }} (see {it:\n%% no magic, just words"
TUNE = "%%gptoss_tune --as verse\n# rows\n- prompt: it's\n  answer: a poem"
PERSONA = "%%gptoss_persona poet\n---\neffort: low\n---\nYou're a poet # really"


@pytest.fixture
def keys(front):
    return front.page.keyboard


def kinds(front, index):
    names = front.editor(index).get_attribute("class").split()
    return [name for name in names if name.startswith("gptoss-lab-cell-")]


def test_a_prompt_is_prose_with_its_options_and_templates_marked(front):
    cell = front.add(PROMPT)
    assert kinds(front, cell) == ["gptoss-lab-cell-prompt"]
    prose = front.colour(cell, "Don't say")
    assert front.colour(cell, "(see {it:") == prose
    assert front.colour(cell, "no magic") == prose
    editor = front.editor(cell)
    for name, text in (
        ("magic", "%%gptoss"),
        ("option", "--persona"),
        ("name", "none"),
        ("template", "{{ france }}"),
    ):
        marked = editor.locator(f".gptoss-lab-tok-{name}").first
        assert marked.inner_text() == text
        assert front.colour(cell, text) != prose
    python = front.add('it = "it\'s"')
    assert kinds(front, python) == []
    mime, metadata = front.page.evaluate(SAVED, cell)
    assert mime == "text/x-ipython"
    assert "gptoss" not in metadata


def test_nothing_is_paired_or_indented_in_prose_and_python_still_is(front, keys):
    cell, python = front.add("%%gptoss\n"), front.add("")
    front.cursor(cell, 1)
    keys.type("He said \"it's (so: {\nAnd then:\nit")
    assert front.source(cell) == "%%gptoss\nHe said \"it's (so: {\nAnd then:\nit"
    front.cursor(python, 0)
    keys.type("if f(1")
    keys.press("End")
    keys.type(":\nx")
    assert front.source(python) == "if f(1):\n    x"


def test_lists_go_on_at_enter_and_end_at_an_empty_item(front, keys):
    cell = front.add("%%gptoss\n")
    front.cursor(cell, 1)
    keys.type("1. one\ntwo\n\n- [x] done\n\n\n> he said\nso")
    assert front.source(cell) == ("%%gptoss\n1. one\n2. two\n- [x] done\n\n> he said\n> so")


def test_the_first_line_decides_as_it_is_edited_and_undone(front, keys):
    cell = front.add("%%gptoss\nDon't (stop")
    assert kinds(front, cell) == ["gptoss-lab-cell-prompt"]
    front.cursor(cell, 0)
    keys.type("_tune")
    assert kinds(front, cell) == ["gptoss-lab-cell-yaml"]
    keys.press("Control+z")
    assert kinds(front, cell) == ["gptoss-lab-cell-prompt"]
    front.cursor(cell, 0, 0)
    keys.type("#")
    assert kinds(front, cell) == []
    keys.press("Backspace")
    keys.press("Enter")
    assert kinds(front, cell) == ["gptoss-lab-cell-prompt"]
    assert front.source(cell) == "\n%%gptoss\nDon't (stop"


def test_comments_toggle_in_prompts_and_in_yaml(front, keys):
    prompt, tune, persona = front.add("%%gptoss\nSay it's so"), front.add(TUNE), front.add(PERSONA)
    for cell, line in ((prompt, 1), (tune, 2), (persona, 2), (persona, 4)):
        front.cursor(cell, line)
        keys.press("Control+/")
    assert front.source(prompt) == "%%gptoss\n<!-- Say it's so -->"
    assert front.source(tune).split("\n")[2] == "# - prompt: it's"
    assert front.source(persona).split("\n")[2:] == [
        "# effort: low",
        "---",
        "<!-- You're a poet # really -->",
    ]
    front.cursor(prompt, 1)
    keys.press("Control+/")
    assert front.source(prompt) == "%%gptoss\nSay it's so"


def test_tune_bodies_are_yaml_and_personas_yaml_above_prose(front):
    tune, persona = front.add(TUNE), front.add(PERSONA)
    assert kinds(front, tune) == ["gptoss-lab-cell-yaml"]
    assert front.colour(tune, "# rows") != front.colour(tune, "a poem")
    assert kinds(front, persona) == ["gptoss-lab-cell-persona"]
    assert front.colour(persona, "effort") != front.colour(persona, "low")
    assert front.colour(persona, "# really") == front.colour(persona, "You're a poet")


def offered(front):
    """What the completer shows, in its order."""
    items = front.page.locator(".jp-Completer:not(.lm-mod-hidden) .jp-Completer-match")
    items.first.wait_for(timeout=15_000)
    return items.all_inner_texts()


def complete(front, keys, source):
    """Tab at the end of a new cell of this source; its number."""
    cell = front.add(source)
    lines = source.split("\n")
    front.cursor(cell, len(lines) - 1)
    keys.press("Tab")
    return cell


def test_options_are_offered_once(front, keys):
    complete(front, keys, "%%gptoss --ma")
    assert sorted(offered(front)) == ["--map", "--mask-experts", "--max-tokens"]
    keys.press("Escape")


def test_within_braces_stand_the_notebooks_names_once(front, keys):
    cell = complete(front, keys, "%%gptoss\nSay {{ fran")
    assert offered(front) == ["france"]
    keys.press("Enter")
    assert front.source(cell) == "%%gptoss\nSay {{ france"


def test_python_offers_nothing_within_prose(front, keys):
    cell = complete(front, keys, "%%gptoss\nAll important impo")
    assert front.page.evaluate(MATCHES, "%%gptoss\nAll important impo") == []
    assert front.page.evaluate(MATCHES, "impo") == ["import"]
    assert front.page.locator(".jp-Completer:not(.lm-mod-hidden)").count() == 0
    assert front.source(cell) == "%%gptoss\nAll important impo"
