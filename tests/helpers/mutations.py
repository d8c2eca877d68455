"""Broken and hostile image files, made from whole ones: the same for the same seed."""

import io
import struct
import zlib

import imagecodecs
import numpy as np
import tifffile
from PIL import Image, PngImagePlugin

from helpers.pictures import encoded

ABSURD = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def whole_files(side: int = 24) -> list[bytes]:
    """A small file of every format and kind that is read."""
    rng = np.random.default_rng(0)
    grey = Image.fromarray(rng.integers(0, 256, (side, side), np.uint8))
    deep = Image.fromarray(rng.integers(0, 65536, (side, side), np.uint16))
    floats = Image.fromarray(rng.random((side, side), np.float32))
    colour, palette = grey.convert("RGB"), grey.quantize(16)
    text, exif = PngImagePlugin.PngInfo(), Image.Exif()
    text.add_text("Comment", "a" * 50, zip=True)
    text.add_itxt("Title", "b" * 50, zip=True)
    exif[0x0112] = 6

    def several(image, kind):
        return encoded(image, kind, save_all=True, append_images=[image.rotate(90), image.rotate(180)])

    files = [encoded(image, "PNG") for image in (grey, deep, colour, palette, grey.convert("1"), grey.convert("LA"))]
    files += [encoded(grey, "PNG", pnginfo=text, exif=exif, icc_profile=b"p" * 200), several(grey, "PNG")]
    files += [encoded(palette, "PNG", transparency=bytes(range(16)))]
    files += [encoded(colour, "JPEG", exif=exif), encoded(colour, "JPEG", progressive=True), encoded(grey, "JPEG")]
    files += [encoded(colour.convert("CMYK"), "JPEG"), several(colour, "MPO")]
    codecs = ("raw", "tiff_lzw", "tiff_deflate", "packbits", "tiff_adobe_deflate")
    files += [encoded(grey, "TIFF", compression=codec) for codec in codecs]
    files += [encoded(deep, "TIFF"), encoded(floats, "TIFF"), encoded(grey.convert("1"), "TIFF", compression="group4")]
    files += [encoded(colour, "TIFF", compression="jpeg"), several(grey.copy(), "TIFF")]
    files += [encoded(grey, "BMP"), encoded(colour, "BMP"), encoded(palette, "GIF"), several(grey, "GIF")]
    files += [encoded(colour, "WEBP"), encoded(colour, "WEBP", lossless=True), several(colour, "WEBP")]
    return files + deep_files(side)


def deep_files(side: int) -> list[bytes]:
    """Files of more than 8 bits a sample that Pillow reads with a loss, or not at all."""
    rng = np.random.default_rng(1)
    colour, alpha = rng.integers(0, 65536, (side, side, 3), np.uint16), rng.integers(0, 65536, (side, side), np.uint16)
    grey, palette = colour[..., 0], rng.integers(0, 4096, (3, 256)).astype(np.uint16)
    kinds = (colour, np.dstack([colour, alpha]), np.dstack([grey, alpha]))
    files = [imagecodecs.png_encode(image) for image in kinds]
    files += [tiff(grey, photometric="miniswhite", compression="lzw", predictor=2, rowsperstrip=5)]
    files += [tiff(grey, photometric="minisblack", bitspersample=12, byteorder=">")]
    files += [tiff(colour, photometric="rgb", compression="zlib", tile=(16, 16))]
    files += [tiff(np.moveaxis(colour, -1, 0), photometric="rgb", planarconfig="separate", compression="packbits")]
    files += [tiff(np.dstack([colour, alpha]), photometric="rgb", extrasamples=["unassalpha"], compression="zstd")]
    files += [tiff(colour[..., :2], photometric="minisblack", planarconfig="contig", extrasamples=["assocalpha"])]
    files += [tiff(grey.astype(np.uint8), photometric="palette", colormap=palette)]
    floats = grey.astype(np.float32)
    files += [tiff(floats, compression="zlib", predictor=3), tiff(floats.astype(np.float64)), tiff(grey.view(np.int16))]
    return [*files, tiff(floats.astype(np.uint32), bigtiff=True), tiff((floats / 2).astype(np.float16), byteorder=">")]


def tiff(pixels: np.ndarray, **options) -> bytes:
    """As tifffile writes it, without its own description."""
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, metadata=None, **options)
    return buffer.getvalue()


