"""When a phase of a step is run, recorded and replayed. CUDA's graphs have stand-ins here: there is no GPU."""

import contextlib

import pytest
import torch

from ganaug.stylegan2.graphs import Recorder
from helpers.trainings import trainer

CPU = torch.device("cpu")


class Graph:
    """Remembers what was called while it was recorded, and calls it when replayed."""

    recording: "Graph | None" = None

    def __init__(self):
        self.recorded = []

    def replay(self):
        for call in self.recorded:
            call()


@contextlib.contextmanager
def graph(recorded, pool, stream):
    Graph.recording = recorded
    yield
    Graph.recording = None


@pytest.fixture
def recorder(monkeypatch):
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", graph)
    made = Recorder(CPU, False)
    made.active = True
    made.pool = None
    return made


def test_a_phase_is_run_then_recorded_and_then_replayed(recorder):
    done = []

    def phase():  # as CUDA does, work is only noted while a graph is recorded
        note = lambda: done.append("work")  # noqa: E731
        Graph.recording.recorded.append(note) if Graph.recording else note()
        called.append("call")

    called = []
    for times, calls in ((1, 1), (2, 2), (3, 2), (4, 2)):
        recorder.run("phase", phase)
        assert (len(done), len(called)) == (times, calls)
    recorder.run("other phase", phase)
    assert (len(done), len(called)) == (5, 3)
    recorder.graphs.clear()
    recorder.run("phase", phase)
    assert (len(done), len(called)) == (6, 4)


def test_what_differs_from_step_to_step_stays_at_one_place(recorder):
    first = recorder.keep("images", torch.ones(3))
    second = recorder.keep("images", torch.arange(3.0))
    assert first.data_ptr() == second.data_ptr() and second.tolist() == [0, 1, 2]
    p = recorder.number("p", 0.25)
    assert recorder.number("p", 0.5).data_ptr() == p.data_ptr() and p.item() == 0.5


def test_a_loaded_state_is_not_trained_on_by_old_recordings():
    t = trainer()
    t.recorder.graphs["generator"] = None
    t.load_state(t.state())
    assert not t.recorder.graphs
