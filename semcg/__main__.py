"""The command line: `semcg`, or `python -m semcg`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from semcg import config as configs
from semcg import files

app = typer.Typer(
    help="CycleGAN with a semantic consistency loss: a course and reproducibility kit.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
prepare_app = typer.Typer(help="Bring your own images into the common layout.", no_args_is_help=True)
app.add_typer(prepare_app, name="prepare")

# torch and papermill are imported inside the commands, so that --help answers at once.

Profile = Annotated[
    str, typer.Option(help=f"One of {', '.join(configs.PROFILES)}; default: $SEMCG_PROFILE, then mini.")
]
Seed = Annotated[int, typer.Option(min=0, help="Initial weights, order, augmentation.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:0, ...")]
Data = Annotated[str, typer.Option(help='"world", or a folder that `semcg prepare` wrote.')]
Kernel = Annotated[str, typer.Option(help="Another installed Jupyter kernel; default: this interpreter.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Start over instead of reusing or resuming.")]


def _say(line: str) -> None:
    print(line, flush=True)  # also when the output goes into a file


def _given(profile: str, data: str, seed: int, device: str) -> dict[str, object]:
    """Check what every notebook takes, before any kernel starts."""
    if data != "world" and Path(data).is_dir():
        data = str(Path(data).resolve())
    config = configs.make(profile, data=data, seed=seed)
    if device != "auto":
        from semcg.training import fabric_for

        fabric_for(device)
    if data != "world":
        from semcg.runs import datasets

        datasets.data(config)
    return {"profile": config.profile, "data": data, "seed": seed, "device": device}


def _pairs(texts: list[str]) -> dict[str, str]:
    pairs = dict(text.partition("=")[::2] for text in texts)
    if wrong := [text for text in texts if "=" not in text]:
        raise ValueError(f"-p {wrong[0]}: write -p name=value")
    return pairs


@app.command()
def course(
    profile: Profile = "",
    seed: Seed = 0,
    device: Device = "auto",
    data: Data = "world",
    kernel: Kernel = "",
    fresh: Fresh = False,
) -> None:
    """Run every notebook in order; what is not stale is reused, what was interrupted goes on."""
    from semcg.runs import course as courses

    given = _given(profile, data, seed, device)
    folder = courses.course(given=given, kernel=kernel, fresh=fresh, say=_say)
    print("\n" + (folder / f"evaluation-s{seed}" / "table.txt").read_text(encoding="utf-8"))
    minutes = files.read_json(folder / f"course-s{seed}.json")["seconds"]
    print("Where the minutes went (min:s)")
    for what, seconds in minutes.items():
        print(f"  {what:<28} {int(seconds) // 60:>3}:{int(seconds) % 60:02d}")
    print(f"\nWhere to look\n  the executed notebooks  {folder / 'notebooks'}")
    print(f"  the runs                {folder}\n  read and change them    make lab")


@app.command()
def draw(
    profile: Profile = "", processes: Annotated[int, typer.Option(min=0, help="0: one per core.")] = 0
) -> None:
    """Draw the miniature street world of a profile, unless it lies there already."""
    from semcg.runs import datasets

    config = configs.make(profile)
    folder = datasets.draw(config, processes=processes, progress=_counter("drawn"))
    print(f"the world of profile {config.profile} lies in {folder}")


@prepare_app.command("folder")
def prepare_folder(
    out: Annotated[Path, typer.Option(help="Where the data go; then use it as --data.")],
    source: Annotated[Path, typer.Option(help="Folder of source images.")],
    target: Annotated[Path, typer.Option(help="Folder of target images.")],
    source_labels: Annotated[Path | None, typer.Option(help="Folder of their labels.")] = None,
    target_labels: Annotated[Path | None, typer.Option(help="Folder of their labels.")] = None,
    source_mapping: Annotated[
        Path | None, typer.Option(help="CSV or TOML: value or colour to train id.")
    ] = None,
    target_mapping: Annotated[
        Path | None, typer.Option(help="CSV or TOML: value or colour to train id.")
    ] = None,
    source_coding: Annotated[str, typer.Option(help="auto, palette, grey or color.")] = "auto",
    target_coding: Annotated[str, typer.Option(help="auto, palette, grey or color.")] = "auto",
    source_sequence: Annotated[
        str, typer.Option(help="Regular expression; its group names the sequence.")
    ] = "",
    target_sequence: Annotated[
        str, typer.Option(help="Regular expression; its group names the sequence.")
    ] = "",
    max_color_distance: Annotated[
        float, typer.Option(min=0, help="Euclidean, in RGB; beyond it: ignored.")
    ] = 30.0,
    size: Annotated[str, typer.Option(help="HEIGHTxWIDTH, or none to keep the frames as they are.")] = "none",
    val_share: Annotated[float, typer.Option(help="Of the frames of a domain.")] = 0.1,
    test_share: Annotated[float, typer.Option(help="Of the frames of a domain.")] = 0.2,
    judge_share: Annotated[float, typer.Option(help="Of the target's frames, for the judge alone.")] = 0.25,
) -> None:
    """Your own two domains: folders of images, with or without labels."""
    from semcg import prepare

    def domain(images, labels, mapping, coding, sequence) -> prepare.Domain:
        return prepare.Domain(
            images,
            labels,
            mapping,
            coding=coding,
            max_color_distance=max_color_distance,
            sequence=sequence or None,
        )

    made = prepare.folder(
        out,
        source=domain(source, source_labels, source_mapping, source_coding, source_sequence),
        target=domain(target, target_labels, target_mapping, target_coding, target_sequence),
        size=_size(size),
        val_share=val_share,
        test_share=test_share,
        judge_share=judge_share,
    )
    print(f"the data lie in {made}; next: semcg course --data {made}")


@app.command()
def run(
    notebook: Annotated[str, typer.Argument(help="03_cyclegan, or a path.")],
    profile: Profile = "",
    seed: Seed = 0,
    device: Device = "auto",
    data: Data = "world",
    parameter: Annotated[
        list[str] | None, typer.Option("-p", help="name=value, as often as you like.")
    ] = None,
    kernel: Kernel = "",
    fresh: Fresh = False,
    cell_timeout: Annotated[int | None, typer.Option(min=1, help="Seconds that one cell may take.")] = None,
) -> None:
    """Execute one notebook with parameters, through papermill."""
    from semcg.runs import course as courses
    from semcg.runs.execute import typed

    path = courses.notebook_path(notebook)
    given = _given(profile, data, seed, device) | typed(path, _pairs(parameter or []))
    record, _ = courses.run(path, given, kernel=kernel, fresh=fresh, cell_timeout=cell_timeout, say=_say)
    print(f"done in {record['seconds']:.0f} s: {courses.output_of(path, given)}")


@app.command()
def translate(
    in_folder: Annotated[Path, typer.Argument(help="Folder of PNG or JPEG images of any size.")],
    out_folder: Annotated[Path, typer.Argument(help="Gets PNG images of the same names.")],
    weights: Annotated[Path, typer.Option(help="A run's folder, or a generator's .safetensors file in one.")],
    direction: Annotated[str, typer.Option(help="st: source to target; ts: back.")] = "st",
    device: Device = "auto",
) -> None:
    """Translate a folder of images; what is already translated is skipped."""
    from semcg.runs import trained
    from semcg.training import fabric_for
    from semcg.translate import folder

    G = trained.generator_from(weights, direction, fabric_for(device))
    counter = _counter("translated")
    for done, of, _ in folder(G, in_folder, out_folder):
        counter(done, of)
    print(f"the translations lie in {out_folder}")


@app.command()
def evaluate(
    images: Annotated[Path, typer.Argument(help="Folder of images, translated ones say.")],
    labels: Annotated[
        Path, typer.Argument(help="Folder of their labels: grey PNG of train ids, same names.")
    ],
    judge: Annotated[Path, typer.Option(help="Folder of the judge's run.")],
    device: Device = "auto",
) -> None:
    """Score a folder of images against labels with the judge, class by class."""
    from semcg import evaluate as evaluation
    from semcg.runs import trained
    from semcg.training import fabric_for

    fabric = fabric_for(device)
    counts = evaluation.counts_of_folders(trained.judge_from(judge, fabric), images, labels, fabric=fabric)
    table = evaluation.class_table({"score": counts})
    present = int(table.loc["classes present", "score"])
    print(table.drop("classes present").to_string(float_format="{:.3f}".format))
    print(
        f"{len(files.images_in(images))} frames, {present} of 19 classes present; IoU 0..1, at the size of the labels"
    )


@app.command()
def compare(first: Path, second: Path) -> None:
    """Say in which numbers and measures two runs differ."""
    from semcg.runs import comparison

    for line in comparison.compare(first, second):
        print(line)


@app.command()
def figures(profile: Profile = "", seed: Seed = 0, device: Device = "auto", data: Data = "world") -> None:
    """Redraw the paper's figures 1-3 from saved runs, as PNG and SVG, without training."""
    from semcg.runs import figures as redrawn

    given = _given(profile, data, seed, device)
    for path in redrawn.save_figures(
        configs.make(given["profile"], data=given["data"], seed=seed), device=device
    ):
        print(path)


