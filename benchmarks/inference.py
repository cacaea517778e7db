"""Frames per second of the generator: torch, ONNX Runtime, batches, bfloat16, compiled; and of a folder of frames.

Every way is timed in turn, round after round, so that what else the machine does falls on all of them; a figure is the
median over the rounds of the ratio to eager float32 within the same round, with its quartiles. Seconds and frames per
second belong to the machine, ratios are what can be compared.

    python benchmarks/inference.py                      sizes 256 and 512, full width, five rounds
    python benchmarks/inference.py --sizes 256 --width 16 --rounds 3 --ways eager onnxruntime
    python benchmarks/inference.py --write              and benchmarks/inference.json
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from semcg import export, files
from semcg.gan import UNet
from semcg.translate import Compiled, Padded, folder

WAYS = ("eager", "batch4", "onnxruntime", "autocast", "compiled", "folder", "folder4")
HERE = Path(__file__).resolve().parent


def ways_for(
    G: UNet, size: int, *, names: list[str], device: torch.device, scratch: Path
) -> dict[str, tuple[Callable[[], object], int, float]]:
    """Return for each way what is called, how many frames a call translates, and its largest difference to eager."""
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (4, size, size, 3), dtype=np.uint8)
    x = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1).to(device)
    with torch.inference_mode():
        expected = G(x[:1])
    made: dict[str, tuple[Callable[[], object], int, float]] = {}

    def add(name: str, call: Callable[[], torch.Tensor], frames: int) -> None:
        with torch.inference_mode():
            off = (
                (call()[:1].float().to(device) - expected).abs().max()
            )  # the first call compiles and warms up
        made[name] = call, frames, float(off)

    if "eager" in names:
        add("eager", lambda: G(x[:1]), 1)
    if "batch4" in names:
        add("batch4", lambda: G(x), 4)
    if "autocast" in names:

        def autocast() -> torch.Tensor:
            with torch.autocast(device.type, torch.bfloat16):
                return G(x[:1])

        add("autocast", autocast, 1)
    if "compiled" in names:
        low = Compiled(G)
        add("compiled", lambda: low(x[:1]), 1)
    if "onnxruntime" in names:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        path = export.onnx(G, scratch / f"g{size}.onnx", size=(size, size))
        providers = ["CUDAExecutionProvider"] if device.type == "cuda" else ["CPUExecutionProvider"]
        session = onnxruntime.InferenceSession(path, options, providers=providers)
        feed = {"images": pixels[:1]}
        add(
            "onnxruntime",
            lambda: torch.from_numpy(session.run(["values"], feed)[0]).permute(0, 3, 1, 2),
            1,
        )
    whole = Padded(G)
    for name, batch in (("folder", 1), ("folder4", 4)):
        if name in names:
            source = scratch / f"in{size}"
            source.mkdir(exist_ok=True)
            for k, picture in enumerate(np.concatenate([pixels, pixels])):
                Image.fromarray(picture).save(source / f"{k}.png")

            def files_too(batch: int = batch, source: Path = source) -> None:
                with tempfile.TemporaryDirectory(dir=scratch) as out:
                    for _ in folder(whole, source, out, batch=batch):
                        pass

            made[name] = files_too, 8, float("nan")
    return made


def timed(call: Callable[[], object], device: torch.device) -> float:
    begun = time.perf_counter()
    with torch.inference_mode():
        call()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - begun


def measure(ways: dict, *, rounds: int, device: torch.device) -> dict[str, dict[str, float]]:
    """Time every way once a round, and return medians and quartiles."""
    seconds = {name: [] for name in ways}  # a frame
    for _ in range(rounds):
        for name, (call, frames, _) in ways.items():
            seconds[name].append(timed(call, device) / frames)
    rows = {}
    for name, taken in seconds.items():
        ratios = sorted(base / own for base, own in zip(seconds["eager"], taken, strict=True))
        low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
        off = ways[name][2]
        rows[name] = {
            "frames_per_second": 1 / statistics.median(taken),
            "ratio": float(middle),
            "ratio_quartiles": [float(low), float(high)],
            "largest_difference": None if np.isnan(off) else off,
        }
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--write", action="store_true", help="into benchmarks/inference.json")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    device = torch.device(given.device)
    names = ["eager", *(name for name in given.ways if name != "eager")]
    G = UNet(width=given.width).eval().to(device)
    result = {
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "threads": given.threads,
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
            "amx": torch.cpu._is_amx_tile_supported(),
            "avx512_bf16": torch.cpu._is_avx512_bf16_supported(),
            "load": list(os.getloadavg()),
            "torch": torch.__version__,
        },
        "width": given.width,
        "rounds": given.rounds,
        "sizes": {},
    }
    with tempfile.TemporaryDirectory() as scratch:
        for size in given.sizes:
            ways = ways_for(G, size, names=names, device=device, scratch=Path(scratch))
            rows = result["sizes"][str(size)] = measure(ways, rounds=given.rounds, device=device)
            print(f"{size} x {size}, width {given.width}, {given.threads} thread(s), {device}")
            print(f"  {'way':<14}{'frames/s':>10}{'ratio':>8}  {'quartiles':<16}largest difference (of 2)")
            for name, row in rows.items():
                low, high = row["ratio_quartiles"]
                off = "" if row["largest_difference"] is None else f"{row['largest_difference']:.1e}"
                print(
                    f"  {name:<14}{row['frames_per_second']:>10.2f}{row['ratio']:>8.2f}  "
                    f"{f'{low:.2f} to {high:.2f}':<16}{off}"
                )
    if given.write:
        files.write_json(HERE / "inference.json", result)
        print(f"written: {HERE / 'inference.json'}")


if __name__ == "__main__":
    main()
