"""Run a notebook in a real JupyterLab and Chromium, and take its pictures.

    python tools/screenshots.py docs
    python tools/screenshots.py docs --panel

Writes quickstart-light.png, quickstart-dark.png and quickstart-reopened.png; with --panel
panel-light.png and panel-dark.png. With --all also a picture taken in the middle of a stream and
one of a narrow window.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

ROOT = Path(__file__).parents[1]
EXTENSION_NAME = "gptoss-magic-lab"
EXTENSION = ROOT / "labextension" / "built"
TOKEN = "local-pictures"  # noqa: S105
INSTALL = "Chromium is missing: apt-get install chromium"
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {
        "checkForUpdates": False,
        "doNotDisturbMode": True,
        "fetchNews": "false",
    },
    "@jupyterlab/extensionmanager-extension:plugin": {"enabled": False},
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
}
START_S = 60.0
PANEL = (
    "%load_ext gptoss_magic\n%gptoss load tiny --context 2048",
    "%%gptoss_persona librarian\n---\neffort: low\n---\nName your sources.",
    """\
import torch
from gptoss_magic.adapters import Adapter
from gptoss_magic.model.parts import LinearLora
from gptoss_magic.session import current
layer = current().resident.model.get_submodule("model.layers.1.self_attn.q_proj")
sizes = layer.in_features, layer.out_features
small = torch.randn(4, sizes[0]) / 100, torch.randn(sizes[1], 4) / 100
part = LinearLora("model.layers.1.self_attn.q_proj", *small, 1.0)
current().shelf.add(Adapter("verse", (part,)))
current().shelf.use(["verse"])""",
    "%gptoss persona use librarian",
    "%%gptoss -q -m 60\nWhat is the capital of France?",
    "%config GptOssMagics.temperature = 0.7",
    "%gptoss panel",
)
KERNEL_READY = """async () => {
  const context = window.jupyterapp.shell.currentWidget.sessionContext;
  await context.ready;
  await context.session.kernel.info;
  await context.session.kernel.requestKernelInfo();
}"""


def chromium() -> str | None:
    """Path of an installed Chromium, if there is one."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for path in map(shutil.which, names) if path), None)


@contextmanager
def lab(
    folder: Path, app: str = "lab", *, extension: bool = False, **settings: Any
) -> Iterator[str]:
    """A JupyterLab on `folder`, or a Notebook 7 (`app` "notebook"); gives its address.

    Settings are its own, with `settings` of plugins by name. With `extension` it has ours, as this
    checkout has built it; else none, wherever one may be installed.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        module = {"lab": "jupyterlab", "notebook": "notebook"}[app]
        command = [sys.executable, "-m", module, *server_options(folder, port, app)]
        own = environment(home, SETTINGS | settings, extension=extension)
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(command, env=own, stdout=quiet, stderr=quiet)
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for_server(url, process)
            yield url
        finally:
            stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the server and, through it, its kernels; by force if it takes too long."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def environment(home: str, settings: dict[str, Any], *, extension: bool) -> dict[str, str]:
    """Jupyter's folders below `home`, so that nobody's settings or trust marks are used."""
    config = Path(home, "config", "labconfig")
    config.mkdir(parents=True)
    (config / "default_setting_overrides.json").write_text(json.dumps(settings))
    # `exposeAppInBrowser` as an option is not heard by Notebook 7
    disabled = {} if extension else {EXTENSION_NAME: True}
    page_config = {"exposeAppInBrowser": True, "disabledExtensions": disabled}
    (config / "page_config.json").write_text(json.dumps(page_config))
    extensions = Path(home, "path", "labextensions")
    extensions.mkdir(parents=True)
    if extension:
        (extensions / EXTENSION_NAME).symlink_to(EXTENSION)
    kernels = os.environ.get("JUPYTER_PATH")
    own = {
        "JUPYTER_PATH": os.pathsep.join([str(extensions.parent), *([kernels] if kernels else [])]),
        "JUPYTER_CONFIG_DIR": str(config.parent),
        "JUPYTER_DATA_DIR": f"{home}/data",
        "JUPYTER_RUNTIME_DIR": f"{home}/runtime",
        "JUPYTERLAB_WORKSPACES_DIR": f"{home}/workspaces",
        "JUPYTERLAB_SETTINGS_DIR": f"{home}/settings",
        "IPYTHONDIR": f"{home}/ipython",
    }
    return os.environ | own


def server_options(folder: Path, port: int, app: str = "lab") -> list[str]:
    name = {"lab": "LabApp", "notebook": "JupyterNotebookApp"}[app]
    return [
        "--no-browser",
        "--allow-root",
        "--ip=127.0.0.1",
        f"--port={port}",
        "--ServerApp.port_retries=0",
        f"--IdentityProvider.token={TOKEN}",
        f"--ServerApp.root_dir={folder}",
        f"--{name}.extension_manager=readonly",
        f"--{name}.news_url=",
        f"--{name}.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]


def wait_for_server(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"JupyterLab ended with status {process.returncode}")
        try:
            urllib.request.urlopen(f"{url}/api", timeout=1)  # noqa: S310
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(f"JupyterLab did not answer within {START_S:.0f} s")


@contextmanager
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    from playwright.sync_api import sync_playwright

    path = chromium()
    if path is None:
        raise SystemExit(INSTALL)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=CHROMIUM_FLAGS)
        try:
            yield started
        finally:
            started.close()


@contextmanager
def browser_page(width: int = 1200, height: int = 900) -> Iterator[Page]:
    """A page in headless Chromium."""
    with browser() as started:
        yield started.new_context(viewport={"width": width, "height": height}).new_page()


def command(page: Page, name: str, **arguments: Any) -> None:
    """Execute one of JupyterLab's commands and wait for it."""
    call = "async ([name, args]) => { await window.jupyterapp.commands.execute(name, args) }"
    page.evaluate(call, [name, arguments])


