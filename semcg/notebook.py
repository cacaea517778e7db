"""What every notebook needs: settle the parameters, show a figure with its description, report progress."""

import base64
import html
import io
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from IPython import get_ipython
from IPython.display import display
from lightning_fabric import Fabric
from matplotlib.figure import Figure

from semcg import config as configs
from semcg.config import Config
from semcg.devices import fabric_for, share, with_precision
from semcg.loop import check_finite
from semcg.plots import styled
from semcg.plots.curves import training_curves
from semcg.runs import budget as budgets
from semcg.runs import keeping, log_event, machine
from semcg.runs.checkpoint import read_csv

_FEW = 100  # frames below which a share or a mean is an illustration


def settle(*, profile: str = "", device: str = "auto", **knobs: object) -> tuple[Config, Fabric]:
    """Turn a notebook's parameters into a config and a device, and say in one line what they are.

    Parameters
    ----------
    profile : str
        "" means $SEMCG_PROFILE, and without that "mini".
    device : str
        "auto", "cpu", "cuda", "cuda:0", ...
    **knobs
        Fields of `semcg.config.Config`. An empty text, and 0 steps or a batch of 0, mean the profile's. Further fields
        come from $SEMCG_SETTINGS (JSON), in which `semcg run --set name=value` hands them over.

    Returns
    -------
    Config
        With `precision` decided for this machine.
    Fabric
        Device, precision and processes for `semcg.training`. Those that torchrun or Slurm started share the config's
        batch.

    Raises
    ------
    ValueError
        On an impossible value; names the field, the value and what is allowed.
    """
    settings = json.loads(os.environ.get("SEMCG_SETTINGS") or "{}")
    config = with_precision(configs.from_parameters({"profile": profile} | knobs, settings), device)
    fabric = fabric_for(device, config.precision, shared=True)
    share(config.batch, fabric)  # refuses now what would fail in the training cell
    where = torch.cuda.get_device_name(fabric.device) if fabric.device.type == "cuda" else "CPU"
    kernel = f"kernel Python {sys.version.split()[0]}, torch {torch.__version__}"
    print(
        f"profile {config.profile} · data {os.path.basename(config.data)} · seed {config.seed} · {where} "
        f"({torch.get_num_threads()} threads), {config.precision} · {kernel}"
        + (f" · {fabric.world_size} processes" if fabric.world_size > 1 else "")
    )
    if settings:
        print("settings: " + ", ".join(f"{name} = {getattr(config, name)}" for name in settings))
    if shell := get_ipython():
        shell.events.register("post_run_cell", _tell_machine)  # once, however often this is called
    if config.profile == "smoke":
        print("Profile smoke only shows that everything runs: its numbers mean nothing.")
    if fabric.device.type == "cuda":
        print(
            "On a GPU some backward passes (up-sampling, reflection padding) and SegNet's unpooling are not "
            "deterministic: the last digits of two runs differ."
        )
    return config, fabric


def _tell_machine(_: object) -> None:
    """Tell whoever executes this notebook on what it runs, and how much memory it took at most so far.

    After each cell and not at the end, since a kernel that is killed has no end. One that drew with worker processes is
    always killed: Python's tracker of their resources lives longer than the kernel is given to end.
    """
    log_event("machine", **machine())


def budget(config: Config, fabric: Fabric, name: str) -> None:
    """Print what a notebook's trainings will cost before they start, under profile paper: it may be days of work.

    The other profiles take minutes, as the notebook's head says: of them nothing is printed or measured.

    Parameters
    ----------
    config, fabric
        From `settle`.
    name : str
        The notebook, such as "03_cyclegan".

    Raises
    ------
    ValueError
        If there is not enough memory; says what needs less.
    """
    if config.profile != "paper":
        return
    # Each process measures its own share alone: one that waits for another could wait for ever.
    alone = fabric_for(str(fabric.device), config.precision)
    rows = budgets.estimate(config, alone, notebook=name, ranks=fabric.world_size)
    print(budgets.as_text(rows, config, alone, ranks=fabric.world_size))


