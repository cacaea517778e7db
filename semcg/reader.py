"""A small network that reads plates and signs: whether a picture still shows what was written.

No class of the segmenters knows a plate, so no segmenter can tell whether one is legible. The reader sees one digit at
a time, cut from where the digit is known to be, in gray and with its contrast made equal: it answers what is written,
never where. A whole text is read when every digit is.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CROP = (14, 12)  # rows and columns of a digit's crop
# Kind of board -> its margin on each side, in columns and rows of a digit, which has 3 x 5 of them.
MARGINS = {"plates": (1.0, 0.97), "signs": (0.0, 0.0)}
AROUND = 1.0  # what a crop shows around its digit, in columns and rows of the digit: the gap to the next one
FINE = 3  # samples a side whose mean is a pixel of the crop, so that large digits are not sampled sparsely


class Reading(NamedTuple):
    """What was read in the place of a text."""

    read: str
    confidence: float  # product of the probabilities of the digits read, 0..1


class DigitReader(nn.Module):
    """Three convolutions and a linear layer, from crops of digits to scores of 0..9.

    Parameters
    ----------
    generator : torch.Generator, optional
        Where the first weights come from (He et al., 2015); torch's global one if left out.
    """

    def __init__(self, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(1, 24, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(24, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(32, 48, 3, padding=1), nn.ReLU()),
        )
        self.score = nn.Linear(48 * (CROP[0] // 4) * (CROP[1] // 4), 10)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
                nn.init.zeros_(module.bias)

    def forward(self, crops: Tensor) -> Tensor:
        """Return scores (n, 10) of crops (n, 14, 12), each brought to mean 0 and deviation 1 first."""
        mean, deviation = crops.mean((1, 2), keepdim=True), crops.std((1, 2), keepdim=True)
        x = ((crops - mean) / (deviation + 1e-4))[:, None]  # (n, 1, 14, 12)
        return self.score(self.features(x).flatten(1))


def gray(x: Tensor) -> Tensor:
    """Return the luminance (B, H, W), 0..1, of images (B, 3, H, W) in [-1, 1], by the weights of ITU-R BT.601."""
    weights = torch.tensor([0.299, 0.587, 0.114], dtype=x.dtype, device=x.device)
    return (torch.einsum("bchw,c->bhw", x, weights) + 1) / 2


def cut(
    picture: Tensor, texts: Sequence[Mapping], kind: str, *, shifts: Tensor | None = None
) -> tuple[Tensor, list[int]]:
    """Cut the digits of texts from a picture.

    Parameters
    ----------
    picture : (H, W) float
        Gray.
    texts : sequence of mappings
        Each with "text", of digits, and "box", the board's [x0, y0, x1, y1] in pixels from the frame's corner.
    kind : str
        "plates" or "signs": which margin the board has.
    shifts : (number of texts, 2) float, optional
        Pixels to the right and down by which the cut misses.

    Returns
    -------
    (n, 14, 12) float
        The crops of all digits, text by text, bilinear; beyond the frame its rim repeats.
    list of int
        Number of digits of each text.

    Raises
    ------
    ValueError
        For another kind, or a text that is empty or of other signs than 0..9.
    """
    if kind not in MARGINS:
        raise ValueError(f"kind = {kind!r}: allowed: {', '.join(MARGINS)}")
    for text in texts:
        if not (text["text"].isascii() and text["text"].isdigit()):
            raise ValueError(f"text {text['text']!r} at {text['box']}: only digits 0..9 are read")
    lengths = [len(text["text"]) for text in texts]
    if not texts:
        return picture.new_zeros(0, *CROP), lengths
    margin_x, margin_y = MARGINS[kind]
    cells = []
    for k, text in enumerate(texts):
        x0, y0, x1, y1 = text["box"]
        column = (x1 - x0) / (4 * lengths[k] - 1 + 2 * margin_x)
        row = (y1 - y0) / (5 + 2 * margin_y)
        right, down = (0.0, 0.0) if shifts is None else shifts[k].tolist()
        for place in range(lengths[k]):
            left = x0 + right + (margin_x + 4 * place - AROUND) * column
            top = y0 + down + (margin_y - AROUND) * row
            cells.append([left, top, (3 + 2 * AROUND) * column, (5 + 2 * AROUND) * row])
    at = {"dtype": picture.dtype, "device": picture.device}
    left, top, width, height = torch.tensor(cells, **at).T
    rows, columns = ((torch.arange(FINE * n, **at) + 0.5) / (FINE * n) for n in CROP)
    y = top[:, None] + height[:, None] * rows  # (n, 3 * 14)
    x = left[:, None] + width[:, None] * columns  # (n, 3 * 12)
    tall, wide = picture.shape
    across, down = (2 * x / wide - 1)[:, None, :], (2 * y / tall - 1)[:, :, None]
    grid = torch.stack(torch.broadcast_tensors(across, down), dim=-1)  # (n, 42, 36, 2)
    options = {"padding_mode": "border", "align_corners": False}
    seen = F.grid_sample(picture[None, None], grid.flatten(0, 1)[None], **options)
    return F.avg_pool2d(seen.view(len(cells), 1, *grid.shape[1:3]), FINE)[:, 0], lengths


def read(reader: nn.Module, crops: Tensor, lengths: Sequence[int]) -> list[Reading]:
    """Read texts from the crops of their digits.

    Parameters
    ----------
    reader : Module
        From crops (n, 14, 12) to scores (n, 10).
    crops, lengths
        From `cut`; those of several frames may be joined.

    Returns
    -------
    list of Reading
        One per text, which has always as many digits as are there: what is illegible is read as something, with
        less confidence.
    """
    if not lengths:
        return []
    with torch.inference_mode():
        best, digit = reader(crops).double().softmax(1).max(1)
    texts = zip(best.split(list(lengths)), digit.split(list(lengths)), strict=True)
    return [Reading("".join(map(str, d.tolist())), float(b.prod())) for b, d in texts]
