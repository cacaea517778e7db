"""The reader of plates and signs: where digits are cut, what is read, and that training gives the same twice."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from semcg import reader
from semcg.evaluate import reading, train_reader

PLATE = {"text": "407", "box": [10.0, 20.0, 36.0, 33.88]}  # 13 columns of 2 px, 6.94 rows of 2 px


class Mean(nn.Module):
    """Sure of the digit that the mean of a crop says, in tenths."""

    def forward(self, crops):
        return 20.0 * nn.functional.one_hot((crops.mean((1, 2)) * 10).round().long() % 10, 10)


def test_gray_by_hand():
    x = torch.tensor([1.0, -1.0, 0.0]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    assert torch.allclose(reader.gray(x), torch.full((1, 2, 2), 0.299 + 0.114 / 2))


def test_digits_are_cut_where_they_stand():
    """A plate's digit k stands in columns 1 + 4 k .. 4 + 4 k of 13; a crop shows a column more on either side."""
    ramp = torch.arange(64.0).repeat(48, 1) + 0.5  # the value is the place, counted from the frame's corner
    crops, lengths = reader.cut(ramp, [PLATE], "plates")
    assert (tuple(crops.shape), lengths) == ((3, 14, 12), [3])
    for k, crop in enumerate(crops):
        left = 10 + 2 * (1 + 4 * k - 1)
        expected = left + 10 * (torch.arange(12) + 0.5) / 12
        assert torch.allclose(crop[7], expected, atol=1e-4)
    down, _ = reader.cut(ramp.T[:48, :48].contiguous(), [PLATE], "plates")
    expected = 20 + 2 * (0.97 - 1) + 14 * (torch.arange(14) + 0.5) / 14
    assert torch.allclose(down[0, :, 5], expected, atol=1e-4)
    sign, _ = reader.cut(ramp, [{"text": "30", "box": [10, 20, 24, 30]}], "signs")  # 7 columns of 2 px
    assert torch.allclose(sign[1, 7], 10 + 2 * 3 + 10 * (torch.arange(12) + 0.5) / 12, atol=1e-4)
    moved, _ = reader.cut(ramp, [PLATE], "plates", shifts=torch.tensor([[0.5, 0.0]]))
    assert torch.allclose(moved, crops + 0.5, atol=1e-4)


def test_texts_are_put_together():
    picture = torch.zeros(48, 64)
    for k, digit in enumerate((4, 0, 7)):
        picture[19:35, 10 + 8 * k : 20 + 8 * k] = digit / 10  # later digits cover the gap to the one before
    crops, lengths = reader.cut(picture, [PLATE], "plates")
    crops = torch.stack([c[:, 2:9].mean() * torch.ones(14, 12) for c in crops])  # without the neighbors
    (found,) = reader.read(Mean(), crops, lengths)
    assert found.read == "407"
    assert found.confidence == pytest.approx((1 / (1 + 9 * np.exp(-20.0))) ** 3)
    assert reader.read(Mean(), crops[:0], []) == []
    two = reader.read(Mean(), torch.cat([crops, crops[:2]]), [3, 2])
    assert [t.read for t in two] == ["407", "40"]


def test_other_texts_are_refused():
    with pytest.raises(ValueError, match="STOP"):
        reader.cut(torch.zeros(8, 8), [{"text": "STOP", "box": [0, 0, 4, 4]}], "signs")
    with pytest.raises(ValueError, match="kind = 'bus'"):
        reader.cut(torch.zeros(8, 8), [], "bus")


def test_exposure_and_contrast_change_no_score():
    net = reader.DigitReader(generator=torch.Generator().manual_seed(0)).eval()
    crops = torch.rand(5, 14, 12, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(net(crops), net(0.3 + 0.5 * crops), atol=1e-2)
    assert torch.isfinite(net(torch.zeros(2, 14, 12))).all(), "a flat crop has a score too"
    again = reader.DigitReader(generator=torch.Generator().manual_seed(0)).eval()
    assert torch.equal(net(crops), again(crops))


def test_notes_that_are_none_are_named(tmp_path):
    assert reading.notes(tmp_path, "source", "test") == {}
    with pytest.raises(ValueError, match="no plate"):
        train_reader(tmp_path)
    board = {"visible": 1.0, "digit_px": 5.0, "text": 5}
    note = {"domain": "source", "split": "test", "name": "a", "plates": [board], "signs": []}
    for line in (b'{"domain": "source"}', b"\xff", b"[]", json.dumps(note).encode()):
        (tmp_path / "scenes.jsonl").write_bytes(line + b"\n")
        with pytest.raises(ValueError, match=r"scenes\.jsonl line 1"):
            reading.notes(tmp_path, "source", "test")


def test_notes_are_of_boards_that_can_be_read(tmp_path):
    board = {"text": "123", "box": [1, 2, 30, 16], "digit_px": 5.0, "visible": 1.0}
    hidden, small, word = board | {"visible": 0.9}, board | {"digit_px": 2.4}, board | {"text": "STOP"}
    note = {"domain": "source", "split": "test", "name": "0", "plates": [board, hidden, small]}
    lines = [note | {"signs": [word]}, note | {"split": "val", "signs": []}]
    (tmp_path / "scenes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert reading.notes(tmp_path, "source", "test") == {"0": {"plates": [board], "signs": []}}


def test_training_gives_the_same_twice_and_learns():
    """Ten made-up digits: bars at ten places."""
    draw = torch.Generator().manual_seed(3)
    digits = torch.randint(10, (200,), generator=draw)
    crops = torch.rand(200, 14, 12, generator=draw) + (torch.arange(12) - 1 == digits[:, None])[:, None]
    nets = [
        reading._trained(crops, digits, torch.Generator().manual_seed(4), steps=60, batch=64, lr=3e-3)
        for _ in range(2)
    ]
    for a, b in zip(*(net.state_dict().values() for net in nets), strict=True):
        assert torch.equal(a, b)
    assert (nets[0](crops).argmax(1) == digits).float().mean() > 0.9
