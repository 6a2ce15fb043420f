"""The panel's settings, both ways, in a real shell; Stop; presets on the disk."""

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptoss_magic.adapters import Adapter
from gptoss_magic.agents.persona import Persona, Sampler
from gptoss_magic.errors import InputError, StorageError
from gptoss_magic.magics import defaults, presets
from gptoss_magic.magics.complete import candidates
from gptoss_magic.magics.panel import Bound
from gptoss_magic.session import current
from gptoss_magic.turns.stopping import WORK, MainWork
from gptoss_magic.widgets.panel import panel_html, panel_text
from tests.adapter_cases import expert_lora
from tests.shell_cells import run, tiny_shell

WANTED = {
    "temperature": 0.6,
    "top_p": 0.9,
    "top_k": 40,
    "max_tokens": 5,
    "effort": "low",
    "seed": 11,
    "system": "Be <brief>.",
    "routing": True,
    "adapters": {"facts": 0.5},
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    with tiny_shell(tmp_path_factory.mktemp("panel"), 2048) as shell:
        current().shelf.add(Adapter("facts", (expert_lora((1, 2)),)))
        yield shell


@pytest.fixture(autouse=True)
def config(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    return tmp_path / "gptoss_magic" / "presets"


@pytest.fixture
def magics(shell):
    return shell.magics_manager.registry["GptOssMagics"]


@pytest.fixture
def bound(magics):
    bound = Bound(magics)
    bound.refresh()
    return bound


def shown(bound, name):
    return bound.panel._widget.values[name]  # noqa: SLF001


def answer(shell, options=""):
    result, _ = run(shell, f"%%gptoss -q -n -o a {options}\nHello")
    assert result.success, result.error_in_exec
    return shell.user_ns["a"]


def test_each_control_reaches_the_next_answer_and_its_provenance(shell, bound):
    for name, value in WANTED.items():
        bound.hear({"op": "set", "name": name, "value": value})
    assert {name: shown(bound, name) for name in WANTED} == WANTED
    made = answer(shell)
    sampling = made.provenance["sampling"]
    names = ("temperature", "top_p", "top_k", "max_tokens", "seed")
    assert {name: sampling[name] for name in names} == {name: WANTED[name] for name in names}
    assert made.provenance["effort"] == "low"
    assert made.provenance["routing"] is True
    assert made.routing is not None
    (used,) = made.provenance["adapters"]
    assert (used["name"], used["scale"]) == ("facts", 0.5)
    prompt = current().codec.decode(made.provenance["prompt_tokens"])
    assert "Be <brief>." in prompt
    assert answer(shell).raw_tokens == made.raw_tokens


def test_config_and_commands_move_the_controls(shell, bound):
    run(shell, "%config GptOssMagics.temperature = 1.25")
    assert shown(bound, "temperature") == 1.25
    run(shell, "%gptoss lora scale facts 0.75")
    run(shell, "%gptoss lora use facts")
    assert shown(bound, "adapters") == {"facts": 0.75}
    current().personas["poet"] = Persona("poet", "Rhyme.", sampler=Sampler(temperature=0.2))
    bound.hear({"op": "set", "name": "persona", "value": "poet"})
    assert current().persona == ("poet",)
    assert shown(bound, "persona") == "poet"
    assert bound.panel._widget.state["says"] == {"temperature": 0.2, "system": "its own text"}  # noqa: SLF001
    assert answer(shell, "-m 2").provenance["sampling"]["temperature"] == 0.2
    bound.hear({"op": "set", "name": "persona", "value": None})
    assert current().persona == ()


def test_an_empty_seed_is_drawn_and_one_line_overrides_the_default(shell, magics):
    defaults.put(magics, "max_tokens", 3)
    made = answer(shell)
    drawn = made.provenance["sampling"]["seed"]
    assert answer(shell, f"--seed {drawn}").raw_tokens == made.raw_tokens
    defaults.put(magics, "seed", 4)
    assert answer(shell).provenance["sampling"]["seed"] == 4
    assert answer(shell, "--seed 5").provenance["sampling"]["seed"] == 5


def test_an_index_that_is_not_there_is_said_and_none_turns_it_off(shell, magics):
    defaults.put(magics, "rag", "no-such-index")
    result, _ = run(shell, "%%gptoss -q -n\nHello")
    assert "no-such-index" in str(result.error_in_exec)
    assert answer(shell, "--rag none -m 3").passages == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", -0.1),
        ("temperature", float("nan")),
        ("top_p", 0),
        ("top_k", 1.5),
        ("max_tokens", True),
        ("seed", 2**63),
        ("effort", "huge"),
        ("system", 3),
        ("adapters", {"unknown": 1.0}),
        ("adapters", {"facts": float("inf")}),
        ("persona", "nobody"),
        ("shell", 1),
    ],
)
def test_what_makes_no_sense_changes_nothing(bound, name, value):
    before = defaults.values(bound.magics)
    with pytest.raises(InputError) as error:
        defaults.put(bound.magics, name, value)
    assert "\n" not in str(error.value)
    assert defaults.values(bound.magics) == before
    bound.hear({"op": "set", "name": name, "value": value})
    assert defaults.values(bound.magics) == before


@given(content=st.dictionaries(st.sampled_from(["op", "name", "value"]), JSON))
def test_any_message_leaves_settings_that_a_prompt_can_use(shell, content):
    magics = shell.magics_manager.registry["GptOssMagics"]
    Bound.hear(quiet(magics), content)
    for name, value in defaults.values(magics).items():
        assert defaults.CHECKS[name](value) == value


