"""What a user may do to a running loop, from another thread."""

import _thread
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gptoss_magic.errors import InputError
from gptoss_magic.tuning.control import Control

ACTIONS = st.lists(st.sampled_from(["pause", "resume", "stop"]))


def later(action):
    thread = threading.Timer(0.05, action)
    thread.start()
    return thread


def test_a_new_control_lets_the_loop_run_at_its_own_rate():
    control = Control()
    assert control.wait()
    assert (control.stopped, control.paused, control.rate) == (False, False, None)


@pytest.mark.parametrize(("action", "goes_on"), [("resume", True), ("stop", False)])
def test_a_pause_ends_by_resume_or_stop(action, goes_on):
    control = Control()
    control.pause()
    assert control.paused
    thread = later(getattr(control, action))
    assert control.wait() is goes_on
    thread.join()
    assert not control.paused


def test_an_interrupt_comes_through_a_pause():
    control = Control()
    control.pause()
    thread = later(_thread.interrupt_main)
    with pytest.raises(KeyboardInterrupt):
        control.wait()
    thread.join()
    assert control.paused


@given(ACTIONS)
def test_stop_is_for_good_and_never_hangs(actions):
    control = Control()
    for action in actions:
        getattr(control, action)()
    assert control.stopped == ("stop" in actions)
    if control.stopped:
        assert not control.paused
        assert not control.wait()
    else:
        assert control.paused == (actions[-1:] == ["pause"])


def test_pauses_and_stops_from_many_threads_never_leave_a_stopped_loop_paused():
    control = Control()
    threads = [threading.Thread(target=control.pause) for _ in range(20)]
    threads.insert(10, threading.Thread(target=control.stop))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not control.wait()


@pytest.mark.parametrize("rate", [0, -1e-4, float("nan"), float("inf")])
def test_a_rate_that_makes_no_sense_is_refused_and_changes_nothing(rate):
    control = Control()
    control.set_rate(1e-4)
    with pytest.raises(InputError, match="above 0"):
        control.set_rate(rate)
    assert control.rate == 1e-4
