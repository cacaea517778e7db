"""What must stay legible: plates and signs, by a trained reader, and road markings, by their contrast.

The synthetic world notes what is written where. Labels do not tell markings from asphalt, both are road; in the source they
can be told, since markings are the road's bright pixels. What is bright there is followed through the translation, pixel by
pixel.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import binary_dilation
from torch import Tensor, nn
from torch.nn import functional as F

from semcg.data import Scenes
from semcg.labels import names as class_names
from semcg.reader import DigitReader, cut, gray, read

KINDS = ("plates", "signs")
UNHIDDEN = 0.97
"""Share of a board that must be seen."""
SMALLEST = 2.5
"""Height in pixels of the smallest digits that are read; below, five rows of a digit share two or three of a picture."""
MISS, WORN = 0.35, 0.15
"""The augmentation: pixels by which a crop may miss, either way, and the noise as a share of the crop's deviation."""
VARIANTS = 4
"""Crops of each digit that the training sees."""

BRIGHTER = 0.2
"""By how much a marking's luminance exceeds the median of its frame's road. On the synthetic world nine tenths of the
pixels found are painted ones, and nine tenths of the painted ones are found."""
RING = 3
"""Pixels around a marking that count as the asphalt beside it."""

KEPT = 0.25
"""Share of its contrast with which a marking pixel counts as kept. In the synthetic world the perfect translation halves the
contrast, and keeps 0.87 of the pixels by this rule, about as many as are painted ones."""


def notes(folder: Path | str, domain: str, split: str) -> dict[str, dict[str, list[dict]]]:
    """Return what is written in the frames of a split: the boards that can be read at all.

    Parameters
    ----------
    folder : path
        Of the data. `scenes.jsonl` in it holds a line per frame of the synthetic world.
    domain, split : str

    Returns
    -------
    dict
        Frame -> {"plates": [...], "signs": [...]}, each board with "text", "box" and "digit_px". Boards of which less
        than 97 % is seen, with digits below 2.5 px, or with letters are left out. Empty where the data have no notes.

    Raises
    ------
    ValueError
        If a line is not what the world writes; names the file and the line.
    """
    path = Path(folder) / "scenes.jsonl"
    if not path.is_file():
        return {}
    found = {}
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            note = json.loads(line)
            if (note["domain"], note["split"]) == (domain, split):
                found[note["name"]] = {kind: [t for t in note[kind] if _legible(t)] for kind in KINDS}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} line {number} is no note of a scene: {error!r}") from None
    return found


def _legible(text: Mapping) -> bool:
    return text["visible"] >= UNHIDDEN and text["digit_px"] >= SMALLEST and text["text"].isdigit()


def train_reader(folder: Path | str, *, steps: int = 1200, batch: int = 128) -> DigitReader:
    """Train the reader on the plates of real target frames, on the CPU; the same numbers give the same weights.

    It learns from plates alone. Signs say 30, 50 or 70: a reader that had learned from them would guess one in three
    without seeing any.

    Parameters
    ----------
    folder : path
        Of the data; those of target/train are read.
    steps, batch
        Of the training: AdamW, the rate falling from 0.002 to 0 along a cosine.

    Returns
    -------
    DigitReader
        In evaluation mode.

    Raises
    ------
    ValueError
        If there is no plate to learn from.
    """
    draw = torch.Generator().manual_seed(0)
    plates = {name: note["plates"] for name, note in notes(folder, "target", "train").items()}
    if not any(plates.values()):
        raise ValueError(f"no plate in target/train of {folder} to learn reading from")
    scenes = Scenes(Path(folder) / "target" / "train", labels=False)
    crops, digits = [], []
    for i, name in enumerate(scenes.names):
        if texts := plates.get(name):
            picture = gray(scenes.frame(i)[0][None])[0]
            for _ in range(VARIANTS):
                shifts = MISS * (2 * torch.rand(len(texts), 2, generator=draw) - 1)
                crops.append(cut(picture, texts, "plates", shifts=shifts)[0])
                digits += [int(digit) for text in texts for digit in text["text"]]
    return _trained(torch.cat(crops), torch.tensor(digits), draw, steps=steps, batch=batch, lr=2e-3)


def _trained(
    crops: Tensor, digits: Tensor, draw: torch.Generator, *, steps: int, batch: int, lr: float
) -> DigitReader:
    net = DigitReader(generator=draw).train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        chosen = torch.randint(len(crops), (batch,), generator=draw)
        x = crops[chosen]
        x = x + WORN * x.std((1, 2), keepdim=True) * torch.randn(x.shape, generator=draw)
        loss = F.cross_entropy(net(x), digits[chosen])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
    return net.eval()


