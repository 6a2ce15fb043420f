"""A tiny model in this process, scripted, for what needs no port."""

import tempfile
from contextlib import contextmanager
from pathlib import Path

import gptoss_magic
from gptoss_magic.scripted import scripted
from gptoss_magic.session import current
from gptoss_magic.testing import tiny_checkpoint


@contextmanager
def speaking(*script):
    """The scripted engine that says `script`."""
    if current().loaded is None:
        with tempfile.TemporaryDirectory() as folder:
            made = tiny_checkpoint(Path(folder) / "tiny", max_position_embeddings=4096)
            gptoss_magic.load(made, context=4096)
    with scripted(current(), *script) as engine:
        yield engine


def is_exact(engine, number=0):
    """True where prompt `number` + 1 begins with what was read and said before, in tokens."""
    turns = reversed(current().conversations.turns.values())
    said = next(t for t in turns if list(t.prompt_ids) == engine.prompts[number])
    read = [*engine.prompts[number], *said.answer_ids]
    return engine.prompts[number + 1][: len(read)] == read


def fault_of(work):
    """The one line that `work` is refused with."""
    try:
        work()
    except gptoss_magic.InputError as error:
        return str(error)
    return ""


def weather(city: str) -> str:
    """Tells the weather."""
    return f"Солнце в {city}"
