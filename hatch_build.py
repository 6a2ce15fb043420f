"""What a build makes besides Python: the C++ kernels and the JupyterLab extension.

Neither is needed to install. Without a compiler plain torch does the kernels' work; without npm and
without files that were built before, JupyterLab has no extension. An sdist carries the extension's
built files, so that a wheel made from it needs no npm.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NATIVE = Path("gptoss_magic/model/native")
LAB = Path("labextension")
LAB_SOURCES = ("src/*", "style/*", "*.json", ".npmrc")
LAB_SHARE = "share/jupyter/labextensions/gptoss-magic-lab"
NODE = (20, 19)
NPM_S = 900


class NativeHook(BuildHookInterface):
    """Hatchling's custom hook: see `[tool.hatch.build.hooks.custom]`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build what is missing; a wheel takes it along and is marked as one for this platform."""
        lab = Path(self.root) / LAB
        try:
            build_lab(lab)
        except (OSError, subprocess.SubprocessError) as error:
            self.app.display_warning(f"no JupyterLab extension: {error}")
        if self.target_name != "wheel":
            return
        if (lab / "built").is_dir():
            build_data["shared_data"][str(LAB / "built")] = LAB_SHARE
            build_data["shared_data"][str(LAB / "install.json")] = f"{LAB_SHARE}/install.json"
        self._compile(build_data)

    def _compile(self, build_data: dict[str, Any]) -> None:
        out = Path(self.root) / NATIVE / "libgptoss.so"
        spec = importlib.util.spec_from_file_location("native_build", out.with_name("build.py"))
        assert spec is not None
        assert spec.loader is not None
        native = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(native)
        try:
            native.build(out)
        except (FileNotFoundError, subprocess.CalledProcessError) as error:
            self.app.display_warning(f"no C++ kernels, plain torch runs instead: {error}")
            return
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{platform}"
        build_data["pure_python"] = False
        build_data["artifacts"].append(f"/{NATIVE}/libgptoss.so")


def build_lab(lab: Path) -> None:
    """Make `lab`/built where it is missing or older than its sources.

    Raises OSError where npm or a new enough Node is missing, SubprocessError where the build fails.
    Files that were built before stay then.
    """
    if not is_stale(lab):
        return
    npm = shutil.which("npm")
    if npm is None or node_version() < NODE:
        wanted = ".".join(map(str, NODE))
        raise FileNotFoundError(f"its files are not built; install Node {wanted} or newer with npm")
    if newest([lab / "package-lock.json"]) > newest([lab / "node_modules/.package-lock.json"]):
        _npm(npm, lab, "ci", "--no-progress", "--ignore-scripts")
    _npm(npm, lab, "run", "build")


def is_stale(lab: Path) -> bool:
    """True where the built files are missing or a source is newer."""
    sources = [file for pattern in LAB_SOURCES for file in lab.glob(pattern)]
    return newest(sources) > newest([lab / "built" / "package.json"])


def newest(files: list[Path]) -> float:
    """When the last of them was written; 0 where there is none."""
    return max((file.stat().st_mtime for file in files if file.is_file()), default=0.0)


def node_version() -> tuple[int, ...]:
    """(20, 19) and so on; (0,) where there is none."""
    node = shutil.which("node")
    if node is None:
        return (0,)
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(int(part) for part in said.strip().removeprefix("v").split(".")[:2])


def _npm(npm: str, lab: Path, *words: str) -> None:
    done = subprocess.run(
        [npm, *words], cwd=lab, capture_output=True, text=True, timeout=NPM_S, check=False
    )
    if done.returncode:
        lines = [line for line in f"{done.stdout}\n{done.stderr}".splitlines() if line.strip()]
        raise subprocess.SubprocessError(f"npm {' '.join(words)} failed: {' / '.join(lines[-3:])}")
