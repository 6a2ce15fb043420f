"""What Tab offers: options and names on a first line, values in braces, nothing in prose."""

import pytest

from gptoss_magic.magics.complete import at_cursor, candidates
from gptoss_magic.session import current
from tests.shell_cells import new_shell


@pytest.fixture
def shell():
    made = new_shell()
    made.user_ns |= {"france": "Paris", "frame": [1], "_hidden": 1}
    return made


def completed(shell, text):
    """Through IPython's completer, as a front end asks; Python's own names among them."""
    from IPython.core.completer import provisionalcompleter

    with provisionalcompleter():
        return [found.text for found in shell.Completer.completions(text, len(text))]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("%%gptoss --ma", ["--max-tokens", "--mask-experts", "--map"]),
        ("%%gptoss -e ", ["low", "medium", "high"]),
        ("%%gptoss --temperature ", []),
        ("%%gptoss --cold --effort m", ["medium"]),
        ("%%gptoss_tune --met", ["--method"]),
        ("%%gptoss_tune -M ada", ["adalora"]),
        ("%%gptoss_data --ro", ["--rows"]),
        ("%gptoss lor", ["lora"]),
        ("x %gptoss lor", []),
        ("%%gptoss", []),
        ("%%gptossip --ma", []),
    ],
)
def test_options_and_their_values(line, offered):
    assert sorted(candidates(line)) == sorted(offered)


def test_names_behind_a_plus_or_a_comma_are_begun_anew(shell):
    current().personas |= {"poet": None, "terse": None}
    assert candidates("%%gptoss --persona poet+te") == ["poet+terse"]
    assert candidates("%%gptoss_persona po") == ["poet"]


def test_braces_have_the_notebooks_names_alone(shell):
    assert completed(shell, "%%gptoss\nSay {{ fra") == ["frame", "france"]
    assert completed(shell, "%%gptoss\nПривет, {{ frame }} и {{ fran") == ["france"]
    assert "france.upper" in completed(shell, "%%gptoss\n{{ france.up")
    assert completed(shell, "%%gptoss\n{{ frame[0] ") == []
    assert completed(shell, "%%gptoss\n{{ _hid") == []


@pytest.mark.parametrize(
    "text",
    [
        "%%gptoss\nAll impo",
        "\n  \n%%gptoss\nAll impo",
        "%%gptoss\n{{ france }} impo",
        "%%gptoss\n%gptoss lor",
        "%%gptoss_tune\n- prompt: impo",
        "%%gptoss_persona poet\n---\nimpo",
        "%%gptoss_data\n{{ fra",
    ],
)
def test_python_offers_nothing_in_prose(shell, text):
    assert completed(shell, text) == []


def test_other_cells_are_left_to_python(shell):
    assert at_cursor("x = 1\nimpo") is None
    assert completed(shell, "x = 1\nimpo") == ["import"]
    assert completed(shell, "x = 1\n%gptoss lor") == ["lora"]
    assert "%%gptoss" in completed(shell, "%%gptos")
