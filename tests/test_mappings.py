"""Mapping files, and the one gate for labels: what is stored, what it is taken for, and what is ignored."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from semcg import labels, mappings, pictures
from semcg.mappings import Mapping, decode, mapping

H, W = 8, 16
VALUES = "value,train_id,name\n3,0,road\n200,10,sky\n7,255,nothing\n"
COLORS = "r,g,b,train_id\n128,64,128,0\n70,130,180,10\n0,0,0,255\n"


def halves(left, right):
    return np.hstack([np.full((H, W // 2), left, np.uint8), np.full((H, W // 2), right, np.uint8)])


def kept(array, *, lossless=True):
    """What a color picture stores."""
    return pictures.Stored("color", np.asarray(array, np.uint8), None, lossless)


@pytest.fixture
def by_value(tmp_path):
    (tmp_path / "values.csv").write_text(VALUES)
    return mapping(tmp_path / "values.csv")


@pytest.fixture
def by_color(tmp_path):
    (tmp_path / "colors.csv").write_text(COLORS)
    return mapping(tmp_path / "colors.csv")


def png(depth, kind, rows):
    """A PNG of any bit depth, which Pillow does not write."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 4, len(rows), depth, kind, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def test_the_index_of_a_palette_counts_not_its_color(tmp_path, by_value):
    picture = Image.fromarray(halves(3, 200), "L").convert("P")
    picture.frombytes(halves(3, 200).tobytes())
    palette = np.random.default_rng(0).integers(0, 256, (256, 3), np.uint8)
    picture.putpalette(palette.tobytes())
    picture.save(tmp_path / "p.png")
    seen = pictures.stored(tmp_path / "p.png")
    assert seen.kind == "palette"
    np.testing.assert_array_equal(seen.values, halves(3, 200))
    np.testing.assert_array_equal(seen.palette[[3, 200]], palette[[3, 200]])
    made = decode(seen, by_value)
    np.testing.assert_array_equal(made.train_ids, halves(0, 10))
    assert made.train_ids.dtype == np.uint8
    assert made.ignored == 0


def test_a_palette_picture_is_taken_for_its_colors_where_the_mapping_has_colors(by_color):
    palette = np.zeros((256, 3), np.uint8)
    palette[[0, 1]] = (70, 130, 180), (128, 64, 128)
    made = decode(pictures.Stored("palette", halves(0, 1), palette, True), by_color)
    np.testing.assert_array_equal(made.train_ids, halves(10, 0))


def test_train_ids_need_no_mapping():
    given = pictures.Stored("gray", halves(18, 255), None, True)
    np.testing.assert_array_equal(decode(given).train_ids, halves(18, 255))


SHADES = [(128, 64, 128), (131, 68, 128), (128, 94, 128), (128, 95, 128), (70, 130, 170), (9, 0, 0)]


def test_a_jpeg_gets_the_nearest_color_within_the_distance(by_color):
    # 128,64,128 is road: (3, 4, 0) away is 5, (0, 30, 0) is 30, (0, 31, 0) is too far
    label = kept([SHADES], lossless=False)
    made = decode(label, by_color)
    assert made.train_ids.tolist() == [[0, 0, 0, 255, 10, 255]]
    assert (made.ignored, made.example) == (1, (128, 95, 128))
    assert decode(label, by_color, max_color_distance=9.5).ignored == 3
    with pytest.raises(ValueError, match=r"83\.33% .* are further than 0 from a color of colors\.csv"):
        decode(label, by_color, max_color_distance=0.0)
    exact = kept([[SHADES[0], (0, 0, 0)]], lossless=False)
    assert decode(exact, by_color, max_color_distance=0.0).train_ids.tolist() == [[0, 255]]


