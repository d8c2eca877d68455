"""SIGTERM (a scheduler's notice, say) and SIGINT (Ctrl-C) for work whose state is worth keeping."""

import contextlib
import copy
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Generic, Self, TypeVar

if TYPE_CHECKING:
    import torch

LONG = 2  # seconds a step takes, from which on it is prepared for being broken off
PATIENCE = 5  # seconds that it then has to end after a signal

Done = TypeVar("Done")  # what a step returns


class Stopped(BaseException):
    """The work was asked to stop. No Exception, so that nothing on the way takes it for a fault and goes on."""


class StopSignal:
    """Context in which the signals only set `asked`; the work ends where it can: at `check`, or within `at_once`."""

    def __enter__(self) -> Self:
        self.asked = self.raising = False
        self.patience = 0.0
        handlers = {signal.SIGTERM: self._note, signal.SIGINT: self._note, signal.SIGALRM: self._raise}
        self.before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        return self

    def _note(self, *_: object) -> None:
        self.asked = True
        if self.raising and self.patience:
            signal.setitimer(signal.ITIMER_REAL, self.patience)
        else:
            self._raise()

    def _raise(self, *_: object) -> None:
        if self.raising:
            self.raising = False  # what comes next may be saving, which no second signal shall break off
            raise Stopped

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def check(self) -> None:
        if self.asked:
            raise Stopped

    @contextlib.contextmanager
    def at_once(self, patience: float = 0) -> Iterator[None]:
        """Context in which a signal raises Stopped wherever the work is, if it has not ended within the patience.

        For long work that changes no state, or only one of which there is a copy.
        """
        self.patience, self.raising = patience, True
        try:
            if self.asked:
                self._note()
            yield
        finally:
            self.raising = False
            signal.setitimer(signal.ITIMER_REAL, 0)


class Steps(Generic[Done]):
    """A training's steps, such that a signal need not wait for one of half a minute, as they can be on a CPU.

    The state is copied before a step where the one before took long, or there was none. Between steps it is whole, so a
    step without a copy goes to its end. breakable: whether any step may be broken off.
    """

    def __init__(self, stop: StopSignal, step: Callable[[], Done], state: Callable[[], dict], breakable: bool):
        self.stop, self.step, self.state, self.breakable = stop, step, state, breakable
        self.copy: dict | None = None
        self.long = True

    def run(self) -> Done:
        """One step; returns what it does."""
        start = time.monotonic()
        if self.breakable and self.long:
            self.copy = copy.deepcopy(self.state())
            with self.stop.at_once(PATIENCE):
                result = self.step()
            self.copy = None
        else:
            result = self.step()
        self.long = time.monotonic() - start > LONG
        return result

    def whole_state(self) -> dict:
        """After the last step that has ended."""
        return self.state() if self.copy is None else self.copy


def hear_signals_in_backward(parameters: Iterable["torch.Tensor"]) -> None:
    """Python looks for signals only while it runs Python, which a backward pass does not. These hooks are some."""
    for parameter in parameters:
        parameter.register_post_accumulate_grad_hook(lambda _: None)
