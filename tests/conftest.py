"""Interrupts reach the tests even where the suite was started in the background."""

import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts a job with `&`
    signal.signal(signal.SIGINT, signal.default_int_handler)
