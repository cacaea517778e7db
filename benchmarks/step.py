"""The training step: literal against the package's, in time, memory and operations; and how much of the machine it uses.

The ways are those of `ways.py`. Steps are timed in turn, round after round, by the process's own time on a CPU and by the
clock on a GPU, after it is done; a ratio is the median over rounds of the ratio within one round, with the least and the
largest. Memory is counted in bytes of tensors at full width, on any machine, and measured in fresh processes: as their
growth on a CPU, as torch's largest allocation on a GPU.

    python benchmarks/step.py                          everything, with few rounds: some minutes
    python benchmarks/step.py --full --write           more rounds, and benchmarks/step.json
    python benchmarks/step.py --parts time --settings narrow --precisions fp32 --rounds 3
    python benchmarks/step.py --parts counted          seconds
    python benchmarks/step.py --parts allocator        threads and glibc's allocator, in fresh processes
    python benchmarks/step.py --device cuda --settings wide --crop 768 --parts time memory profile loader

The last has never been run: no GPU was at hand. There the ways are also compiled, with and without CUDA graphs.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import torch
from beside import allocator, loader
from common import arguments, growth, keep, machine, ratios, said, spread
from pages import profile_figure
from ways import COMPILED, NARROW, SETTINGS, WAYS, exactly, way

from semcg import config as configs
from semcg.config import Config
from semcg.cost import count, operations, seconds
from semcg.devices import fabric_for
from semcg.gan import PatchGAN
from semcg.runs.budget import step_on_noise
from semcg.training import generator_for

PARTS = ("time", "counted", "memory", "profile", "loader", "allocator")
PRECISIONS = ("fp32", "bf16", "tf32")
ROUNDS = {"narrow": (7, 20), "wide": (2, 6)}  # short, full
CROP = 512  # at which memory is measured
COUNTED = (512, 768)


def matmul_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Operations per second of a product of two matrices of 2048 x 2048, the best of five."""
    a = torch.randn(2048, 2048, device=device).to(dtype)
    taken = []
    cuda = device.type == "cuda"
    clock = time.perf_counter if cuda else time.process_time
    for _ in range(6):
        begun = clock()
        a @ a
        if cuda:
            torch.cuda.synchronize()
        taken.append(clock() - begun)
    return 2 * 2048**3 / min(taken[1:])


def timed(config: Config, precision: str, *, ways: list[str], rounds: int, device: str) -> dict:
    """Every way with and without the semantic loss in turn, the segmenter's step, and the rate of a matrix product."""
    config = config.model_copy(update={"precision": exactly(precision)})
    fabric = fabric_for(device, config.precision)
    steps, batch, first = {}, None, {}
    for lambda_s in (config.lambda_s, 0.0):
        for name in ways:
            if name == "nothing detached" and not lambda_s:
                continue  # it is the literal one
            key = f"{name}, {'semantic' if lambda_s else 'CycleGAN'}"
            steps[key], batch = way(name, config.model_copy(update={"lambda_s": lambda_s}), fabric)
            first[key] = steps[key](*batch)
    for key, terms in first.items():  # the ways do the same work, or their times mean nothing
        for term in ("gan", "cycle", "D_s", "D_t"):
            same = next(iter(first.values()))[term]
            torch.testing.assert_close(
                terms[term].float(), same.float(), rtol=2e-2, atol=2e-2, msg=f"{key}: {term}"
            )
    counted = {}
    for (
        key,
        step,
    ) in steps.items():  # a compiled step hides its operations from the counter; they are the package's
        plain = f"leaf split, {key.partition(', ')[2]}"
        counted[key] = counted[plain] if key.startswith(tuple(COMPILED)) else operations(step, batch)
    found = seconds(steps, batch, rounds=rounds, warm=0)  # two have been taken above
    step, crops = step_on_noise("segmenter", config, fabric)
    counted["segmenter"] = operations(step, crops)
    found |= seconds({"segmenter": step}, crops, rounds=min(rounds, 3), warm=1)
    peak = matmul_peak(fabric.device, torch.bfloat16 if precision == "bf16" else torch.float32)
    rows = {}
    for key, taken in found.items():
        rows[key] = {
            "seconds": spread(taken),
            "operations": counted[key],
            "utilisation": counted[key] / spread(taken)["median"] / peak,
        }
        base = found.get(f"literal, {key.partition(', ')[2]}")
        if base and key != "segmenter":
            rows[key]["faster than literal"] = ratios(base, taken)
    result = {"peak": peak, "rounds": rounds, "rows": rows}
    if "leaf split" in ways:
        split = found["leaf split, semantic"]
        result["semantic over CycleGAN"] = ratios(split, found["leaf split, CycleGAN"])
        if "nothing detached" in ways:
            result["leaf split over nothing detached"] = ratios(found["nothing detached, semantic"], split)
    return result


