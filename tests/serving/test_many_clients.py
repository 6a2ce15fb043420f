"""Many clients, some of which leave, beside cells, ■, a load and an unload."""

import gc
import http.client
import json
import os
import random
import threading
import time

import psutil
import pytest

import gptoss_magic
from gptoss_magic.session import current
from gptoss_magic.testing import tiny_checkpoint

PROMPTS = [f"nonce-{number}: {'и ещё ' * (number % 5)}что?" for number in range(40)]
TOKENS = 24


def body_of(prompt, *, stream):
    messages = [{"role": "user", "content": prompt}]
    settings = {"temperature": 0, "max_tokens": TOKENS, "stream": stream, "seed": 1}
    return json.dumps({"model": "base", "messages": messages, **settings})


class Client:
    """Asks whole or streamed, or leaves in the middle."""

    def __init__(self, service, texts, seed):
        self.service, self.texts = service, texts
        self.random = random.Random(seed)
        self.faults, self.num_done, self.num_away = [], 0, 0

    def ask(self):
        prompt = self.random.choice(PROMPTS)
        kind = self.random.choice(["whole", "stream", "leave", "leave at once"])
        link = http.client.HTTPConnection("127.0.0.1", self.service.port, timeout=120)
        key = {"Authorization": f"Bearer {self.service.token}"}
        link.request("POST", "/v1/chat/completions", body_of(prompt, stream=kind != "whole"), key)
        if kind == "leave at once":
            link.close()
            self.num_away += 1
            return
        response = link.getresponse()
        if response.status == 503:
            self.num_away += 1
        elif kind == "leave":
            response.read(200)
            self.num_away += 1
        elif kind == "whole":
            self.check(prompt, json.load(response)["choices"][0]["message"]["content"])
        else:
            self.check(prompt, self.streamed(response))
        link.close()

    def streamed(self, response):
        said = ""
        for line in response.read().decode().splitlines():
            if line.startswith("data: {"):
                chunk = json.loads(line[6:])
                if "error" in chunk:
                    return None
                for choice in chunk["choices"]:
                    said += choice["delta"].get("content") or ""
        return said

    def check(self, prompt, text):
        if text is None:
            self.num_away += 1
        elif text == self.texts[prompt]:
            self.num_done += 1
        else:
            self.faults.append((prompt, text, self.texts[prompt]))


def alone(service, texts):
    client = Client(service, texts, 0)
    for prompt in PROMPTS:
        link = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
        key = {"Authorization": f"Bearer {service.token}"}
        link.request("POST", "/v1/chat/completions", body_of(prompt, stream=False), key)
        texts[prompt] = json.load(link.getresponse())["choices"][0]["message"]["content"]
    return client.texts


def crowd(service, texts, num_clients, num_requests, beside):
    """The clients, when all have asked; `beside` goes on in this thread meanwhile."""
    clients = [Client(service, texts, seed) for seed in range(num_clients)]

    def work(client):
        for _ in range(num_requests // num_clients):
            try:
                client.ask()
            except Exception as error:  # noqa: BLE001 (all of them are faults)
                client.faults.append(repr(error))

    threads = [threading.Thread(target=work, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        beside()
    return clients


def is_quiet(service):
    """True once nothing is open any more."""
    for _ in range(200):
        prefixes = current().local_engine.prefixes.held.values()
        if not service.answers.desk.num_open and not any(p.is_open for p in prefixes):
            return True
        time.sleep(0.05)
    return False


def cell():
    """A prompt of the notebook; every third is interrupted by ■."""
    done = gptoss_magic.generate("Ячейка", temperature=0, max_tokens=10, seed=1)
    assert done.finish in ("length", "interrupt")
    time.sleep(0.02)


def test_a_crowd_gets_its_own_answers_beside_cells(service):
    texts = alone(service, {})
    clients = crowd(service, texts, 8, 96, cell)
    assert [client.faults for client in clients] == [[]] * 8
    assert sum(client.num_done + client.num_away for client in clients) == 96
    assert is_quiet(service)


@pytest.mark.slow
def test_a_thousand_requests_of_32_clients_with_a_load_and_an_unload(service, tmp_path):
    import _thread

    folder = tiny_checkpoint(tmp_path / "again", max_position_embeddings=4096)
    gptoss_magic.load(folder, context=4096, replace=True)
    texts = alone(service, {})
    process, steps = psutil.Process(os.getpid()), iter(range(10**6))
    clients = crowd(service, texts, 32, 320, cell)  # caches fill
    gc.collect()
    before = process.memory_info().rss

    def beside():
        step = next(steps)
        if step == 20:
            gptoss_magic.unload()
            gptoss_magic.load(folder, context=4096)
        if step % 3 == 0:
            timer = threading.Timer(0.02, _thread.interrupt_main)
            timer.start()
            try:
                cell()
                timer.join()
            except KeyboardInterrupt:
                pass
            timer.cancel()
        else:
            cell()

    clients += crowd(service, texts, 32, 992, beside)
    faults = [fault for client in clients for fault in client.faults]
    assert faults == []
    assert is_quiet(service)
    gc.collect()
    grown = process.memory_info().rss - before
    print(f"done {sum(c.num_done for c in clients)}, grown {grown / 1e6:.0f} MB")
    assert grown < 60e6
