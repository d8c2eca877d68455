"""Files from the network. What is fetched has a SHA-256 known beforehand, or is not fetched."""

import http.client
import logging
import re
import urllib.error
import urllib.request
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from ganaug.errors import UserError
from ganaug.files import sha256_of, written_whole

log = logging.getLogger("ganaug")
SECONDS = 30  # without a byte
BLOCK = 1 << 20
MOST_BYTES = 20 * 10**9
HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.\w+$")  # PyTorch's convention: the first digits of the file's SHA-256


def is_url(source: str) -> bool:
    return source.startswith(("https://", "http://"))


def hash_in(url: str) -> str | None:
    """The first digits of the file's SHA-256, where its name carries them."""
    found = HASH_IN_NAME.search(urlsplit(url).path)
    return found and found[1]


def fetch(url: str, sha256: str, folder: Path) -> Path:
    """The file at `url`, from the folder where it is there already, else from the network.

    sha256: of the file, or its first digits (8 at least). Checked every time, cached or not; only a whole and right
    file ever stands under its name. Raises UserError where the file can't be had or is another one.
    """
    path = folder / _name(url, sha256)
    if path.is_file():
        if sha256_of(path).startswith(sha256):
            return path
        log.warning("%s is broken or another file than its name says; fetching it anew", path)
    try:
        with written_whole(path) as temporary:
            _download(url, temporary)
            found = sha256_of(temporary)
            if not found.startswith(sha256):
                raise UserError(f"{url} has the SHA-256 {found}, not {sha256}; it is not the file that was meant")
    except urllib.error.HTTPError as error:
        raise UserError(f"{url} can't be fetched: the server answers {error.code} ({error.reason})") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise UserError(f"{url} can't be fetched ({getattr(error, 'reason', None) or error})") from None
    return path


def _name(url: str, sha256: str) -> str:
    """Of the cached file: the URL's, and the hash's first digits where that does not carry them."""
    name = re.sub(r"[^A-Za-z0-9._-]", "_", unquote(PurePosixPath(urlsplit(url).path).name))[-100:]
    return name if hash_in(url) == sha256[: len(hash_in(url) or "-")] else f"{sha256[:16]}-{name}"


def _download(url: str, path: Path) -> None:
    """Raises OSError where the transfer breaks off."""
    request = urllib.request.Request(url, headers={"User-Agent": "ganaug"})
    with urllib.request.urlopen(request, timeout=SECONDS) as answer, path.open("wb") as file:
        length = answer.headers.get("Content-Length")
        log.info("fetching %s (%s bytes)", url, length or "unknown")
        received = 0
        while block := answer.read(BLOCK):
            received += file.write(block)
            if received > MOST_BYTES:
                raise OSError(f"it goes on after {MOST_BYTES} bytes")
    if length is not None and received != int(length):
        raise OSError(f"it broke off after {received} of {length} bytes")