def grown(name: str, config: Config, device: str) -> int:
    """Bytes by which this process, or what torch holds on a GPU, grows over two steps, less Adam's two moments."""
    step, batch = way(name, config, fabric_for(device, config.precision))
    nets = generator_for(config), PatchGAN(width=config.discriminator_width)
    moments = 2 * 2 * sum(4 * p.numel() for net in nets for p in net.parameters())

    def two() -> None:
        for _ in range(2):
            step(*batch)

    if not batch[0].is_cuda:
        return growth(two) - moments
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    two()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before - moments


def memory(precisions: list[str], *, width: str, crop: int, device: str) -> dict:
    """Growth of each way in a process of its own; at full width, which takes minutes on a CPU, without "one graph"."""
    rows = {}
    ways = WAYS if width == "narrow" or device != "cpu" else ("nothing detached", "literal", "leaf split")
    for precision in precisions:
        for lambda_s in (1.0, 0.0):
            for name in ways if lambda_s else ("literal", "leaf split"):
                changes = {"crop": crop, "lambda_s": lambda_s, "precision": precision}
                asked = json.dumps([name, changes | (NARROW if width == "narrow" else {}), device])
                child = [sys.executable, __file__, "--child", asked]
                done = subprocess.run(child, capture_output=True, text=True, check=True)
                key = f"{name}, {'semantic' if lambda_s else 'CycleGAN'}, {precision}"
                rows[key] = int(done.stdout)
    return rows


def tensors(crop: int, precisions: list[str]) -> dict:
    """Bytes of tensors of a step at full width, counted without taking it; gradients and activations are `beyond`."""
    rows = {}
    for precision in precisions:
        for lambda_s in (1.0, 0.0):
            config = configs.make("paper", crop=crop, precision=precision, lambda_s=lambda_s)
            for name in WAYS if lambda_s else WAYS[1:]:
                found = count(lambda name=name, c=config: way(name, c, fabric_for("cpu", c.precision)))
                trained_bytes = 4 * 2 * (54_409_603 + 2_764_737)
                judges = 2 * 4 * 20_623_331 if lambda_s else 0
                found["beyond"] = found["kept"] + found["passing"] - 3 * trained_bytes - judges
                rows[f"{name}, {'semantic' if lambda_s else 'CycleGAN'}, {precision}"] = found
    return rows


def profiled(config: Config, device: str) -> tuple[list[dict], float]:
    """Share of each operator's own time in one semantic step, the largest twelve and the rest; and what a GPU idles.

    The idle share is 1 - (time of all kernels) / (seconds of a step that is not watched); 0 on a CPU.
    """
    from torch.profiler import ProfilerActivity, profile

    step, batch = way("leaf split", config, fabric_for(device, config.precision))
    step(*batch)
    cuda = batch[0].is_cuda
    with profile(activities=[ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if cuda else [])) as seen:
        step(*batch)
    cost = "self_device_time_total" if cuda else "self_cpu_time_total"
    events = sorted(seen.key_averages(), key=lambda e: -getattr(e, cost))
    total = sum(getattr(e, cost) for e in events)
    rows = [{"operator": e.key, "calls": e.count, "share": getattr(e, cost) / total} for e in events[:12]]
    rest = {"operator": "the rest", "calls": sum(e.count for e in events[12:])}
    taken = spread(seconds({"": step}, batch, rounds=5)[""])["median"] if cuda else total / 1e6
    return [*rows, rest | {"share": 1 - sum(r["share"] for r in rows)}], 1 - total / 1e6 / taken


def say_times(setting: str, precision: str, one: dict) -> None:
    print(f"\n{setting}, {precision}: {one['rounds']} rounds; matrix product {one['peak'] / 1e9:.0f} GFLOP/s")
    print(f"  {'step':<28}{'seconds':>9}{'GFLOP':>9}{'of product':>11}{'faster than literal':>24}")
    for key, row in one["rows"].items():
        ratio = said(row["faster than literal"]) if "faster than literal" in row else ""
        print(
            f"  {key:<28}{row['seconds']['median']:>9.3f}{row['operations'] / 1e9:>9.2f}"
            f"{row['utilisation']:>11.0%}{ratio:>24}"
        )
    for what in ("semantic over CycleGAN", "leaf split over nothing detached"):
        if what in one:
            print(f"  {what}: {said(one[what])}", flush=True)


