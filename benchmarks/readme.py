"""Put measured figures into the documentation: `python -m benchmarks.readme` after `make bench`.

The lines of the latest run take the place of those of their names in figures.jsonl, which is kept
beside the code and begins with the machine; what stands between the markers of README (the figures
of QUICK) and of docs/figures.md (all) is written from that file alone.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.__main__ import FIGURES, QUICK, RESULTS
from benchmarks.figure import Figure
from benchmarks.table import cells, markdown

if TYPE_CHECKING:
    from collections.abc import Mapping

KEPT = Path(__file__).parent / "figures.jsonl"
README = Path(__file__).parents[1] / "README.md"
ALL = README.parent / "docs" / "figures.md"
BEGIN, END = "<!-- figures: make bench -->", "<!-- /figures -->"


def read(path: Path) -> dict[str, Figure]:
    """The figures of a results file by name; none where there is no file."""
    lines = map(json.loads, path.read_text("utf-8").splitlines() if path.exists() else [])
    figures = [Figure(**line) for line in lines if "name" in line]
    return {figure.name: figure for figure in figures}


def machine() -> str:
    """This one in words, and how busy it is."""
    import torch

    from gptoss_magic.model.backends import native

    info = Path("/proc/cpuinfo")
    lines = info.read_text("utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    library, _ = native()
    kernels = library.name if library is not None else "no compiled kernels"
    threads = torch.get_num_threads()
    load = f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"
    return (
        f"{names[0] if names else 'unknown processor'}, {kernels}, {threads} "
        f"thread{'s' * (threads > 1)}; load average {load} at the end"
    )


def joined(kept: Mapping[str, Figure], latest: Mapping[str, Figure]) -> list[Figure]:
    """Each figure that there is, in the order of FIGURES; a latest one before a kept one."""
    both = {**kept, **latest}
    return [both[name] for name in FIGURES if name in both]


def with_table(text: str, measured_on: str, figures: Mapping[str, Figure]) -> str:
    """A page with the machine and the table of these figures between its markers."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page lacks its markers {BEGIN} and {END}: put them back")
    table = markdown(cells(figure) for figure in figures.values())
    return f"{before}{BEGIN}\n\nMeasured on: {measured_on}.\n\n{table}\n\n{END}{after}"


def from_kept(page: Path) -> str:
    """The page with what figures.jsonl has for it."""
    first = KEPT.read_text("utf-8").partition("\n")[0]
    kept = read(KEPT)
    shown = kept if page == ALL else {name: kept[name] for name in QUICK if name in kept}
    return with_table(page.read_text("utf-8"), json.loads(first)["machine"], shown)


def main() -> int:
    """Keep the latest run's figures, and write the tables."""
    latest = read(RESULTS)
    if not latest:
        print(f"{RESULTS}: no figures there; run make bench first", file=sys.stderr)
        return 1
    lines = [figure.line() + "\n" for figure in joined(read(KEPT), latest)]
    KEPT.write_text(json.dumps({"machine": machine()}) + "\n" + "".join(lines), "utf-8")
    for page in (README, ALL):
        page.write_text(from_kept(page), "utf-8")
    print(f"{len(lines)} figures, {len(latest)} of them from the latest run")
    return 0


if __name__ == "__main__":
    sys.exit(main())