def read_frames(
    reader: nn.Module,
    pictures: Tensor,
    names: Sequence[str],
    written: Mapping[str, Mapping[str, Sequence[Mapping]]],
) -> dict[str, dict[str, dict]]:
    """Read what is written in some frames.

    Parameters
    ----------
    reader : Module
        A `DigitReader`.
    pictures : (B, H, W) float
        Luminance, from `semcg.reader.gray`.
    names : sequence of str
        Of the frames.
    written : dict
        From `notes`.

    Returns
    -------
    dict
        "plates" and "signs" -> "<frame>/<number of the board>" -> "text", "read", "confidence" and "digit_px".
    """
    found = {}
    for kind in KINDS:
        texts = [(name, written.get(name, {}).get(kind, [])) for name in names]
        cuts = [cut(picture, boards, kind) for picture, (_, boards) in zip(pictures, texts, strict=True)]
        answers = read(reader, torch.cat([c for c, _ in cuts]), [n for _, each in cuts for n in each])
        boards = ((f"{name}/{k}", board) for name, each in texts for k, board in enumerate(each))
        found[kind] = {
            item: {"text": board["text"], "digit_px": float(board["digit_px"]), **answer._asdict()}
            for (item, board), answer in zip(boards, answers, strict=True)
        }
    return found


def read_scenes(reader: nn.Module, folder: Path | str, domain: str, split: str) -> dict[str, dict[str, dict]]:
    """Read all frames of a split as they are: on target frames the reader's ceiling, on source frames its floor.

    Returns
    -------
    dict
        Two parts of a measurement, as `read_frames`; `semcg.evaluate.values` takes them.
    """
    scenes, written = Scenes(Path(folder) / domain / split, labels=False), notes(folder, domain, split)
    found: dict[str, dict] = {kind: {} for kind in KINDS}
    for i, name in enumerate(scenes.names):
        for kind, boards in read_frames(reader, gray(scenes.frame(i)[0][None]), [name], written).items():
            found[kind] |= boards
    return found


def marking_sums(label: np.ndarray, source: np.ndarray, translated: np.ndarray) -> dict[str, int | float]:
    """Sum the luminance of a frame's markings and of the asphalt beside them, before and after translation.

    Parameters
    ----------
    label : (H, W) integer
        Train ids.
    source, translated : (H, W) float
        Luminance, 0..1. Only `source` decides which pixels are markings.

    Returns
    -------
    dict
        "markings" and "asphalt", numbers of pixels, and for each the sums "... before" and "... after"; "kept", the number
        of marking pixels that have at least `KEPT` of their contrast (Michelson's, to the mean asphalt beside them) after
        translation. Empty where no marking is seen.
    """
    road = label == class_names().index("road")
    if not road.any():
        return {}
    bright = road & (source > np.median(source[road]) + BRIGHTER)
    beside = road & ~bright & binary_dilation(bright, iterations=RING)
    if not (bright.any() and beside.any()):
        return {}

    def contrast(image: np.ndarray) -> np.ndarray:
        asphalt = image[beside].mean()
        return (image[bright] - asphalt) / np.maximum(image[bright] + asphalt, 1e-6)

    kept = contrast(translated) >= KEPT * contrast(source)
    sums: dict[str, int | float] = {"kept": int(kept.sum())}
    for what, where in (("markings", bright), ("asphalt", beside)):
        sums[what] = int(where.sum())
        sums[f"{what} before"] = float(source[where].sum())
        sums[f"{what} after"] = float(translated[where].sum())
    return sums


def marking_contrast(sums: dict[str, int | float]) -> float:
    """Return the contrast after translation over that before; 1 is as visible as in the source, 0 is gone.

    The contrast is Michelson's, (m - a) / (m + a), of the mean luminances m of markings and a of asphalt: a change of
    exposure does not move it.

    Parameters
    ----------
    sums : dict
        From `marking_sums`; those of frames are added first.
    """

    contrast = {}
    for when in ("before", "after"):
        m, a = (sums[f"{what} {when}"] / sums[what] for what in ("markings", "asphalt"))
        contrast[when] = (m - a) / (m + a) if m + a else 0.0  # black on black
    return contrast["after"] / contrast["before"]
