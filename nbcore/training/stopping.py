"""Ctrl-C and SIGTERM while training: what was computed is saved before the process goes."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nbcore.training.saving import CheckpointCallback


@contextmanager
def on_signals(callback: CheckpointCallback) -> Iterator[None]:
    """The first SIGINT or SIGTERM ends the step, saves and stops; the second stops at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(number: int, _frame: Any) -> None:
        if callback.asked:
            raise KeyboardInterrupt
        callback.asked = True
        print(f"{signal.Signals(number).name}: finishing this step, saving, then stopping (again: at once)", flush=True)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
