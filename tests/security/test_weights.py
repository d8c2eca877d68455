"""Files of weights made to run code, to read foreign memory or to fill it: refused in words, with nothing done."""

import copyreg
import io
import json
import pickle
import resource
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from ganaug.classify import networks
from ganaug.errors import UserError
from ganaug.stylegan2.official import read_pickle
from ganaug.stylegan2.transfer import start_from
from ganaug.weights import Settings, weights

NESTED = b"ctorch.storage\n_load_from_bytes\n(B%sI0\ntR."
# Each makes a folder `trap` where it is unpickled as it stands, by another opcode that calls.
CALLS = {
    "REDUCE": b"cposix\nmkdir\n(S'trap'\ntR.",
    "INST": b"(S'trap'\niposix\nmkdir\n.",
    "OBJ": b"(cposix\nmkdir\nS'trap'\no.",
    "NEWOBJ": b"cposix\nmkdir\n(S'trap'\nt\x81.",
    "NEWOBJ_EX": b"cposix\nmkdir\n(S'trap'\nt}\x92.",
    "STACK_GLOBAL": b"\x80\x04\x8c\x05posix\x8c\x05mkdir\x93(S'trap'\ntR.",
    "dotted": b"\x80\x04\x8c\x07pathlib\x8c\x08os.mkdir\x93(S'trap'\ntR.",
    "EXT1": b"\x82\x42(S'trap'\ntR.",
    "EXT2": b"\x83\x42\x00(S'trap'\ntR.",
    "EXT4": b"\x84\x42\x00\x00\x00(S'trap'\ntR.",
    "eval": b'cbuiltins\neval\n(S\'__import__("os").mkdir("trap")\'\ntR.',
    "getattr": b"cbuiltins\ngetattr\n(cbuiltins\ngetattr\n(cos\npath\nS'os'\ntRS'mkdir'\ntR(S'trap'\ntR.",
    "apply": b"cfunctools\npartial\n(cposix\nmkdir\nS'trap'\ntR(tR.",
    "in a list": b"(lp0\ncposix\nmkdir\n(S'trap'\ntRa.",
    "in a network": b"(dS'G'\n(dS'_parameters'\ncposix\nmkdir\n(S'trap'\ntRss.",
    "BUILD": b"ccollections\nOrderedDict\n(tR}S'__setstate__'\ncposix\nmkdir\nsbS'trap'\nb.",
    "PERSID": b"Ptrap\n.",
    "BINPERSID": b"S'trap'\nQ.",
}
# What may be called is not to be changed for those who call it next.
CHANGES = {
    "defaults": b"ctorch._utils\n_rebuild_tensor_v2\n(N}S'__defaults__'\n(I1\ntstb.",
    "attribute": b"ctorch._utils\n_rebuild_tensor_v2\n}S'__wrapped__'\nI1\nsb.",
    "class": b"cposix\nmkdir\n(N}S'__new__'\nNstb.",
}
BOMBS = {
    "bytes of 2^62": b"\x80\x04\x8e" + struct.pack("<Q", 2**62),
    "bytes of 2^33": b"\x80\x04\x8e" + struct.pack("<Q", 2**33),
    "text of 2^40": b"\x80\x04\x8d" + struct.pack("<Q", 2**40),
    "bytearray of 2^40": b"\x80\x05\x96" + struct.pack("<Q", 2**40),
    "long of 2^31": b"\x8b" + struct.pack("<i", 2**31 - 1),
    "frame of 2^60": b"\x80\x04\x95" + struct.pack("<Q", 2**60),
    "memo at 2^31": b"N" + b"r" + struct.pack("<I", 2**31) + b".",
    "digits": b"I" + b"9" * 100_000 + b"\n.",
    "deep lists": b"]" * 200_000 + b"a" * 199_999 + b".",
    "deep tuples": b"N" + b"\x85" * 200_000 + b".",
    "marks": b"(" * 1_000_000 + b".",
}


pytestmark = [
    pytest.mark.filterwarnings("ignore:Detected pickle protocol"),
    pytest.mark.filterwarnings("ignore:TypedStorage is deprecated"),
]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    copyreg.add_extension("posix", "mkdir", 0x42)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    copyreg.remove_extension("posix", "mkdir", 0x42)
    assert not Path("trap").exists()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 500_000  # kB


def refused(content: bytes, match=r"n\.pkl") -> None:
    Path("n.pkl").write_bytes(content)
    with pytest.raises(UserError, match=match):
        read_pickle(Path("n.pkl"))


def test_the_traps_work_where_nobody_minds():
    for name in CALLS.keys() - {"NEWOBJ", "NEWOBJ_EX", "PERSID", "BINPERSID"}:  # these want a class, or a reader of ids
        pickle.loads(CALLS[name])
        Path("trap").rmdir()


@pytest.mark.parametrize("content", [*CALLS.values(), *BOMBS.values()], ids=[*CALLS, *BOMBS])
def test_no_opcode_runs_or_fills_anything(content):
    refused(content)
    refused(NESTED % (struct.pack("<I", len(content)) + content))


@pytest.mark.parametrize("content", CHANGES.values(), ids=CHANGES)
def test_what_may_be_called_can_not_be_changed(content):
    refused(content, "it changes what it may only use|missing 1 required positional argument")


