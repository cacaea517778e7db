"""Where a run lives, how it is saved and resumed, and what made it.

A run trains in `.<name>.partial/` in the results folder of its data and profile (`semcg.files.results_folder`), and takes
its place beside that as `<name>/` when it is complete; an older run of that name stays readable until then. What another run
of that name has trained is never deleted: it is put aside as `<name>.<digits>/`, or `.<name>.<digits>.partial/` if it was
interrupted, and put back when its settings come again. In the folder:

    <network>.safetensors   the trained weights
    state.pt                what a stopped training resumes from: weights, optimizers, schedules, pools, random numbers
    history.csv             one row per step
    provenance.json         what made it: recipe, config, commit, versions, device, seconds, peak memory

Several processes (`semcg.devices.fabric_for`) train one run: the first writes, the others read what it wrote, so all
must see one folder. A run does not know how many they were: it resumes in any number of them that its batch can be
shared by. With image pools the result then depends on the number: each process has a pool of its own translations, the
first's is saved, and all go on from that one.

Where $SEMCG_EVENTS names a file, a kernel tells the process that runs its notebook which runs it starts, reads and
completes: one JSON line each.
"""

import glob
import json
import logging
import os
import platform
import resource
import shutil
import subprocess
import sys
from enum import StrEnum
from functools import cache
from importlib.metadata import version
from pathlib import Path

import torch
from torch import nn

from semcg import files, locks
from semcg.devices import gather, rank, world_size
from semcg.instruments import load_instrument
from semcg.loop import BatchOf
from semcg.runs import checkpoint
from semcg.runs.checkpoint import as_csv
from semcg.runs.recipes import Recipe, difference, initial_values

EVENTS_VARIABLE = "SEMCG_EVENTS"
"""Environment variable with the path of the file that events are appended to; unset, none is written."""


class Origin(StrEnum):
    """Where a run comes from: it is new, resumed from a saved state, or reused because it is complete."""

    NEW = "new"
    RESUMED = "resumed"
    REUSED = "reused"


class Run:
    """One training: its folder, its history, and how far it is.

    Attributes
    ----------
    folder, partial : Path
        Of the complete run, and of the run while it trains.
    lock : Path
        What a process holds while it trains this run; see `locks.hold`.
    initial : dict
        The values that training begins with (`recipes.initial_values`), and its number of steps.
    parts : dict
        Everything that must be equal for a stored run to be this one: the recipe, and `initial` as "begins".
    identity : dict
        What is recorded of it from its first step on.
    origin, why : Origin, str
        Where the run comes from, and the reason in words.
    """

    def __init__(self, recipe: Recipe, *, steps: int, state: dict[str, object], initial: dict[str, list]):
        self.recipe, self.name, self.steps = recipe, recipe.name, steps
        self.initial = initial | {"steps": steps}
        self.parts = recipe.parts | {"begins": self.initial}
        self.identity = {"fingerprint": recipe.fingerprint, "recipe": recipe.parts, "begins": self.initial}
        self.folder = files.results_folder(recipe.config.data, recipe.config.profile) / self.name
        self.partial = self.folder.with_name(f".{self.name}.partial")
        self.lock = self.folder.with_name(f".{self.name}.lock")
        self.origin, self.why = Origin.NEW, "no saved run found: training from scratch"
        self.history: list[dict[str, float]] = []
        self.seconds = 0.0
        self._state = state

    @property
    def step(self) -> int:
        """Steps done so far. Just opened, those of the loaded state: where `fit` starts."""
        return int(self.history[-1]["step"]) if self.history else 0

    def _differs(self, folder: Path) -> list[str] | None:
        """Return in which parts the run stored in a folder differs: [] if it is this run, None if none is stored."""
        record = _read_record(folder)
        return difference(record["recipe"] | {"begins": record["begins"]}, self.parts) if record else None

    def _put_back(self, place: Path) -> list[str] | None:
        """Put this run into its place if it was put aside, and return in which parts what is there differs."""
        differs = self._differs(place)
        own = glob.escape(self.name)
        for aside in place.parent.glob(glob.escape(place.name).replace(own, f"{own}.*", 1)):
            if differs != [] and self._differs(aside) == []:
                if differs:
                    self._put_aside(place, differs)
                files.swap(aside, place)
                differs = []
        return differs

    def _put_aside(self, place: Path, differs: list[str]) -> str:
        """Give the run in a place that this one needs another name, tell so, and return that name."""
        record = files.read_record(place / "provenance.json")
        digits = files.digest([record["recipe"], record["begins"]])[:6]
        aside = place.with_name(place.name.replace(self.name, f"{self.name}.{digits}", 1))
        shutil.rmtree(aside, ignore_errors=True)  # that run, trained before
        os.rename(place, aside)
        text = "%s: the run before, with another %s, is kept in %s"
        logging.getLogger("semcg").warning(text, self.name, _in_words(differs), aside)
        return aside.name

    def write(self, name: str, measures: dict) -> None:
        """Add measures to the complete run, as `<name>.json`."""
        if rank() == 0:
            files.write_json(self.folder / f"{name}.json", measures)

    def save(self) -> None:
        """Write history and state to the partial folder; the state before stays until the new one is whole.

        Raises
        ------
        FloatingPointError
            If a tensor of the state is not finite, before anything is written: a loss can still be finite when a weight
            no longer is. Names the part and the tensor.
        """
        for name, part in self._state.items():  # in every process, so that none waits for one that has left
            if bad := checkpoint.not_finite(part.state_dict(), name):
                raise FloatingPointError(
                    f"{self.name}, step {self.step}: {bad} is not finite. The last saved state is good; a smaller learning "
                    "rate or precision fp32 may help"
                )
        if rank() == 0:
            files.write_text(self.partial / "history.csv", as_csv(self.history))
            state = {name: part.state_dict() for name, part in self._state.items()}
            content = {"step": self.step, "seconds": self.seconds, "state": state}
            checkpoint.write_state(self.partial, content | {"rng": torch.get_rng_state()})
        gather("saved")

    def _load(self, folder: Path) -> bool:
        """Load the newest good state in `folder` into the networks and optimizers; tell whether there was one."""
        found = checkpoint.newest_state(folder)
        if found is None:
            return False
        content, self.history = found
        for name, part in self._state.items():
            part.load_state_dict(content["state"][name])
        torch.set_rng_state(content["rng"])
        self.seconds = content["seconds"]
        return True

    def finish(self) -> None:
        """Write weights and provenance, and put the run in its place."""
        gather("finished")
        if rank() == 0:
            weights = {}
            for name, part in self._state.items():
                if isinstance(part, nn.Module):
                    path = self.partial / f"{name}.safetensors"
                    weights[path.name] = checkpoint.save_weights(part, path)
            (self.partial / checkpoint.BEFORE).unlink(missing_ok=True)
            made = {"run": self.name, **self.identity, "weights": weights}
            made |= {"config": self.recipe.config.model_dump(mode="json"), "why": self.why}
            made |= {"steps": self.steps, "seconds": round(self.seconds, 2), "processes": world_size()}
            files.write_json(self.partial / "provenance.json", made | machine() | software())
            if other := self._differs(self.folder):
                self._put_aside(self.folder, other)
            files.swap(self.partial, self.folder)
        gather("in its place")
        log_event("done", run=self.name, seconds=self.seconds)


