"""Each test alone: a random order, whose seed is said, and nothing that outlives a test.

Interrupts reach the tests even where the suite was started in the background. Where tests run
beside each other (make test), each has one core, and so has what it starts. No test sees or
leaves anything in the user's own data, settings and history.
"""

import gc
import os
import shutil
import signal
import subprocess
from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import HealthCheck, settings

from tests import as_before, warm
from tests.browser import Browser, plain, shared
from tools import screenshots as tool

# No property depends on the clock: the machine is busy.
settings.register_profile(
    "suite", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("suite")

NUMBERS = count()
NPM = Path(__file__).parent / "sharing"
AXE = NPM / "node_modules/axe-core/axe.min.js"
BROWSER = Browser()
SHOWN = "in a browser"
# Tests of many seconds, {how their names begin: about so many}. They begin before all others, so
# that no worker goes on alone at the end; those of one line share their module's fixtures, so they
# stay together. What is not named here comes in its random order behind them.
LONGEST = {
    SHOWN: 150,
    "tests/test_notebooks.py": 90,
    "tests/ranks/test_kills.py": 40,
    "tests/ranks/test_parity.py": 35,
    "tests/model/test_stand_in": 35,
    "tests/magics/test_tune_magic.py": 25,
    "tests/retrieval/test_workers.py": 30,
    "tests/model/test_gpu.py": 20,
    "tests/sharing/test_bundle.py": 20,
    "tests/studies/depth": 25,
}

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


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Behind pytest-randomly: the longest first, about as much of them to each worker.

    At first each worker has one stretch of the list, of the same number of tests.
    """
    num_workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    long, short = {start: [] for start in LONGEST}, []
    for item in items:
        long.get(_start(item), short).append(item)
    owns, seconds = [[] for _ in range(num_workers)], [0] * num_workers
    for start, together in long.items():
        worker = seconds.index(min(seconds))
        owns[worker] += together
        seconds[worker] += LONGEST[start] * bool(together)
    size, ordered = len(items) // num_workers, []
    for own in owns:
        num_short = max(0, size - len(own))
        ordered += own + short[:num_short]
        del short[:num_short]
    items[:] = ordered + short


def _start(item):
    """Which of the `LONGEST` a test belongs to; '' for all others."""
    if "browser" in item.fixturenames:
        return SHOWN
    return next((start for start in LONGEST if item.nodeid.startswith(start)), "")


def pytest_collection():
    """What is imported and collected is no garbage: looking is a third of the time it takes."""
    gc.disable()


def pytest_collection_finish():
    """Modules and test items stay to the end: no garbage collection looks at them again."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item, nextitem):
    """Nor at what a module's tests have imported, where no model would be held by it."""
    if nextitem is None or nextitem.path != item.path:
        from gptoss_magic.session import current

        if current().resident is None:
            gc.collect()
            gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _own_home(tmp_path_factory):
    """Data, settings and history of this process and of what it starts."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "IPYTHONDIR"):
            patch.setenv(name, str(home / name.lower()))
        for name, value in warm.offer(home / "warm").items():
            patch.setenv(name, value)
        yield home


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    if "browser" not in item.fixturenames:
        BROWSER.close()


def pytest_sessionfinish():
    BROWSER.close()


@pytest.fixture(scope="session")
def browser():
    """The process's Chromium and Jupyter server."""
    if tool.chromium() is None:
        pytest.skip(tool.INSTALL)
    return BROWSER


@pytest.fixture(scope="session")
def axe(request):
    """axe-core's script, installed as tests/sharing/package-lock.json says."""
    if shutil.which("npm") is None:
        pytest.skip("npm is missing: axe-core cannot be installed; apt-get install npm")
    with FileLock(request.config.cache.mkdir("axe") / "lock"):  # nothing of it in an sdist
        if not AXE.is_file():
            command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(command, cwd=NPM, capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"axe-core cannot be installed: {done.stderr.strip().splitlines()[-1]}")
    return AXE.read_text("utf-8")


@pytest.fixture
def plain_lab(request, browser):
    """The page of JupyterLab without our extension, and a new folder for its notebooks."""
    with shared(browser, "plain", partial(plain, browser), request.session) as opened:
        opened.folder = browser.folder()
        yield opened
        opened.end()


@pytest.fixture
def brief(monkeypatch):
    """A tiny model's answers never end: eight tokens of each say as much to a run's report."""
    from gptoss_magic.runs import canary, report

    monkeypatch.setattr(canary, "MAX_TOKENS", 8)
    monkeypatch.setattr(report, "ANSWER_TOKENS", 8)


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
