"""One Chromium and one Jupyter server for all browser tests of a process, and pages in them.

The server has JupyterLab and Notebook 7, and a folder for each test. All of it starts at its first
use, and ends before the next test without a browser: while a Playwright is open, `asyncio.run`
fails in its thread.
"""

import json
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tools import screenshots as tool

EXTENSION_FILES = f"**/{tool.EXTENSION_NAME}/**"
SETTINGS = {
    "@jupyterlab/codemirror-extension:plugin": {"defaultConfig": {"autoClosingBrackets": True}}
}
SIZE = {"width": 1200, "height": 900}
# all documents, changed ones too, and the style sheets that their widgets have left in the page
CLOSE = """() => {
  for (const widget of [...window.jupyterapp.shell.widgets("main")]) widget.dispose();
  for (const style of document.querySelectorAll("style[id^='gptoss_magic.']")) style.remove();
}"""
UNTRUSTED = """() => [...window.jupyterapp.shell.currentWidget.content.model.cells].every(
  cell => !cell.trusted)"""


@dataclass
class Browser:
    """What is open; `kept` are things of a room that live as long, such as a loaded notebook."""

    stack: ExitStack = field(default_factory=ExitStack)
    chromium: Any = None
    url: str = ""
    root: Path = Path()
    kept: dict[str, Any] = field(default_factory=dict)

    def start(self) -> Any:
        """Chromium, as Playwright has it."""
        if self.chromium is None:
            self.chromium = self.stack.enter_context(tool.browser())
        return self.chromium

    def serve(self) -> str:
        """The server's address. Its kernels have one thread each, and data of their own."""
        if not self.url:
            self.start()
            self.root = Path(
                self.stack.enter_context(TemporaryDirectory(ignore_cleanup_errors=True))
            )
            (self.root / "work").mkdir()
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("OMP_NUM_THREADS", "1")  # threads that wait for a busy core are slow
                for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME"):
                    patch.setenv(name, str(self.root / name))
                server = tool.lab(self.root / "work", extension=tool.EXTENSION.is_dir(), **SETTINGS)
                self.url = self.stack.enter_context(server)
        return self.url

    def folder(self) -> Path:
        """A new one on the server."""
        self.serve()
        folder = self.root / "work" / f"test{len([*(self.root / 'work').iterdir()])}"
        folder.mkdir()
        return folder

    def keep(self, name: str, make: Callable[[], Any]) -> Any:
        """What `make()` gave at the first call of this name, as long as the browser is open."""
        if name not in self.kept:
            self.kept[name] = make()
        return self.kept[name]

    def close(self) -> None:
        self.stack.close()
        self.chromium, self.url = None, ""
        self.kept.clear()


@dataclass
class Plain:
    """A page of JupyterLab without our extension, and notebooks in a folder of their own."""

    page: Any
    url: str
    folder: Path

    def open(self, name, *, kernel=True):
        """Show a notebook, and nothing that was shown before, in the page as it is loaded."""
        self.page.evaluate(CLOSE)
        tool.show_notebook(self.page, f"{self.folder.name}/{name}", kernel=kernel)

    def open_foreign(self, name):
        """A copy with other bytes than those that were signed: without trust, and no kernel."""
        foreign = json.loads((self.folder / name).read_text())
        foreign["metadata"]["from"] = "elsewhere"
        (self.folder / f"foreign-{name}").write_text(json.dumps(foreign))
        self.open(f"foreign-{name}", kernel=False)
        self.page.wait_for_function(UNTRUSTED, timeout=10_000)  # a cell is there before its trust

    def load_anew(self):
        """The page, with nothing open."""
        tool.open_lab(self.page, self.url)

    def show_as_at_first(self):
        """Its theme, its window and its colours."""
        self.page.set_viewport_size(SIZE)
        self.page.emulate_media(forced_colors="none")
        self.page.mouse.move(0, 0)
        if self.page.locator("body[data-jp-theme-light=false]").count():
            tool.command(self.page, "apputils:change-theme", theme="JupyterLab Light")
            self.page.locator("body[data-jp-theme-light=true]").wait_for(state="attached")

    def end(self):
        """Nothing is open, and no kernel of this folder's notebooks runs."""
        self.page.evaluate(CLOSE)
        self.end_kernels()

    def end_kernels(self):
        for session in json.load(_asked(f"{self.url}/api/sessions")):
            if session["path"].startswith(f"{self.folder.name}/"):
                _asked(f"{self.url}/api/sessions/{session['id']}", "DELETE").close()

    def close(self):
        self.page.context.close()
        self.end_kernels()


def _asked(address, method="GET"):
    headers = {"Authorization": f"token {tool.TOKEN}"}
    return urllib.request.urlopen(urllib.request.Request(address, headers=headers, method=method))


def plain(browser):
    """A page of JupyterLab as it is without our extension, in a context of its own."""
    context = browser.start().new_context(viewport=SIZE)
    context.route(EXTENSION_FILES, lambda route: route.abort())
    opened = Plain(context.new_page(), browser.serve(), browser.folder())
    opened.load_anew()
    return opened


@contextmanager
def shared(browser, name, make, session):
    """The page that all tests with this name have; `make()` gives it where there is none.

    After each test it looks as at first. A test that failed, or that left a page which cannot be
    put back, takes it along.
    """
    lab, num_failed = browser.keep(name, make), session.testsfailed
    is_good = False
    try:
        lab.page.bring_to_front()
        yield lab
        lab.show_as_at_first()
        is_good = session.testsfailed == num_failed
    finally:
        if not is_good:
            browser.kept.pop(name).close()
