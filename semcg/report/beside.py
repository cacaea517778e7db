"""What stands beside the verdicts: what a measure cannot see, what explains a result, and what was not run."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from semcg import claims, evaluate, files, losses
from semcg.config import Config
from semcg.labels import names
from semcg.protocol import DEFAULT, Protocol
from semcg.report.means import common, seeds_said

__all__ = [
    "blind",
    "costs",
    "kid_errors",
    "no_axis",
    "not_run",
    "plates",
    "present",
    "reach",
    "scale",
    "sky_shares",
    "why",
]

STEP = DEFAULT.parent.parent / "benchmarks" / "step.json"
"""The benchmark of a training step, which has memory."""
BLIND = 0.05
"""IoU on the oracle below which a judge's reading of a class is taken for noise."""


def costs(folder: Path, step: Path = STEP) -> list[str]:
    """Return the ratios of operations and memory of a step with the semantic loss to one without, as far as stored."""
    said = []
    if (folder / "cost.json").is_file():
        cost = files.read_json(folder / "cost.json")
        (a, one), (b, other) = cost["operations"].items()
        said.append(
            f"operations of a step: {b} / {a} = {other / 1e9:.1f} / {one / 1e9:.1f} GFLOP = {other / one:.2f}"
            f" (profile {cost['profile']}, crop {cost['crop']})"
        )
    if not step.is_file():
        return [*said, "memory of a step: no benchmark here (make bench)"]
    found = files.read_json(step)
    for crop, counted in found.get("counted", {}).items():
        ratio = _ratio(counted, "leaf split, {}, bf16", lambda of: of["operations"])
        said += [f"operations of a full-width step, crop {crop}: ratio {ratio:.2f}"] if ratio else []
    memory = found.get("memory", {})
    for width in ("narrow", "wide"):
        for how in ("leaf split", "literal"):
            for precision in ("bf16", "fp32"):
                ratio = _ratio(memory.get(width, {}), f"{how}, {{}}, {precision}", float)
                if ratio:
                    words = (
                        "as this course trains" if how == "leaf split" else "written as the equations read"
                    )
                    said.append(
                        f"memory of a step, crop {memory['crop']}, {width} networks, {precision}, {words}: ratio {ratio:.2f}"
                    )
    return said


def _ratio(of: dict, name: str, number) -> float | None:
    with_loss, without = (of.get(name.format(what)) for what in ("semantic", "CycleGAN"))
    return number(with_loss) / number(without) if with_loss and without else None


def plates(folder: Path, measures: pd.DataFrame, decided: Protocol, conditions: Sequence[str]) -> list[str]:
    """Return plates read, and read wrong though confidently, over the seeds that these conditions have in common.

    First the reader's ceiling, plates of target frames, if that was measured, and its floor, source frames as they are.
    """
    seeds = common(measures, decided, conditions)
    boards = evaluate.read_parts(folder / "counts" / "identity.csv").get("plates", {})
    counted = sum(board["digit_px"] >= 4.5 for board in boards.values())
    said = [f"of {counted} plates with digits of 4.5 px or more, {seeds_said(seeds)}:"]
    ceilings = [n for n in measures["condition"].unique() if n.startswith("target")]
    for name in (*ceilings, "oracle", "identity", *(c for c in conditions if c != "identity")):
        shares = [
            claims.series_of(measures, name, measure, "all", seeds)
            for measure in ("plates read", "plates wrong but confident", "plate digits read")
        ]
        if all(shares):
            read, sure, digits = map(np.mean, shares)
            what = {"identity": "identity (source frames as they are, the floor)"}.get(name, name)
            what = f"{name} (the reader's ceiling)" if name in ceilings else what
            said.append(
                f"{what:<48} read {read:.3f}   wrong but confident {sure:.3f}   single digits {digits:.3f}"
            )
    floor = claims.series_of(measures, "identity", "plates read", "all")
    if floor and floor[0] > 0.9:
        said.append(
            "the floor is high: the style hides nothing from this reader; what a translation lacks, it lost"
        )
    if not ceilings:
        said.append("the reader's ceiling, plates of real target frames, is not in this evidence")
    return said


def kid_errors(measures: pd.DataFrame, decided: Protocol, conditions: Sequence[str]) -> list[str]:
    """Return KID with its two uncertainties: over seeds, and of one KID over the frames."""
    said = [f"{'KID':<32}{'mean':>8}{'deviation over seeds':>23}{'standard error of one':>24}"]
    for name in ("identity", *conditions, "oracle"):
        seeds = common(measures, decided, [name])
        found, errors = (claims.series_of(measures, name, m, "all", seeds) for m in ("KID", "KID error"))
        if found and errors:
            over = f"{np.std(found, ddof=1):.4f}" if len(found) > 1 else "-"
            said.append(f"{name:<32}{np.mean(found):>8.4f}{over:>23}{np.mean(errors):>24.4f}")
    return [
        *said,
        "the second is from random halves of the frames; all seeds are measured on the same ones, so the first need not hold it",
    ]


