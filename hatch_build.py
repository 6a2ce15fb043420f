"""Builds the C++ kernels into the wheel; without a compiler, plain torch does their work."""

from __future__ import annotations

import importlib.util
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NATIVE = Path("gptoss_magic/model/native")


class NativeHook(BuildHookInterface):
    """Hatchling's custom hook: see `[tool.hatch.build.hooks.custom]`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and mark the wheel as one for this platform."""
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