def show(
    figure: Figure, *, alt: str, caption: str = "", dpi: int | None = None, vector: bool = False
) -> None:
    """Display a figure of `semcg.plots` with a description for those who do not see it, and clear it.

    Parameters
    ----------
    alt : str
        What the figure shows, in a sentence or two.
    caption : str
        Printed below the figure.
    dpi : int, optional
        Pixels per inch, if not the figure's own: fewer for sheets of many pictures, which weigh megabytes.
    vector : bool
        Embed it as SVG, sharp at any size: for line art. Frames, and curves of a thousand points, are WebP,
        which is then the lighter one. The same Figure gives the same bytes.

    Raises
    ------
    ValueError
        If `alt` is empty.
    """
    if not alt.strip():
        raise ValueError("a figure needs a description: alt is empty")
    # WebP: a quarter of a PNG's size for frames with grain, and no difference that one sees.
    options = {"format": "webp", "dpi": dpi or "figure", "pil_kwargs": {"quality": 90}}
    if vector:
        options = {"format": "svg", "metadata": {"Date": None, "Creator": None}}
    drawn = io.BytesIO()
    with styled():  # its salt makes the names inside an SVG the same in every run
        figure.savefig(drawn, bbox_inches="tight", **options)
    figure.clear()
    kind = "svg+xml" if vector else "webp"
    code = base64.b64encode(drawn.getvalue()).decode()
    below = f"<figcaption>{html.escape(caption)}</figcaption>" if caption else ""
    page = f'<figure><img alt="{html.escape(alt)}" src="data:image/{kind};base64,{code}">{below}</figure>'
    display({"text/html": page, "text/plain": f"Figure: {alt}"}, raw=True)


def counted(where: str, frames: int, about: dict) -> str:
    """Return what belongs beside a number that was measured on frames: which, how many, and whether they are enough.

    Parameters
    ----------
    where : str
        Domain and split, "source/test" say.
    frames : int
        How many.
    about : dict
        What the data say of themselves (`semcg.runs.about`).
    """
    few = ": too few to quote as a result" if frames < _FEW else ""
    seen = ", seen in training" if where in about["seen_in_training"] else ""
    return f"{where}: {frames} frames{few}{seen}"


def progress(records: Iterable[dict], steps: int, *, lines: int = 10) -> Iterator[dict]:
    """Pass on training records and print the losses of about `lines` of them.

    Parameters
    ----------
    records : iterable of dict
        From `semcg.runs.keep` or `semcg.loop.fit`: "step", losses, and norms of gradients, which are not printed.
    steps : int
        Steps in all.

    Raises
    ------
    FloatingPointError
        If a loss or a gradient is not finite; names the term and the step.
    """
    every = max(1, steps // lines)
    for record in records:
        check_finite(record)
        if record["step"] % every == 0 or record["step"] == steps:
            shown = {k: v for k, v in record.items() if not k.startswith(("step", "gradient", "pull"))}
            losses = "  ".join(f"{name} {value:.3f}" for name, value in shown.items())
            print(f"step {record['step']:>{len(str(steps))}}/{steps}  {losses}", flush=True)
        yield record


def watch(run: Path | str, *, seconds: float = 10.0) -> None:
    """Draw the losses and scores of a run that trains elsewhere, and draw them anew until it ends; say then how far it is.

    Parameters
    ----------
    run : path
        Its folder, `results/<data and profile>/<run>`.
    seconds : float
        Between two looks. Interrupt the kernel to look away; the training does not notice.
    """
    shown = display(display_id=True)
    while True:
        running, folder = keeping.is_running(run), keeping.current_folder(run)
        tables = {"losses": folder / "history.csv", "source/val": folder / "validation.csv"}
        histories = {name: read_csv(path) for name, path in tables.items() if path.is_file()}
        columns = {name for rows in histories.values() for row in rows[:1] for name in row}
        if names := [name for name in ("gan", "cycle", "semantic", "judge mIoU") if name in columns]:
            shown.update(training_curves(histories, names=names))
        if not running:
            print(keeping.describe(run).partition("\n")[0])
            return
        time.sleep(seconds)