def reach(folder: Path) -> list[str]:
    """Return how many of the 19 classes the labels of the scored frames have, and what the absent ones do."""
    said = []
    for where, run, part in _scored(folder):
        of_class = evaluate.counts_of(evaluate.read_parts(folder / "counts" / f"{run}.csv"), part).sum(1)
        absent = [n for n, pixels in zip(names(), of_class.tolist(), strict=True) if not pixels]
        least = min((pixels, n) for n, pixels in zip(names(), of_class.tolist(), strict=True) if pixels)
        said.append(
            f"{where}: {present(of_class)} of {len(names())} classes are labelled"
            + (f"; absent {', '.join(absent)}, left out of every mean unless it is read" if absent else "")
            + f"; the rarest, {least[1]}, has {least[0]} pixels"
        )
    return said


def present(of_class) -> int:
    """Return how many classes have pixels."""
    return int((np.asarray(of_class) > 0).sum())


def _scored(folder: Path) -> list[tuple[str, str, str]]:
    """Return (where, run, part) of a measurement whose counts have the labels of source/test, and one of target/test."""
    runs = list(pd.read_csv(folder / "runs.csv")["run"])
    found = [("source/test", "identity", "judge")] if "identity" in runs else []
    learned = [run for run in runs if run.startswith("downstream")]
    return found + [("target/test", run, "downstream") for run in learned[:1]]


def blind(measures: pd.DataFrame, least: float = BLIND) -> list[str]:
    """Return the IoU of both judges on the oracle, class by class, and for which classes each is blind."""
    seen = {
        judge: {n: claims.series_of(measures, "oracle", f"{judge} IoU", n) for n in names()}
        for judge in ("judge", "second judge")
    }
    said = [f"{'IoU on the oracle':<18}{'judge':>8}{'second judge':>14}"]
    for name in names():
        both = [seen[judge][name] for judge in seen]
        said.append(f"{name:<18}{_cell(both[0]):>8}{_cell(both[1]):>14}")
    for judge, of in seen.items():
        dark = [n for n, found in of.items() if found and found[0] < least]
        said.append(
            f"below {least:g} even where the translation is perfect, {judge}: {', '.join(dark) or 'none'}"
            + ("; what it says of these is noise" if dark else "")
        )
    return said


def _cell(found: Sequence[float]) -> str:
    return f"{found[0]:.3f}" if found else "-"


