"""Bad files, made on the spot: pictures, labels, weights, tables, each as its name says."""

import io
import os
import struct
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

H, W = 32, 64
"""Height and width of a good picture."""

Writer = Callable[[Path], object]


def colors(number: int = 0) -> np.ndarray:
    """Return a good picture's pixels, (H, W, 3) uint8."""
    return np.random.default_rng(number).integers(0, 256, (H, W, 3), np.uint8)


def ids(number: int = 0) -> np.ndarray:
    """Return a good label's train ids, (H, W) uint8."""
    return np.random.default_rng(number).integers(0, 19, (H, W)).astype(np.uint8)


def encoded(pixels: np.ndarray | Image.Image, kind: str = "PNG", **options) -> bytes:
    """Return a picture as the bytes of a file."""
    content = io.BytesIO()
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    picture.save(content, kind, **options)
    return content.getvalue()


def chunk(name: bytes, content: bytes) -> bytes:
    """Return a PNG chunk with its right checksum."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(
    width: int,
    height: int,
    *chunks: bytes,
    bits: int = 8,
    kind: int = 2,
    data: bytes | None = None,
    interlaced: bool = False,
) -> bytes:
    """Return a PNG whose header says whatever is wanted, with chunks before its data."""
    rows = zlib.compress(b"\0" * 1000) if data is None else data
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, interlaced)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + b"".join(chunks)
        + chunk(b"IDAT", rows)
        + chunk(b"IEND", b"")
    )


def rows(*passes: np.ndarray) -> bytes:
    """Return the data of a PNG: rows of bytes, unfiltered and packed; of an interlaced one those of each pass."""
    return zlib.compress(b"".join(b"\0" + row.tobytes() for pixels in passes for row in pixels))


def _put(content: bytes) -> Writer:
    return lambda path: path.write_bytes(content)


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@cache
def pictures() -> dict[str, Writer]:
    """Return file name -> what writes that file: pictures that are not 8-bit RGB PNG or JPEG throughout."""
    good, jpeg = encoded(colors()), encoded(colors(), "JPEG")
    gray = Image.fromarray(colors()).convert("L")
    rgba = Image.fromarray(colors()).convert("RGBA")
    clear = rgba.copy()
    clear.putpixel((0, 0), (1, 2, 3, 0))
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 0xFF
    whole = rows(colors().reshape(H, -1))
    return {
        "zero.png": _put(b""),
        "zero.jpg": _put(b""),
        "one_byte.png": _put(b"\x89"),
        "signature.png": _put(good[:8]),
        "header.png": _put(good[:33]),
        "half.png": _put(good[: len(good) // 2]),
        "without_end.png": _put(good[:-20]),
        "half.jpg": _put(jpeg[: len(jpeg) // 2]),
        "start.jpg": _put(jpeg[:20]),
        "zeros.png": _put(bytes(5000)),
        "zeros.jpg": _put(bytes(5000)),
        "noise.png": _put(np.random.default_rng(1).bytes(5000)),
        "noise.jpg": _put(b"\xff\xd8\xff" + np.random.default_rng(1).bytes(5000)),
        "flipped_byte.png": _put(bytes(flipped)),
        "bad_checksum.png": _put(good.replace(b"IDAT", b"IDAT", 1)[:-5] + b"\0" + good[-4:]),
        "bad_deflate.png": _put(png(W, H, data=b"\x78\x9c" + b"\xff" * 50)),
        "short_data.png": _put(png(W, H, data=zlib.compress(b"\0" * 100))),
        "last_row_missing.png": _put(png(W, H, data=rows(colors().reshape(H, -1)[:-1]))),
        "no_data.png": _put(good[:33] + chunk(b"IEND", b"")),
        "no_pixels.png": _put(png(0, 0)),
        "no_width.png": _put(png(0, H)),
        "huge.png": _put(png(60_000, 60_000)),
        "tall.png": _put(png(1, 2**31 - 1)),
        "too_wide.png": _put(png(2**32 - 1, 1)),
        "text_bomb.png": _put(
            png(W, H, chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"\0" * 2**22)), data=whole)
        ),
        "profile_bomb.png": _put(
            png(W, H, chunk(b"iCCP", b"p\0\0" + zlib.compress(b"\0" * 2**22)), data=whole)
        ),
        "bits_3.png": _put(png(W, H, bits=3)),
        "kind_5.png": _put(png(W, H, kind=5)),
        "sixteen_gray.png": _put(encoded(np.arange(H * W, dtype=np.uint16).reshape(H, W))),
        "one_bit.png": _put(encoded(gray.convert("1"))),
        "palette.png": _put(encoded(gray.convert("P"))),
        "clear_gray.png": _put(encoded(clear.convert("LA"))),
        "apng.png": _put(encoded(colors(), save_all=True, append_images=[Image.fromarray(colors(1))])),
        "transparent.png": _put(encoded(clear)),
        "cmyk.jpg": _put(encoded(Image.fromarray(colors()).convert("CMYK"), "JPEG")),
        "gif.png": _put(encoded(gray, "GIF")),
        "animated.png": _put(encoded(gray, "GIF", save_all=True, append_images=[gray, gray])),
        "webp.png": _put(encoded(colors(), "WEBP")),
        "bmp.png": _put(encoded(colors(), "BMP")),
        "tiff.png": _put(encoded(colors(), "TIFF")),
        "ico.png": _put(encoded(colors(), "ICO")),
        "ppm.png": _put(encoded(colors(), "PPM")),
        "page.png": _put(b"<!doctype html><html><body>404 Not Found</body></html>"),
        "svg.png": _put(b"<svg xmlns='http://www.w3.org/2000/svg' width='64' height='32'/>"),
        "eps.png": _put(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 32\n(x) run\n"),
        "fits.png": _put(b"SIMPLE  =                    T" + b" " * 2850),
        "zip.png": _put(b"PK\x03\x04" + bytes(200)),
        "pickle.png": _put(b"\x80\x04\x95" + bytes(200)),
        "text.png": _put("nicht wirklich ein Bild\n".encode("utf-16")),
        "folder.png": lambda path: path.mkdir(),
        "pipe.png": os.mkfifo,
        "loop.png": lambda path: path.symlink_to(path.name),
        "nowhere.png": lambda path: path.symlink_to("there_is_no_such_file.png"),
        "to_folder.png": lambda path: path.symlink_to(".."),
    }


@cache
def usable() -> dict[str, Writer]:
    """Return file name -> what writes that file: pictures that are odd, and good."""
    good = encoded(colors())
    rgba = Image.fromarray(colors()).convert("RGBA")
    return {
        "a name with spaces.png": _put(good),
        "Straße-ä-日本-🚗.png": _put(good),
        "new\nline.png": _put(good),
        "comma,quote\"'.png": _put(good),
        "$(touch pwned);`id`.png": _put(good),
        "-rf.png": _put(good),
        "%s%n{0}{x}.png": _put(good),
        "x" * 200 + ".png": _put(good),
        "CAPITAL.PNG": _put(good),
        "two.dots.png": _put(good),
        "jpeg.png": _put(encoded(colors(), "JPEG")),
        "png.jpg": _put(good),
        "progressive.jpeg": _put(encoded(colors(), "JPEG", progressive=True)),
        "after_its_end.png": _put(good + b"trailing" * 100),
        "opaque.png": _put(encoded(rgba)),
        "gray.png": _put(encoded(Image.fromarray(colors()).convert("L"))),
        "gray_alpha.png": _put(encoded(rgba.convert("LA"))),
        "turned.jpg": _put(encoded(colors(), "JPEG", exif=_exif(3))),
        "on_its_side.jpg": _put(encoded(colors(), "JPEG", exif=_exif(6))),
        "bad_exif.jpg": _put(encoded(colors(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")),
    }


@cache
def labels() -> dict[str, Writer]:
    """Return file name -> what writes that file: labels that hold no train ids, or hold them wrongly."""
    good = ids()
    odd = good.copy()
    odd[3, 5] = 19
    palette = Image.fromarray(good).convert("P")
    # Adam7: the last pass has every other row, and misses the last of them.
    starts = (
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    )
    passes = [good[y::down, x::right] for x, y, right, down in starts]
    passes[-1] = passes[-1][:-1]
    return {
        "last_rows_missing.png": _put(png(W, H, kind=0, data=rows(good[:-5]))),
        "interlaced_row_missing.png": _put(png(W, H, kind=0, data=rows(*passes), interlaced=True)),
        "zero.png": _put(b""),
        "half.png": _put(encoded(good)[:300]),
        "noise.png": _put(np.random.default_rng(2).bytes(3000)),
        "one_wrong_pixel.png": _put(encoded(odd)),
        "label_ids.png": _put(encoded(np.full((H, W), 26, np.uint8))),
        "all_254.png": _put(encoded(np.full((H, W), 254, np.uint8))),
        "sixteen.png": _put(encoded(good.astype(np.uint16))),
        "colored.png": _put(encoded(colors())),
        "rgba.png": _put(encoded(Image.fromarray(colors()).convert("RGBA"))),
        "one_bit.png": _put(encoded(Image.fromarray(good).convert("1"))),
        "lossy.jpg": _put(encoded(good, "JPEG")),
        "float.png": _put(encoded(Image.fromarray(good.astype(np.float32)), "TIFF")),
        "larger.png": _put(encoded(np.zeros((H + 1, W), np.uint8))),
        "turned.png": _put(encoded(np.zeros((W, H), np.uint8))),
        "one_pixel.png": _put(encoded(np.zeros((1, 1), np.uint8))),
        "huge.png": _put(png(60_000, 60_000, kind=0)),
        "pipe.png": os.mkfifo,
        "folder.png": lambda path: path.mkdir(),
        "wrong_palette.png": _put(encoded(palette.point(lambda v: v + 100))),
    }
