"""Processes that write a store and are killed at any moment; what must be there afterwards.

They need no pytest, so that a peer's interpreter can run them.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

from tests.store_cases import ids, vector

ROOT = Path(__file__).parents[1]
WRITE = """
import sys
from pathlib import Path
from tests.store_cases import FACTS, Where, row
from gptoss_magic.retrieval.stores.KIND import KIND_store
store = KIND_store(Path(sys.argv[1]), "docs", FACTS)
first = max([int(one.fields["number"]) for one in store.filter()], default=-1) // 10 + 1
print("ready", flush=True)
for batch in range(first, first + 100_000):
    numbers = range(10 * batch, 10 * batch + 10)
    store.replace([row(n, source=f"/{batch}.md") for n in numbers], Where({"source": ["/x.md"]}))
    if batch % 3 == 1:
        store.upsert([row(n, source=f"/{batch}.md", text=f"Twice {n}") for n in numbers])
    if batch % 5 == 2:
        store.delete([f"id-{10 * batch}"])
    if batch % 7 == 3:
        store.flush()
    print(batch, flush=True)
"""


def killed(kind, folder, seconds):
    """The last batch that a process said it wrote, before it was killed."""
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITE.replace("KIND", kind), str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])},
    )
    assert writer.stdout.readline() == "ready\n"
    time.sleep(seconds)
    os.kill(writer.pid, signal.SIGKILL)
    said = writer.stdout.read().splitlines()
    writer.wait()
    return max([int(line) for line in said if line.isdigit()], default=-1)


def check_whole(store, last, cut):
    """Every batch that was told of is there, each row once, in rows, words and vectors.

    A batch of `cut` may have been written no further than its first step.
    """
    rows = store.filter()
    assert max(Counter(one.id for one in rows).values(), default=1) == 1
    there = {int(one.fields["number"]) for one in rows}
    for batch in range(last + 1):
        gone = {10 * batch} if batch % 5 == 2 else set()
        assert set(range(10 * batch, 10 * batch + 10)) - gone <= there
        assert batch in cut or not gone & there
    sizes = Counter(n // 10 for n in there)
    assert all(sizes[batch] in (9, 10) for batch in sizes)
    near = ids(one for one, _ in store.search(vector(0), len(rows) + 50))
    assert sorted(near) == ids(rows)
    some = random.Random(5).sample(rows, min(5, len(rows)))
    for one in some:
        assert store.search(vector(one.fields["number"]), 1)[0][0].id == one.id
        (found,) = store.get([one.id])
        assert np.allclose(found.vector, vector(one.fields["number"]), atol=1e-6)


def kills(kind, opened, folder, num, seed):
    rng, last, cut = random.Random(seed), -1, set()
    for _ in range(num):
        last = max(last, killed(kind, folder, rng.uniform(0.0, 0.6)))
        store = opened()
        cut.add(max((int(one.fields["number"]) for one in store.filter()), default=-1) // 10)
        check_whole(store, last, cut)
        store.close()
    assert last >= 0
