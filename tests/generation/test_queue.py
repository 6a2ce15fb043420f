"""One model, many callers: each in its turn, a cell first, ■ for its own alone."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import gptoss_magic
from gptoss_magic.errors import InputError
from gptoss_magic.generation.queue import ModelQueue
from gptoss_magic.records import Listener
from gptoss_magic.session import current
from gptoss_magic.testing import tiny_checkpoint
from gptoss_magic.turns import answer, settle
from gptoss_magic.turns.stopping import WORK

GREEDY = {"temperature": 0.0, "effort": "low", "date": "2026-01-01"}


@pytest.fixture(scope="module", autouse=True)
def resident(tmp_path_factory):
    current().unload()
    gptoss_magic.load(str(tiny_checkpoint(tmp_path_factory.mktemp("queue") / "tiny")), context=2048)
    yield
    current().unload()


def prompts_of(thread, count):
    draw = random.Random(thread)
    words = ["Hello", "Привет", "moon", "the river", "🧀", "def f(x):", "漢字"]
    return [
        (" ".join(draw.choices(words, k=draw.randint(1, 9))), draw.randint(1, 9))
        for _ in range(count)
    ]


def asked(prompt, size, conversation=None):
    made = gptoss_magic.generate(prompt, max_tokens=size, conversation=conversation, **GREEDY)
    return made.raw_tokens


def interrupting(stopped, seed):
    """Presses ■ at random, while the main thread works and not else."""
    draw = random.Random(seed)
    while not stopped.wait(draw.uniform(0.005, 0.08)):
        WORK.stop()


def notebook(stopped):
    """What the main thread saw: the finish of each of its answers, until `stopped`."""
    seen = []
    while not stopped():
        try:
            with WORK.doing("a cell"):
                made = gptoss_magic.generate("A cell", max_tokens=40, **GREEDY)
                seen.append((made.finish, made.raw_tokens))
        except KeyboardInterrupt:
            seen.append(("between", ()))
    return seen


def run_beside_a_notebook(threads, count):
    """(answers by thread, what the notebook saw)."""
    current().conversations.clear()
    over = threading.Event()
    presser = threading.Thread(target=interrupting, args=(over, 7))

    def caller(thread):
        return [
            asked(prompt, size, f"talk {thread} {n // 10}" if thread % 2 else None)
            for n, (prompt, size) in enumerate(prompts_of(thread, count))
        ]

    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(caller, thread) for thread in range(threads)]
        presser.start()
        try:
            seen = notebook(lambda: all(future.done() for future in futures))
        finally:
            over.set()
            presser.join()
        return [future.result() for future in futures], seen


def check(threads, count):
    whole = gptoss_magic.generate("A cell", max_tokens=40, **GREEDY).raw_tokens
    answers, seen = run_beside_a_notebook(threads, count)
    current().conversations.clear()
    for thread in range(threads):
        alone = [
            asked(prompt, size, f"talk {thread} {n // 10}" if thread % 2 else None)
            for n, (prompt, size) in enumerate(prompts_of(thread, count))
        ]
        assert answers[thread] == alone, thread
    finishes = {finish for finish, _ in seen}
    assert "interrupt" in finishes
    for finish, tokens in seen:
        assert finish in ("interrupt", "between", "length", "return")
        assert tokens == whole[: len(tokens)]
    assert not current().queue.is_mine


def test_threads_beside_a_notebook_that_interrupts_say_what_they_say_alone():
    check(threads=8, count=8)


@pytest.mark.slow
def test_eight_threads_of_two_hundred_prompts_each():
    check(threads=8, count=200)


def test_a_cell_comes_before_the_threads_that_wait():
    begun, order = threading.Event(), []

    def long_answer():
        def tell(_delta):
            begun.set()

        answer(settle("Go on", max_tokens=400, **GREEDY), Listener(on_delta=tell))
        order.append("thread")

    thread = threading.Thread(target=long_answer)
    thread.start()
    assert begun.wait(30)
    asked("A cell", 2)
    order.append("cell")
    thread.join()
    assert order == ["cell", "thread"]


def test_a_caller_that_goes_away_ends_its_own_work():
    gone, texts = threading.Event(), []

    def tell(delta):
        texts.append(delta.text)
        gone.set()

    made = answer(
        settle("Go on", max_tokens=300, **GREEDY), Listener(on_delta=tell, is_gone=gone.is_set)
    )
    assert made.finish == "interrupt"
    assert len(made.raw_tokens) < 300
    assert asked("Hello", 3) == asked("Hello", 3)


def test_one_that_is_gone_before_its_turn_has_an_empty_answer():
    waiting, results = threading.Event(), []

    def late():
        def is_gone():
            waiting.set()
            return True

        results.append(answer(settle("Late", max_tokens=5, **GREEDY), Listener(is_gone=is_gone)))

    with current().queue.turn():
        thread = threading.Thread(target=late)
        thread.start()
        assert waiting.wait(30)
        thread.join()
    assert (results[0].finish, results[0].raw_tokens) == ("interrupt", ())


def test_training_refuses_others_and_lets_its_own_thread_answer():
    refused = []

    def other():
        try:
            asked("Hello", 2)
        except InputError as error:
            refused.append(str(error))

    with current().training_by("mine", None):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert len(asked("Hello", 2)) == 2
    assert refused == ["the run mine trains the model: wait for it, or %gptoss runs stop"]
    assert len(asked("Hello", 2)) == 2


def test_threads_take_turns_in_the_order_they_came():
    queue, order = ModelQueue(), []

    def wait_for(name):
        with queue.turn():
            order.append(name)

    threads = []
    with queue.turn():
        for name in range(5):
            threads.append(threading.Thread(target=wait_for, args=(name,)))
            threads[-1].start()
            while len(queue._waiting) <= name:
                time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert order == list(range(5))


def test_a_turn_that_fails_is_given_on():
    queue = ModelQueue()
    with pytest.raises(ZeroDivisionError), queue.turn(), queue.turn():
        raise ZeroDivisionError
    assert not queue.is_mine
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: queue.turn().__enter__()).exception(30) is None


def test_a_cell_comes_between_two_steps_of_a_map_in_a_thread():
    frame = pytest.importorskip("pandas").DataFrame({"word": [f"word {n}" for n in range(6)]})
    begun, order = threading.Event(), []

    def mapped():
        def on_row(done, total, tokens):
            begun.set()

        gptoss_magic.map(frame, "{{ word }}", on_row=on_row, batch=2, **GREEDY, max_tokens=200)
        order.append("map")

    thread = threading.Thread(target=mapped)
    thread.start()
    assert begun.wait(30)
    asked("A cell", 2)
    order.append("cell")
    thread.join()
    assert order == ["cell", "map"]
    assert frame.answer.notna().sum() + frame.answer_error.notna().sum() == 6
    last = current().last
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(asked, "Another thread", 2).result()
    assert current().last is last


def test_threads_that_need_a_model_load_one(monkeypatch, tmp_path):
    path, session = str(tiny_checkpoint(tmp_path / "tiny")), current()
    monkeypatch.setattr("gptoss_magic.model.load.choose_model", lambda: (path, "for the test"))
    before = session.loaded, session.held_adapters
    session.loaded = session.held_adapters = None
    try:
        with ThreadPoolExecutor(4) as pool:
            ready = list(pool.map(lambda _: session.ready().require(), range(4)))
    finally:
        session.loaded, session.held_adapters = before
    assert len({id(resident) for resident in ready}) == 1
