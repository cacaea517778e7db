"""Measure translated frames: what segmenters read in them, the distance to the oracle, and the tables.

Pixels are counted in the table of `semcg.metrics.confusion`, summed over all frames; the numbers are taken from the
sum. Frames are scored whole, at the size of their labels, in float32.

    nets = {"judge": judge, "Sem_t": Sem_t}
    parts = collect(G_st, folder=data, nets=nets, reader=train_reader(data), back=G_ts)
    values(parts)["plates read", "all"]     # every measure of a translation, from one pass over its frames

Here is that pass. `frames` counts what is read in frames, `reading` reads plates and signs, and `parts` has the numbers
and tables.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from semcg import edges, metrics
from semcg.data import Scenes
from semcg.distances import grid_powers, kid, kid_halves, psnr, ssim
from semcg.evaluate.frames import batches, counts_of_folders, evaluating, scores_of, segmentation_counts
from semcg.evaluate.parts import Parts, class_table, counts_of, frame_part, read_parts, table_part, values
from semcg.evaluate.reading import marking_sums, notes, read_frames, read_scenes, train_reader
from semcg.labels import CLASSES, names
from semcg.reader import gray
from semcg.translate import Translator, any_size, image, stems

_PER_FRAME = ("judge frames", "edges", "grid", "plates", "signs", "markings", "oracle", "cycle")
_TABLES = ("judge", "second judge", "Sem_t")


class Pictures:
    """A folder of pictures in the place of a translation: a frame becomes the picture of the same stem.

    The oracle is measured so, and whatever another program translated.

    Parameters
    ----------
    folder : path
        PNG or JPEG files of the size of the frames.
    """

    takes_names = True
    """`collect` calls it with the images and the stems of their frames."""

    def __init__(self, folder: Path | str) -> None:
        self.folder, self.paths = Path(folder), stems(folder)

    def __call__(self, x: Tensor, frames: Sequence[str]) -> Tensor:
        """Return the pictures (B, 3, H, W) in [-1, 1] of the frames, on the device of `x`."""
        if missing := [name for name in frames if name not in self.paths]:
            raise FileNotFoundError(f"no picture in {self.folder} for the frame {missing[0]}")
        pictures = [image(self.paths[name]) for name in frames]
        for name, picture in zip(frames, pictures, strict=True):
            if picture.shape != x.shape[1:]:
                sizes = f"{tuple(picture.shape[1:])} (H, W), its frame {tuple(x.shape[2:])}"
                raise ValueError(f"{self.paths[name]} is {sizes}")
        return torch.stack(pictures).to(x.device)


def collect(
    translate: Translator | Pictures,
    *,
    folder: Path | str,
    nets: Mapping[str, nn.Module],
    reader: nn.Module | None = None,
    back: Translator | None = None,
    fabric: Fabric | None = None,
    target: Tensor | None = None,
    batch: int = 4,
    frames: Sequence[str] | None = None,
) -> Parts:
    """Translate the source's test frames once and measure everything that can be measured on the result.

    Parameters
    ----------
    translate : callable
        From source images to target images. One that has `takes_names`, as `Pictures`, is also given the stems of the
        frames.
    folder : path
        Of the data. Read are source/test with its labels and, where they are, its oracle and the notes of the drawn
        world, and the images of target/test.
    nets : dict
        Segmenters. "judge" scores the translation: never one that a loss has seen. Its `down4`, where it has one, gives
        the features of KID: their mean over the frame. "second judge" and "Sem_t" score too, where they are given;
        Sem_t's score is circular and goes beside. "plain" has a `down4` that was trained without added marks of networks,
        for "KID plain".
    reader : Module, optional
        Reads plates and signs (`train_reader`).
    back : callable, optional
        G_ts, for the way back.
    fabric : Fabric, optional
        Its device is used; the CPU without one. All networks lie there. They are run in evaluation mode and float32.
    target : (n, d) float, optional
        `target_features` of the judge, to measure many translations; computed here without them.
    batch : int
        Frames at once; a few that fit a CPU's cache are fastest there. No number depends on it, nor on the order of
        the frames, beyond the rounding of floats.
    frames : sequence of str, optional
        Stems of the frames to measure; all without it.

    Returns
    -------
    dict
        The parts of `semcg.evaluate.parts`, those that these data and arguments have.

    Raises
    ------
    ValueError
        If the frames have no labels, one that is asked for is not there, or a translation changes their shape.
    """
    folder, device = Path(folder), torch.device("cpu") if fabric is None else fabric.device
    scenes = Scenes(folder / "source" / "test")
    if not scenes.labeled:
        raise ValueError(f"{scenes.folder} has no labels: there is nothing to score against")
    oracle = Pictures(scenes.folder / "oracle") if (scenes.folder / "oracle").is_dir() else None
    written = notes(folder, "source", "test") if reader is not None else {}
    run, home = any_size(translate), None if back is None else any_size(back)
    counts = {name: torch.zeros(len(CLASSES), len(CLASSES) + 1, dtype=torch.int64) for name in nets}
    features: dict[str, dict[str, Tensor]] = {name: {} for name in nets}
    outlines = np.zeros((len(CLASSES), len(edges.COUNTS)), np.int64)
    parts: Parts = {part: {} for part in _PER_FRAME}
    with evaluating(*nets.values(), reader, translate, back):
        for stem, x, y in batches(_frames(scenes, frames), batch, device):
            x_st = run(x, stem) if getattr(run, "takes_names", False) else run(x)
            if x_st.shape != x.shape:
                raise ValueError(f"images {tuple(x.shape)} were translated to {tuple(x_st.shape)}")
            read = {name: _read(net, x_st) for name, net in nets.items()}
            for name, (classes, seen) in read.items():
                counts[name] += metrics.confusion(classes, y).cpu()
                features[name] |= zip(stem, seen, strict=True)
            judged, _ = read["judge"]
            outlines += edges.boundary_counts(judged.cpu().numpy(), y.cpu().numpy())
            perfect = oracle(x, stem) if oracle else None
            measured = {"judge frames": map(frame_part, judged, y)} | _in_gray(x, x_st, y, perfect)
            if oracle:
                measured["oracle"] = map(partial(_differences, similar=True), x_st, perfect)
            if home:
                measured["cycle"] = map(_differences, home(x_st), x)
            for part, of_frames in measured.items():
                parts[part] |= zip(stem, of_frames, strict=True)
            if written:
                for kind, boards in read_frames(reader, gray(x_st), stem, written).items():
                    parts[kind] |= boards
    for part, name, seen in (("KID", "judge", target), ("KID plain", "plain", None)):
        if name in nets:
            if seen is None:
                seen = target_features(nets[name], folder, fabric=fabric, batch=batch)
            parts[part] = _kernel_distance(features[name], seen)
    parts |= {name: table_part(counts[name]) for name in _TABLES if name in nets}
    rows = zip(names(), outlines.tolist(), strict=True)
    parts["boundary"] = {name: dict(zip(edges.COUNTS, row, strict=True)) for name, row in rows if any(row)}
    full = {part: {k: v for k, v in sorted(items.items()) if v} for part, items in parts.items()}
    return {part: items for part, items in full.items() if items}


def target_features(
    judge: nn.Module, folder: Path | str, *, fabric: Fabric | None = None, batch: int = 4
) -> Tensor:
    """Return what the judge sees in the images of target/test, the other side of KID.

    Returns
    -------
    (n, d) float32
        Mean over the frame of what `judge.down4` returns, a row per frame, on the CPU. (0, 0) where the judge has no
        such level or the data have no such images.
    """
    if not isinstance(getattr(judge, "down4", None), nn.Module):
        return torch.zeros(0, 0)
    try:
        scenes = Scenes(Path(folder) / "target" / "test", labels=False)
    except FileNotFoundError:
        return torch.zeros(0, 0)
    device = torch.device("cpu") if fabric is None else fabric.device
    with evaluating(judge):
        return torch.cat([_read(judge, x)[1] for _, x, _ in batches(_frames(scenes), batch, device)])


def oracle_distance(
    translate: Translator, scenes: Scenes, oracle_folder: Path | str, *, batch: int = 8, fabric: Fabric
) -> dict[str, float]:
    """Distance of translated frames to the oracle: the same scenes, drawn in the target's style.

    Parameters
    ----------
    translate : callable
        From source images to target images.
    scenes : Scenes
        Source frames.
    oracle_folder : path
        One PNG file of the same stem and size for each.

    Returns
    -------
    dict
        "l1": mean absolute difference, images in [-1, 1], so 0..2. "psnr": 10 log10(2^2 / mean squared difference) in
        dB, infinite for equal frames. Both means are over all channels and pixels of all frames. "frames": how many.

    Raises
    ------
    FileNotFoundError, ValueError
        As `Pictures`. Only the synthetic world has an oracle.
    """
    oracle, run, sums = Pictures(oracle_folder), any_size(translate), Counter()
    with torch.inference_mode():
        for stem, x, _ in batches(_frames(scenes), batch, fabric.device):
            sums.update(_differences(run(x), oracle(x, stem)))
    squared = sums["squared"] / sums["values"]
    return {"l1": sums["absolute"] / sums["values"], "psnr": psnr(squared), "frames": len(scenes)}


def _frames(scenes: Scenes, chosen: Sequence[str] | None = None) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Yield stem, image and label of all frames, or of those that are chosen."""
    place = {name: i for i, name in enumerate(scenes.names)}
    for name in scenes.names if chosen is None else chosen:
        if name not in place:
            raise ValueError(f"{scenes.folder} has no frame {name}")
        yield (name, *scenes.frame(place[name]))


