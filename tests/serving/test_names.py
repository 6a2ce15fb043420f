"""Models by name: the base, adapters beside it, personas; asked at once, each says its own."""

import threading
from dataclasses import replace

import pytest
from IPython.core.interactiveshell import InteractiveShell

import gptoss_magic
from gptoss_magic.adapters import Adapter, write_adapter
from gptoss_magic.scripted import saying, scripted
from gptoss_magic.session import current
from gptoss_magic.tuning.methods import make_parts, settings_of
from gptoss_magic.tuning.methods.context import Context

PERSONA = """%%gptoss_persona guide
---
effort: low
---
Отвечай как проводник."""


def trained(model):
    """LoRA on all experts that changes what is said."""
    import torch

    parts = make_parts(model, Context(settings_of(rank=4, alpha=64, choice="all")))
    for part in parts:
        for tensor in (part.a, part.b):
            tensor.data = torch.randn_like(tensor) * 0.3
    return parts


@pytest.fixture
def names(resident, tmp_path):
    model = current().require().model
    for name in ("морской", "verse"):
        parts = tuple(trained(model))
        folder = write_adapter(Adapter(name, parts), model, str(tmp_path / name))
        gptoss_magic.attach(folder, name)
    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "gptoss_magic")
    assert shell.run_cell(PERSONA).success
    return ["tiny", "tiny+морской", "tiny+verse", "tiny+verse@guide", "tiny@guide"]


def text(wire, name, **more):
    messages = [{"role": "user", "content": "Привет"}]
    settings = {"temperature": 0, "max_tokens": 16, **more}
    status, said = wire.send(
        "/v1/chat/completions", {"model": name, "messages": messages, **settings}
    )
    assert status == 200, said
    return said["choices"][0]["message"]["content"]


def test_all_are_listed_and_each_says_what_it_says_alone(names, wire):
    _, listed = wire.send("/v1/models")
    assert set(names) <= {model["id"] for model in listed["data"]}
    parents = {model["id"]: model["parent"] for model in listed["data"]}
    assert parents["tiny"] is None
    assert parents["tiny+verse@guide"] == "tiny"
    alone = {name: text(wire, name) for name in names}
    assert len(set(alone.values())) == len(names)
    beside = {}
    threads = [
        threading.Thread(target=lambda n=name: beside.setdefault(n, text(wire, n)))
        for name in names * 2
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert beside == alone


def test_a_persona_s_text_and_settings_are_its_own(names, wire):
    with scripted(current(), saying("Да."), saying("Да.")) as engine:
        text(wire, "tiny@guide")
        text(wire, "base")
    asked, plain = engine.prompt_texts
    assert "Отвечай как проводник." in asked
    assert "Reasoning: low" in asked
    assert "проводник" not in plain
    assert "Reasoning: medium" in plain


def test_a_model_of_the_hub_is_known_without_its_owner(wire):
    session = current()
    resident, engine = session.loaded
    identity = {**resident.identity, "model": "openai/gpt-oss-120b"}
    session.loaded = replace(resident, identity=identity), engine
    with scripted(session, *[saying("Да.")] * 3):
        for name in ("openai/gpt-oss-120b", "gpt-oss-120b", "base"):
            assert text(wire, name) == "Да."
    status, _ = wire.send("/v1/completions", {"model": "gpt-oss-20b", "prompt": "x"})
    session.loaded = resident, engine
    assert status == 404
