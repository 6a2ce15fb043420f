"""`python -m gptoss_magic`: the endpoint or a tuning run without a notebook, and the doctor."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from gptoss_magic.errors import GptOssError, InputError, shown_error

if TYPE_CHECKING:
    from argparse import Namespace


def main(words: list[str]) -> int:
    """Serve until Ctrl-C, train a run, or look at the machine. Errors are one line."""
    given = _parsed(words)
    try:
        if given.command == "doctor":
            return _doctor(is_json=given.json)
        if given.command == "tune":
            _tune(Path(given.run), is_resumed=given.resume)
        else:
            _serve(given.model, given.port, given.token_env)
    except KeyboardInterrupt:
        if given.command == "tune":
            print("interrupted: the same with --resume goes on from the last step")
        return 0
    except Exception as error:  # noqa: BLE001 (one line for the user)
        print(shown_error(error) if not isinstance(error, GptOssError) else error, file=sys.stderr)
        return 1
    return 0


def _parsed(words: list[str]) -> Namespace:
    import argparse

    parser = argparse.ArgumentParser("python -m gptoss_magic")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="an OpenAI-compatible endpoint on this machine")
    serve.add_argument("model", nargs="?", help="built-in, a folder, a hub name; none: what fits")
    serve.add_argument("--port", type=int, default=0, help="0: a free one")
    serve.add_argument("--token-env", help="the environment variable that holds the token")
    tune = commands.add_parser("tune", help="train what a run's YAML file says")
    tune.add_argument("run", help="the file")
    tune.add_argument("--resume", action="store_true", help="go on from its newest checkpoint")
    doctor = commands.add_parser("doctor", help="what works here, what is missing, how to get it")
    doctor.add_argument("--json", action="store_true", help="the same for an issue or a script")
    return parser.parse_args(words)


def _tune(run: Path, *, is_resumed: bool) -> None:
    from gptoss_magic.model.imports import sleep_at_barriers
    from gptoss_magic.ranks.script import tune_file

    sleep_at_barriers()
    tune_file(run, is_resumed=is_resumed)


def _doctor(*, is_json: bool) -> int:
    """Print what there is; 1 where no model could be loaded."""
    from gptoss_magic.doctor import as_json, as_text, examine
    from gptoss_magic.doctor.examine import works

    found = examine()
    print(as_json(found) if is_json else as_text(found))
    return 0 if works(found) else 1


def _serve(model: str | None, port: int, token_env: str | None) -> None:
    from gptoss_magic.model.imports import sleep_at_barriers
    from gptoss_magic.serving.server import serve
    from gptoss_magic.turns.loading import load

    token = os.environ.get(token_env) if token_env else None
    if token_env and not token:
        raise InputError(f"--token-env {token_env}: that variable is not set")
    sleep_at_barriers()
    print(load(model))
    service = serve(port, token=token)
    print(f"OPENAI_BASE_URL={service.url}", flush=True)  # who started it may read them by a pipe
    if not token:
        print(f"OPENAI_API_KEY={service.token}", flush=True)
    try:
        while service.is_up:
            time.sleep(1)
    finally:
        service.stop()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
