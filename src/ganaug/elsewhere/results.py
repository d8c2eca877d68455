"""What another machine has made, as a few files of limited size: the most important first, as much as fits."""

import io
import json
import lzma
import math
import multiprocessing
import os
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ganaug import attempts
from ganaug.elsewhere.package import add_bytes
from ganaug.elsewhere.pool import CONSOLES, DONE, Attempt
from ganaug.errors import UserError
from ganaug.files import read_json, sha256_of, write_json

RECORD = "elsewhere.json"
PRESET = 2  # of xz: a third of the default's time


def units(tried: list[Attempt], folder: Path) -> Iterator[list[str]]:
    """Groups of files, relative to the folder, that are packed together; the most important first.

    First tables, records and logs of all jobs. Then, replicate by replicate, images. Then generators, and such
    classifiers as a job that is not done still reads. The other classifiers are left out: nothing reads them any more.
    """
    done = [attempt.job for attempt in tried if attempt.outcome == DONE]
    needed = {name for attempt in tried if attempt.outcome != DONE for name in attempt.job.after}
    replicates = sorted({attempt.job.replicate for attempt in tried})
    for replicate in replicates:
        jobs = [attempt.job for attempt in tried if attempt.job.replicate == replicate]
        logs = [path for job in jobs for path in (job.log, str(attempts.beside(Path(job.log))))]
        tables = [path for job in jobs if job in done for path in job.outputs if not heavy(path)]
        yield [path for path in logs + tables if (folder / path).is_file()]
    yield [str(path.relative_to(folder)) for path in (folder / CONSOLES).glob("*") if path.stat().st_size]
    for suffix, rule in ((".npy", None), (".safetensors", "train_gan"), (".safetensors", "train_classifier")):
        for replicate in replicates:
            for job in done:
                of_use = rule in (None, job.rule) and (rule != "train_classifier" or job.name in needed)
                if job.replicate == replicate and of_use:
                    yield [path for path in job.outputs if path.endswith(suffix)]


def heavy(path: str) -> bool:
    return Path(path).suffix in (".npy", ".safetensors")


def pack_results(
    tried: list[Attempt], record: dict, folder: Path, out: Path, count: int = 1, most: float = math.inf
) -> list[str]:
    """Writes results-1.tar, … to `out`, at most `count` of at most `most` bytes; returns the files that did not fit.

    record: of the run; it goes into the first. Each group of files is compressed by itself, all cores at once.
    """
    out.mkdir(parents=True, exist_ok=True)
    groups, left_out = [group for group in units(tried, folder) if group], []
    blobs = [tar_of({RECORD: json.dumps(record).encode()})]
    with multiprocessing.get_context("fork").Pool(len(os.sched_getaffinity(0))) as pool:
        packed = pool.imap(partial(tar_of_files, folder), groups)
        parts = [[blobs.pop()]] + [[] for _ in range(count - 1)]
        for group, blob in zip(groups, packed, strict=True):
            place = next((part for part in parts if size_of([*part, blob]) <= most), None)
            if place is None:
                left_out += group
            else:
                place.append(blob)
    for number, part in enumerate(parts, 1):
        if part:
            with tarfile.open(out / f"results-{number}.tar", "w") as tar:
                for index, blob in enumerate(part):
                    add_bytes(tar, f"{index:04d}.tar.xz", blob)
    return left_out


def size_of(blobs: list[bytes]) -> int:
    """Bytes of a tar of them: each with a header and filled up to 512; at the end up to 10,240."""
    return sum(1024 + len(blob) for blob in blobs) + 10_240


def tar_of_files(folder: Path, paths: list[str]) -> bytes:
    return tar_of({path: (folder / path).read_bytes() for path in paths})


def tar_of(contents: dict[str, bytes]) -> bytes:
    """Files by name as .tar.xz."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in contents.items():
            add_bytes(tar, name, content)
    return lzma.compress(buffer.getvalue(), preset=PRESET)


def read_results(parts: list[Path]) -> Iterator[tuple[str, bytes]]:
    """(name, content) of every file in the parts. Raises UserError where one can't be read."""
    for part in parts:
        try:
            with tarfile.open(part) as outer:
                for blob in outer:
                    with tarfile.open(fileobj=outer.extractfile(blob), mode="r:xz") as inner:
                        for entry in inner:
                            if entry.isfile() and (file := inner.extractfile(entry)) is not None:
                                yield entry.name, file.read()
        except (OSError, tarfile.TarError, lzma.LZMAError, EOFError) as error:
            raise UserError(f"{part} can't be read: {error}") from None


def lay_out(parts: list[Path], folder: Path) -> dict:
    """Writes the files of the parts below a folder; returns the record of the run. Raises UserError."""
    record = None
    for name, content in read_results(parts):
        target = (folder / name).resolve()
        if folder.resolve() not in target.parents:
            raise UserError(f"{name} leads out of the study's folder; these are no results of `run`")
        if name == RECORD:
            record = json.loads(content)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    if record is None:
        raise UserError("the first part, with the record of the run, is missing")
    return record


def check(outputs: list[str], came: Path, folder: Path) -> None:
    """Raises UserError where what came of a job is not what its stage wrote, or was made from other inputs.

    outputs: of the job. came: folder with what came; networks and images may be missing there. folder: of the study.
    Provenance that a job read, as check_synthetic does, is not compared: `accept` writes into it.
    """
    for path in outputs:
        if not heavy(path) and not (came / path).is_file():
            raise UserError(f"{path} is missing; name all parts of the results")
    for path in outputs:
        if path.endswith("provenance.json"):
            record = read_json(came / path)
            for name, digest in (record["inputs"] | record["outputs"]).items():
                found = next((file for file in (came / name, folder / name) if file.is_file()), None)
                if found is not None and not name.endswith("provenance.json") and sha256_of(found) != digest:
                    raise UserError(f"{name} is not what {path} says: results and study do not belong together")


def accept(outputs: list[str], came: Path, code: str) -> None:
    """Writes into a job's provenance that it is taken for one of this code, where it was made by other code.

    outputs: of the job. came: folder with what came. code: the digest of its stage's sources here.
    """
    for path in outputs:
        if path.endswith("provenance.json"):
            record = read_json(came / path)
            if record.get("code") != code:
                write_json(came / path, record | {"accepted_for": code})
