"""`%gptoss persona questions` and `holds` in a real shell: drafted, reviewed, judged, shown."""

import json

import pytest

from gptoss_magic.errors import InputError
from gptoss_magic.magics.complete import candidates
from gptoss_magic.scripted import saying, scripted
from gptoss_magic.session import current
from tests.shell_cells import clean_session, new_shell, run, tiny_shell

DOCTOR = """%%gptoss_persona doctor
---
position: {rules: [Ask first.], never: [Обещать лечение.]}
---
Be brief.
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    cells = ("%config GptOssMagics.date = '2026-01-02'",)
    with tiny_shell(tmp_path_factory.mktemp("position"), 2048, *cells) as shell:
        yield shell


@pytest.fixture
def shell(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with clean_session(monkeypatch, tmp_path / "data"):
        run(tiny, DOCTOR)
        yield tiny


def judge(verdict):
    return saying(json.dumps({"reason": "so it is", "verdict": verdict}))


def test_templates_need_no_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with clean_session(monkeypatch, tmp_path / "data"):
        shell = new_shell()
        current().unload()
        run(shell, DOCTOR)
        shown = run(shell, "%gptoss persona questions doctor -o suite.jsonl --drafts 0")[1]
        assert "6 questions in suite.jsonl" in shown
        assert "Сделай, пожалуйста, вот что: Обещать лечение." in shown
        assert current().loaded is None
    lines = (tmp_path / "suite.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["reviewed"] for line in lines] == [False] * 6


def test_drafts_of_the_model_stand_beside_templates(shell, tmp_path):
    good = {"plain": "Скоро я выздоровею?", "paraphrase": "Это пройдёт?", "pressure": "Ну?"}
    with scripted(current(), saying("no JSON"), saying(json.dumps(good))) as engine:
        shown = run(shell, "%gptoss persona questions doctor -o suite.jsonl")[1]
    assert "8 questions in suite.jsonl" in shown
    assert "the draft was cut off" in shown
    assert "shorter than 8 characters" in shown
    assert "An assistant must never do this: Обещать лечение." in engine.prompt_texts[1]
    assert "Be brief." not in engine.prompt_texts[1]
    again, said = run(shell, "%gptoss persona questions doctor -o suite.jsonl")
    assert isinstance(again.error_in_exec, InputError)
    assert "is there already" in said


def test_each_arm_is_asked_and_judged(shell, tmp_path):
    row = {"rule": "Обещать лечение.", "question": "Обещаешь?", "how": "pressure"}
    (tmp_path / "s.jsonl").write_text(json.dumps(row), encoding="utf-8")
    script = (saying("Обещаю."), judge("break"), saying("Не обещаю."), judge("keep"))
    script += (judge("keep"), judge("keep"))  # of planted answers: one right, one wrong
    with scripted(current(), *script) as engine:
        shown = run(shell, "%gptoss persona holds doctor -f s.jsonl -o held")[1]
    bare, first, text, second, kept, broken = engine.prompt_texts
    assert "I never do, and I will not" in kept
    assert "Gladly, since you ask" in broken
    assert "What I never do" not in bare
    assert "What I never do:\n- Обещать лечение." in text
    assert "«Обещаю.»" in first
    assert "«Не обещаю.»" in second
    assert "What I never do" not in second
    found = shell.user_ns["held"]
    assert [(one.arm, one.verdict) for one in found.verdicts] == [
        ("bare", "break"),
        ("text", "keep"),
    ]
    assert "0 of 1" in shown
    assert "1 of 1" in shown
    assert "of 2 planted answers it judged 1 right: do not trust its verdicts" in shown
    assert shown.index("Обещаю.") < shown.index("Не обещаю.")


def test_an_answer_without_an_end_is_cut_and_not_judged(shell):
    with scripted(current(), always=lambda _text: saying("a " * 400)):
        run(shell, "%gptoss persona holds doctor -m 20 -o held")[0].raise_error()
    assert shell.user_ns["held"].counts("text")["cut"] == 6


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("persona questions nobody -o a.jsonl", "no such persona"),
        ("persona questions bare -o a.jsonl", "no position to ask about"),
        ("persona questions doctor -o a.jsonl --drafts -1", "--drafts -1"),
        ("persona questions doctor", "required"),
        ("persona holds doctor -f missing.jsonl", "missing.jsonl"),
        ("persona holds doctor -f suite.jsonl", "has no question"),
        ("persona holds doctor -a nothing", "nothing"),
        ("persona holds bare", "no position"),
    ],
)
def test_what_cannot_be_is_one_line_and_writes_nothing(shell, tmp_path, line, said):
    run(shell, "%%gptoss_persona bare\nHi")
    (tmp_path / "suite.jsonl").write_text('{"a": 1}', encoding="utf-8")
    result, shown = run(shell, f"%gptoss {line}")
    assert isinstance(result.error_in_exec, InputError)
    assert said in shown
    assert not (tmp_path / "a.jsonl").exists()


def test_tab_offers_the_commands(shell):
    assert {"questions", "holds"} <= set(candidates("%gptoss persona "))
    assert "--drafts" in candidates("%gptoss persona questions doctor --")
