"""All measures of one translation, from one pass over the source's test frames."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from semcg import edges, metrics
from semcg.data import Scenes
from semcg.distances import grid_powers, kid, kid_halves, ssim
from semcg.evaluate.parts import Parts, frame_part, table_part
from semcg.evaluate.reading import marking_sums, notes, read_frames
from semcg.labels import CLASSES, names
from semcg.reader import grey
from semcg.segmenters import upsample
from semcg.translate import Translation, any_size, image, pad, stems

__all__ = ["Pictures", "collect", "target_features"]


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
        found = [image(self.paths[name]) for name in frames]
        for name, picture in zip(frames, found, strict=True):
            if picture.shape != x.shape[1:]:
                sizes = f"{tuple(picture.shape[1:])} (H, W), its frame {tuple(x.shape[2:])}"
                raise ValueError(f"{self.paths[name]} is {sizes}")
        return torch.stack(found).to(x.device)


def collect(
    translate: Translation | Pictures,
    *,
    folder: Path | str,
    judge: nn.Module,
    second_judge: nn.Module | None = None,
    Sem_t: nn.Module | None = None,
    plain: nn.Module | None = None,
    reader: nn.Module | None = None,
    back: Translation | None = None,
    fabric: Fabric | None = None,
    target: Tensor | None = None,
    plain_target: Tensor | None = None,
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
    judge : Module
        Scores the translation; never one that a loss has seen. Its `down4`, where it has one, gives the features of
        KID: their mean over the frame.
    second_judge, Sem_t : Module, optional
        Score too; Sem_t's score is circular and goes beside.
    plain : Module, optional
        A segmenter with a `down4` that was trained without added marks of networks, for "KID plain".
    reader : Module, optional
        Reads plates and signs (`train_reader`).
    back : callable, optional
        G_ts, for the way back.
    fabric : Fabric, optional
        Its device is used; the CPU without one. All networks lie there. They are run in evaluation mode and float32.
    target, plain_target : (n, d) float, optional
        `target_features` of judge and of `plain`, to measure many translations; computed here without them.
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
    folder = Path(folder)
    scenes = Scenes(folder / "source" / "test")
    if not scenes.labelled:
        raise ValueError(f"{scenes.folder} has no labels: there is nothing to score against")
    drawn = scenes.folder / "oracle"
    oracle = Pictures(drawn) if drawn.is_dir() else None
    written = notes(folder, "source", "test") if reader is not None else {}
    nets = {"judge": judge, "second judge": second_judge, "Sem_t": Sem_t}
    nets = {name: net for name, net in nets.items() if net is not None}
    run, home = any_size(translate), None if back is None else any_size(back)
    device = torch.device("cpu") if fabric is None else fabric.device
    counts = {name: torch.zeros(len(CLASSES), len(CLASSES) + 1, dtype=torch.int64) for name in nets}
    outlines = np.zeros((len(CLASSES), len(edges.COUNTS)), np.int64)
    items = ("judge frames", "edges", "grid", "plates", "signs", "markings", "oracle", "cycle")
    parts: Parts = {part: {} for part in items}
    features: dict[str, Tensor] = {}
    plain_features: dict[str, Tensor] = {}
    with _evaluating(*nets.values(), plain, reader, translate, back), torch.inference_mode():
        for those, x, y in _batches(scenes, batch, device, frames):
            x_st = run(x, those) if getattr(run, "takes_names", False) else run(x)
            if x_st.shape != x.shape:
                raise ValueError(f"images {tuple(x.shape)} were translated to {tuple(x_st.shape)}")
            with _watched(judge) as seen:
                read = {name: _classes(net, x_st) for name, net in nets.items()}
            for name in nets:
                counts[name] += metrics.confusion(read[name], y).cpu()
            if seen:
                features |= zip(those, seen[0], strict=True)
            if plain is not None:
                with _watched(plain) as seen:
                    _classes(plain, x_st)
                plain_features |= zip(those, seen[0], strict=True)
            parts["judge frames"] |= zip(those, map(frame_part, read["judge"], y), strict=True)
            outlines += edges.boundary_counts(read["judge"].cpu().numpy(), y.cpu().numpy())
            before, after = grey(x), grey(x_st)
            if written:
                for kind, boards in read_frames(reader, after, those, written).items():
                    parts[kind] |= boards
            there = oracle(x, those) if oracle else None
            perfect = [None] * len(x) if there is None else grey(there).cpu().numpy()
            three = (v.cpu().numpy() for v in (y, before, after))
            for name, label, source, translated, drawn in zip(those, *three, perfect, strict=True):
                parts["edges"][name] = _edge_medians(label, source, translated, drawn)
                parts["markings"][name] = marking_sums(label, source, translated)
                if min(translated.shape) >= 32:
                    parts["grid"][name] = grid_powers(translated)
            if oracle:
                parts["oracle"] |= zip(those, map(_differences, x_st, there, [True] * len(x)), strict=True)
            if home:
                parts["cycle"] |= zip(those, map(_differences, home(x_st), x), strict=True)
    if target is None:
        target = target_features(judge, folder, fabric=fabric, batch=batch)
    if plain is not None and plain_target is None:
        plain_target = target_features(plain, folder, fabric=fabric, batch=batch)
    parts["KID"] = _kernel_distance(features, target)
    parts["KID plain"] = {} if plain is None else _kernel_distance(plain_features, plain_target)
    parts |= {name: table_part(table) for name, table in counts.items()}
    parts["boundary"] = {
        name: dict(zip(edges.COUNTS, row, strict=True))
        for name, row in zip(names(), outlines.tolist(), strict=True)
        if any(row)
    }
    whole = {part: {k: v for k, v in sorted(items.items()) if v} for part, items in parts.items()}
    return {part: items for part, items in whole.items() if items}


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
    with _evaluating(judge), torch.inference_mode(), _watched(judge) as seen:
        for _, x, _ in _batches(scenes, batch, device):
            _classes(judge, x)
    return torch.cat(seen)


def _batches(
    scenes: Scenes, batch: int, device: torch.device, frames: Sequence[str] | None = None
) -> Iterator[tuple[list[str], Tensor, Tensor]]:
    """Yield stems, images and labels of up to `batch` neighbours of equal size."""
    place = {name: i for i, name in enumerate(scenes.names)}
    if unknown := set(frames or ()) - place.keys():
        raise ValueError(f"{scenes.folder} has no frame {sorted(unknown)[0]}")
    held: list[tuple[str, Tensor, Tensor]] = []

    def stacked() -> tuple[list[str], Tensor, Tensor]:
        those, x, y = zip(*held, strict=True)
        held.clear()
        return list(those), torch.stack(x).to(device), torch.stack(y).to(device)

    for name in scenes.names if frames is None else frames:
        x, y = scenes.frame(place[name])
        if held and (len(held) == batch or x.shape != held[0][1].shape):
            yield stacked()
        held.append((name, x, y))
    if held:
        yield stacked()


@contextmanager
def _evaluating(*what: object) -> Iterator[None]:
    """Put the networks among the arguments into evaluation mode, and back into the mode they were in."""
    with ExitStack() as after:
        for net in what:
            if isinstance(net, nn.Module):
                after.callback(net.train, net.training)
                net.eval()
        yield


@contextmanager
def _watched(judge: nn.Module) -> Iterator[list[Tensor]]:
    """Keep the mean over the frame (B, d) of what the judge's deepest level returns; nothing, if it has none."""
    seen: list[Tensor] = []
    if not isinstance(level := getattr(judge, "down4", None), nn.Module):
        yield seen
        return
    hook = level.register_forward_hook(lambda net, given, x: seen.append(x.mean((2, 3)).cpu()))
    try:
        yield seen
    finally:
        hook.remove()


