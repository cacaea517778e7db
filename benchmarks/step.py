"""The training step: literal against the package's, in time, memory and operations; and how much of the machine it uses.

Literal means Eqs. (1)-(5) as they read: one graph, segmenters only in evaluation mode, Adam as it comes. Steps are timed
in turn, round after round, by the process's own time on a CPU; a ratio is the median over rounds of the ratio within
one round, with the least and the largest. Memory is counted in bytes of tensors at full width, on any machine, and
measured as the growth of a fresh process.

    python benchmarks/step.py                          everything, with few rounds: some minutes
    python benchmarks/step.py --full --write           more rounds, and benchmarks/step.json
    python benchmarks/step.py --parts time --settings narrow --precisions fp32 --rounds 3
    python benchmarks/step.py --parts counted          seconds
    python benchmarks/step.py --parts time --device cuda
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from types import SimpleNamespace

import torch
from common import arguments, growth, keep, machine, ratios, spread

from semcg import config as configs
from semcg import losses
from semcg.config import Config
from semcg.evaluate.cost import count, operations, seconds
from semcg.gan import ImagePool, PatchGAN, initialise
from semcg.runs import trained
from semcg.runs.stages import begin
from semcg.training import fabric_for, generator_for

PARTS = ("time", "counted", "memory", "profile")
WAYS = ("literal", "one graph", "leaf split")
SETTINGS = {
    "narrow": configs.make("mini", precision="fp32"),
    "wide": configs.make("paper", crop=256),
}
NARROW = {"generator_width": 16, "discriminator_width": 16, "segmenter_width": 0.25}
ROUNDS = {"narrow": (7, 20), "wide": (2, 6)}  # short, full
CROP = 512  # at which memory is measured
COUNTED = (512, 768)


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


def timed(setting: str, precision: str, *, rounds: int, device: str) -> dict:
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
    found = seconds(steps, batch, rounds=rounds, warm=0)  # two have been taken above
    step, crops = begin("segmenter", config, fabric)
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
        if key != "segmenter":
            rows[key]["faster than literal"] = ratios(found[f"literal, {key.partition(', ')[2]}"], taken)
    dear = ratios(found["leaf split, semantic"], found["leaf split, CycleGAN"])
    return {"peak": peak, "rounds": rounds, "rows": rows, "semantic over CycleGAN": dear}


def grown(name: str, config: Config) -> int:
    """Bytes by which this process grows over two steps, less Adam's two moments."""
    step, batch = way(name, config, fabric_for("cpu", config.precision))
    nets = generator_for(config), PatchGAN(width=config.discriminator_width)
    moments = 2 * 2 * sum(4 * p.numel() for net in nets for p in net.parameters())
    return growth(lambda: [step(*batch) for _ in range(2)]) - moments


def memory(precisions: list[str], *, width: str) -> dict:
    """Growth of each way in a process of its own; at full width, which takes minutes, of the two that matter."""
    rows = {}
    ways = WAYS if width == "narrow" else ("literal", "leaf split")
    for precision in precisions:
        for lambda_s in (1.0, 0.0):
            for name in ways if lambda_s else ("literal", "leaf split"):
                changes = {"crop": CROP, "lambda_s": lambda_s, "precision": precision}
                asked = json.dumps([name, changes | (NARROW if width == "narrow" else {})])
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


def say_times(setting: str, precision: str, one: dict) -> None:
    print(f"\n{setting}, {precision}: {one['rounds']} rounds; matrix product {one['peak'] / 1e9:.0f} GFLOP/s")
    print(f"  {'step':<24}{'seconds':>9}{'GFLOP':>9}{'of peak':>9}{'faster than literal':>24}")
    for key, row in one["rows"].items():
        ratio = said(row["faster than literal"]) if "faster than literal" in row else ""
        print(
            f"  {key:<24}{row['seconds']['median']:>9.3f}{row['operations'] / 1e9:>9.2f}"
            f"{row['utilisation']:>9.0%}{ratio:>24}"
        )
    print(f"  semantic over CycleGAN: {said(one['semantic over CycleGAN'])}", flush=True)


def said(ratio: dict[str, float]) -> str:
    return f"{ratio['median']:.2f} ({ratio['least']:.2f} to {ratio['largest']:.2f})"


def say_bytes(title: str, rows: dict[str, int]) -> None:
    """Print bytes and their ratio to the first row."""
    print(f"\n{title}")
    base = next(iter(rows.values()))
    for key, size in rows.items():
        print(f"  {key:<30}{size / 2**20:>8.0f} MiB{size / base:>7.2f} of the first", flush=True)


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--precisions", nargs="+", choices=("fp32", "bf16"), default=["fp32", "bf16"])
    parser.add_argument("--rounds", type=int, default=0, help="of each setting; 0: as many as fit the form")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--child", default="", help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.child:
        name, changes = json.loads(given.child)
        print(grown(name, configs.make("paper", **changes)))
        return
    result: dict = {"machine": machine(given.device)}
    if "time" in given.parts:
        result["time"] = {}
        for setting in given.settings:
            for precision in given.precisions:
                rounds = given.rounds or ROUNDS[setting][given.full]
                one = timed(setting, precision, rounds=rounds, device=given.device)
                result["time"].setdefault(setting, {})[precision] = one
                say_times(setting, precision, one)
    if "counted" in given.parts:
        result["counted"] = {}
        for crop in COUNTED:
            rows = result["counted"][str(crop)] = tensors(crop, given.precisions)
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
        result["memory"] = {"crop": CROP}
        for width in ("narrow", "wide")[: 1 + given.full]:
            rows = result["memory"][width] = memory(given.precisions, width=width)
            say_bytes(f"growth of the process at crop {CROP}, {width}, beyond weights and moments", rows)
    if "profile" in given.parts:
        config = SETTINGS["narrow"].model_copy(update={"precision": given.precisions[0]})
        result["profile"] = profiled(config, given.device)
        print(f"\nwhere a semantic step goes, narrow, {given.precisions[0]}")
        for row in result["profile"]:
            print(f"  {row['operator']:<44}{row['calls']:>7} calls{row['share']:>7.1%}")
    if given.write:
        keep("step", result)


if __name__ == "__main__":
    main()
