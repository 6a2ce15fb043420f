"""What Codex CLI wants to know of an endpoint, as files in a folder of the user's choice."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from gptoss_magic.atomic import whole_file
from gptoss_magic.errors import InputError
from gptoss_magic.public import public
from gptoss_magic.session import current

KEY_VARIABLE = "OPENAI_API_KEY"  # it holds the token, which stands in no file
MARK = "# written by gptoss_magic.neighbours.codex: it may be written over"
CONFIG = (
    MARK
    + """
model = {model}
model_provider = "gptoss_magic"
model_catalog_json = {catalog}
approval_policy = "never"
sandbox_mode = "workspace-write"
web_search = "disabled"
check_for_update_on_startup = false
analytics.enabled = false
agents.enabled = false

[features]
plugins = false
remote_plugin = false
apps = false
goals = false
skill_search = false

[model_providers.gptoss_magic]
name = "gptoss_magic"
base_url = {url}
env_key = "{variable}"
wire_api = "responses"
stream_idle_timeout_ms = 600000
"""
)
INSTRUCTIONS = """\
You are a coding agent in the user's folder. Read files and run commands with exec_command, change \
files with apply_patch alone, and answer in a few words when the task is done."""


@public
def write_config(
    folder: str | Path, url: str, *, model: str = "base", context: int | None = None
) -> str:
    """Write `config.toml` and `catalog.json` for Codex CLI; give the shell line that uses them.

    `folder`: what will be CODEX_HOME. `url`: the endpoint's, as `%gptoss serve` says it; `model`: a
    name that it knows; `context`: its tokens, None for those of the model that is loaded here. With
    them a first request has a quarter of its tokens, edits come as `apply_patch`, and nothing is
    shortened before it has to be. Raises InputError, NotLoaded, StorageError.
    """
    home = Path(folder).expanduser().resolve()
    config, catalog = home / "config.toml", home / "catalog.json"
    if config.exists() and not config.read_text(errors="replace").startswith(MARK):
        raise InputError(f"{config}: a config of yours is there; give another folder")
    known = {"model": model, "catalog": str(catalog), "url": url}
    quoted = {name: json.dumps(value, ensure_ascii=False) for name, value in known.items()}
    if context is None:
        current().require()
        context = current().engine.context
    entries = json.dumps({"models": [_entry(model, context)]}, indent=2)
    for path, text in (
        (config, CONFIG.format(**quoted, variable=KEY_VARIABLE)),
        (catalog, entries),
    ):
        with whole_file(path) as room:
            room.write_text(text, encoding="utf-8")
    return f'CODEX_HOME={shlex.quote(str(home))} {KEY_VARIABLE}=… codex exec "what is to be done"'


def _entry(model: str, context: int) -> dict[str, Any]:
    efforts = ("low", "medium", "high")
    return {
        "slug": model,
        "display_name": model,
        "description": "The model of a Jupyter kernel.",
        "default_reasoning_level": "medium",
        "supported_reasoning_levels": [{"effort": one, "description": one} for one in efforts],
        "shell_type": "unified_exec",
        "visibility": "list",
        "supported_in_api": True,
        "priority": 1,
        "base_instructions": INSTRUCTIONS,
        "apply_patch_tool_type": "freeform",
        "truncation_policy": {"mode": "tokens", "limit": 2000},
        "context_window": context,
        "input_modalities": ["text"],
        "supports_reasoning_summaries": True,
        "support_verbosity": False,
        "supports_parallel_tool_calls": False,
        "experimental_supported_tools": [],
    }
