"""Frames per second of the generator: torch, ONNX Runtime, batches, bfloat16, compiled; and of a folder of frames.

Every way is timed in turn, round after round, so that what else the machine does falls on all of them; a figure is the
median over the rounds of the ratio to eager float32 within the same round, with the least and the largest. With one
thread on a CPU the time is the process's own, so that frames per second are those of a core. A folder's include
decoding and writing PNG, which other threads do while a batch computes: of that the process's own time shows nothing,
so that frames per second by the clock stand beside, which a busy machine lowers. Seconds and frames per second belong to the machine, ratios are what can be compared.

    python benchmarks/inference.py                     sizes 256 and 512, full width, three rounds
    python benchmarks/inference.py --full --write      more rounds, and benchmarks/inference.json
    python benchmarks/inference.py --sizes 256 --width 16 --ways eager onnxruntime
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from common import arguments, keep, machine, ratios, said, spread
from PIL import Image

from semcg import export
from semcg.gan import UNet
from semcg.translate import Compiled, Padded, folder

WAYS = ("eager", "batch4", "onnxruntime", "autocast", "compiled", "folder", "folder4")
FRAMES = 4  # in a folder


def ways_for(
    G: UNet, size: int, *, names: list[str], device: torch.device, scratch: Path
) -> dict[str, tuple[Callable[[], object], int, float]]:
    """Return for each way what is called, how many frames a call translates, and its largest difference to eager."""
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (FRAMES, size, size, 3), dtype=np.uint8)
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
        add("batch4", lambda: G(x), FRAMES)
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
            for k, picture in enumerate(pixels):
                Image.fromarray(picture).save(source / f"{k}.png")

            def files_too(batch: int = batch, source: Path = source) -> None:
                with tempfile.TemporaryDirectory(dir=scratch) as out:
                    for _ in folder(whole, source, out, batch=batch):
                        pass

            made[name] = files_too, FRAMES, float("nan")
    return made


def timed(call: Callable[[], object], device: torch.device) -> tuple[float, float]:
    """Return the seconds of a call: those that are compared, and those of the clock."""
    alone = device.type == "cpu" and torch.get_num_threads() == 1
    begun, used = time.perf_counter(), time.process_time()
    with torch.inference_mode():
        call()
    if device.type == "cuda":
        torch.cuda.synchronize()
    own, clock = time.process_time() - used, time.perf_counter() - begun
    return (own if alone else clock), clock


def measure(ways: dict, *, rounds: int, device: torch.device) -> dict[str, dict]:
    """Time every way once a round."""
    seconds, clock = ({name: [] for name in ways} for _ in range(2))  # a frame
    for _ in range(rounds):
        for name, (call, frames, _) in ways.items():
            taken = timed(call, device)
            seconds[name].append(taken[0] / frames)
            clock[name].append(taken[1] / frames)
    return {
        name: {
            "frames per second": 1 / spread(taken)["median"],
            "frames per second by the clock": 1 / spread(clock[name])["median"],
            "faster than eager": ratios(seconds["eager"], taken),
            "largest difference": None if np.isnan(ways[name][2]) else ways[name][2],
        }
        for name, taken in seconds.items()
    }


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=0, help="0: 3, or 12 in full")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    device = torch.device(given.device)
    names = ["eager", *(name for name in given.ways if name != "eager")]
    rounds = given.rounds or (3, 12)[given.full]
    G = UNet(width=given.width).eval().to(device)
    result = {"machine": machine(device), "width": given.width, "rounds": rounds, "sizes": {}}
    with tempfile.TemporaryDirectory() as scratch:
        for size in given.sizes:
            ways = ways_for(G, size, names=names, device=device, scratch=Path(scratch))
            rows = result["sizes"][str(size)] = measure(ways, rounds=rounds, device=device)
            print(f"\n{size} x {size}, width {given.width}, {rounds} rounds")
            print(
                f"  {'way':<14}{'frames/s':>10}{'by clock':>10}{'faster than eager':>24}   largest difference (of 2)"
            )
            for name, row in rows.items():
                off, clock = row["largest difference"], row["frames per second by the clock"]
                print(
                    f"  {name:<14}{row['frames per second']:>10.2f}{clock:>10.2f}{said(row['faster than eager']):>24}   "
                    f"{'' if off is None else f'{off:.1e}'}",
                    flush=True,
                )
    if given.write:
        keep("inference", result)


if __name__ == "__main__":
    main()
