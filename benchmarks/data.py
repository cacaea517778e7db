"""Drawing, preparing, loading and counting frames: a core's frames per second, PNG levels, and the plain ways.

The frames are drawn streets of GTA5's size, 1914 x 1052; their PNG files are about as large as GTA5's, 2.3 MB. What is
compared takes turns, round after round, by the process's own time; a ratio is the median over rounds of the ratio
within one round, with the least and the largest. What two processes gain is a ratio of clock times: it needs two idle
cores, and the load is noted beside it.

    python benchmarks/data.py                     a minute or two
    python benchmarks/data.py --full --write      more frames and rounds, and benchmarks/data.json
    python benchmarks/data.py --parts counting "prepare, level 6"
"""

import io
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np
from PIL import Image

from semcg import labels, world
from semcg_kit import prepare

PARTS = ("draw", "prepare", "prepare, level 6", "png levels", "load", "counting")
# Each process that draws reads this file anew. It shall not wait for torch, which it does not need.

RAW, STORED, CROP = (
    (1052, 1914),
    (1024, 1024),
    768,
)  # GTA5's frames; sizes of section 3.1 and 2.1 of the paper
LEVELS = (0, 1, 2, 3, 6, 9)
DRAWN = (128, 256)  # of profile mini
PILLOW = 6  # Pillow's own level
MAP = (1024, 2048)  # of Cityscapes, whose confusions are counted


def archive(root: Path, raw: Path, frames: int) -> None:
    """Draw frames into a folder in the layout that GTA5 is published in, and with train ids, for the loader, into `raw`."""
    colors = {c.label_id: c.color for c in labels.CLASSES}
    for folder in (root, raw):
        for part in ("images", "labels"):
            (folder / part).mkdir(parents=True)
    for k in range(1, frames + 1):
        picture, train_ids = world.render(world.Scene.sample(k, "source"), "game", RAW)
        name = f"{k:05d}.png"
        Image.fromarray(picture).save(root / "images" / name)
        (raw / "images" / name).symlink_to(root / "images" / name)
        Image.fromarray(train_ids).save(raw / "labels" / name)
        ids = labels.to_label_ids(train_ids)
        palette = Image.frombytes("P", ids.shape[::-1], ids.tobytes())
        palette.putpalette([value for i in range(256) for value in colors.get(i, (0, 0, 0))])
        palette.save(root / "labels" / name)


def by_processes(work: Callable[[int, Path], object], frames: int, rounds: int) -> dict:
    """Call work(processes, folder) with one and with two processes in turn."""
    from common import ratios, spread

    clock, own = {1: [], 2: []}, {1: [], 2: []}
    for _ in range(rounds):
        for processes in clock:
            with tempfile.TemporaryDirectory() as out:
                begun, used = time.perf_counter(), cpu()
                work(processes, Path(out) / "made")
                clock[processes].append(time.perf_counter() - begun)
                own[processes].append(cpu() - used)
    return {
        "frames per second of a core": frames / spread(own[1])["median"],
        "frames per second, one process": frames / spread(clock[1])["median"],
        "frames per second, two": frames / spread(clock[2])["median"],
        "two processes faster by": ratios(clock[1], clock[2]),
    }