def open_app(page: Page, address: str) -> None:
    """Go there, and wait until JupyterLab or Notebook 7 is up."""
    page.goto(address)
    page.wait_for_function("() => window.jupyterapp", timeout=60_000)


def open_lab(page: Page, url: str) -> None:
    """Load JupyterLab with nothing open."""
    open_app(page, f"{url}/lab?token={TOKEN}&reset")
    page.evaluate("async () => { await window.jupyterapp.restored }")


def open_notebook(page: Page, url: str, name: str, *, kernel: bool = True) -> None:
    """Load JupyterLab and open a notebook; without `kernel` none is started."""
    open_lab(page, url)
    show_notebook(page, name, kernel=kernel)


def show_notebook(page: Page, name: str, *, kernel: bool = True) -> None:
    """Open a notebook in the page's JupyterLab, with the side bar folded."""
    preference = {"shouldStart": kernel, "canStart": True, "autoStartDefault": kernel}
    command(page, "docmanager:open", path=name, factory="Notebook", kernelPreference=preference)
    page.locator(".jp-NotebookPanel .jp-CodeCell").first.wait_for(timeout=60_000)
    page.evaluate("() => window.jupyterapp.shell.collapseLeft()")
    if kernel:
        page.evaluate(KERNEL_READY)


def start_all(page: Page) -> None:
    """Run every cell; comes back at once."""
    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells') }")


def wait_all(page: Page, timeout_s: float = 300) -> None:
    """Wait until the last code cell has its number."""
    last = ".jp-NotebookPanel .jp-CodeCell:last-child .jp-InputPrompt"
    done = f"() => /\\d/.test([...document.querySelectorAll('{last}')].at(-1)?.textContent)"
    page.wait_for_function(done, timeout=1000 * timeout_s)


def show(page: Page, text: str) -> None:
    """Scroll so that the heading with this text is at the top of the notebook."""
    heading = page.locator(".jp-NotebookPanel :is(h1, h2)", has_text=text).first
    heading.evaluate("node => node.scrollIntoView({block: 'start'})")
    page.mouse.move(0, 0)
    page.wait_for_timeout(600)


def take(page: Page | Locator, target: Path) -> None:
    page.screenshot(path=target)
    print(f"{target}  {target.stat().st_size / 1000:.0f} KB")


def running_pictures(page: Page, url: str, out: Path, everything: bool) -> None:
    open_notebook(page, url, "quickstart.ipynb")
    start_all(page)
    if everything:
        page.locator(".gptoss-live .gptoss-prose").first.wait_for(timeout=120_000)
        page.wait_for_timeout(700)
        take(page, out / "live.png")
    wait_all(page)
    command(page, "docmanager:save")
    show(page, "An answer from given context")
    take(page, out / "quickstart-light.png")
    command(page, "apputils:change-theme", theme="JupyterLab Dark")
    page.locator("body[data-jp-theme-light=false]").wait_for(state="attached")
    show(page, "An answer from given context")
    take(page, out / "quickstart-dark.png")
    if everything:
        page.set_viewport_size({"width": 480, "height": 900})
        show(page, "A tool call")
        take(page, out / "narrow.png")


def panel_notebook(folder: Path) -> None:
    """A notebook whose last cell shows the control panel, and the tiny model beside it."""
    import nbformat

    from gptoss_magic.testing import tiny_checkpoint

    tiny_checkpoint(folder / "tiny")

    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in PANEL],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    )
    nbformat.write(notebook, folder / "panel.ipynb")


def panel_pictures(page: Page, url: str, out: Path, everything: bool) -> None:
    """The panel alone: light, dark, and in a narrow window."""
    open_notebook(page, url, "panel.ipynb")
    start_all(page)
    wait_all(page)
    panel = page.locator(".gptoss-panel")
    panel.wait_for()
    panel.get_by_role("button", name="Stop").scroll_into_view_if_needed()
    take(panel, out / "panel-light.png")
    command(page, "apputils:change-theme", theme="JupyterLab Dark")
    page.locator("body[data-jp-theme-light=false]").wait_for(state="attached")
    page.wait_for_timeout(600)
    take(panel, out / "panel-dark.png")
    if everything:
        page.set_viewport_size({"width": 320, "height": 1400})
        page.wait_for_timeout(600)
        take(panel, out / "panel-narrow.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--all", action="store_true", help="also mid-stream and narrow")
    parser.add_argument("--panel", action="store_true", help="of the control panel, and no other")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.panel:
        with tempfile.TemporaryDirectory() as name, browser_page(1000) as page:
            panel_notebook(Path(name))
            with lab(Path(name)) as url:
                panel_pictures(page, url, options.out, options.all)
        return
    with tempfile.TemporaryDirectory() as name, browser_page() as page:
        folder = Path(name)
        shutil.copy(ROOT / "notebooks" / "quickstart.ipynb", folder)
        with lab(folder) as url:
            running_pictures(page, url, options.out, options.all)
        page.set_viewport_size({"width": 1200, "height": 900})
        with lab(folder) as url:
            open_notebook(page, url, "quickstart.ipynb", kernel=False)
            show(page, "A tool call")
            take(page, options.out / "quickstart-reopened.png")


if __name__ == "__main__":
    main()
