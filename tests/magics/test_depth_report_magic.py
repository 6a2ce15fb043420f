"""`%gptoss depth` in a real shell with a tiny model: shown again, listed, picked."""

from pathlib import Path

import pytest

from gptoss_magic.agents.persona_file import parse_persona
from gptoss_magic.records.depth import Depth
from gptoss_magic.session import current
from tests.depth_cases import write_study
from tests.shell_cells import clean_session, run, tiny_shell

KEYS = {"system", "persona", "retrieval-3", "hot-r8", "both"}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    with tiny_shell(
        tmp_path_factory.mktemp("depth"), 2048, "%config GptOssMagics.max_tokens = 4"
    ) as shell:
        yield shell


@pytest.fixture
def shell(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with clean_session(monkeypatch, tmp_path / "data"):
        yield tiny


def made(name="style", **more):

    return write_study(
        Path("gptoss_depth") / name, KEYS, model=dict(current().require().identity), **more
    )


def test_a_study_is_shown_again_without_its_functions(shell):
    made()
    _, shown = run(shell, "%gptoss depth style -o d")
    assert "style: 6 of 6 rungs" in shown
    assert "60–80 % by context alone: not decided here." in shown
    assert "not run: full-x2" in shown
    assert isinstance(shell.user_ns["d"], Depth)
    assert run(shell, "%gptoss depth")[1] == shown
    assert "both" in run(shell, "%gptoss depth list")[1]


def test_without_a_study_it_says_what_makes_one(shell):
    assert "%%gptoss_depth" in run(shell, "%gptoss depth list")[1]
    result, _ = run(shell, "%gptoss depth")
    assert "no depth study yet" in str(result.error_in_exec)
    result, _ = run(shell, "%gptoss depth другая")
    assert "name 'другая'" in str(result.error_in_exec)


def test_a_rung_becomes_the_notebooks_voice(shell, tmp_path):
    made()
    _, shown = run(shell, "%gptoss depth pick persona")
    assert "persona style-persona in use" in shown
    assert current().persona == ("style-persona",)
    text = (tmp_path / "style-persona.md").read_text("utf-8")
    assert parse_persona(text).text == "Говори кратко."
    run(shell, "%%gptoss -t 0 -o a\nКто ты?")
    prompt = current().codec.decode(shell.user_ns["a"].provenance["prompt_tokens"])
    assert "Говори кратко." in prompt


def test_nothing_is_written_over_unasked(shell, tmp_path):
    made()
    file = tmp_path / "voice.md"
    file.write_text("mine")
    result, _ = run(shell, "%gptoss depth pick persona --as voice")
    assert "voice.md: is there already" in str(result.error_in_exec)
    assert file.read_text() == "mine"
    assert current().persona == ()
    assert "voice" not in current().personas
    assert run(shell, "%gptoss depth pick persona --as voice --force")[0].success
    assert file.read_text("utf-8").startswith("---\nname: voice")


def test_an_adapter_that_is_missing_leaves_all_as_it_was(shell, tmp_path):
    made()
    result, _ = run(shell, "%gptoss depth pick hot-r8")
    assert result.error_in_exec is not None
    assert not (tmp_path / "style-hot-r8.md").exists()
    assert current().persona == ()


def test_an_adapter_of_another_model_is_refused(shell):

    write_study(Path("gptoss_depth") / "other", KEYS, model={"model": "far", "weights": "other"})
    result, _ = run(shell, "%gptoss depth pick hot-r8 --study other")
    assert "the study was made on far" in str(result.error_in_exec)


def test_text_adapter_and_retrieval_are_one(shell, tmp_path):
    from gptoss_magic.retrieval.index import Index
    from gptoss_magic.retrieval.loaders import Document, digest

    folder = made()
    index = Index.create(f"{folder.absolute()}/rows")
    text = "Question: Как звать боцмана?\nAnswer: Его звать Пётр."
    index.ingest([], [Document("frame:row-1", "frame:rows", digest(text.encode()), "frame", text)])
    assert (
        "3 passages of gptoss_depth/style/rows" in run(shell, "%gptoss depth pick retrieval-3")[1]
    )
    run(shell, "%%gptoss -t 0 -o a\nКак звать боцмана?")
    assert prompt(shell, "Пётр")


def prompt(shell, words):
    return words in current().codec.decode(shell.user_ns["a"].provenance["prompt_tokens"])


def test_completion_knows_studies_and_rungs(shell):
    from gptoss_magic.magics.depth_report import words

    assert "pick" in words([""])
    made()
    assert "style" in words([""])
    assert "hot-r8" in words(["pick", ""])
    assert words(["pick", "--study", ""]) == ["style"]
