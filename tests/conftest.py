"""Each test alone: a random order, whose seed is said, and nothing that outlives a test.

Interrupts reach the tests even where the suite was started in the background. Where tests run
beside each other (make test), each has one core, and so has what it starts. No test sees or
leaves anything in the user's own data, settings and history.
"""

import os
import signal
from contextlib import ExitStack
from itertools import count

import pytest

from tests import as_before

NUMBERS = count()

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts a job with `&`
    signal.signal(signal.SIGINT, signal.default_int_handler)

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_sessionstart(session):
    """Say the order; pytest-randomly does it in a header that -q leaves out."""
    seed = session.config.getoption("randomly_seed", None)
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if seed is not None and reporter is not None:
        reporter.write_line(f"random order: make test SEED={seed} repeats it")


@pytest.fixture(scope="session", autouse=True)
def _own_home(tmp_path_factory):
    """Data, settings and history of this process and of what it starts."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "IPYTHONDIR"):
            patch.setenv(name, str(home / name.lower()))
        yield home


@pytest.fixture(autouse=True)
def _as_before(_own_home):
    """What outlives a test is put back. Its data and settings lie in a folder of its own."""
    with ExitStack() as stack:
        for kept in (
            as_before.process,
            as_before.torch_settings,
            as_before.session,
            as_before.registries,
            as_before.shell,
        ):
            stack.enter_context(kept())
        own = str(_own_home / f"test{next(NUMBERS)}")
        os.environ |= {"XDG_DATA_HOME": f"{own}/data", "XDG_CONFIG_HOME": f"{own}/config"}
        yield