def _read(net: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the classes (B, H, W) that a segmenter reads, and the mean over the frame (B, d) of its level `down4`."""
    seen, level = [x.new_zeros(len(x), 0)], getattr(net, "down4", None)
    hook = nullcontext()
    if isinstance(level, nn.Module):
        hook = level.register_forward_hook(lambda net, given, out: seen.append(out.mean((2, 3)).cpu()))
    with hook:
        # Channels last: on a CPU the judge takes two thirds of the time so, and finding the best class a fifth.
        return scores_of(net, x.contiguous(memory_format=torch.channels_last)).argmax(1), seen[-1]


def _in_gray(x: Tensor, x_st: Tensor, y: Tensor, perfect: Tensor | None) -> dict[str, list[dict]]:
    """Return what is measured in the luminance of images (B, 3, H, W): part -> an entry for each frame."""
    before, after, labels = (v.cpu().numpy() for v in (gray(x), gray(x_st), y))
    oracle = [None] * len(x) if perfect is None else gray(perfect).cpu().numpy()
    return {
        "edges": [*map(_edge_medians, labels, before, after, oracle)],
        "markings": [*map(marking_sums, labels, before, after)],
        "grid": [grid_powers(frame) if min(frame.shape) >= 32 else {} for frame in after],
    }


def _edge_medians(
    label: np.ndarray, before: np.ndarray, after: np.ndarray, perfect: np.ndarray | None
) -> dict[str, int | float]:
    points = edges.edge_points(label)
    source, translated = edges.edge_widths(before, points), edges.edge_widths(after, points)
    found = {"points": len(source)} | _medians("measured", {"source": source, "translated": translated})
    if perfect is not None:
        drawn = edges.edge_widths(perfect, points)
        found |= _medians("compared", {"oracle": drawn, "beside oracle": translated})
    return found


def _medians(counted: str, widths: dict[str, np.ndarray]) -> dict[str, int | float]:
    """Return the number of points that are measured in all pictures, and each picture's median width at these."""
    all_of = ~np.isnan([*widths.values()]).any(0)
    found = {name: float(np.median(width[all_of])) for name, width in widths.items() if all_of.any()}
    return {counted: int(all_of.sum())} | found


def _differences(a: Tensor, b: Tensor, similar: bool = False) -> dict[str, int | float]:
    off = (a - b).double()
    found: dict[str, int | float] = {"values": off.numel()}
    found |= {"absolute": off.abs().sum().item(), "squared": off.square().sum().item()}
    if similar:
        found["ssim"] = ssim(*(v.permute(1, 2, 0).cpu().numpy().astype(np.float64) for v in (a, b)))
    return found


def _kernel_distance(translated: dict[str, Tensor], target: Tensor) -> dict[str, dict[str, float]]:
    if min(len(translated), len(target)) < 4:
        return {}
    ours, theirs = torch.stack([translated[name] for name in sorted(translated)]).numpy(), target.numpy()
    halves = {str(k): float(value) for k, value in enumerate(kid_halves(ours, theirs))}
    return {"frames": {"all": kid(ours, theirs)}, "half": halves}