@given(st.sampled_from(list(defaults.CHECKS)), JSON)
def test_a_checked_value_is_taken_as_it_is_or_refused(name, value):
    try:
        checked = defaults.CHECKS[name](value)
    except (TypeError, ValueError):
        return
    assert defaults.CHECKS[name](checked) == checked


def quiet(magics):
    """What is bound, without a widget to tell."""
    made = object.__new__(Bound)
    made.magics = magics

    class Nothing:
        def settle(self):
            pass

        def say(self, note):
            assert "\n" not in note

        def update(self, *shown):
            pass

    made.panel = Nothing()
    return made


def test_stop_keeps_what_was_said(shell, bound):
    def stop():
        while not (WORK.name and current().local_engine.prefixes.num_bytes):
            time.sleep(0.01)
        time.sleep(0.3)
        bound.hear({"op": "stop"})

    run(shell, "%gptoss status")
    thread = threading.Thread(target=stop)
    thread.start()
    made = answer(shell, "-m 1500 -t 0")
    thread.join()
    assert made.finish == "interrupt"
    assert 0 < len(made.raw_tokens) < 1500
    assert answer(shell, "-m 2").finish == "length"  # the interrupt went to that answer alone


def test_stop_without_work_does_nothing():
    assert WORK.stop() is False
    time.sleep(0.05)


def test_work_tells_of_its_begin_and_its_end_once():
    work, told = MainWork(), []
    work.listeners.append(lambda: told.append(work.name))
    with work.doing("outer"), work.doing("inner"):
        pass
    with pytest.raises(KeyError), work.doing("fails"):
        raise KeyError
    assert told == ["outer", "", "fails", ""]


def test_presets_by_commands(shell, magics, config):
    assert not defaults.put_all(magics, WANTED)
    assert "saved" in run(shell, "%gptoss panel --save 'my preset'")[1]
    assert [file.name for file in config.iterdir()] == ["my preset.json"]
    run(shell, "%gptoss lora use none")
    for name in ("temperature", "seed", "system"):
        defaults.put(magics, name, None)
    assert "in use" in run(shell, "%gptoss panel --load 'my preset'")[1]
    assert {name: defaults.values(magics)[name] for name in WANTED} == WANTED
    assert run(shell, "%gptoss panel --list")[1].strip() == "my preset"
    assert "0.6" in run(shell, "%gptoss panel")[1]
    assert candidates("%gptoss panel --load my") == ["my preset"]
    assert run(shell, "%gptoss panel --delete 'my preset'")[0].success
    assert "no preset" in run(shell, "%gptoss panel --list")[1]


def test_presets_by_the_panel(bound):
    said = []
    bound.panel.say = said.append
    bound.hear({"op": "set", "name": "temperature", "value": 0.3})
    bound.hear({"op": "save", "name": " one "})
    bound.hear({"op": "set", "name": "temperature", "value": 0.8})
    bound.hear({"op": "load", "name": "one"})
    assert shown(bound, "temperature") == 0.3
    assert bound.panel._widget.choices["presets"] == ["one"]  # noqa: SLF001
    presets.save("stranger", {"adapters": {"gone": 1.0}, "temperature": 0.1, "other": 2})
    bound.hear({"op": "load", "name": "stranger"})
    assert shown(bound, "temperature") == 0.1
    assert "gone: no such adapter" in said[-1]
    assert "other: no such setting" in said[-1]
    bound.hear({"op": "delete", "name": "one"})
    bound.hear({"op": "load", "name": "one"})
    assert "there is none" in said[-1]


@pytest.mark.parametrize("damage", ["", "{", "[1]", '"text"', "\x00\xff"])
def test_a_damaged_preset_is_one_line_and_the_others_stay(shell, magics, config, damage):
    presets.save("good", {"temperature": 0.4})
    (config / "bad.json").write_text(damage, encoding="latin-1")
    result, _ = run(shell, "%gptoss panel --load bad")
    assert "is damaged" in str(result.error_in_exec)
    assert "\n" not in str(result.error_in_exec)
    assert run(shell, "%gptoss panel --load good")[0].success
    assert magics.temperature == 0.4


def test_a_preset_that_cannot_be_written_leaves_the_old_one(config):
    presets.save("one", {"temperature": 0.4})
    with pytest.raises(TypeError):
        presets.save("one", {"temperature": object()})
    assert presets.load("one") == {"temperature": 0.4}
    assert [file.name for file in config.iterdir()] == ["one.json"]
    (config / "two.json").mkdir()
    with pytest.raises(StorageError):
        presets.save("two", {})


@given(st.text(max_size=70))
def test_a_preset_has_a_name_that_is_a_file_there_or_is_refused(name):
    try:
        presets.save(name, {"seed": 1})
    except InputError:
        return
    assert name in presets.names()
    assert presets.load(name) == {"seed": 1}
    presets.delete(name)
    assert presets.names() == []


@given(st.dictionaries(st.text(), st.floats(allow_nan=False), max_size=3), st.text())
def test_what_is_left_is_escaped(adapters, system):
    values = {"adapters": {f"<b>{name}": x for name, x in adapters.items()}, "system": system}
    html = panel_html(values, {"adapters": adapters}, {"model": None}, "id")
    assert "<b>" not in html
    assert "no model is loaded" in panel_text(values, {}, {})
