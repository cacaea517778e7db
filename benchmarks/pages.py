"""What the README of this folder shows of the JSON files: the table of targets, and the two pictures.

    python benchmarks/pages.py        after any benchmark with --write

Nothing is measured here. A test holds the table in the README equal to what this makes of the files.
"""

import re
from pathlib import Path

from common import HERE, said
from matplotlib.figure import Figure

from semcg import files
from semcg.plots import COLORS, figure, plain_log, styled
from semcg.plots.scores import shares

__all__ = ["main", "table"]

BEGIN, END = "<!-- targets: python benchmarks/pages.py -->", "<!-- end of targets -->"
NOT_YET = "not measured yet"
_GIB = 2**30


def at(found: dict, *keys: str):
    """Return found[key][key]..., None where it was not measured."""
    for key in keys:
        if not isinstance(found, dict) or key not in found:
            return None
        found = found[key]
    return found


def row(target: str, least: float, ratio: dict | None, why: str, *, most: bool = False) -> tuple[str, ...]:
    """Return a row of the table of a ratio (a spread) or a number, which has to reach `least`, or stay below with `most`."""
    if ratio is None:
        return target, "not measured yet", "", why
    value = ratio["median"] if isinstance(ratio, dict) else ratio
    reached = value <= least if most else value >= least
    words = said(ratio) if isinstance(ratio, dict) else f"{ratio:.2f}"
    return target, "yes" if reached else "**no**", words, why


def step_rows(step: dict) -> list[tuple[str, ...]]:
    counted = step["counted"]["512"]
    rows, detached = [], "nothing detached, semantic, fp32"
    for setting in ("narrow", "wide"):
        one = step["time"][setting]["fp32"]
        ways = one["rows"]
        literal, split = (ways[f"{name}, semantic"]["operations"] for name in ("literal", "leaf split"))
        rows.append(
            row(
                f"step against the literal Eqs. 1-5, fp32, {setting}: 1.5 times as fast",
                1.5,
                one.get("leaf split over nothing detached"),
                "`step.py`; literal with gradients wherever one can flow",
            )
        )
        rows.append(
            row(
                f"the same, literal as notebook 04 writes it, {setting}",
                1.5,
                ways["leaf split, semantic"]["faster than literal"],
                "its loss already gives no gradient to the scores of the real image, so that the operations, too, fall "
                f"only by {literal / split:.2f}",
            )
        )
        rows.append(
            (
                f"the same in bf16, {setting}",
                "no target",
                said(step["time"][setting]["bf16"]["rows"]["leaf split, semantic"]["faster than literal"]),
                "",
            )
        )
        for precision in ("fp32", "bf16"):
            plain = step["time"][setting][precision]["rows"]["leaf split, CycleGAN"]["faster than literal"]
            slower = plain["median"] < 1
            rows.append(
                (
                    f"plain CycleGAN against the literal one, {precision}, {setting}",
                    "no target",
                    said(plain),
                    "**slower** than the literal step; the reason was not found" if slower else "",
                )
            )
    split = counted["leaf split, semantic, fp32"]
    base = counted.get(detached, counted["literal, semantic, fp32"])
    rows.append(
        row(
            "memory of the step over the literal one's, fp32, 512, counted bytes: 0.35 at most",
            0.35,
            split["beyond"] / base["beyond"],
            "full width, beyond weights and moments, nothing detached",
            most=True,
        )
    )
    for width in ("narrow", "wide"):
        for precision in ("fp32", "bf16"):
            measured = step["memory"][width]
            split = measured[f"leaf split, semantic, {precision}"]
            for name, words in (
                ("nothing detached", "nothing detached"),
                ("literal", "literal as notebook 04 writes it"),
            ):
                base = measured.get(f"{name}, semantic, {precision}")
                rows.append(
                    row(
                        f"the same, growth of a process, {precision}, {width}, {words}",
                        0.35,
                        split / base if base else None,
                        "" if base else "`step.py --parts memory --full --write`",
                        most=True,
                    )
                )
    return rows