def say_bytes(title: str, rows: dict[str, int]) -> None:
    """Print bytes, and their ratio to the literal step of the same loss and precision."""
    print(f"\n{title}")
    for key, size in rows.items():
        base = rows[f"literal, {key.partition(', ')[2]}"]
        print(f"  {key:<34}{size / 2**20:>8.0f} MiB{size / base:>7.2f} of the literal", flush=True)


def say_beside(result: dict) -> None:
    if "loader" in result:
        one = result["loader"]
        print(
            f"\nreading with {one['workers']} loader processes: {one['seconds']['median']:.3f} s a step, of which the "
            f"step waits {one['waits']['median']:.1%} ({one['waits']['least']:.1%} to {one['waits']['largest']:.1%})"
        )
    for name, one in result.get("allocator", {}).items():
        own, clock = one["faster by the process's own time"], one["faster by the clock"]
        print(
            f"  {name:<13}{one['threads']} thread(s){one['seconds by the clock']['median']:>8.3f} s; faster by the clock "
            f"{said(clock)}, by the process's own time {said(own)}; "
            f"{one['largest resident size']['median'] / 2**20:.0f} MiB   {one['variables'] or ''}"
        )


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument(
        "--precisions", nargs="+", choices=PRECISIONS, help="fp32 bf16; on a GPU tf32 as well"
    )
    parser.add_argument("--ways", nargs="+", choices=(*WAYS, *COMPILED), help="of the part time")
    parser.add_argument(
        "--crop", type=int, default=0, help="of time, memory and loader; 0: the setting's own"
    )
    parser.add_argument("--rounds", type=int, default=0, help="of each setting; 0: as many as fit the form")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--figure", type=Path, help="of the part profile, such as step.svg")
    parser.add_argument("--child", default="", help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.child:
        name, changes, device = json.loads(given.child)
        changes["precision"] = exactly(changes["precision"])
        print(grown(name, configs.make("paper", **changes), device))
        return
    cuda = torch.device(given.device).type == "cuda"
    precisions = given.precisions or list(PRECISIONS[: 2 + cuda])
    ways = given.ways or [*WAYS, *(COMPILED if cuda else ())]
    changes = {"crop": given.crop} if given.crop else {}
    settings = {name: SETTINGS[name].model_copy(update=changes) for name in given.settings}
    result: dict = {"machine": machine(given.device)}
    if "time" in given.parts:
        result["time"] = {}
        for name, setting in settings.items():
            title = f"{name}, crop {given.crop}" if given.crop else name
            for precision in precisions:
                rounds = given.rounds or ROUNDS[name][given.full]
                one = timed(setting, precision, ways=ways, rounds=rounds, device=given.device)
                result["time"].setdefault(title, {})[precision] = one
                say_times(title, precision, one)
    if "counted" in given.parts:
        result["counted"] = {}
        for crop in COUNTED:
            rows = result["counted"][str(crop)] = tensors(crop, [p for p in precisions if p != "tf32"])
            operations = ", ".join(
                f"{k} {v['operations'] / 1e9:,.0f}" for k, v in rows.items() if "fp32" in k
            )
            say_bytes(
                f"tensors of a step at full width, crop {crop}, beyond weights and moments (counted)",
                {k: v["beyond"] for k, v in rows.items()},
            )
            most = max(v["kept"] + v["passing"] for k, v in rows.items() if k.startswith("leaf"))
            print(f"  the package's step with weights and moments: {most / 2**30:.2f} GiB at most")
            print(f"  GFLOP: {operations}")
    if "memory" in given.parts:
        crop = given.crop or CROP
        result["memory"] = {"crop": crop}
        widths = list(settings) if cuda else ("narrow", "wide")[: 1 + given.full]
        for width in widths:
            rows = memory(precisions, width=width, crop=crop, device=given.device)
            result["memory"][width] = rows
            say_bytes(f"growth at crop {crop}, {width}, beyond weights and moments", rows)
    first = next(iter(settings.values())).model_copy(update={"precision": exactly(precisions[0])})
    if "profile" in given.parts:
        result["profile"], idle = profiled(first, given.device)
        print(f"\nwhere a semantic step goes, {given.settings[0]}, {precisions[0]}")
        for row in result["profile"]:
            print(f"  {row['operator']:<44}{row['calls']:>7} calls{row['share']:>7.1%}")
        if cuda:
            result["idle share"] = idle
            print(f"  the GPU computes nothing for {idle:.1%} of a step")
        if given.figure:
            profile_figure(result, given.figure)
    if "loader" in given.parts:
        result["loader"] = loader(first, fabric_for(given.device, first.precision))
    if "allocator" in given.parts:
        result["allocator"] = allocator(rounds=given.rounds or (2, 7)[given.full])
    say_beside(result)
    if given.write:
        keep("step" if not cuda else "step_cuda", result)


if __name__ == "__main__":
    main()