def test_a_png_has_exact_colors_and_others_are_counted(by_color):
    label = kept([[SHADES[0]] * 8 + [(128, 64, 129)] * 3 + [(0, 0, 0)]])
    made = decode(label, by_color)
    assert made.train_ids.tolist() == [[0] * 8 + [255] * 4]
    assert (made.ignored, made.example) == (3, (128, 64, 129))
    with pytest.raises(ValueError, match=r"25\.00% .* not exactly a color of colors\.csv.*\(128, 64, 129\)"):
        decode(label, by_color, max_color_distance=0.0)
    with pytest.raises(ValueError, match=r"83\.33% of its pixels are not exactly"):
        decode(kept([SHADES]), by_color)


def test_nearest_colors_equal_the_definition(by_color):
    colors = np.random.default_rng(1).integers(0, 256, (30, 40, 3), np.uint8)
    made = decode(kept(colors, lossless=False), by_color, max_color_distance=120.0)
    distances = np.linalg.norm(colors[:, :, None].astype(float) - by_color.keys, axis=3)
    wanted = np.where(distances.min(2) > 120, 255, by_color.train_ids[distances.argmin(2)])
    ties = (np.sort(distances, 2)[..., 0] == np.sort(distances, 2)[..., 1]).sum()
    assert (made.train_ids != wanted).sum() <= ties
    assert made.ignored == (distances.min(2) > 120).sum()


def test_a_jpeg_of_colors_is_read_but_for_its_rims(tmp_path, by_color):
    colors = np.zeros((64, 64, 3), np.uint8)
    colors[:, :32], colors[:, 32:] = (128, 64, 128), (70, 130, 180)
    Image.fromarray(colors).save(tmp_path / "a.jpg", quality=90)
    made = decode(pictures.stored(tmp_path / "a.jpg"), by_color)
    assert (made.train_ids[:, :28] == 0).all()
    assert (made.train_ids[:, 36:] == 10).all()
    assert made.ignored < 0.1 * 64 * 64


def test_the_wrong_color_table_is_noticed(by_color):
    green = kept(np.full((4, 4, 3), (0, 255, 0)))
    with pytest.raises(ValueError, match=r"frame: 100\.00% .* frequent being \(0, 255, 0\) \(100\.00%\)"):
        decode(green, by_color, name="frame")


@pytest.mark.parametrize(("content", "bits"), [(png(4, 0, [b"\x01\x2f"]), 4), (png(2, 0, [b"\x1b"]), 2)])
def test_few_bits_are_read_as_they_were_written(tmp_path, content, bits):
    (tmp_path / "a.png").write_bytes(content)
    wanted = {4: [0, 1, 2, 15], 2: [0, 1, 2, 3]}[bits]
    assert pictures.stored(tmp_path / "a.png").values.tolist() == [wanted]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (png(16, 0, [b"\0\3" * 4]), "has 16 bits"),
        (png(16, 2, [b"\0\3" * 12]), "has 16 bits"),
        (png(1, 0, [b"\xf0"]), "mode 1 with 1 bits"),
    ],
)
def test_bit_depths_that_would_change_values(tmp_path, content, message):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        pictures.stored(tmp_path / "a.png")


def test_values_in_a_jpeg_are_refused(tmp_path):
    Image.fromarray(halves(3, 200)).save(tmp_path / "a.jpg")
    with pytest.raises(ValueError, match="gray JPEG"):
        pictures.stored(tmp_path / "a.jpg")


def test_label_ids_are_those_of_the_class_table():
    every = pictures.Stored("gray", np.array([[*range(35), 255]], np.uint8), None, True)
    np.testing.assert_array_equal(
        decode(every, mappings.LABEL_IDS).train_ids, labels.to_train_ids(every.values)
    )


