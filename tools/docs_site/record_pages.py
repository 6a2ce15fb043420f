"""Reference pages of the record in a notebook, the settings of the magics, and tuning methods."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any, is_typeddict

from tools.docs_site.markdown import code, plain, prose, shown_default, table

RECORD = """\
# The record of an answer

Each output of `%%gptoss` has it twice: in the output's metadata under the key `gptoss_magic`, and
in `application/vnd.gptoss.answer+json` beside HTML and text, where a renderer reads it.
`Answer.provenance` is the same in Python. What is read back from a notebook is untrusted: a key of
the wrong type is as good as missing, and nothing in a record is ever run.

In a notebook three things differ from `Answer.provenance`: `version` is {version}; the prompt's
tokens stand packed in `generations`, each call of the model with `prompt`, `answer`, `kept`,
`logprobs` and `finish`; and recalled items are cut to {short} characters. `%gptoss replay` needs no
more than that.
"""
JSON_HEAD = """\
## The mimetype's JSON

`application/vnd.gptoss.answer+json`, version {version}:
"""
SETTINGS = """\
# Settings

`%config GptOssMagics.NAME = VALUE` sets a default of `%%gptoss` for this kernel,
`c.GptOssMagics.NAME = VALUE` in `ipython_config.py` for all. An option of the line comes before a
persona's own, and that before these. [`%gptoss panel`](magics/panel.md) shows them as sliders.

"""
METHODS_HEAD = """\
# Tuning methods

`%%gptoss_tune --method NAME`; without it `{default}`. What each needs of memory is
[derived here](../tuning-memory.md); a new one is [one file](../how-to/write-a-method.md).
"""


def typed_dicts() -> list[Any]:
    """The records of provenance.py, the whole one first."""
    from gptoss_magic.records import provenance

    found = [
        value
        for name, value in vars(provenance).items()
        if is_typeddict(value) and not name.startswith("_") and name != "Provenance"
    ]
    return [provenance.Provenance, *found]


def record_page() -> str:
    """Each record with its keys; optional are those that not every answer has."""
    from gptoss_magic.turns.record import SHORT, VERSION

    parts = [RECORD.format(version=VERSION, short=SHORT).strip()]
    for kind in typed_dicts():
        rows = [
            (
                code(key),
                code(_words(one)),
                "" if key in kind.__required_keys__ else "may be missing",
            )
            for key, one in kind.__annotations__.items()
        ]
        parts += [
            f"## {kind.__name__}",
            prose(inspect.getdoc(kind) or ""),
            table(("key", "type", ""), rows),
        ]
    parts += _json_parts()
    return "\n\n".join(parts) + "\n"


def _words(kind: Any) -> str:
    return getattr(kind, "__forward_arg__", None) or getattr(kind, "__name__", None) or str(kind)


def _json_parts() -> list[str]:
    import ast

    from gptoss_magic.sharing import answer_json

    tree = ast.parse(inspect.getsource(answer_json.answer_json))
    returned = next(node.value for node in ast.walk(tree) if isinstance(node, ast.Return))
    assert isinstance(returned, ast.Dict)
    keys = [key.value for key in returned.keys if isinstance(key, ast.Constant)]
    about = inspect.getdoc(answer_json.answer_json) or ""
    return [
        JSON_HEAD.format(version=answer_json.VERSION).strip(),
        ", ".join(code(key) for key in keys) + ".",
        prose(about),
    ]


def settings_page() -> str:
    """The defaults of `%%gptoss` that `%config` sets."""
    from gptoss_magic.magics.gptoss import GptOssMagics

    rows = [
        (
            code(name),
            code(type(one).__name__),
            code(shown_default(one.default_value)),
            plain(one.help),
        )
        for name, one in sorted(GptOssMagics.class_own_traits(config=True).items())
    ]
    return SETTINGS + table(("name", "type", "default", "what it is"), rows) + "\n"


def methods_page() -> str:
    """The tuning methods of the registry with the options of each."""
    from gptoss_magic.tuning.methods import DEFAULT, METHODS

    parts = [METHODS_HEAD.format(default=DEFAULT).strip()]
    for method in METHODS.values():
        about = plain(method.help)
        parts += [f"## `{method.name}`", f"{about[:1].upper()}{about[1:]}."]
        rows = [
            (
                ", ".join(map(code, one.metadata["flags"])),
                code(one.default),
                plain(one.metadata["help"]),
            )
            for one in dataclasses.fields(method.settings)
        ]
        headers = ("option", "default", "what it is")
        parts.append(table(headers, rows) if rows else "It has no options.")
    return "\n\n".join(parts) + "\n"


def record_pages() -> dict[str, str]:
    """{address below docs: Markdown}."""
    return {
        "reference/record.md": record_page(),
        "reference/settings.md": settings_page(),
        "reference/methods.md": methods_page(),
    }