def _classes(net: nn.Module, x: Tensor) -> Tensor:
    """Return the classes (B, H, W) that a segmenter reads."""
    around, top, left = pad(x, getattr(net, "multiple", 1))
    # Channels last: on a CPU the judge takes two thirds of the time so, and finding the best class a fifth.
    scores = upsample(net(around.contiguous(memory_format=torch.channels_last)), around.shape[-2:])
    return scores[..., top : top + x.shape[-2], left : left + x.shape[-1]].argmax(1)


def _edge_medians(
    label: np.ndarray, before: np.ndarray, after: np.ndarray, perfect: np.ndarray | None
) -> dict[str, int | float]:
    points = edges.edge_points(label)
    source, translated = edges.edge_widths(before, points), edges.edge_widths(after, points)
    both = ~np.isnan(source) & ~np.isnan(translated)
    found: dict[str, int | float] = {"points": len(source), "measured": int(both.sum())}
    if both.any():
        found["source"] = float(np.median(source[both]))
        found["translated"] = float(np.median(translated[both]))
    if perfect is not None:
        drawn = edges.edge_widths(perfect, points)
        both = ~np.isnan(drawn) & ~np.isnan(translated)
        found["compared"] = int(both.sum())
        if both.any():
            found["oracle"] = float(np.median(drawn[both]))
            found["beside oracle"] = float(np.median(translated[both]))
    return found


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
    halves = kid_halves(ours, theirs)
    return {
        "frames": {"all": kid(ours, theirs)},
        "half": {str(k): float(value) for k, value in enumerate(halves)},
    }