def size_rows(step: dict, grown: dict) -> list[tuple[str, ...]]:
    """What the paper's crop needs: tensors alone, with full image pools, and by the kit's own careful estimate."""
    pools = 2 * 50 * 3 * 768**2 * 4
    rows = []
    for precision in ("fp32", "bf16"):
        one = step["counted"]["768"][f"leaf split, semantic, {precision}"]
        tensors = one["kept"] + one["passing"]
        careful = one["kept"] + pools + grown["memory"]["first"] + grown["memory"]["factor"] * one["passing"]
        for words, size in (
            ("tensors of a step", tensors),
            ("tensors, image pools full", tensors + pools),
            ("what `--dry-run` reckons, room for the CPU's convolutions included", careful),
        ):
            rows.append(
                row(
                    f"crop 768 in 4 GiB, {precision}: {words}, GiB",
                    4.0,
                    size / _GIB,
                    "counted" if size != careful else "counted, times a factor measured on small steps",
                    most=True,
                )
            )
    return rows


def rest_rows(data: dict, inference: dict) -> list[tuple[str, ...]]:
    load = data["load"]
    run = "`data.py --full --write`"
    rows = [
        row(
            "loader against Pillow's resize and crop, frames as published: 1.1 times",
            1.1,
            load["this loader, frames as published"]["faster than the first"],
            "within one gray level, not bit-identical: whole frames are resized, by torchvision; a resize of the crop's box "
            "alone was not built",
        ),
        row(
            "the same, prepared PNG: 2.2 times",
            2.2,
            load["this loader, prepared"]["faster than the first"],
            "the same pixels; plain Pillow on prepared files is as fast",
        ),
        ("the same, memory-mapped: 20 times", "not built", "", "stored frames are PNG files"),
        row(
            "prepare against Pillow's level of PNG, same pixels: 2.5 times",
            2.5,
            at(data, "prepare, level 6", "faster than at Pillow's level"),
            run,
        ),
        row(
            "counting confusions against numpy behind a mask: 1.5 times",
            1.5,
            at(data, "counting", "faster than the numpy mask"),
            f"{run}; the count also refuses labels that are no class",
        ),
        ("the same against torchmetrics: 8 times", "not run", "", "no dependency of this project"),
    ]
    for size, exact in (("256", 1.9), ("512", 1.4)):
        found = inference["sizes"][size]
        rows.append(
            row(
                f"generator against eager fp32, {size}, exact, ONNX Runtime: {exact} times",
                exact,
                found["onnxruntime"]["faster than eager"],
                f"largest difference {found['onnxruntime']['largest difference']:.0e}",
            )
        )
        rows.append(
            row(
                f"the same, {size}, bf16 compiled: 5 times",
                5.0,
                found["compiled"]["faster than eager"],
                "" if inference["machine"]["amx"] else "this processor has no AMX, for which 5 was set",
            )
        )
    return rows


def thread_rows(threads: dict) -> list[tuple[str, ...]]:
    """What the passive policy of OpenMP costs and saves, and what a busy machine does to the smoke course."""
    course = at(threads, "smoke course", "seconds")
    return [
        *(
            (
                f"a segmenter's step with the passive policy, {words}",
                "no target",
                said(threads[load]["passive"]),
                "times as fast as with OpenMP's own; kernels and workers start with the passive one",
            )
            for load, words in (("idle", "machine idle"), ("busy", "beside four busy processes"))
        ),
        row(
            "`make course PROFILE=smoke` beside four busy processes: at most 4 times as long",
            4.0,
            course and course[1] / course[0],
            "`threads.py --course`, one round",
            most=True,
        ),
    ]


