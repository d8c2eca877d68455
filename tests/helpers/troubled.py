"""A data root with some of each trouble that collections are known for, and where each stands."""

import io
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from ganaug.data.phantom import render_phantom

# What is planted, by kind; `plant` tells in which files.
KINDS = {
    "two_classes": "the same image in two classes",
    "label_conflict": "near-copies in two classes",
    "copies": "one film many times, written anew",
    "inverted": "black for white",
    "blank": "films of one grey level",
    "two_valued": "a mask",
    "tiny": "eight pixels wide",
    "transparent": "alpha 0 everywhere",
    "deep": "12 bits in 16, of colour and with alpha, and with a marker",
    "white_is_zero": "TIFF of 16 bits whose zero is white",
    "small": "fewer pixels than the study's",
    "dicom": "a DICOM file",
    "pointer": "a Git LFS pointer",
    "truncated": "the first half of a file",
    "suffix": "a JPEG called .png",
    "nested": "films in a folder below the class",
    "macosx": "what an archive of macOS leaves",
    "case": "a folder whose name differs from a class's in case only",
}

COUNT = 42  # films of a class, 12 of them for trouble
# The problem that names what is planted, with a table of patients.
NAMED = {
    "two_classes": "copy in another class",
    "label_conflict": "near-copy with another label",
    "copies": "near-copy or same group, in a group of over 5 % of its class",
    "inverted": "looks inverted",
    "blank": "blank",
    "two_valued": "two-valued",
    "tiny": "tiny",
    "transparent": "blank",
    "deep": "16-bit",
    "white_is_zero": "16-bit",
    "small": "smaller than data.resolution",
    "dicom": "DICOM file",
    "pointer": "Git LFS pointer",
    "truncated": "truncated",
    "suffix": "wrong suffix",
    "nested": "in a folder below its class",
    "macosx": "left by macOS",
    "case": "in a folder that differs from its class in case or Unicode form only",
}


def rendered(count: int, first: int = 0) -> dict[str, list[np.ndarray]]:
    """Phantoms of 64 pixels of two classes, `count` of each; other ones from another `first`, a number below 500."""
    names = {"Normal": 0, "Ground-glass": 1}
    return {
        name: [render_phantom(name, 64, 1000 * n + i, 5000 * (n + 1) + i) for i in range(first, first + count)]
        for name, n in names.items()
    }


def plant(root: Path, films: Mapping[str, Sequence[np.ndarray]], below: str = "") -> dict[str, list[str]]:
    """Write films as <class>/<below>/<n>.png and trouble among them: kind -> files, relative to `root`.

    films: by class, uint8 [H, W] of at least 64 pixels; 12 of each of the first two classes are used up for trouble.
    """
    first, second = list(films)[:2]
    planted: dict[str, list[str]] = {kind: [] for kind in KINDS}

    def put(kind: str, label: str, name: str, content: bytes) -> None:
        file = "/".join(filter(None, [label, below, name]))
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(content)
        if kind:
            planted[kind].append(file)

    for label, pictures in films.items():
        for i, film in enumerate(pictures[12:] if label in (first, second) else pictures):
            put("", label, f"film-{i:04}.png", _encoded(film, "PNG"))
    a, b = films[first], films[second]
    put("two_classes", first, "same.png", _encoded(a[0], "PNG"))
    put("two_classes", second, "same.png", _encoded(a[0], "PNG"))
    put("label_conflict", first, "as-png.png", _encoded(a[1], "PNG"))
    put("label_conflict", second, "as-jpeg.jpg", _encoded(a[1], "JPEG", quality=85))
    for quality in range(40, 100, 5):
        put("copies", second, f"quality-{quality}.jpg", _encoded(b[0], "JPEG", quality=quality))
    for i in range(2, 5):
        put("inverted", first, f"negative-{i}.png", _encoded(255 - a[i], "PNG"))
    for level in (0, 255):
        put("blank", first, f"level-{level}.png", _encoded(np.full_like(a[0], level), "PNG"))
    put("two_valued", first, "mask.png", _encoded((a[5] > np.median(a[5])).astype(np.uint8) * 255, "PNG"))
    put("tiny", second, "tiny.png", _encoded(_resized(b[1], 8), "PNG"))
    clear = np.dstack([b[2]] * 3 + [np.zeros_like(b[2])])
    put("transparent", second, "alpha-0.png", _encoded(clear, "PNG"))
    twelve = a[6].astype(np.uint16) * 16
    marked = a[7].astype(np.uint16) * 16
    marked[:6, :12] = 65535
    opaque = np.full_like(twelve, 65535)
    put("deep", first, "rgb-16.png", _png16(np.dstack([twelve] * 3), 2))
    put("deep", first, "grey-alpha-16.png", _png16(np.dstack([a[8].astype(np.uint16) * 16, opaque]), 4))
    put("deep", first, "marker-16.png", _png16(marked, 0))
    put("white_is_zero", first, "white-is-zero.tif", _tiff16(65535 - a[9].astype(np.uint16) * 257, 0))
    for i in range(3, 6):
        put("small", second, f"small-{i}.png", _encoded(_resized(b[i], 24), "PNG"))
    put("dicom", second, "film.dcm", bytes(128) + b"DICM" + bytes(100))
    put("pointer", second, "pointer.png", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    put("truncated", second, "half.png", _encoded(b[6], "PNG")[:700])
    put("suffix", second, "jpeg.png", _encoded(b[7], "JPEG"))
    put("nested", first, "hospital-2/film.png", _encoded(a[10], "PNG"))
    (root / "__MACOSX").mkdir()
    planted["macosx"].append("__MACOSX")
    other = first.upper() if first != first.upper() else first.lower()
    (root / other / below).mkdir(parents=True)
    file = "/".join(filter(None, [other, below, "film.png"]))
    (root / file).write_bytes(_encoded(a[11], "PNG"))
    planted["case"].append(file)
    return planted


def patients_table(files: Sequence[str], per_patient: int) -> str:
    """CSV of file and group: names as a Windows path, with ./, and as they are, in turn."""
    forms = [lambda name: name.replace("/", "\\"), lambda name: f"./{name}", lambda name: name]
    lines = [f"{forms[i % 3](name)},patient-{i // per_patient}" for i, name in enumerate(files)]
    return "\n".join(["file,group", *lines]) + "\n"


def _encoded(pixels: np.ndarray, format: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format, **options)
    return buffer.getvalue()


def _resized(film: np.ndarray, side: int) -> np.ndarray:
    return np.asarray(Image.fromarray(film).resize((side, side), Image.Resampling.LANCZOS))


def _png16(pixels: np.ndarray, colour: int) -> bytes:
    """PNG of 16 bits: uint16 [H, W] or [H, W, channels]. colour: PNG's number for the channels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def _tiff16(pixels: np.ndarray, photometric: int) -> bytes:
    """TIFF of 16 bits, uncompressed. photometric: 0 where zero is white, 1 where zero is black."""
    height, width = pixels.shape
    data = pixels.astype("<u2").tobytes()
    tags = [(256, 4, width), (257, 4, height), (258, 3, 16), (259, 3, 1), (262, 3, photometric), (273, 4, 8)]
    tags += [(277, 3, 1), (278, 4, height), (279, 4, len(data))]
    table = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, kind, 1, n) for tag, kind, n in tags)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + table + bytes(4)
