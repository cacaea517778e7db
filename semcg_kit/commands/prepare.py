"""Commands that bring images into the common layout."""

from pathlib import Path
from typing import Annotated

import typer

from semcg.files import unfinished
from semcg.system import cores
from semcg_kit.commands import height_width

__all__ = ["app"]

app = typer.Typer(
    help="Bring images into the common layout: the archives, or your own.", no_args_is_help=True
)

Root = Annotated[
    Path, typer.Argument(help="Folder with the unpacked archive or its zip files, or one zip file.")
]
Out = Annotated[Path, typer.Option(help="Folder of both domains; then use it as --data.")]
Size = Annotated[str, typer.Option(help="HEIGHTxWIDTH, or none to keep the frames as they are.")]
KeepAspect = Annotated[
    bool,
    typer.Option("--keep-aspect", help="Scale by one factor until the frame covers the size; cut nothing."),
]
Processes = Annotated[int, typer.Option(min=0, help="How many work side by side; 0: one per core.")]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Say what would be done, how long and how many bytes; write nothing."),
]
Verify = Annotated[
    bool, typer.Option("--verify", help="At the end, read every written file and compare it with its CRC-32.")
]


@app.command()
def gta5(
    root: Root,
    out: Out,
    size: Size = "1024x1024",
    keep_aspect: KeepAspect = False,
    extra: Annotated[
        bool, typer.Option("--extra", help="Keep training frames without a label; all of it is ignored.")
    ] = False,
    processes: Processes = 0,
    dry_run: DryRun = False,
    verify: Verify = False,
) -> None:
    """GTA5 as published, images, labels and split.mat: becomes the source. Resumes where it stopped."""
    from semcg_kit import prepare

    plan = prepare.gta5(root, extra=extra).sized(height_width(size), keep_aspect=keep_aspect)
    _archive(plan, out, processes=processes or cores(), dry_run=dry_run, verify=verify)


@app.command()
def cityscapes(
    root: Root,
    out: Out,
    size: Size = "1024x1024",
    keep_aspect: KeepAspect = False,
    extra: Annotated[
        bool, typer.Option("--extra", help="Add the images of train_extra to target/train, unlabeled.")
    ] = False,
    processes: Processes = 0,
    dry_run: DryRun = False,
    verify: Verify = False,
) -> None:
    """Cityscapes as published: becomes the target and what the judge learns from. Resumes where it stopped."""
    from semcg_kit import prepare

    plan = prepare.cityscapes(root, extra=extra).sized(height_width(size), keep_aspect=keep_aspect)
    _archive(plan, out, processes=processes or cores(), dry_run=dry_run, verify=verify)


@app.command()
def verify(data: Annotated[Path, typer.Argument(help="Folder of data of any kind.")]) -> None:
    """Read every file of prepared or drawn data and compare it with what was written."""
    from semcg_kit import prepare

    print(f"verified: {prepare.verify(data)} files in {data} have the contents that were written")