def open_run(
    recipe: Recipe, *, steps: int, state: dict[str, object], batch: BatchOf, fresh: bool = False
) -> Run:
    """Return the run of a recipe: complete, to be resumed, or to be trained from its first step.

    Parameters
    ----------
    recipe : Recipe
        What decides the result.
    steps : int
        Steps in all.
    state : dict
        Networks, optimizers, schedules and pools by name, all with `state_dict` and `load_state_dict`; what was
        saved is loaded into them. Networks end up as `<name>.safetensors`.
    batch : callable
        n -> batch n, as `fit` takes it.
    fresh : bool
        Start over, whatever is stored of this run. $SEMCG_FRESH=1 says the same.
    """
    run = Run(recipe, steps=steps, state=state, initial=initial_values(state, batch))
    for other, parts in enumerate(gather(run.parts)):
        if changed := difference(run.parts, parts):
            raise ValueError(f"process {other} starts with other {', '.join(changed)} than process {rank()}")
    if rank() == 0:
        _find(run, fresh or os.environ.get("SEMCG_FRESH") == "1")
    run.origin, run.why, step = gather((run.origin, run.why, run.step))[0]
    # Process 0 has loaded the state in `_find`; the others do it here.
    saved = run.folder if run.origin is Origin.REUSED else run.partial
    if run.step != step and not (run._load(saved) and run.step == step):
        raise OSError(f"process {rank()} does not see what process 0 wrote in {run.folder.parent}")
    stage = str(recipe.parts.get("stage"))
    if "unreleased" in stage and run.origin is not Origin.REUSED:
        what = f"{run.name}: this code computes {stage}, not a released version"
        logging.getLogger("semcg").warning("%s; what it trains does not count as evidence", what)
    begun = {"folder": str(run.partial), "steps": steps, "start": run.origin, "why": run.why}
    log_event("run", run=run.name, fingerprint=recipe.fingerprint, **begun)
    return run


