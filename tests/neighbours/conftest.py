"""A tiny model, a scripted one in its place, its endpoint, and processes of others against it."""

import os
import subprocess
import sysconfig
from pathlib import Path

import pytest

from benchmarks.figure import Unavailable
from benchmarks.peers import python_with
from tests.serving.conftest import resident, script, service, wire  # noqa: F401 (fixtures)

ROOT = Path(__file__).parents[2]
PEERS = Path(__file__).parent / "peers"
# nobody is told of these runs, and nothing is looked up
QUIET = {
    "ANONYMIZED_TELEMETRY": "False",
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "HF_HUB_OFFLINE": "1",
    "LANGSMITH_TRACING": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",
}
# a peer's own packages stand before ours, which are there for what answers in process
BEHIND = """
import runpy, sys
folder, paths, *sys.argv = sys.argv[1:]
sys.path[:0] = [folder]
sys.path += paths.split(":")
runpy.run_path(sys.argv[0], run_name="__main__")
"""


class Peers:
    """Runs scripts of tests/neighbours/peers with the packages of one list of pins."""

    def __init__(self, pins):
        self.python = python_with(ROOT / "requirements" / pins)

    def run(self, name, *arguments, on=None, has_ours=False, cwd=ROOT):
        """What the script prints; its `ENDPOINT_URL` and `ENDPOINT_KEY` are the service's, `on`."""
        ours = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        known = {**os.environ, **QUIET, "PYTHONPATH": str(ROOT)}
        if on is not None:
            known |= {"ENDPOINT_URL": on.url, "ENDPOINT_KEY": on.token}
        paths = ":".join(ours if has_ours else ())
        command = [self.python, "-c", BEHIND, PEERS, paths, PEERS / name, *arguments]
        return self.command(*command, env=known, cwd=cwd)

    @staticmethod
    def command(*command, env=None, cwd=ROOT):
        """What a command prints; it must end well."""
        done = subprocess.run(
            [str(part) for part in command],
            cwd=cwd,
            env=env or {**os.environ, **QUIET},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        said = done.stdout[-6000:] + done.stderr[-4000:]
        assert done.returncode == 0, said
        return done.stdout


def peers_of(pins):
    try:
        return Peers(pins)
    except Unavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def peers():
    """LangChain, Haystack, openai-agents, inspect-ai, lm-eval, schemathesis."""
    return peers_of("neighbours.txt")


@pytest.fixture(scope="session")
def llama_peers():
    """LlamaIndex and litellm, which want openai's second generation."""
    return peers_of("neighbours-llama-index.txt")