@app.command()
def refresh(profile: Profile = "mini", seed: Seed = 0) -> None:
    """Run the course and put its executed notebooks, cleaned, in the place of the committed ones."""
    from semcg.runs import course as courses
    from semcg.runs import refresh as refreshing

    given = _given(profile, "world", seed, "auto")
    courses.course(given=given, kernel="", fresh=False, say=_say)
    for path in refreshing.refresh(given):
        print(f"refreshed {path}")


def _size(text: str) -> tuple[int, int] | None:
    if text == "none":
        return None
    height, _, width = text.partition("x")
    if not (height.isdigit() and width.isdigit()):
        raise ValueError(f"size = {text!r}: write HEIGHTxWIDTH, 128x256 say, or none")
    return int(height), int(width)


def _counter(what: str):
    """Return a callback (done, of) that keeps one line of a terminal up to date, and says little elsewhere."""

    def count(done: int, of: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{what} {done}/{of}", end="\n" if done == of else "", file=sys.stderr, flush=True)
        elif done == of:
            print(f"{what} {done}/{of}", file=sys.stderr)

    return count


def main() -> None:
    """Run the command line; what a user can mend is one line and exit code 2, a stopped run 130 or 143."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        from semcg.runs.failures import Failed

        if not isinstance(error, ValueError | OSError | Failed):
            raise  # a fault of ours, which deserves its traceback
        print(f"semcg: {error}", file=sys.stderr)
        sys.exit(getattr(error, "exit_code", 2))


if __name__ == "__main__":
    main()
