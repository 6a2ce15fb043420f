"""stream_overhead: `%%gptoss` in a real kernel against the bare engine in the same kernel."""

from __future__ import annotations

from typing import Any

from benchmarks.figure import Figure, compared, interleaved

SET_UP = """
%load_ext gptoss_magic
%gptoss load built-in
%config GptOssMagics.date = "2026-01-02"
import time
from gptoss_magic.generation import SamplingSettings
from gptoss_magic.session import current
def bare(ids, count):
    begin = time.perf_counter()
    settings = SamplingSettings(temperature=0, max_tokens=count)
    made = list(current().local_engine.stream(ids, settings))
    return len(made) / (time.perf_counter() - begin)
"""
CELL = "%%gptoss -n -t 0 -m 64 -o answer\nWhy is the sky blue? Explain it step by step."
RATE = "rate = len(answer.raw_tokens) / answer.usage.total_s"
BARE = "rate = bare(answer.provenance['prompt_tokens'], 64)"


class Kernel:
    """A real kernel that runs cells and hands values back."""

    def __init__(self) -> None:
        from jupyter_client.manager import start_new_kernel

        self.manager, self.client = start_new_kernel(kernel_name="python3")

    def run(self, source: str) -> None:
        """Run one cell; an error in it raises."""
        reply = self.client.execute_interactive(source, timeout=300, output_hook=lambda _: None)
        if reply["content"]["status"] != "ok":
            raise RuntimeError(reply["content"]["evalue"])

    def value(self, expression: str) -> Any:
        """The number that `expression` has in the kernel."""
        reply = self.client.execute_interactive(
            "", user_expressions={"x": expression}, timeout=60, output_hook=lambda _: None
        )
        return float(reply["content"]["user_expressions"]["x"]["data"]["text/plain"])

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


def stream_overhead(repeats: int) -> Figure:
    """Tokens a second with the live transcript and without anything shown."""
    kernel = Kernel()
    try:
        kernel.run(SET_UP)

        def ours() -> float:
            kernel.run(CELL)
            kernel.run(RATE)
            return float(kernel.value("rate"))

        def peer() -> float:
            kernel.run(BARE)
            return float(kernel.value("rate"))

        fast, bare = interleaved(ours, peer, repeats)
    finally:
        kernel.close()
    what = f"%%gptoss streaming against the bare engine: {100 * (bare / fast - 1):.1f} % overhead"
    return compared("stream_overhead", "tokens/s", fast, bare, what, less_is_better=False)