def cpu() -> float:
    """Seconds of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in used)


def preparing(root: Path, rounds: int) -> dict:
    """How many times as fast `prepare` writes at its own level as at Pillow's, in turn, by one process's own time."""
    from common import ratios

    plain = Image.Image.save
    taken: dict[str, list[float]] = {"own": [], "Pillow's": []}
    for _ in range(rounds):
        for name, of in taken.items():
            with tempfile.TemporaryDirectory() as out, patch.object(Image.Image, "save", plain):
                if name == "Pillow's":

                    def save(picture, *given, compress_level=None, **options):
                        return plain(picture, *given, compress_level=PILLOW, **options)

                    Image.Image.save = save  # `patch` puts the plain one back
                begun = time.process_time()
                prepare.write([prepare.gta5(root).sized(STORED)], Path(out) / "made")
                of.append(time.process_time() - begun)
    return {"size": STORED, "faster than at Pillow's level": ratios(taken["Pillow's"], taken["own"])}


def masked(pred: np.ndarray, label: np.ndarray, classes: int = 19) -> np.ndarray:
    """Count as most public code does: a boolean mask first, then bincount over label * classes + prediction."""
    valid = (label >= 0) & (label < classes)
    pairs = classes * label[valid].astype(int) + pred[valid]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def counting(rounds: int) -> dict:
    """How many times as fast the package counts confusions as numpy behind a mask, in turn, by the process's own time."""
    from common import ratios, spread

    from semcg import metrics

    draw = np.random.default_rng(0)
    cells = [side // 16 for side in MAP]  # of streets' labels neighbors are mostly equal
    label = draw.choice([*range(19), 255], cells).astype(np.uint8).repeat(16, 0).repeat(16, 1)
    pred = np.where(draw.random(MAP) < 0.9, label % 19, draw.integers(0, 19, MAP)).astype(np.uint8)
    pred, label = pred.astype(np.int64), label.astype(np.int64)  # as the evaluation has them
    np.testing.assert_array_equal(metrics.confusion(pred, label)[:, :19], masked(pred, label))
    ways = {"package": lambda: metrics.confusion(pred, label), "numpy mask": lambda: masked(pred, label)}
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for n in range(rounds + 2):
        for name, way in ways.items():
            begun = time.process_time()
            way()
            if n >= 2:
                taken[name].append(time.process_time() - begun)
    return {
        "size": MAP,
        "ms": {name: 1000 * spread(of)["median"] for name, of in taken.items()},
        "faster than the numpy mask": ratios(taken["numpy mask"], taken["package"]),
    }


def levels(root: Path, rounds: int) -> dict[str, dict]:
    """Milliseconds and bytes of writing a stored frame at each level of PNG, the levels in turn."""
    from common import ratios, spread

    pictures = [
        Image.open(path).resize(STORED[::-1], Image.Resampling.BILINEAR)
        for path in sorted((root / "images").iterdir())
    ]
    taken: dict[int, list[float]] = {level: [] for level in LEVELS}
    sizes: dict[int, int] = {}
    for _ in range(rounds):
        for level, of in taken.items():
            begun, sizes[level] = time.process_time(), 0
            for picture in pictures:
                content = io.BytesIO()
                picture.save(content, "PNG", compress_level=level)
                sizes[level] += content.tell()
            of.append(1000 * (time.process_time() - begun) / len(pictures))
    return {
        str(level): {
            "ms": spread(of)["median"],
            "bytes": sizes[level] / len(pictures),
            "faster than Pillow's": ratios(taken[PILLOW], of),
        }
        for level, of in taken.items()
    }


def pillow(folder: Path, name: str, *, size: tuple[int, int] | None, place: tuple[float, float, bool]):
    """Read a pair as most public code does: open, resize, crop, mirror, to a tensor, normalize."""
    import torch

    image = Image.open(folder / "images" / name).convert("RGB")
    label = Image.open(folder / "labels" / name)
    if size:
        image = image.resize(size[::-1], Image.Resampling.BILINEAR)
        label = label.resize(size[::-1], Image.Resampling.NEAREST)
    down, right, mirrored = place
    top, left = int(down * (image.height - CROP + 1)), int(right * (image.width - CROP + 1))
    box = (left, top, left + CROP, top + CROP)
    image, label = image.crop(box), label.crop(box)
    if mirrored:
        image, label = (p.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for p in (image, label))
    x = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().float().div(255)
    mean = deviation = torch.full((3, 1, 1), 0.5)
    return x.sub(mean).div(deviation), torch.from_numpy(np.array(label)).long()


def same_pixels(raw: Path, name: str, scenes: dict) -> None:
    """Check that all ways give the same pixels, or times mean nothing.

    What is prepared was resized by Pillow and is equal. The loader resizes with torchvision, whole frames, and then cuts:
    its values lie within one gray level of Pillow's, labels are equal.
    """
    import torch

    expected = pillow(raw, name, size=STORED, place=(0.0, 0.0, False))
    for way, level in (("this loader, prepared", 1e-6), ("this loader, frames as published", 1.001 / 127.5)):
        got = scenes[way].frame(0)
        for part, wanted, off in zip(got, expected, (level, 0), strict=True):
            torch.testing.assert_close(part[..., :CROP, :CROP], wanted, rtol=0, atol=off)


def loading(raw: Path, stored: Path, rounds: int) -> dict:
    """Seconds a pair of four ways to a crop, in turn, and their ratios to the first."""
    from common import ratios, spread

    from semcg.data import Scenes

    names = sorted(path.name for path in (raw / "images").iterdir())
    scenes = {
        "this loader, frames as published": Scenes(raw, size=STORED, crop=CROP, flip=0.5),
        "this loader, prepared": Scenes(stored, crop=CROP, flip=0.5),
    }
    places = [tuple(p) for p in np.random.default_rng(0).random((len(names), 3))]
    places = [(down, right, mirrored < 0.5) for down, right, mirrored in places]
    ways: dict[str, Callable[[int], object]] = {
        "Pillow, frames as published": lambda k: pillow(raw, names[k], size=STORED, place=places[k]),
        "Pillow, prepared": lambda k: pillow(stored, names[k], size=None, place=places[k]),
    }
    ways |= {name: of.item for name, of in scenes.items()}
    same_pixels(raw, names[0], scenes)
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for n in range(rounds + 1):
        for name, way in ways.items():
            begun = time.process_time()
            for k in range(len(names)):
                way(k)
            if n:  # the first round warms the page cache
                taken[name].append((time.process_time() - begun) / len(names))
    first = taken["Pillow, frames as published"]
    return {
        name: {"ms a pair": 1000 * spread(of)["median"], "faster than the first": ratios(first, of)}
        for name, of in taken.items()
    }


def main() -> None:
    import torch
    from common import arguments, keep, machine, said, spread

    parser = arguments(__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    result: dict = {"machine": machine()}
    scenes, frames, rounds = (400, 24, 7) if given.full else (100, 8, 3)
    few = {"train": scenes // 2, "val": 0, "test": 0, "judge_train": 0, "judge_val": 0}
    if "draw" in given.parts:
        result["draw"] = {"size": DRAWN} | by_processes(
            lambda processes, out: world.write(out, size=DRAWN, **few, processes=processes),
            scenes,
            rounds=1 + 2 * given.full,
        )
        say(f"draw, {DRAWN[0]} x {DRAWN[1]}", result["draw"])
    if "counting" in given.parts:
        found = result["counting"] = counting(20 * rounds)
        r = found["faster than the numpy mask"]
        print(
            f"\nconfusions of a map of {MAP[0]} x {MAP[1]}: {found['ms']['package']:.1f} ms, {said(r)} times as fast "
        )
        print(f"  as numpy behind a mask ({found['ms']['numpy mask']:.1f} ms)")
    with tempfile.TemporaryDirectory() as scratch:
        root, raw = Path(scratch) / "gta5", Path(scratch) / "raw"
        if set(given.parts) - {"draw", "counting"}:
            archive(root, raw, frames)
        if "prepare" in given.parts:
            sizes = [path.stat().st_size for path in (root / "images").iterdir()]
            result["prepare"] = {"size": STORED, "bytes of a frame": spread(sizes)["median"]} | by_processes(
                lambda processes, out: prepare.write(
                    [prepare.gta5(root).sized(STORED)], out, processes=processes
                ),
                frames,
                rounds=1 + 2 * given.full,
            )
            say(
                f"prepare, {RAW[0]} x {RAW[1]} ({np.median(sizes) / 1e6:.1f} MB) to {STORED[0]} x {STORED[1]}",
                result["prepare"],
            )
        if "prepare, level 6" in given.parts:
            found = result["prepare, level 6"] = preparing(root, 1 + 2 * given.full)
            r = found["faster than at Pillow's level"]
            print(f"\nprepare at its own level of PNG: {said(r)} times as fast as at Pillow's, {PILLOW}")
        if "png levels" in given.parts:
            result["png levels"] = levels(root, 1 + given.full)
            print(f"\nPNG of {STORED[0]} x {STORED[1]}, by level ({PILLOW} is Pillow's own, 1 is used here)")
            for level, row in result["png levels"].items():
                faster = said(row["faster than Pillow's"])
                print(
                    f"  {level}{row['ms']:>8.0f} ms{row['bytes'] / 1e6:>7.2f} MB   {faster} times level {PILLOW}"
                )
        if "load" in given.parts:
            prepare.write([prepare.gta5(root).sized(STORED)], Path(scratch) / "data")
            stored = one_folder(Path(scratch) / "data" / "source", Path(scratch) / "stored")
            result["load"] = loading(raw, stored, rounds)
            print(
                f"\na random crop of {CROP} x {CROP} of {STORED[0]} x {STORED[1]}, image and label, by one process"
            )
            for name, row in result["load"].items():
                ratio = said(row["faster than the first"])
                print(f"  {name:<34}{row['ms a pair']:>7.0f} ms a pair{ratio:>24}")
    if given.write:
        keep("data", result)


def one_folder(domain: Path, out: Path) -> Path:
    """Gather the splits of a prepared domain into one folder, so that all ways read the same frames."""
    for part in ("images", "labels"):
        (out / part).mkdir(parents=True)
        for path in domain.glob(f"*/{part}/*.png"):
            (out / part / path.name).symlink_to(path)
    return out


def say(title: str, row: dict) -> None:
    r = row["two processes faster by"]
    print(f"\n{title}: {row['frames per second of a core']:.1f} frames per second of a core's own time")
    print(
        f"  by the clock {row['frames per second, one process']:.1f} by one process, {row['frames per second, two']:.1f} "
        f"by two: {r['median']:.2f} times ({r['least']:.2f} to {r['largest']:.2f})",
        flush=True,
    )


if __name__ == "__main__":
    main()
