"""Chroma by the cases of every store, its recall, and writers that are killed; told as JSON."""

import json
import sys
import time
from pathlib import Path

from gptoss_magic.errors import StorageError
from gptoss_magic.retrieval.stores.chroma import FOLDER, chroma_store
from gptoss_magic.retrieval.stores.contract import MEMORY, StoreFacts
from tests.store_cases import CASES, FACTS, ids, recall_of, row, vector
from tests.store_kills import kills

folder, num_kills = Path(sys.argv[1]), int(sys.argv[2])
told = {"passed": [], "seconds": {}}


def opener(where, facts=FACTS):
    held = []

    def opened():
        held.append(chroma_store(where, "docs", facts))
        return held[-1]

    def stopped(store):
        held.remove(store)
        store.close()

    return opened, stopped, held


for case in CASES:
    opened, stopped, held = opener(folder / case.__name__)
    case(opened, stopped)
    for store in list(held):
        stopped(store)
    told["passed"].append(case.__name__)

begin = time.perf_counter()
opened, stopped, _ = opener(folder / "recall")
store = opened()
told["recall"] = recall_of(store)
told["seconds"]["recall"] = time.perf_counter() - begin

# a memory's texts are not told to Chroma
opened, stopped, _ = opener(folder / "memory", StoreFacts(MEMORY, "w-16", 16, FACTS.columns))
kept = opened()
kept.add([row(3, "The secret word is Rumpelstiltskin."), row(4)])
inside = [file for file in (folder / "memory" / FOLDER).rglob("*") if file.is_file()]
told["texts in chroma"] = sum(b"umpelstilts" in file.read_bytes() for file in inside)
kept.delete(["id-3"])
every = [file for file in (folder / "memory").rglob("*") if file.is_file()]
told["texts after deletion"] = sum(b"umpelstilts" in file.read_bytes() for file in every)
kept.close()

# others read an index's collection as it is
import chromadb  # noqa: E402

store.close()
client = chromadb.PersistentClient(str(folder / "recall" / FOLDER))
held = client.get_collection("gptoss_magic", embedding_function=None)
found = held.query(query_embeddings=[vector(0)], n_results=1)
told["read by others"] = held.count(), found["documents"][0][0].split()[0]
client.close()

again = chroma_store(folder / "recall", "docs", FACTS)
again.upsert([row(1, made=vector(99))])
assert ids(one for one, _ in again.search(vector(99), 1)) == ["id-1"]
again.close()

if num_kills:
    begin = time.perf_counter()
    where = folder / "killed"
    kills("chroma", lambda: chroma_store(where, "docs", FACTS), where, num_kills, seed=3)
    told["killed"] = num_kills
    told["seconds"]["killed"] = time.perf_counter() - begin
try:
    (folder / "odd" / FOLDER).mkdir(parents=True)
    (folder / "odd" / FOLDER / "chroma.sqlite3").write_text("no database")
    chroma_store(folder / "odd", "docs", FACTS)
except StorageError as error:
    told["odd"] = str(error).splitlines()[0].split(": ")[:2]
print(json.dumps(told))
