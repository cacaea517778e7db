"""Commands that bring images into the common layout."""

from pathlib import Path
from typing import Annotated

import typer

from semcg.files import check_manifest, read_record
from semcg.system import cores, duration, progress
from semcg_kit.commands import height_width, say

__all__ = ["app"]

app = typer.Typer(help="Bring images into the common layout: archives, or your own.", no_args_is_help=True)

Root = Annotated[Path, typer.Argument(help="Folder of the archive or of its zip files, or one zip file.")]
Out = Annotated[Path, typer.Option(help="Output folder for both domains; later --data.")]
Size = Annotated[str, typer.Option(help="HEIGHTxWIDTH, or none to keep the frames as they are.")]
KeepAspect = Annotated[bool, typer.Option("--keep-aspect", help="Scale to cover the size; cut nothing.")]
Extra = Annotated[bool, typer.Option("--extra", help="Also frames without labels (Cityscapes: train_extra).")]
Processes = Annotated[int, typer.Option(min=0, help="Number of processes; 0: one per core.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Report frames, time and bytes; write nothing.")]
Labels = Annotated[Path | None, typer.Option(help="Folder of their labels.")]
Mapping = Annotated[Path | None, typer.Option(help="CSV or TOML: value or color to train id.")]
Distance = Annotated[float, typer.Option(min=0, help="For JPEG labels, in RGB; farther pixels are ignored.")]
Sequence = Annotated[str, typer.Option(help="Regular expression; its group names the sequence.")]


@app.command("gta5", help="GTA5 as published (images, labels, split.mat): becomes the source.")
@app.command("cityscapes", help="Cityscapes as published: becomes the target and what the judge learns from.")
def archive(
    context: typer.Context,
    root: Root,
    out: Out,
    size: Size = "1024x1024",
    keep_aspect: KeepAspect = False,
    extra: Extra = False,
    split_by: Annotated[
        str, typer.Option(help="Split Cityscapes by cities, or by frames if cities are few.")
    ] = "cities",
    processes: Processes = 0,
    dry_run: DryRun = False,
) -> None:
    """Prepare the archive that the command is named after. Resumes where it stopped."""
    from semcg_kit import prepare

    if split_by not in ("cities", "frames") or (split_by == "frames" and context.info_name != "cityscapes"):
        raise ValueError(f"--split-by {split_by}: allowed: cities, and for Cityscapes also frames")
    own = {"by_frames": True} if split_by == "frames" else {}
    plan = getattr(prepare, context.info_name)(root, extra=extra, **own)
    plan = plan.sized(height_width(size), keep_aspect=keep_aspect)
    _prepare([plan], out, processes=processes, dry_run=dry_run)


@app.command()
def folder(
    out: Out,
    source: Annotated[Path, typer.Option(help="Folder of source images.")],
    target: Annotated[Path, typer.Option(help="Folder of target images.")],
    source_labels: Labels = None,
    target_labels: Labels = None,
    source_mapping: Mapping = None,
    target_mapping: Mapping = None,
    source_sequence: Sequence = "",
    target_sequence: Sequence = "",
    max_color_distance: Distance = 30.0,
    size: Size = "none",
    keep_aspect: KeepAspect = False,
    val_share: Annotated[float, typer.Option(help="Share of a domain's frames.")] = 0.1,
    test_share: Annotated[float, typer.Option(help="Share of a domain's frames.")] = 0.2,
    judge_share: Annotated[float, typer.Option(help="Share of target frames for the judge alone.")] = 0.25,
    processes: Processes = 0,
    dry_run: DryRun = False,
) -> None:
    """Your own two domains: folders of images, with or without labels."""
    from semcg_kit.prepare import Domain, plans

    planned = plans(
        Domain(source, source_labels, source_mapping, max_color_distance, source_sequence),
        Domain(target, target_labels, target_mapping, max_color_distance, target_sequence),
        out=out,
        size=height_width(size),
        keep_aspect=keep_aspect,
        val_share=val_share,
        test_share=test_share,
        judge_share=judge_share,
    )
    _prepare(planned, out, processes=processes, dry_run=dry_run)


@app.command()
def verify(data: Annotated[Path, typer.Argument(help="Folder of data of any kind.")]) -> None:
    """Read every file of prepared or drawn data and compare it with what was written."""
    check_manifest(data, contents=True)
    say(f"verified: every file in {data} is unchanged since it was written")


def _prepare(plans: list, out: Path, *, processes: int, dry_run: bool) -> None:
    """Tell what there is, write it, and tell what was noticed."""
    from semcg_kit import prepare

    processes = processes or cores()
    for plan in plans:
        labels = "with labels" if plan.recipe.labeled else "without labels"
        count = len(
            {frame.image for frame in plan.frames}
        )  # few of your own serve as train, val and test at once
        say(f"{plan.root}: {count} frames, {labels}")
        lines = [f"{split:<14}{plan.counts[split]:>7}" for split in plan.splits] + plan.notes
        if plan.left_out:
            lines.append(f"{len(plan.left_out)} left out; the first: {' '.join(plan.left_out[0])}")
        say("\n".join(f"  {line}" for line in lines))
    if dry_run:
        _foretell(prepare.estimate(plans, out), out, processes)
        return
    with progress() as show:
        missing = prepare.write(plans, out, processes=processes, progress=show)
    for plan in plans:
        for note in read_record(out / plan.domain / "about.json")["notes"]:
            if note not in plan.notes:
                say(f"  {note}")
    if missing:
        command = {"source": "gta5", "target": "cityscapes"}[missing[0]]
        say(
            f"the {plans[0].domain} is in {out}; the {missing[0]} is missing or incomplete, and training "
            f"needs both: semcg prepare {command} ROOT --out {out}"
        )
    else:
        say(f"both domains are in {out}; next: semcg course --data {out}")


def _foretell(seen, out: Path, processes: int) -> None:
    from rich.filesize import decimal

    say(f"would write {seen.missing} frames into {out}; {seen.done} are already there")
    if seen.missing:
        say(
            f"time: {duration(seen.seconds_each * seen.missing / processes)} with {processes} process(es) at full "
            f"speed, estimated from {seen.measured} frames at {seen.seconds_each:.3f} s each"
        )
        enough = "" if seen.bytes < seen.free else ": NOT ENOUGH"
        say(f"space: {decimal(seen.bytes)}, of {decimal(seen.free)} free{enough}")
    say("nothing was written (--dry-run)")