@app.command()
def folder(
    out: Annotated[Path, typer.Option(help="Where the data go; then use it as --data.")],
    source: Annotated[Path, typer.Option(help="Folder of source images.")],
    target: Annotated[Path, typer.Option(help="Folder of target images.")],
    source_labels: Annotated[Path | None, typer.Option(help="Folder of their labels.")] = None,
    target_labels: Annotated[Path | None, typer.Option(help="Folder of their labels.")] = None,
    source_mapping: Annotated[
        Path | None, typer.Option(help="CSV or TOML: value or color to train id.")
    ] = None,
    target_mapping: Annotated[
        Path | None, typer.Option(help="CSV or TOML: value or color to train id.")
    ] = None,
    source_coding: Annotated[str, typer.Option(help="auto, palette, gray or color.")] = "auto",
    target_coding: Annotated[str, typer.Option(help="auto, palette, gray or color.")] = "auto",
    source_sequence: Annotated[
        str, typer.Option(help="Regular expression; its group names the sequence.")
    ] = "",
    target_sequence: Annotated[
        str, typer.Option(help="Regular expression; its group names the sequence.")
    ] = "",
    max_color_distance: Annotated[
        float,
        typer.Option(min=0, help="Of JPEG labels, Euclidean in RGB; beyond it: ignored. 0: none may be."),
    ] = 30.0,
    size: Size = "none",
    keep_aspect: KeepAspect = False,
    val_share: Annotated[float, typer.Option(help="Of the frames of a domain.")] = 0.1,
    test_share: Annotated[float, typer.Option(help="Of the frames of a domain.")] = 0.2,
    judge_share: Annotated[float, typer.Option(help="Of the target's frames, for the judge alone.")] = 0.25,
    processes: Processes = 0,
    dry_run: DryRun = False,
    verify: Verify = False,
) -> None:
    """Your own two domains: folders of images, with or without labels."""
    from semcg_kit import prepare

    def domain(images, labels, mapping, coding, sequence) -> prepare.Domain:
        return prepare.Domain(
            images,
            labels,
            mapping,
            coding=coding,
            max_color_distance=max_color_distance,
            sequence=sequence or None,
        )

    from semcg.terminal import progress

    domains = {
        "source": domain(source, source_labels, source_mapping, source_coding, source_sequence),
        "target": domain(target, target_labels, target_mapping, target_coding, target_sequence),
    }
    options = {"size": height_width(size), "keep_aspect": keep_aspect, "processes": processes or cores()}
    options |= {"val_share": val_share, "test_share": test_share, "judge_share": judge_share}
    with progress() as show:
        plans = prepare.plans(**domains, out=out, progress=show, **options)
    for plan in plans:
        _describe(plan)
    if dry_run:
        for plan in plans:
            _foretell(prepare.estimate(plan, unfinished(out)), out, options["processes"])
        return
    with progress() as show:
        made = prepare.folder(out, plans, processes=options["processes"], progress=show)
    _verified(made, verify)
    print(f"the data are in {made}; next: semcg course --data {made}")


def _archive(plan, out: Path, *, processes: int, dry_run: bool, verify: bool) -> None:
    from semcg.terminal import progress
    from semcg_kit import prepare

    _describe(plan)
    if dry_run:
        _foretell(prepare.estimate(plan, out), out, processes)
        return
    with progress() as show:
        missing = prepare.write(plan, out, processes=processes, progress=show)
    about = prepare.about_of(out / plan.domain)
    for note in about["notes"]:
        if note not in plan.notes:
            print(f"  {note}")
    if about["classes"]:
        print(f"  shares of the classes: {', '.join(f'{k} {v:.1%}' for k, v in about['classes'].items())}")
    _verified(out, verify)
    if missing:
        command = {"source": "gta5", "target": "cityscapes"}[missing[0]]
        print(
            f"the {plan.domain} is in {out}; the {missing[0]} is not there yet, or not complete, and nothing trains "
            f"before it is: semcg prepare {command} ROOT --out {out}"
        )
    else:
        print(f"both domains are in {out}; next: semcg course --data {out}")


def _describe(plan) -> None:
    print(f"{plan.root}: {len(plan.frames)} frames, {'with' if plan.labeled else 'without'} labels")
    for split in plan.splits:
        print(f"  {split:<14}{plan.counts[split]:>7}")
    for note in plan.notes:
        print(f"  {note}")
    if plan.left_out and not plan.checked:
        print(f"  {len(plan.left_out)} left out by their names; the first: {' '.join(plan.left_out[0])}")


def _verified(data: Path, verify: bool) -> None:
    from semcg_kit import prepare

    if verify:
        print(f"verified: {prepare.verify(data)} files have the contents that were written")


def _foretell(seen, out: Path, processes: int) -> None:
    from semcg.terminal import duration

    print(f"would write {seen.missing} frames into {out}; {seen.done} are already there")
    if seen.missing:
        seconds = seen.seconds_each * seen.missing / processes
        print(
            f"time: {duration(seconds)} with {processes} process(es) that do not slow each other, from {seen.measured} "
            f"frames measured at {seen.seconds_each:.3f} s each"
        )
        enough = "" if seen.bytes < seen.free else ": NOT ENOUGH"
        print(f"space: {_bytes(seen.bytes)}, of {_bytes(seen.free)} free{enough}")
    print("nothing was written (--dry-run)")


def _bytes(count: int) -> str:
    for unit, size in (("GB", 10**9), ("MB", 10**6)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count / 1000:.1f} kB"