def test_csv_and_toml_say_the_same(tmp_path, by_value, by_color):
    def equal(a, b):
        return np.array_equal(a.keys, b.keys) and np.array_equal(a.train_ids, b.train_ids)

    (tmp_path / "v.toml").write_text(
        "[[class]]\nvalue = 3\ntrain_id = 0\nname = 'road'\n[[class]]\nvalue = 200\ntrain_id = 10\n"
        "[[class]]\nvalue = 7\ntrain_id = 255\n"
    )
    (tmp_path / "c.toml").write_text(
        "class = [{color = [128, 64, 128], train_id = 0}, {color = [70, 130, 180], train_id = 10},"
        " {color = [0, 0, 0], train_id = 255}]\n"
    )
    assert equal(mapping(tmp_path / "v.toml"), by_value)
    assert equal(mapping(tmp_path / "c.toml"), by_color)
    assert isinstance(by_value, Mapping)
    assert not by_value.colors
    assert by_color.colors
    (tmp_path / "spreadsheet.csv").write_bytes(b"\xef\xbb\xbfname, train_id, value\r\nroad, 0, 3\r\n")
    assert mapping(tmp_path / "spreadsheet.csv").keys.tolist() == [3]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.csv", "value;train_id\n3;0\n"),
        ("m.csv", "Value\tTrain_ID\r\n3\t0\r\n"),
        ("m.csv", "\n\nNAME;VALUE;TRAIN_ID\nroad;3;0\n;;\n"),
        ("m.toml", "[[Class]]\r\nValue = 3\r\nTrain_ID = 0\r\n"),
    ],
)
def test_text_as_spreadsheets_and_editors_write_it(tmp_path, name, text):
    for mark in (b"", b"\xef\xbb\xbf"):
        (tmp_path / name).write_bytes(mark + text.encode())
        read = mapping(tmp_path / name)
        assert (read.keys.tolist(), read.train_ids.tolist()) == ([3], [0])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("m.csv", "", "the heading is ''"),
        ("m.csv", "id,train_id\n1,2\n", "the heading is 'id,train_id'"),
        ("m.csv", "value,train_id\n", "maps nothing"),
        ("m.csv", "value,train_id\n1,0\nx,2\n", "line 3: an integer is missing"),
        ("m.csv", "value,train_id\n1_0,2\n", "line 2: an integer is missing"),
        ("m.csv", "value,train_id\n1,\N{ARABIC-INDIC DIGIT THREE}\n", "line 2: an integer is missing"),
        ("m.csv", "value,train_id\n1\n", "line 2: an integer is missing"),
        ("m.csv", "value,train_id\n256,0\n", r"line 2: values and colors are 0\.\.255, not 256"),
        ("m.csv", "value,train_id\n1,19\n", r"line 2: train ids are 0\.\.18, or 255 for ignored, not 19"),
        ("m.csv", "value,train_id\n1,0\n1,2\n", "line 3: 1 is given twice"),
        ("m.csv", "value,train_id\n1,0\n2,-1\n", "line 3: .* or 255 for ignored, not -1"),
        ("m.csv", "value;train_id\n\n1;x\n", "line 3: an integer"),
        (
            "m.toml",
            "class = [\n# {}\n{value = 1, train_id = 0},\n{value = 1, train_id = 2}]",
            r"class 2: 1 is",
        ),
        ("m.csv", "r,g,b,train_id\n1,2,3,0\n1,2,3,0\n", r"line 3: \(1, 2, 3\) is given twice"),
        ("m.csv", "r,g,b,train_id\n1,2,-3,0\n", r"line 2: .* not \(1, 2, -3\)"),
        ("m.toml", "[class", "cannot be read"),
        ("m.toml", "a = 1\n", r"no \[\[class\]\] tables"),
        ("m.toml", "class = []\n", r"no \[\[class\]\] tables"),
        (
            "m.toml",
            "class = [{value = 1.5, train_id = 0}]\n",
            r"class 1: value and train_id are integers",
        ),
        (
            "m.toml",
            "class = [{value = 1, train_id = 0}, {color = [1, 2, 3], train_id = 0}]\n",
            r"class 2: value and",
        ),
        (
            "m.toml",
            "class = [{color = [1, 2], train_id = 0}]\n",
            r"class 1: color and train_id are integers",
        ),
        (
            "m.toml",
            "class = [{value = 1, train_id = 0, trainid = 3}]\n",
            r"class 1: unknown trainid",
        ),
        ("m.txt", "value,train_id\n1,0\n", r"is \.csv or \.toml"),
    ],
)
def test_bad_mapping_files_name_file_and_entry(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=rf"{name}.*{message}"):
        mapping(tmp_path / name)
