"""What the other machine needs of a study, as one file: jobs, images, weights, and Python modules that it lacks.

Subsets share most of their images. So each image lies in the package once, and the arrays are put together from them
again: byte for byte, which their hashes show.
"""

import io
import json
import lzma
import tarfile
from importlib import metadata
from pathlib import Path

import numpy as np

from ganaug.elsewhere.jobs import Job, inputs_of
from ganaug.errors import UserError
from ganaug.files import read_json, sha256_of, write_json, written_whole
from ganaug.imports import digest_of_all_stages
from ganaug.provenance import git_commit

IMAGES, TABLE, MODULES, UNPACKED = "images.npy", "package.json", "modules", "package.sha256"


def write_package(path: Path, folder: Path, results: Path, jobs: list[Job], modules: list[str]) -> None:
    """Writes the package, .tar.xz.

    folder: of the study, to which paths are relative. results: the study's results in it. modules: names of installed
    distributions without compiled parts that the other machine lacks.
    """
    plain, arrays = [], {}
    for file in inputs_of(jobs, folder):
        array = np.load(folder / file, mmap_mode="r") if file.suffix == ".npy" else None
        if array is not None and array.dtype == np.uint8 and array.ndim > 1:
            arrays[str(file)] = array
        else:
            plain.append(file)
    images, numbers = distinct_images(list(arrays.values()))
    table = {
        "results": str(results),
        "commit": git_commit(),
        "code": digest_of_all_stages(),
        "jobs": [job.as_dict() for job in jobs],
        "arrays": {
            name: {"images": found, "sha256": sha256_of(folder / name)}
            for name, found in zip(arrays, numbers, strict=True)
        },
    }
    with written_whole(path) as temporary, tarfile.open(temporary, "w:xz", preset=6) as tar:
        add_bytes(tar, TABLE, json.dumps(table).encode())
        for name in modules:
            for module in metadata.files(name) or []:
                if ".." not in module.parts and module.suffix != ".pyc" and Path(str(module.locate())).is_file():
                    tar.add(str(module.locate()), f"{MODULES}/{module}")
        buffer = io.BytesIO()
        np.save(buffer, images)
        add_bytes(tar, IMAGES, buffer.getvalue())
        for file in plain:
            tar.add(folder / file, str(file))


def distinct_images(arrays: list[np.ndarray]) -> tuple[np.ndarray, list[list[int]]]:
    """(images, numbers): each image of some arrays [N, …] once, uint8 [M, …]; per array the numbers of its images.

    Arrays whose images have another shape than the first's raise UserError.
    """
    known: dict[bytes, int] = {}
    images: list[np.ndarray] = []
    numbers = []
    for array in arrays:
        if array.shape[1:] != arrays[0].shape[1:]:
            raise UserError(f"images of {array.shape[1:]} and of {arrays[0].shape[1:]} pixels in one study")
        for image in array:
            if known.setdefault(image.tobytes(), len(known)) == len(images):
                images.append(np.array(image))
        numbers.append([known[image.tobytes()] for image in array])
    return np.stack(images) if images else np.empty((0, 1, 1), np.uint8), numbers


def unpack(path: Path, folder: Path) -> dict:
    """Lays a package out in a study's folder, which may hold the same package already; returns its table.

    Raises UserError where the folder holds another package, or an array does not come out as it was.
    """
    digest, mark = sha256_of(path), folder / UNPACKED
    if mark.is_file() and mark.read_text().strip() == digest:
        return read_json(folder / TABLE)
    if folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"{folder} is not empty, and not of this package; name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(path, "r:xz") as tar:
            tar.extractall(folder, filter=with_own_mode)
    except (tarfile.TarError, lzma.LZMAError, EOFError) as error:
        raise UserError(f"{path} is not whole: {error}") from None
    table, images = read_json(folder / TABLE), np.load(folder / IMAGES)
    for name, array in table["arrays"].items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        np.save(target, images[array["images"]])
        if sha256_of(target) != array["sha256"]:
            raise UserError(f"{target} does not come out as it was packed")
    (folder / IMAGES).unlink()
    write_json(folder / TABLE, table)
    mark.write_text(digest)
    return table


def with_own_mode(entry: tarfile.TarInfo, folder: str) -> tarfile.TarInfo:
    """tarfile's filter `data`, but for the mode, which this user's umask gives, and not that of who packed the file."""
    return tarfile.data_filter(entry, folder).replace(mode=None, deep=False)  # type: ignore[arg-type]  # as documented


def add_bytes(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))
