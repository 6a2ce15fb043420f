"""The endpoint against the bare engine, one client against many, and `transformers serve`.

Everything is greedy, on the built-in model, with threads as they come. Nothing is drafted by the
peer; ours drafts as it does in a notebook.
"""

from __future__ import annotations

import json
import threading
import time
from contextlib import closing
from functools import cache
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from benchmarks.figure import Figure, compared, medians

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NUM_NEW, NUM_CLIENTS = 48, 8
TOPICS = ("sky", "sea", "moon", "bread", "iron", "music", "rain", "chess")
QUESTIONS = [f"Why is the {topic} as it is? Explain it step by step." for topic in TOPICS]
LONG = "Notes on the harbour: " + " ".join(f"ship {n} brings {n * 7} crates." for n in range(40))

HARBOUR = "Notes: the harbour of Lisbon has forty ships, and each one brings some crates of fish."
LOOK = {
    "type": "function",
    "name": "look",
    "description": "Looks at the sea.",
    "parameters": {
        "type": "object",
        "properties": {"at": {"type": "string"}},
        "required": ["at"],
    },
}


class Endpoint:
    """The built-in model, served by this process."""

    def __init__(self) -> None:
        import gptoss_magic

        gptoss_magic.load("built-in")
        self.service = gptoss_magic.serve()

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The whole JSON answer."""
        return posted(self.service.url, self.service.token, path, body)

    def close(self) -> None:
        self.service.stop()


def posted(url: str, token: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """The JSON that a server answers. Raises RuntimeError for another status than 200."""
    place = urlsplit(url)
    link = HTTPConnection(place.hostname or "", place.port, timeout=300)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    link.request("POST", place.path + path, json.dumps(body), headers)
    response = link.getresponse()
    said = response.read()
    link.close()
    if response.status != 200:
        raise RuntimeError(f"{path} gave {response.status}: {said[:200]!r}")
    answer: dict[str, Any] = json.loads(said)
    return answer


@cache
def endpoint() -> Endpoint:
    """One for all figures of this process."""
    return Endpoint()


def asked(question: str, **more: Any) -> dict[str, Any]:
    """A chat request's body."""
    messages = [{"role": "user", "content": question}]
    return {"model": "base", "messages": messages, "temperature": 0, "seed": 1, **more}


def together(work: Callable[[str], int], questions: Sequence[str]) -> float:
    """Tokens a second of all, asked at once."""
    counts: list[int] = []
    threads = [
        threading.Thread(target=lambda q=question: counts.append(work(q))) for question in questions
    ]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(counts) < len(questions):
        raise RuntimeError("a client got no answer")
    return sum(counts) / (time.perf_counter() - begin)


def served_tokens(question: str) -> int:
    """How many tokens an answer of the endpoint has."""
    body = asked(question, max_tokens=NUM_NEW)
    return int(endpoint().post("/chat/completions", body)["usage"]["completion_tokens"])


def serve_throughput_8_clients_vs_1(repeats: int) -> Figure:
    """Tokens a second of eight clients that ask at once, against one."""
    endpoint()
    found = medians(
        {
            "one": lambda: together(served_tokens, QUESTIONS[:1]),
            "many": lambda: together(served_tokens, QUESTIONS),
        },
        repeats,
    )
    what = f"{NUM_CLIENTS} clients at once against one, {NUM_NEW} tokens each, prompts included"
    name = "serve_throughput_8_clients_vs_1"
    return compared(name, "tokens/s", found["many"], found["one"], what, less_is_better=False)


def serve_overhead(repeats: int) -> Figure:
    """Tokens a second through the endpoint, against the notebook's own call."""
    import gptoss_magic

    endpoint()
    settings = {"temperature": 0, "seed": 1, "max_tokens": NUM_NEW, "adapters": "none"}

    def bare() -> float:
        begin = time.perf_counter()
        answer = gptoss_magic.generate(QUESTIONS[0], **settings)
        return len(answer.raw_tokens) / (time.perf_counter() - begin)

    served = lambda: together(served_tokens, QUESTIONS[:1])  # noqa: E731
    found = medians({"served": served, "bare": bare}, repeats)
    what = f"{NUM_NEW} tokens and their prompt over a socket against the same call in the process"
    return compared(
        "serve_overhead", "tokens/s", found["served"], found["bare"], what, less_is_better=False
    )


def serve_first_token_vs_cell(repeats: int) -> Figure:
    """Seconds to the first token over a socket, against a cell's call; nothing is reused."""
    import gptoss_magic
    from gptoss_magic.session import current

    def forget() -> None:
        current().local_engine.prefixes.held.clear()

    def served() -> float:
        forget()
        body = asked(LONG, max_tokens=1)
        begin = time.perf_counter()
        endpoint().post("/chat/completions", body)
        return time.perf_counter() - begin

    def cell() -> float:
        forget()
        begin = time.perf_counter()
        gptoss_magic.generate(LONG, temperature=0, seed=1, max_tokens=1)
        return time.perf_counter() - begin

    endpoint()
    found = medians({"served": served, "cell": cell}, repeats)
    what = "the first token behind a prompt of some 450 over a socket, against the call in a cell"
    return compared(
        "serve_first_token_vs_cell", "s", found["served"], found["cell"], what, less_is_better=True
    )


def second_turn_reuse_share(_repeats: int) -> Figure:
    """Tokens of the first turn that the second did not compute again."""
    current_endpoint = endpoint()
    settings = {"model": "base", "temperature": 0, "tools": [LOOK], "max_output_tokens": 400}
    question = f"{HARBOUR} Look at the sea."
    first = current_endpoint.post(
        "/responses", {**settings, "input": question, "tool_choice": "required"}
    )
    (call,) = [item for item in first["output"] if item["type"] == "function_call"]
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": "calm"}
    follow = {**settings, "input": [result], "previous_response_id": first["id"]}
    usage = current_endpoint.post("/responses", follow)["usage"]
    turn = current_endpoint.service.answers.ledger.get(first["id"])
    assert turn is not None
    assert turn.turn is not None
    num_before = len(turn.turn.prompt_ids) + len(turn.turn.answer_ids)
    cached = usage["input_tokens_details"]["cached_tokens"]
    what = f"{cached} of the {num_before} tokens of a turn with a call were read from the KV cache"
    return compared(
        "second_turn_reuse_share", "tokens", cached, num_before, what, less_is_better=False
    )


def serve_vs_transformers_serve(_repeats: int) -> Figure:
    """Tokens a second of eight clients, against `transformers serve` on the same weights."""
    from benchmarks.transformers_serve import TransformersServe

    endpoint()
    with closing(TransformersServe()) as peer:
        found = medians(
            {
                "ours": lambda: together(served_tokens, QUESTIONS),
                "theirs": lambda: together(lambda q: peer.tokens(q, NUM_NEW), QUESTIONS),
            },
            1,  # the peer takes a minute a round
        )
    what = f"{NUM_CLIENTS} clients at once, {NUM_NEW} tokens each; {peer.what}"
    return compared(
        "serve_vs_transformers_serve",
        "tokens/s",
        found["ours"],
        found["theirs"],
        what,
        less_is_better=False,
    )


SERVING = {
    function.__name__: function
    for function in (
        serve_first_token_vs_cell,
        serve_throughput_8_clients_vs_1,
        serve_overhead,
        second_turn_reuse_share,
        serve_vs_transformers_serve,
    )
}
