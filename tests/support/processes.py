"""Processes that tests start and wait for."""

import time
from pathlib import Path


def alive(number):
    try:
        return "zombie" not in Path(f"/proc/{number}/status").read_text()
    except FileNotFoundError:
        return False


def wait(condition, seconds):
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds, "waited in vain"
        time.sleep(0.1)
