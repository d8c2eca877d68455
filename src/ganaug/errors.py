"""The exceptions whose message is written for the user, and what else a stage can tell of a fault."""

OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "bad_alloc", "ALLOC_FAILED")


class UserError(Exception):
    """Something the user can mend. The message says what is wrong, where, and what to do.

    The command line shows it without a traceback and exits with status 1.
    """


class Unusable(Exception):
    """A file of the data root holds no image that can be used; the message is the problem's name. The study goes on."""


class Interrupted(UserError):
    """Nothing is wrong: a signal has ended the stage, and the same command goes on or starts again."""


class DiskFull(UserError):
    """There is no room for an output."""


class NotFinite(UserError):
    """A training's loss or weights are no longer numbers."""


def out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, the computer's or a GPU's. PyTorch has an exception of its own for GPUs only."""
    text = str(error)
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError | OSError) and any(words in text for words in OUT_OF_MEMORY)
    )


def first_line(error: BaseException) -> str:
    """What an exception of another package says first; its name where it says nothing."""
    return next(filter(None, map(str.strip, str(error).splitlines())), type(error).__name__).rstrip(":;.")