def table(step: dict, grown: dict, data: dict, inference: dict, threads: dict) -> str:
    """Return the table of targets, in Markdown."""
    foreign = "no one else's code in this project"
    beside = step.get("allocator", {"threads and the allocator's settings": None})
    tips = [
        (
            f"narrow step, {name}, by the clock",
            "no target" if one else NOT_YET,
            said(one["faster by the clock"]) if one else "",
            " ".join(f"`{k}={v}`" for k, v in one["variables"].items())
            if one
            else "`step.py --parts allocator --full --write`",
        )
        for name, one in beside.items()
        if name != "as it comes"
    ]
    rows = [
        (
            "step against the 2018 fork and TLlib, fp32 and bf16; memory against the fork",
            "not run",
            "",
            foreign,
        ),
        ("plain CycleGAN against the fork and CUT: 1.05 times", "not run", "", foreign),
        *step_rows(step),
        ("gradients of the literal step, float64: 1e-12", "yes", "", "`tests/test_training.py`, each run"),
        ("operations over the formula: 1.00 at most", "yes", "", "`tests/test_training.py`, each run"),
        *size_rows(step, grown),
        *rest_rows(data, inference),
        *thread_rows(threads),
        *tips,
        ("768, bf16, on a GPU: 60 ms; the GPU idles under 5 %", NOT_YET, "", "no GPU was at hand; see below"),
    ]
    lines = ["| target | reached | here | why, or where |", "|---|---|---|---|"]
    return "\n".join([*lines, *("| " + " | ".join(cells) + " |" for cells in rows)])


@styled()
def against_model(panels: dict[str, list[tuple[float, float, bool]]]) -> Figure:
    """Draw measured values against what a model says of them, a panel each; on the diagonal the model is right.

    A point is (measured, of the model, whether it was fitted); those that were not are drawn as squares.
    """
    drawn, axes = figure(1, len(panels), size=(3.6 * len(panels), 3.4))
    for ax, (name, points) in zip(axes.flat, panels.items(), strict=True):
        values = [value for measured, modeled, _ in points for value in (measured, modeled)]
        ends = min(values) / 1.3, max(values) * 1.3
        ax.plot(ends, ends, color="#999999", lw=1)
        for fitted, marker, color in ((True, "o", COLORS[0]), (False, "s", COLORS[1])):
            some = [(m, p) for m, p, f in points if f == fitted]
            if some:
                label = "fitted" if fitted else "not fitted"
                ax.plot(*zip(*some, strict=True), marker, color=color, label=label, ms=6)
        ax.set(
            xscale="log", yscale="log", xlim=ends, ylim=ends, title=name, xlabel="measured", ylabel="model"
        )
        plain_log(ax.xaxis)
        plain_log(ax.yaxis)
        ax.legend(loc="upper left")
    return drawn


def growth_figure(result: dict, path: Path) -> None:
    """Draw what was measured against what the models say."""
    time_points = [(p["measured"], p["model"], p["fitted"]) for p in result["time"]["points"]]
    left = result["memory"]["not fitted"]
    memory_points = [
        (p["measured"] / 2**20, p["model"] / 2**20, (p["crop"], p["width"]) != (left["crop"], left["width"]))
        for p in result["memory"]["points"]
    ]
    _save(against_model({"seconds a step": time_points, "peak growth, MiB": memory_points}), path)


def profile_figure(result: dict, path: Path, *, least: float = 0.01) -> None:
    """Draw where a step's time goes; operators below `least` are in the rest."""
    parts, rest = {}, 0.0
    for one in result["profile"]:
        if one["share"] < least or one["operator"] == "the rest":
            rest += one["share"]
        else:
            parts[one["operator"].removeprefix("aten::")] = one["share"]
    _save(shares({"a semantic step": parts | {"the rest": rest}}, xlabel="% of its own time"), path)


def _save(drawn, path: Path) -> None:
    options = {"metadata": {"Date": None}} if path.suffix == ".svg" else {}
    with files.atomic(path) as partial, styled():  # whose salt makes equal pictures equal files
        drawn.savefig(partial, bbox_inches="tight", **options)


def main(folder: Path = HERE) -> None:
    names = ("step", "growth", "data", "inference", "threads")
    found = {name: files.read_json(HERE / f"{name}.json") for name in names}
    readme = folder / "README.md"
    text = readme.read_text(encoding="utf-8")
    made = f"{BEGIN}\n{table(*found.values())}\n{END}"
    files.write_text(readme, re.sub(f"{BEGIN}.*?{END}", lambda _: made, text, flags=re.DOTALL))
    growth_figure(found["growth"], folder / "growth.svg")
    profile_figure(found["step"], folder / "step.svg")
    print("written: the table in benchmarks/README.md, growth.svg, step.svg")


if __name__ == "__main__":
    main()