def mutant(files: list[bytes], seed: int) -> bytes:
    """One of the files with one to three things done to it."""
    rng = np.random.default_rng(seed)
    content = files[rng.integers(len(files))]
    for _ in range(rng.integers(1, 4)):
        own = (
            [_png_chunks] * 3
            if content[:4] == b"\x89PNG"
            else [_jpeg_segments] * 2
            if content[:2] == b"\xff\xd8"
            else []
        )
        change = [_flip, _cut, _splice, _absurd, _absurd, _repeat, *own][rng.integers(6 + len(own))]
        content = change(content, rng, files) or b"\0"
    return content


def _flip(content, rng, _):
    out = bytearray(content)
    for position in rng.integers(0, len(out), rng.integers(1, 9)):
        out[position] = rng.integers(256)
    return bytes(out)


def _cut(content, rng, _):
    return content[: rng.integers(len(content))]


def _splice(content, rng, files):
    other = files[rng.integers(len(files))]
    return content[: rng.integers(len(content))] + other[rng.integers(len(other)) :]


def _repeat(content, rng, _):
    start, length = rng.integers(len(content)), rng.integers(1, 200)
    return content[: start + length] + content[start : start + length] * rng.integers(1, 40) + content[start + length :]


def _absurd(content, rng, _):
    """A number somewhere, likely in the header, made absurd."""
    form = (">H", "<H", ">I", "<I")[rng.integers(4)]
    position = rng.integers(min(len(content), 100 if rng.random() < 0.7 else len(content)))
    number = struct.pack(form, ABSURD[rng.integers(len(ABSURD))] & (0xFFFF if form[1] == "H" else 0xFFFFFFFF))
    return content[:position] + number + content[position + len(number) :]


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG with its right checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png_chunks(content, rng, _):
    """Chunks dropped, doubled, moved, changed inside or added, all with right checksums."""
    chunks, position = [], 8
    while position + 8 <= len(content):
        (length,) = struct.unpack(">I", content[position : position + 4])
        chunks.append((content[position + 4 : position + 8], content[position + 8 : position + 8 + length]))
        position += 12 + length
    if not chunks:
        return content
    i, j = rng.integers(len(chunks), size=2)
    kind, data = chunks[i]
    match rng.integers(6):
        case 0:
            del chunks[i]
        case 1:
            chunks.insert(j, chunks[i])
        case 2:
            chunks[i], chunks[j] = chunks[j], chunks[i]
        case 3 if data:
            chunks[i] = kind, (_flip, _absurd)[rng.integers(2)](data, rng, None)
        case 4 if kind == b"IDAT":
            chunks[i] = kind, zlib.compress(bytes(rng.integers(1, 200_000)), 9)
        case _:
            chunks.insert(rng.integers(1, len(chunks) + 1), BOMBS[rng.integers(len(BOMBS))])
    return content[:8] + b"".join(chunk(*c) for c in chunks)


def _jpeg_segments(content, rng, _):
    """A scan doubled, absurd sides, or an EXIF block of nonsense."""
    scan, frame = content.rfind(b"\xff\xda"), max(content.find(b"\xff\xc0"), content.find(b"\xff\xc2"))
    match rng.integers(3):
        case 0 if scan > 0:
            return content[:-2] + content[scan:-2] * rng.integers(1, 300) + b"\xff\xd9"
        case 1 if frame > 0:
            return content[: frame + 5] + struct.pack(">HH", *rng.integers(0, 65536, 2)) + content[frame + 9 :]
    ifd = struct.pack("<H", rng.integers(0, 30)) + rng.bytes(rng.integers(0, 400))
    exif = b"Exif\0\0II*\0" + struct.pack("<I", (8, 8, 8, 0xFFFFFFFF)[rng.integers(4)]) + ifd
    return b"\xff\xd8\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + content[2:]


_PACKED = zlib.compress(bytes(80_000_000), 9)  # 78 kB
BOMBS = [
    (b"zTXt", b"Comment\0\0" + _PACKED),
    (b"iTXt", b"Comment\0\1\0\0\0" + _PACKED),
    (b"iCCP", b"profile\0\0" + _PACKED),
    (b"acTL", struct.pack(">II", 0x7FFFFFFF, 0)),
    (b"fcTL", struct.pack(">IIIIIHHBB", 0, 0x7FFFFFFF, 0x7FFFFFFF, 0x7FFFFFFF, 0x7FFFFFFF, 1, 1, 0, 0)),
    (b"eXIf", b"MM\0*\xff\xff\xff\xff" + bytes(64)),
    (b"PLTE", bytes(3 * 256)),
    (b"tRNS", bytes(300)),
    (b"pHYs", bytes(3)),
    (b"IHDR", struct.pack(">IIBBBBB", 0x7FFFFFFF, 0x7FFFFFFF, 16, 6, 0, 0, 1)),
]
