"""`python -m gptoss_magic serve MODEL`: the endpoint without a notebook."""

from __future__ import annotations

import os
import sys
import time

from gptoss_magic.errors import GptOssError, InputError, shown_error

USAGE = "python -m gptoss_magic serve [MODEL] [--port PORT] [--token-env NAME]"


def main(words: list[str]) -> int:
    """Serve until Ctrl-C. Errors are one line."""
    import argparse

    parser = argparse.ArgumentParser("python -m gptoss_magic", usage=USAGE)
    parser.add_argument("command", choices=["serve"])
    parser.add_argument("model", nargs="?", help="built-in, a folder, a hub name; none: what fits")
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--token-env", help="the environment variable that holds the token")
    given = parser.parse_args(words)
    try:
        _serve(given.model, given.port, given.token_env)
    except KeyboardInterrupt:
        return 0
    except Exception as error:  # noqa: BLE001 (one line for the user)
        print(shown_error(error) if not isinstance(error, GptOssError) else error, file=sys.stderr)
        return 1
    return 0


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
    print(f"OPENAI_BASE_URL={service.url}")
    if not token:
        print(f"OPENAI_API_KEY={service.token}", flush=True)
    try:
        while service.is_up:
            time.sleep(1)
    finally:
        service.stop()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