def scale(curves: pd.DataFrame, decided: Protocol, condition: str) -> list[str]:
    """Return each term of Eq. (5) of a condition times its weight, at the beginning, middle and end of training."""
    given = decided.condition(condition).parameters
    weights = {
        "gan": 1.0,
        "cycle": float(given.get("lambda_c", Config.model_fields["lambda_c"].default)),
        "semantic": float(given.get("lambda_s", Config.model_fields["lambda_s"].default)),
    }
    chosen = curves[(curves["condition"] == condition) & curves["seed"].isin(decided.seeds)]
    said = []
    for term, weight in weights.items():
        found = chosen[chosen["term"] == term].groupby("step")["value"].mean()
        if len(found):
            first, middle, last = (weight * found.iloc[k] for k in (0, len(found) // 2, -1))
            said.append(
                f"{condition:<20} {weight:>4g} x {term:<10} first {first:8.3f}   middle {middle:8.3f}   last {last:8.3f}"
            )
    return said


def no_axis(measures: pd.DataFrame) -> list[str]:
    """Return the measures that have no axis: those that the oracle does not have."""
    having = set(measures.loc[measures["condition"] == "oracle", "measure"])
    reasons = {
        "cycle": "only a trained pair of generators has a way back",
        "downstream": "a segmenter would have to be trained on each spoiled oracle",
    }
    missing = sorted(set(measures["measure"]) - having)
    return [f"{m}: {reasons.get(m.split()[0], 'not measured of the oracle')}" for m in missing]


def not_run(measures: pd.DataFrame, decided: Protocol) -> list[str]:
    """Return what the plan of this comparison names and these measures do not have, a line each."""
    done = {n for n in measures["condition"].unique() if n in {c.name for c in decided.conditions}}
    given = [c.parameters for c in decided.conditions if c.name in done]
    said = [f"condition {c.name}: not measured" for c in decided.conditions if c.name not in done]
    for c in decided.conditions:
        lacking = (
            [s for s in c.seeds if s not in common(measures, decided, [c.name])] if c.name in done else []
        )
        said += [f"condition {c.name}: {seeds_said(lacking)} not measured"] if lacking else []
    kinds = {p["semantic_loss"] for p in given if p.get("lambda_s") and "semantic_loss" in p}
    if left := [kind for kind in losses.SEMANTIC_KINDS if kind not in kinds]:
        said.append(f"readings of Eq. (4) that the package has: {', '.join(left)}")
    if decided.curve:
        few = min(len(common(measures, decided, [n])) for n in decided.curve.points)
        if few < decided.least_seeds:
            said.append(
                f"the curve over lambda_s at {decided.least_seeds} seeds, which a verdict on {decided.curve.claim} needs: "
                f"{few} at some weights"
            )
    for field, words in (
        (
            "segmenter_seed",
            "segmenters and judges trained anew with other seeds: all of this rests on one of each",
        ),
        ("world_seed", "another drawn world"),
        ("gan_loss", "the other adversarial loss, least squares"),
        ("identity", "an identity loss"),
        ("generator", "the other generator, a ResNet of nine blocks"),
        ("segmenter", "another segmenter in the loss"),
    ):
        if not any(field in p for p in given):
            said.append(words)
    said.append("Sem_t started from Sem_s: no setting of this package does that")
    further = [c.name for c in decided.conditions if c.name in done and c.few]
    taught = set(measures.loc[measures["measure"] == "downstream mIoU", "condition"])
    if unlearned := [name for name in further if name not in taught]:
        said.append(f"the downstream test (C3) of {len(unlearned)} of the {len(further)} further conditions")
    said += [f"{what}: {reason}" for what, reason in claims.UNMEASURED.items()]
    return said


def sky_shares(folder: Path) -> tuple[float, float] | None:
    """Return the share of sky in the labels of the source's and of the target's test frames, None if not counted."""
    found = []
    for _, run, part in _scored(folder):
        of_class = evaluate.counts_of(evaluate.read_parts(folder / "counts" / f"{run}.csv"), part).sum(1)
        found.append(float(of_class[names().index("sky")] / of_class.sum()))
    return (found[0], found[1]) if len(found) == 2 else None


def why(measures: pd.DataFrame, decided: Protocol, folder: Path | None = None) -> list[str]:
    """Return whether the control bears out that the layouts tear the sky down, in a few lines.

    The control is a CycleGAN whose target streets are built like the source's. It bears the explanation out if it
    keeps more of the sky than CycleGAN at every seed that both have, and brings back at least half of what CycleGAN
    lost of it. Empty until all three conditions are measured at a common seed.

    Parameters
    ----------
    folder : path, optional
        Of the evidence, for the share of sky in the labels of both domains.
    """
    plain, control, semantic = "CycleGAN", "CycleGAN, equal layouts", "semantic (paper)"
    seeds = common(measures, decided, (plain, control, semantic))
    kept = {n: claims.series(measures, n, "sky kept", "all") for n in (plain, control, semantic)}
    seeds = [s for s in seeds if all(s in values for values in kept.values())]
    if not seeds or not all(kept.values()):
        return []
    mean = {name: float(np.mean([values[s] for s in seeds])) for name, values in kept.items()}
    every = all(kept[control][s] > kept[plain][s] for s in seeds)
    back = (mean[control] - mean[plain]) / (1 - mean[plain]) if mean[plain] < 1 else 0.0
    said = []
    if shares := folder and sky_shares(folder):
        less = "less" if shares[1] < shares[0] else "no less"
        said.append(
            f"The target's test frames have {less} sky ({shares[1]:.0%} of their labels, the source's {shares[0]:.0%})."
        )
    said += [
        f"Share of the sky kept, {seeds_said(seeds)}: {mean[plain]:.2f} by CycleGAN, {mean[semantic]:.2f} with the semantic",
        f"loss, {mean[control]:.2f} by CycleGAN where the target's streets are built like the source's (the control).",
    ]
    if every and back >= 0.5:
        return [
            *said,
            "Why: the control keeps more at each of these seeds, without any semantic loss. So most of the lost sky goes",
            f"with the shift between the layouts: without the shift {back:.0%} of it is back.",
        ]
    at = "at each of these seeds" if every else "not at each of these seeds"
    return [
        *said,
        f"The control does not explain it: it keeps more {at}, and {back:.0%} of the lost sky is back without the shift",
        "between the layouts. So most of what CycleGAN loses must have another cause.",
    ]
