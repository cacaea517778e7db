"""The training step: literal against the package's, in time, memory and operations; and how much of the machine it uses.

Literal means Eqs. (1)-(5) as they read: one graph, segmenters only in evaluation mode, Adam as it comes. Steps are timed
in turn, round after round, by the process's own time on a CPU; a ratio is the median over rounds of the ratio within
one round, with the least and the largest. Memory is the growth of the largest resident size of a fresh process.

    python benchmarks/step.py                                narrow, fp32 and bf16, five rounds
    python benchmarks/step.py --settings wide --precisions fp32 --rounds 1
    python benchmarks/step.py --memory 512                   peak growth too, at that crop, width 16
    python benchmarks/step.py --settings --counted 768       bytes of tensors at full width, counted: any machine, seconds
    python benchmarks/step.py --profile                      and where the time of one step goes
    python benchmarks/step.py --write                        and benchmarks/step.json (what was asked for is exchanged)
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

from semcg import config as configs
from semcg import files, losses
from semcg.config import Config
from semcg.evaluate.cost import count, operations, seconds
from semcg.gan import ImagePool, PatchGAN, initialise
from semcg.runs import trained
from semcg.runs.budget import begin
from semcg.training import fabric_for, generator_for

HERE = Path(__file__).resolve().parent
WAYS = ("literal", "one graph", "leaf split")
SETTINGS = {
    "narrow": configs.make("mini", precision="fp32"),
    "wide": configs.make("paper", crop=256),
    "memory": configs.make(
        "paper", crop=512, generator_width=16, discriminator_width=16, segmenter_width=0.25
    ),
}


def literal(config: Config, fabric) -> Callable:
    """Eqs. (1)-(5) as they read."""
    generator = torch.Generator().manual_seed(config.seed)
    nets = [generator_for(config), generator_for(config)]
    nets += [PatchGAN(width=config.discriminator_width) for _ in range(2)]
    for net in nets:
        initialise(net, std=config.init_std, generator=generator)
    m = SimpleNamespace(
        **dict(zip(("G_st", "G_ts", "D_s", "D_t"), (n.to(fabric.device) for n in nets), strict=True))
    )
    if config.lambda_s:
        m.Sem_s, m.Sem_t = (trained.new_segmenter(config).to(fabric.device).eval() for _ in range(2))
    adam_G, adam_D = (
        torch.optim.Adam([*a.parameters(), *b.parameters()], lr=config.lr, betas=config.betas)
        for a, b in ((m.G_st, m.G_ts), (m.D_s, m.D_t))
    )
    pool_s, pool_t = (ImagePool(config.pool, seed=2 * config.seed + i) for i in range(2))
    kind = config.gan_loss

    def step(x_s, y_s, x_t, y_t):
        with fabric.autocast():
            x_st, x_ts = m.G_st(x_s), m.G_ts(x_t)
            L_gan = losses.generator(m.D_t(x_st), kind=kind) + losses.generator(m.D_s(x_ts), kind=kind)
            L_cyc = losses.cycle(x_s, m.G_ts(x_st)) + losses.cycle(x_t, m.G_st(x_ts))
            L = L_gan + config.lambda_c * L_cyc
            if config.lambda_s:
                L_sem = losses.semantic(m.Sem_s(x_s), m.Sem_t(x_st), kind=config.semantic_loss, labels=y_s)
                L_sem = L_sem + losses.semantic(
                    m.Sem_t(x_t), m.Sem_s(x_ts), kind=config.semantic_loss, labels=y_t
                )
                L = L + config.lambda_s * L_sem
        adam_G.zero_grad()
        L.backward()
        adam_G.step()
        with fabric.autocast():
            L_t = losses.discriminator(m.D_t(x_t), m.D_t(pool_t(x_st)), kind=kind)
            L_s = losses.discriminator(m.D_s(x_s), m.D_s(pool_s(x_ts)), kind=kind)
        adam_D.zero_grad()
        (L_s + L_t).backward()
        adam_D.step()
        return {"gan": L_gan.detach(), "cycle": L_cyc.detach(), "D_s": L_s.detach(), "D_t": L_t.detach()}

    return step


def way(name: str, config: Config, fabric) -> tuple[Callable, tuple]:
    step, batch = begin("translation", config.model_copy(update={"leaf_split": name == "leaf split"}), fabric)
    return (literal(config, fabric) if name == "literal" else step), batch


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


def spread(ratios) -> dict[str, float]:
    return {"median": float(np.median(ratios)), "least": float(min(ratios)), "largest": float(max(ratios))}


def timed(setting: str, precision: str, *, rounds: int, warm: int, device: str) -> dict:
    """Every way with and without the semantic loss in turn, the segmenter's step, and the machine's peak."""
    config = SETTINGS[setting].model_copy(update={"precision": precision})
    fabric = fabric_for(device, precision)
    steps, batch, first = {}, None, {}
    for lambda_s in (config.lambda_s, 0.0):
        for name in WAYS:
            key = f"{name}, {'semantic' if lambda_s else 'CycleGAN'}"
            steps[key], batch = way(name, config.model_copy(update={"lambda_s": lambda_s}), fabric)
            first[key] = steps[key](*batch)
    for key, terms in first.items():  # the ways do the same work, or their times mean nothing
        for term in ("gan", "cycle", "D_s", "D_t"):
            same = first["leaf split, semantic"][term]
            torch.testing.assert_close(
                terms[term].float(), same.float(), rtol=2e-2, atol=2e-2, msg=f"{key}: {term}"
            )
    counted = {key: operations(step, batch) for key, step in steps.items()}
    found = seconds(steps, batch, rounds=rounds, warm=max(0, warm - 2))  # two have been taken above
    step, crops = begin("segmenter", config, fabric)
    counted["segmenter"] = operations(step, crops)
    found |= seconds({"segmenter": step}, crops, rounds=min(rounds, 3), warm=min(warm, 1))
    peak = matmul_peak(fabric.device, torch.bfloat16 if precision == "bf16" else torch.float32)
    rows = {}
    for key, taken in found.items():
        base = found.get(f"literal, {key.partition(', ')[2]}", taken)
        rate = counted[key] / float(np.median(taken))
        rows[key] = {
            "seconds": spread(taken),
            "operations": counted[key],
            "faster than literal": spread(np.divide(base, taken)),
            "utilisation": rate / peak,
        }
    dear = spread(np.divide(found["leaf split, semantic"], found["leaf split, CycleGAN"]))
    return {"peak": peak, "rounds": rounds, "rows": rows, "semantic over CycleGAN": dear}


def grown(name: str, config: Config) -> int:
    """Bytes by which the largest resident size of this process grows over two steps."""
    step, batch = way(name, config, fabric_for("cpu", config.precision))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(2):
        step(*batch)
    return 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)


def memory(crop: int, precisions: list[str]) -> dict:
    rows = {}
    wanted = [(n, s, p) for p in precisions for s in (1.0, 0.0) for n in WAYS if s or n != "one graph"]
    for name, lambda_s, precision in wanted:
        asked = json.dumps([name, {"crop": crop, "lambda_s": lambda_s, "precision": precision}])
        child = [sys.executable, __file__, "--child", asked]
        done = subprocess.run(child, capture_output=True, text=True, check=True)
        rows[f"{name}, {'semantic' if lambda_s else 'CycleGAN'}, {precision}"] = int(done.stdout)
    return rows


def tensors(crop: int, precisions: list[str]) -> dict:
    """Bytes of tensors of a step at full width, counted without taking it; gradients and activations are `beyond`."""
    rows = {}
    for precision in precisions:
        for lambda_s in (1.0, 0.0):
            config = configs.make("paper", crop=crop, precision=precision, lambda_s=lambda_s)
            for name in WAYS:
                found = count(lambda name=name, c=config: way(name, c, fabric_for("cpu", c.precision)))
                trained_bytes = 4 * 2 * (54_409_603 + 2_764_737)
                judges = 2 * 4 * 20_623_331 if lambda_s else 0
                found["beyond"] = found["kept"] + found["passing"] - 3 * trained_bytes - judges
                rows[f"{name}, {'semantic' if lambda_s else 'CycleGAN'}, {precision}"] = found
    return rows


def profiled(config: Config, device: str) -> list[dict]:
    """Share of each operator's own time in one semantic step, the largest twelve and the rest."""
    from torch.profiler import ProfilerActivity, profile

    step, batch = way("leaf split", config, fabric_for(device, config.precision))
    step(*batch)
    on = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if batch[0].is_cuda else [])
    with profile(activities=on) as seen:
        step(*batch)
    cost = "self_device_time_total" if batch[0].is_cuda else "self_cpu_time_total"
    events = sorted(seen.key_averages(), key=lambda e: -getattr(e, cost))
    total = sum(getattr(e, cost) for e in events)
    rows = [{"operator": e.key, "calls": e.count, "share": getattr(e, cost) / total} for e in events[:12]]
    return [
        *rows,
        {
            "operator": "the rest",
            "calls": sum(e.count for e in events[12:]),
            "share": 1 - sum(r["share"] for r in rows),
        },
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--settings", nargs="*", choices=("narrow", "wide"), default=["narrow"])
    parser.add_argument("--precisions", nargs="+", choices=("fp32", "bf16"), default=["fp32", "bf16"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--warm", type=int, default=2, help="steps before those that count, two at least")
    parser.add_argument("--memory", type=int, default=0, metavar="CROP")
    parser.add_argument("--counted", type=int, default=0, metavar="CROP")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--child", default="", help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.child:
        name, changes = json.loads(given.child)
        print(grown(name, SETTINGS["memory"].model_copy(update=changes)))
        return
    cuda = given.device.startswith("cuda")
    result = {
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "device": torch.cuda.get_device_name()
            if cuda
            else f"CPU ({torch.backends.cpu.get_cpu_capability()})",
            "cores": os.cpu_count(),
            "threads": given.threads,
            "amx": torch.cpu._is_amx_tile_supported(),
            "avx512_bf16": torch.cpu._is_avx512_bf16_supported(),
            "load": list(os.getloadavg()),
            "torch": torch.__version__,
        }
    }
    load = result["machine"]["load"]
    print(
        f"{result['machine']['device']}, {given.threads} thread(s), load {load[0]:.1f} on {os.cpu_count()} cores"
    )
    for setting in given.settings:
        for precision in given.precisions:
            one = timed(setting, precision, rounds=given.rounds, warm=given.warm, device=given.device)
            result.setdefault("time", {}).setdefault(setting, {})[precision] = one
            print(
                f"\n{setting}, {precision}: {given.rounds} round(s); matmul {one['peak'] / 1e9:.0f} GFLOP/s"
            )
            print(f"  {'step':<24}{'seconds':>9}{'GFLOP':>9}{'of peak':>9}{'faster than literal':>22}")
            for key, row in one["rows"].items():
                r, s = row["faster than literal"], row["seconds"]["median"]
                ratio = (
                    ""
                    if key == "segmenter"
                    else f"{r['median']:.2f} ({r['least']:.2f} to {r['largest']:.2f})"
                )
                print(
                    f"  {key:<24}{s:>9.3f}{row['operations'] / 1e9:>9.2f}{row['utilisation']:>9.0%}{ratio:>22}"
                )
            r = one["semantic over CycleGAN"]
            print(
                f"  semantic over CycleGAN: {r['median']:.2f} ({r['least']:.2f} to {r['largest']:.2f})",
                flush=True,
            )
    if given.memory:
        rows = memory(given.memory, given.precisions)
        result["memory"] = {"crop": given.memory, "bytes": rows}
        base = rows[f"literal, semantic, {given.precisions[0]}"]
        print(f"\npeak growth at crop {given.memory}, width 16, a quarter of the segmenter's channels")
        for key, size in rows.items():
            print(f"  {key:<30}{size / 2**20:>8.0f} MiB{size / base:>7.2f} of the first")
    if given.counted:
        rows = tensors(given.counted, given.precisions)
        result["counted"] = {"crop": given.counted, "rows": rows}
        print(f"\ntensors of a step at full width, crop {given.counted}, batch 1, in GiB (counted)")
        print(f"  {'':<32}{'all':>7}{'beyond weights and moments':>28}{'GFLOP':>9}")
        for key, row in rows.items():
            whole = (row["kept"] + row["passing"]) / 2**30
            print(
                f"  {key:<32}{whole:>7.2f}{row['beyond'] / 2**30:>28.2f}{row['operations'] / 1e9:>9.0f}",
                flush=True,
            )
    if given.profile:
        config = SETTINGS["narrow"].model_copy(update={"precision": given.precisions[0]})
        result["profile"] = profiled(config, given.device)
        print(f"\nwhere a semantic step goes, narrow, {given.precisions[0]}")
        for row in result["profile"]:
            print(f"  {row['operator']:<44}{row['calls']:>7} calls{row['share']:>7.1%}")
    if given.write:
        path = HERE / "step.json"
        files.write_json(path, (files.read_json(path) if path.is_file() else {}) | result)
        print(f"\nwritten: {path}")


if __name__ == "__main__":
    main()
