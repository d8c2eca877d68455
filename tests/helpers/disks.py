"""Fills a disk, or makes it read-only. Small ones to do that with: the fixture `disk`."""

import subprocess


def fill(disk):
    """Leaves no byte free; returns the file to delete for room."""
    filler = disk / "filler"
    with open(filler, "wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while True:
                    file.write(b"0" * size)
            except OSError:
                pass
    return filler


def make_read_only(disk):
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