def torch_zip(pickled: bytes, data=b"", compression=zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, part in (("data.pkl", pickled), ("byteorder", b"little"), ("data/0", data), ("version", b"3\n")):
            archive.writestr(f"archive/{name}", part)
    return buffer.getvalue()


@pytest.mark.parametrize("content", CALLS.values(), ids=CALLS)
def test_no_weights_file_runs_anything(content):
    for name, evil in (("w.pth", content), ("zip.pth", torch_zip(content))):
        Path(name).write_bytes(evil)
        with pytest.raises(UserError, match=name):
            weights(Settings("resnet18", name, None))
        assert not Path("trap").exists()
    refused(NESTED % (struct.pack("<I", len(evil)) + evil))


class Call:
    """Is unpickled by a call of the function."""

    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


def network(**tensors) -> dict:
    return {"_parameters": tensors, "_buffers": {}, "_modules": {}}


def view(offset, size, stride) -> Call:
    storage = torch.arange(16.0).untyped_storage()
    typed = torch.storage.TypedStorage(wrap_storage=storage, dtype=torch.float32, _internal=True)
    return Call(torch._utils._rebuild_tensor_v2, typed, offset, size, stride, False, {})


def test_a_view_within_its_storage_is_read():
    Path("n.pkl").write_bytes(pickle.dumps({"G": network(w=view(2, (3, 2), (2, 1)))}))
    assert torch.equal(read_pickle(Path("n.pkl"))["G.w"], torch.arange(2.0, 8).view(3, 2))


@pytest.mark.parametrize(
    "where",
    [
        *((16, (1,), (1,)), (0, (17,), (1,)), (-1, (4,), (1,)), (0, (4,), (-1,)), (0, (-4,), (1,)), (8, (3,), (4,))),
        *(
            (0, (10**6,), (0,)),
            (0, (10**12,), (0,)),
            (2**62, (1,), (1,)),
            (0, (2, 2), (2**61, 2**61)),
            (0, (4,), (2**63,)),
        ),
        *((0, (2**32, 2**32), (0, 0)), (0, (4,), ()), ("0", (4,), (1,)), (0, 4, 1)),
    ],
    ids=str,
)
def test_no_view_leads_out_of_its_storage_or_is_larger_than_the_file(where):
    refused(pickle.dumps({"G": network(w=view(*where))}))


def test_the_same_data_many_times_are_refused():
    one = network(w=view(0, (16,), (1,)))
    refused(pickle.dumps({"G": one | {"_modules": {str(i): one for i in range(1000)}}}), "larger than the file")
    data = io.BytesIO()
    torch.save(torch.zeros(25_000).storage(), data, _use_new_zipfile_serialization=False)
    content = data.getvalue()  # once in the pickle
    again = [Call(torch.storage._load_from_bytes, content) for _ in range(3000)]
    refused(pickle.dumps({"G": network(), "x": again}), "larger than the file")


def test_modules_in_each_other_come_to_an_end():
    ring = network()
    ring["_modules"]["a" * 200] = ring
    refused(pickle.dumps({"G": ring}), "go on and on")
    tree = network()
    for _ in range(40):
        tree = network() | {"_modules": {"a": tree, "b": tree}}
    refused(pickle.dumps({"G": tree}), "go on and on")


def test_broken_pickles_are_refused_in_words(seed):
    whole = pickle.dumps({"G": network(w=view(0, (4, 4), (4, 1)), v=view(0, (2,), (1,)))})
    rng = np.random.default_rng(seed)
    refusals = 0
    for _ in range(400):
        content = bytearray(whole)
        for position in rng.integers(0, len(whole), rng.integers(1, 5)):
            content[position] = rng.integers(256)
        Path("n.pkl").write_bytes(content[: rng.integers(len(whole))] if rng.random() < 0.2 else content)
        try:
            read_pickle(Path("n.pkl"))
        except UserError:
            refusals += 1
    assert 200 < refusals < 400


def safetensors(header, data=bytes(64), length=None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(start, end, shape=(4,), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


@pytest.mark.parametrize(
    "content",
    [
        safetensors({"a": entry(0, 64, (16,))}, length=2**63),
        safetensors({"a": entry(0, 64, (16,))}, length=10**8),
        safetensors({"a": entry(0, 64, (16,)), "b": entry(0, 64, (16,))}),
        safetensors({"a": entry(0, 40, (10,)), "b": entry(24, 64, (10,))}),
        safetensors({"a": entry(0, 2**60, (2**58,))}),
        safetensors({"a": entry(0, 64, (2**62, 2**62))}),
        safetensors({"a": entry(64, 0)}),
        safetensors({"a": entry(0, 64, (16,), "X9")}),
        safetensors({"a": entry(0, 64, (-16,))}),
        safetensors(b"{" + b"[" * 200_000),
        safetensors(b'{"a": 1e999}'),
        safetensors(b"{\xff}"),
        b"{" * 9,
        b"",
    ],
    ids=range(14),
)
def test_malformed_safetensors_are_refused(content):
    Path("w.safetensors").write_bytes(content)
    with pytest.raises(UserError, match=r"w\.safetensors"):
        weights(Settings("resnet18", "w.safetensors", None))
    with pytest.raises(UserError, match=r"w\.safetensors"):
        start_from(Path("w.safetensors"), {})
    with pytest.raises(UserError, match=r"w\.safetensors"):
        networks.load(Path("w.safetensors"))


def test_a_compressed_bomb_is_not_unpacked():
    pickled = pickle.dumps({"a": 1}, protocol=2)
    Path("w.pth").write_bytes(torch_zip(pickled, bytes(100_000_000), zipfile.ZIP_DEFLATED))
    with pytest.raises(UserError, match="unpacks to more than it holds"):
        weights(Settings("resnet18", "w.pth", None))


def test_tensors_larger_than_their_file_are_refused():
    torch.save({"a": torch.zeros(1).expand(10**9)}, "w.pth")
    with pytest.raises(UserError, match="larger than the file"):
        weights(Settings("resnet18", "w.pth", None))