def _find(run: Run, fresh: bool) -> None:
    """Look at what is stored of a run, load it if it is this very one, and make its partial folder ready."""
    locks.hold(run.lock, f"the training of {run.name}")
    stored = run._differs if fresh else run._put_back
    if (saved := stored(run.folder)) == [] and not fresh:
        if not run._load(run.folder):
            raise ValueError(f"the state in {run.folder} does not load; remove that folder and train again")
        run.origin, run.why = Origin.REUSED, "reused"
        locks.release(run.lock)
        return
    begun = stored(run.partial)
    for left_by_a_kill in run.partial.glob(".*.partial*"):
        left_by_a_kill.unlink()
    if begun == [] and not fresh and run._load(run.partial):
        run.origin, run.why = Origin.RESUMED, f"resumed after step {run.step}"
        # Rows after the state, the last perhaps cut, would come before those of its successors.
        files.write_text(run.partial / "history.csv", as_csv(run.history))
    else:
        if fresh:
            run.why = "asked to start over: training from scratch"
        elif changed := saved or begun:
            run.why = f"the saved run has another {_in_words(changed)}: training from scratch"
        if begun and any(run.partial.glob("state*.pt")):
            run.why += f"; the one that was interrupted is kept in {run._put_aside(run.partial, begun)}"
        shutil.rmtree(run.partial, ignore_errors=True)
        torch.manual_seed(run.recipe.config.seed)  # a learner's own step may draw from torch's generator
    files.write_json(run.partial / "provenance.json", run.identity)


def load(recipe: Recipe, **networks: nn.Module) -> dict:
    """Load the weights of a complete run into networks, and return its provenance.

    Of an instrument, or a file of weights, that is its name and fingerprint.

    Parameters
    ----------
    recipe : Recipe
        The run that is wanted.
    **networks : nn.Module
        Networks by the name they were trained under.

    Raises
    ------
    FileNotFoundError
        If there is no such run; says which command makes it.
    ValueError
        If the stored run was made from another config, other data or other code; names what differs.
    """
    named = {"run": recipe.name, "fingerprint": recipe.fingerprint}
    if recipe.file and not networks:
        return named
    if recipe.instrument:
        weights = load_instrument(recipe.instrument).state_dict()
        for network in networks.values():
            network.load_state_dict(weights)
        log_event("read", **named)
        return named
    folder = files.results_folder(recipe.config.data, recipe.config.profile) / recipe.name
    command = f"semcg run {recipe.made_by} --profile {recipe.config.profile} --seed {recipe.config.seed}"
    if recipe.config.data != "world":
        command += f" -p data={recipe.config.data}"
    made = _read_record(folder)
    if not made:
        raise FileNotFoundError(f"no run {recipe.name} in {folder.parent}. It is made by: {command}")
    if changed := difference(made["recipe"], recipe.parts):
        raise ValueError(
            f"the run in {folder} has another {_in_words(changed)} than requested. It is made again by: {command}"
        )
    for name, network in networks.items():
        path = folder / f"{name}.safetensors"
        checkpoint.load_weights(network, path, made.get("weights", {}).get(path.name))
    log_event("read", **named)
    return made


def _read_record(folder: Path) -> dict:
    """Return the record of the run in a folder, {} if there is none that is readable."""
    record = files.read_record(folder / "provenance.json")
    parts = (record.get("recipe"), record.get("begins"), record.get("weights", {}))
    return record if all(isinstance(part, dict) for part in parts) else {}


def _in_words(changed: list[str]) -> str:
    """Return the names of parts as a reader would say them: "config.lambda_s" is "lambda_s", "stage" is "code"."""
    words = {"stage": "code", "data": "data", "reads": "segmenters or translation", "step": "training step"}
    parts = [part.split(".") for part in changed]
    named = [f"beginning ({p[-1]})" if p[0] == "begins" else words.get(p[0], p[-1]) for p in parts]
    return ", ".join(dict.fromkeys(named))  # each once


def log_event(event: str, **fields: object) -> None:
    """Append one event to the file that $SEMCG_EVENTS names, if it is set."""
    if path := os.environ.get(EVENTS_VARIABLE):
        with open(path, "a", encoding="utf-8") as handle:
            handle.write(json.dumps({"event": event, **fields}) + "\n")


def machine() -> dict:
    """Return the device, the number of threads, and the most memory this process has held so far (on a GPU its tensors), in bytes."""
    if torch.cuda.is_initialized():  # there may be a GPU that this process does not use
        device, peak = torch.cuda.get_device_name(), torch.cuda.max_memory_allocated()
    else:
        device = f"CPU ({torch.backends.cpu.get_cpu_capability()})"
        unit = 1 if sys.platform == "darwin" else 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        if (
            status := Path("/proc/self/status")
        ).is_file():  # on Linux a new process inherits the `ru_maxrss` of the one that started it
            lines = status.read_text().splitlines()
            peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024
    return {"device": device, "threads": torch.get_num_threads(), "peak_memory_bytes": peak}


@cache
def software() -> dict:
    """Return the commit of this package, whether its files differ from it, and the versions it runs with."""
    git = shutil.which("git") or sys.executable  # Python fails too, where there is no git
    here = {"cwd": Path(__file__).parent, "capture_output": True, "text": True}
    asked = (["rev-parse", "HEAD"], ["status", "--porcelain", "--", ".."])
    commit, changes = (subprocess.run([git, *what], **here).stdout.strip() for what in asked)
    names = ("semcg", "torch", "torchvision", "numpy", "pillow", "lightning-fabric")
    return {
        "commit": commit or None,
        "uncommitted_changes": bool(changes),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": {name: version(name) for name in names},
    }
