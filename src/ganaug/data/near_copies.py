"""Near-copies: the same film twice, re-encoded, resized, re-windowed or slightly cropped.

Every subset's check compares hashes: what only making them takes is imported in the functions.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd

SIDE = 64  # the image is reduced to SIDE x SIDE before its transform
LOW = 16  # and LOW x LOW low frequencies are kept: 256 bits. 64 bits are too coarse, since all chest films look alike


def perceptual_hash(pixels: np.ndarray) -> np.ndarray:
    """256-bit hash of an image, uint8 [32]: the signs of its low DCT frequencies about their median.

    pixels: uint8 [H, W]. Unchanged by brightness and contrast, little by scale and compression (Zauner 2010,
    "Implementation and benchmarking of perceptual image hash functions", with 16 x 16 instead of 8 x 8 frequencies).
    """
    return hash_of_reduced(reduced(pixels))


def reduced(pixels: np.ndarray) -> np.ndarray:
    """An image, uint8 [H, W], as uint8 [SIDE, SIDE], whatever its shape."""
    from PIL import Image

    return np.asarray(Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.LANCZOS))


def hash_of_reduced(small: np.ndarray) -> np.ndarray:
    """perceptual_hash of the image that `reduced` made uint8 [SIDE, SIDE]."""
    import scipy.fft

    low = scipy.fft.dctn(small.astype(np.float64), norm="ortho")[:LOW, :LOW].ravel()
    low[0] = 0.0  # the mean brightness tells nothing
    return np.packbits(low > np.median(low))


def unpacked(hashes: Iterable[str]) -> np.ndarray:
    """Hashes from hexadecimal text, uint8 [N, 32]."""
    return np.array([list(bytes.fromhex(h)) for h in hashes], np.uint8).reshape(-1, LOW * LOW // 8)


def differing_bits(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Bits in which hashes differ, uint16 [N, M]: of a, uint8 [N, 32], and b, uint8 [M, 32]."""
    a, b = (np.ascontiguousarray(hashes).view(np.uint64) for hashes in (a, b))
    return sum(np.bitwise_count(a[:, None, w] ^ b[None, :, w]).astype(np.uint16) for w in range(a.shape[1]))


def near_pairs(hashes: np.ndarray, distance: int, block: int = 1024) -> np.ndarray:
    """Pairs (i < j) of hashes that differ in at most `distance` bits: int64 [P, 2].

    hashes: uint8 [N, 32]. All pairs are compared, in blocks of rows: exact, and seconds for 20,000 images.
    """
    pairs = []
    for start in range(0, len(hashes), block):
        i, j = np.nonzero(differing_bits(hashes[start : start + block], hashes[start:]) <= distance)
        keep = j > i
        pairs.append(np.stack([i[keep] + start, j[keep] + start], axis=1))
    return np.concatenate(pairs) if pairs else np.empty((0, 2), np.int64)


def near_pairs_between(a: np.ndarray, b: np.ndarray, distance: int, block: int = 1024) -> np.ndarray:
    """Pairs (i of a, j of b) of hashes, uint8 [N, 32] and [M, 32], that differ in at most `distance` bits, [P, 2]."""
    found = [np.empty((0, 2), np.int64)]
    for start in range(0, len(a), block):
        pairs = np.argwhere(differing_bits(a[start : start + block], b) <= distance)
        found.append(pairs + np.array([start, 0]))
    return np.concatenate(found)


def copies_of(images: pd.DataFrame, others: pd.DataFrame, distance: int) -> pd.DataFrame:
    """file, class, copy_of, class_of_copy: images that have the pixels of one of the others, or a hash near its.

    images, others: file, class, pixels_sha256, perceptual_hash (hexadecimal). distance: bits of 256, at most.
    """
    near = near_pairs_between(unpacked(images["perceptual_hash"]), unpacked(others["perceptual_hash"]), distance)
    pairs = {(images["file"].iloc[i], others["file"].iloc[j]) for i, j in near}
    same = images.merge(others, on="pixels_sha256", suffixes=("", "_other"))
    pairs |= set(zip(same["file"], same["file_other"], strict=True))
    table = pd.DataFrame(sorted(pairs), columns=["file", "copy_of"])
    table.insert(1, "class", table["file"].map(images.set_index("file")["class"]))
    return table.assign(class_of_copy=table["copy_of"].map(others.set_index("file")["class"]))


def groups(hashes: np.ndarray, distance: int, known: np.ndarray | None = None) -> np.ndarray:
    """Number of the group of each image, int [N]: connected components of the near pairs and of the known groups.

    known: text [N], of the patient or study, say; empty where it is not known.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = near_pairs(hashes, distance)
    if known is not None:
        named = np.flatnonzero(known != "")
        _, first, group = np.unique(known[named], return_index=True, return_inverse=True)
        pairs = np.concatenate([pairs, np.stack([named[first][group], named], axis=1)])  # each with its group's first
    links = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(len(hashes),) * 2)
    return connected_components(links, directed=False)[1]
