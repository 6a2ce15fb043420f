"""`%gptoss connect URL`: the same magics on a server's model, and a table of what works there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.display import display

from gptoss_magic.magics import options as opt
from gptoss_magic.session import current

if TYPE_CHECKING:
    from gptoss_magic.records.remote import RemoteModel

OPTIONS: list[opt.Option] = [
    (("url",), {"metavar": "URL", "help": "vLLM, SGLang, llama-server, ollama, another kernel, …"}),
    (
        ("--token-env",),
        {"metavar": "NAME", "help": "the environment variable that holds its token"},
    ),
    (("--model",), {"metavar": "NAME", "help": "which of the server's models"}),
    (
        ("--tokenizer",),
        {"metavar": "WHERE", "help": "a folder, built-in, or a hub name, to render prompts with"},
    ),
    (("--replace",), {"action": "store_true", "help": "free the model that is loaded"}),
]
PARSER = opt.parser(
    "%gptoss connect",
    OPTIONS,
    "Let a server answer in the model's place.",
    [
        "%gptoss connect http://127.0.0.1:8000",
        "%gptoss connect https://models.example.org --token-env MODELS_TOKEN --model gpt-oss-120b",
    ],
)
HEADERS = ("what", "works", "how")


def run(line: str, _magics: Any) -> None:
    """Connect, and show what works."""
    from gptoss_magic.serving.remote.connect import connect

    given = opt.parse(PARSER, line)
    connect(
        given.url,
        token_env=given.token_env or "",
        model=given.model or "",
        tokenizer=given.tokenizer or "",
        replace=given.replace,
    )
    assert current().remote is not None
    show(current().remote)


def words(_typed: list[str]) -> list[str]:
    return opt.flags(OPTIONS)


def show(remote: RemoteModel | None) -> None:
    """The table of what works."""
    from gptoss_magic.widgets.tables import table_html, table_text

    assert remote is not None
    rows = [(one.name, "yes" if one.works else "no", one.how) for one in remote.abilities]
    html = table_html(HEADERS, rows, caption=remote.about)
    text = f"{remote.about}\n{table_text(HEADERS, rows)}"
    display({"text/html": html, "text/plain": text}, raw=True)
