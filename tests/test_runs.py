"""A run is reused only when nothing that decides it has changed, resumes to the same bits, and is never half there."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from semcg import config, files, runs
from semcg.files import data_digest
from semcg.loop import fit
from semcg.runs import checkpoint, recipes, store
from semcg.runs.recipes import Recipe

STEPS = 12
STALE = "the saved run has another beginning ({}): training from scratch"


def recipe(**parts) -> Recipe:
    return Recipe(
        "toy-s0", "03_cyclegan", config.make("smoke"), {"config": {"lr": 0.1}, "stage": "a"} | parts
    )


class Toy:
    """A network, its optimizer and a step that also uses the global random numbers, as a learner's may."""

    def __init__(self):
        torch.manual_seed(0)
        self.net = nn.Linear(3, 2)
        self.adam = torch.optim.Adam(self.net.parameters(), lr=0.1)

    @property
    def state(self):
        return {"net": self.net, "adam": self.adam}

    def step(self, x):
        loss = (self.net(x + 0.1 * torch.randn_like(x)) ** 2).mean()
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()
        return {"loss": loss.detach()}

    def batch(self, n):
        return (torch.randn(4, 3, generator=torch.Generator().manual_seed(n)),)


def train(until: int | None = None, made=None) -> tuple[Toy, list[dict], runs.Run]:
    toy = Toy()
    run = runs.open_run(made or recipe(), steps=STEPS, state=toy.state, batch=toy.batch)
    records = []
    for record in runs.keep(run, fit(toy.step, toy.batch, STEPS, start=run.step)):
        records.append(record)
        if record["step"] == until:
            break
    return toy, records, run


def state_of(folder: Path) -> dict:
    return torch.load(folder / "state.pt", weights_only=True)["state"]


def equal(a, b) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return a == b


def test_a_loop_that_is_left_among_the_last_records_is_saved(home):
    train(until=STEPS - 1)
    assert train()[2].why == f"resumed after step {STEPS}"


def test_a_machine_without_git_trains_too(home, monkeypatch):
    store.software.cache_clear()
    monkeypatch.setenv("PATH", "")
    try:
        assert store.software()["commit"] is None
    finally:
        store.software.cache_clear()


def test_a_complete_run_holds_everything(home):
    toy, records, run = train()
    folder = home / "results" / "smoke" / "toy-s0"
    assert [r["step"] for r in records] == list(range(1, STEPS + 1))
    assert sorted(p.name for p in folder.iterdir()) == [
        "history.csv",
        "net.safetensors",
        "provenance.json",
        "state.pt",
    ]
    made = files.read_json(folder / "provenance.json")
    assert made["fingerprint"] == recipe().fingerprint
    assert {
        "config",
        "commit",
        "versions",
        "device",
        "seconds",
        "peak_memory_bytes",
        "threads",
    } <= made.keys()
    other = nn.Linear(3, 2)
    runs.load(recipe(), net=other)
    assert equal(dict(other.state_dict()), dict(toy.net.state_dict()))
    assert not list((home / "results" / "smoke").glob(".*"))


def test_a_reused_run_reads_like_a_new_one(home):
    first_toy, first, _ = train()
    second_toy, second, run = train()
    assert run.why == "reused"
    assert second == first  # floats to the bit
    assert equal(dict(second_toy.net.state_dict()), dict(first_toy.net.state_dict()))


@pytest.mark.parametrize("cut", [1, 5, 6, 11])
def test_a_cut_run_resumes_to_the_same_bits(home, cut, monkeypatch):
    _, calm, _ = train()
    expected = state_of(home / "results" / "smoke" / "toy-s0")
    monkeypatch.setenv("SEMCG_HOME", str(home / "second"))
    train(until=cut)
    assert not (home / "second" / "results" / "smoke" / "toy-s0").exists()
    _, resumed, run = train()
    assert run.why.startswith("resumed after step")
    assert resumed == calm
    assert equal(state_of(run.folder), expected)
    history = (run.folder / "history.csv").read_bytes()
    assert history == (home / "results" / "smoke" / "toy-s0" / "history.csv").read_bytes()


@pytest.mark.parametrize(
    ("changed", "words"),
    [({"config": {"lr": 0.2}}, "another lr"), ({"stage": "b"}, "another code")],
)
def test_a_stale_run_is_named_and_stays_until_its_successor_is_complete(home, changed, words):
    _, first, _ = train()
    folder = home / "results" / "smoke" / "toy-s0"
    old = (folder / "provenance.json").read_bytes()
    _, _, run = train(until=3, made=recipe(**changed))
    assert run.why == f"the saved run has {words}: training from scratch"
    assert (folder / "provenance.json").read_bytes() == old
    with pytest.raises(ValueError, match=words):
        runs.load(recipe(**changed), net=nn.Linear(3, 2))
    train(made=recipe(**changed))
    assert files.read_json(folder / "provenance.json")["recipe"] == recipe(**changed).parts
    (kept,) = folder.parent.glob("toy-s0.*")
    assert (kept / "provenance.json").read_bytes() == old, "finished work is not replaced"
    assert train()[2].why == "reused", "what was put aside is put back when its settings come again"
    assert (folder / "provenance.json").read_bytes() == old
    assert train(made=recipe(**changed))[2].why == "reused"


def kept_in(home: Path) -> list[str]:
    return sorted(p.name for p in (home / "results" / "smoke").iterdir())


def test_an_interrupted_run_is_kept_until_its_settings_come_again(home, monkeypatch):
    """Whatever is trained under its name meanwhile, asked to start over or not; it resumes to the same bits."""
    monkeypatch.setenv("SEMCG_HOME", str(home / "calm"))
    _, calm, _ = train()
    monkeypatch.setenv("SEMCG_HOME", str(home))
    train(until=5)
    monkeypatch.setenv("SEMCG_FRESH", "1")
    _, _, other = train(until=7, made=recipe(stage="b"))
    monkeypatch.delenv("SEMCG_FRESH")
    aside, partial = kept_in(home)
    assert partial == other.partial.name
    assert other.why.endswith(f"; the one that was interrupted is kept in {aside}")
    _, resumed, run = train()
    assert (run.why, resumed) == ("resumed after step 6", calm)
    assert train(made=recipe(stage="b"))[2].why == "resumed after step 8"
    assert len(kept_in(home)) == 2, "both are complete: one has the name, one is put aside"


def test_interrupted_runs_of_edited_cells_are_kept_apart(home):
    """Their recipes are equal; what they begin with is not."""
    for rate in (0.1, 0.2, 0.3, 0.2):
        toy = Toy()
        toy.adam.param_groups[0]["lr"] = rate
        run = runs.open_run(recipe(), steps=STEPS, state=toy.state, batch=toy.batch)
        for record in runs.keep(run, fit(toy.step, toy.batch, STEPS, start=run.step)):
            if record["step"] == 4:
                break
    assert run.why == "resumed after step 4"
    assert len(kept_in(home)) == 3


def test_starting_over_replaces_the_same_run_alone(home):
    train()
    for stage, left in (("a", 1), ("b", 2)):
        toy = Toy()
        run = runs.open_run(recipe(stage=stage), steps=STEPS, state=toy.state, batch=toy.batch, fresh=True)
        assert run.why == "asked to start over: training from scratch"
        list(runs.keep(run, fit(toy.step, toy.batch, STEPS)))
        assert len(kept_in(home)) == left


@pytest.mark.parametrize("at", [100, -1, -400])
def test_b1_one_flipped_bit_in_a_weight_is_named(home, at):
    train()
    path = home / "results" / "smoke" / "toy-s0" / "net.safetensors"
    content = bytearray(path.read_bytes())
    content[at % len(content)] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"net\.safetensors was changed after it was written"):
        runs.load(recipe(), net=nn.Linear(3, 2))


@pytest.mark.parametrize("what", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path, what):
    net = nn.Linear(3, 2)
    net.weight.data[0, 0] = what
    checkpoint.save_weights(net, tmp_path / "net.safetensors")
    with pytest.raises(ValueError, match=r"net\.safetensors: weight holds a weight that is not finite"):
        checkpoint.load_weights(nn.Linear(3, 2), tmp_path / "net.safetensors")


def test_d2_weights_of_another_type_or_shape_are_refused(tmp_path):
    path = tmp_path / "net.safetensors"
    save_file({"weight": torch.zeros(2, 3, dtype=torch.int32), "bias": torch.zeros(2)}, path)
    with pytest.raises(ValueError, match="weight is I32, expected floating-point"):
        checkpoint.load_weights(nn.Linear(3, 2), path)
    checkpoint.save_weights(nn.Linear(4, 2), path)
    with torch.device("meta"):  # nothing is allocated for what a record promises
        promised = nn.Linear(100_000, 100_000)
    with pytest.raises(ValueError, match=r"weight is \(2, 4\), expected \(100000, 100000\)"):
        checkpoint.check_weights(promised, path)


@pytest.mark.parametrize("record", ["{}", "[]", "", "x", "\xff\xfe"])
def test_d1_a_damaged_record_counts_as_not_stored(home, record, caplog):
    _, first, _ = train()
    path = home / "results" / "smoke" / "toy-s0" / "provenance.json"
    path.write_bytes(record.encode("latin-1"))
    with pytest.raises(FileNotFoundError, match="It is made by"):
        runs.load(recipe(), net=nn.Linear(3, 2))
    assert str(path) in caplog.text
    _, again, run = train()
    assert again == first
    assert files.read_json(path)["fingerprint"] == run.recipe.fingerprint


# --- other machines


def drawn(config_, folder: Path) -> None:
    from semcg import world

    counts = {"train": 2, "val": 0, "test": 0, "judge_train": 2, "judge_val": 0}
    world.write(folder, size=config_.size, **counts, recipe=recipes.world(config_))


def test_d10_data_are_known_by_their_pixels(tmp_path):
    """Written by another encoder, at another time: the same data. One pixel changed: other data."""
    small = config.make("smoke")
    drawn(small, tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    pictures = sorted((tmp_path / "b").rglob("*.png"))
    for path in pictures:
        with Image.open(path) as opened:
            pixels = np.asarray(opened)
        Image.fromarray(pixels).save(path, compress_level=9)
    assert data_digest(tmp_path / "a") == data_digest(tmp_path / "b")
    changed = pixels.copy()
    changed[0, 0] ^= 1
    Image.fromarray(changed).save(path)
    assert data_digest(tmp_path / "a") != data_digest(tmp_path / "b")


def test_what_a_training_begins_with_is_compared_across_processors():
    begun = recipes.initial_values(Toy().state, Toy().batch)
    rounded = {
        k: [v * (1 + 1e-6) if isinstance(v, float) else v for v in values] for k, values in begun.items()
    }
    assert recipes.difference(begun, rounded) == []
    toy = Toy()
    toy.net.weight.data *= 1.001
    assert recipes.difference(begun, recipes.initial_values(toy.state, toy.batch)) == ["net"]
    labels = torch.zeros(2, 4, 4, dtype=torch.int64)
    other = labels.clone()
    other[0, 0, 0] = 1
    a, b = (recipes.initial_values(Toy().state, lambda n, y=y: (y,)) for y in (labels, other))
    assert recipes.difference(a, b) == ["first batch"]


def test_a_small_number_is_not_taken_for_none():
    for old, new in ((1e-7, 0.0), (1e-8, 5e-8), ([0.5, 1e-7], [0.5, 0.0])):
        assert recipes.difference({"decay": old}, {"decay": new}) == ["decay"]
    assert recipes.difference(0.0, 1e-17) == [], "a mean that is rounded"


def test_an_edited_cell_is_not_answered_with_the_run_before(home, monkeypatch):
    """Same recipe, but the notebook gives the optimizer another learning rate, or other batches."""
    train()
    toy = Toy()
    toy.adam.param_groups[0]["lr"] = 0.2
    assert runs.open_run(recipe(), steps=STEPS, state=toy.state, batch=toy.batch).why == STALE.format("adam")
    toy = Toy()
    run = runs.open_run(recipe(), steps=STEPS, state=toy.state, batch=lambda n: toy.batch(n + 1))
    assert run.why == STALE.format("first batch")
    run = runs.open_run(recipe(), steps=STEPS + 1, state=Toy().state, batch=toy.batch)
    assert run.why == STALE.format("steps")


def test_a_missing_run_says_which_command_makes_it(home):
    with pytest.raises(FileNotFoundError, match="semcg run 03_cyclegan --profile smoke --seed 0"):
        runs.load(recipe(), net=nn.Linear(3, 2))


def test_a_torn_state_falls_back_to_the_one_before(home):
    _, calm, _ = train()
    expected = state_of(home / "results" / "smoke" / "toy-s0")
    files.swap(home / "results" / "smoke" / "toy-s0", home / "calm")
    _, _, run = train(until=7)
    newest = run.partial / "state.pt"
    newest.write_bytes(newest.read_bytes()[:1000])
    assert (run.partial / "state.previous.pt").exists()
    _, resumed, run = train()
    assert run.why.startswith("resumed after step")
    assert resumed == calm
    assert equal(state_of(run.folder), expected)


def spoiled(at: int, what: float, where: str) -> None:
    """Train a toy in which a weight, or a number of the optimizer, is not finite after a step, though its loss is."""
    toy = Toy()
    run = runs.open_run(recipe(), steps=STEPS, state=toy.state, batch=toy.batch)

    def step(x):
        terms = toy.step(x)
        if int(toy.adam.state[toy.net.weight]["step"]) == at:
            tensor = toy.net.bias.data if where == "net" else toy.adam.state[toy.net.weight]["exp_avg"]
            tensor.view(-1)[1] = what
        return terms

    list(runs.keep(run, fit(step, toy.batch, STEPS, start=run.step)))


@pytest.mark.parametrize("what", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize(
    ("at", "where", "named"),
    [(6, "net", "net.bias"), (STEPS, "net", "net.bias"), (6, "adam", "adam.state.0.exp_avg")],
)
def test_a_state_that_is_not_finite_is_never_saved(home, at, where, named, what):
    """At a step that saves, at the last step; in a weight, in the optimizer. The same command goes on to a calm end."""
    with pytest.raises(
        FloatingPointError, match=rf"^toy-s0, step {at}: {named} is not finite. The last saved state"
    ):
        spoiled(at, what, where)
    assert not (home / "results" / "smoke" / "toy-s0").exists()
    saved = list((home / "results" / "smoke" / ".toy-s0.partial").glob("state*.pt"))
    assert len(saved) == 2
    for path in saved:
        assert checkpoint.not_finite(torch.load(path, weights_only=True)["state"], "state") == ""
    _, resumed, run = train()
    assert run.why == f"resumed after step {at - 2}"
    state = state_of(run.folder)
    files.swap(run.folder, home / "cut")
    _, calm, run = train()
    assert resumed == calm
    assert equal(state, state_of(run.folder))


def test_a_loss_that_is_not_finite_stops_a_run_before_it_is_saved(home):
    toy = Toy()
    run = runs.open_run(recipe(), steps=STEPS, state=toy.state, batch=toy.batch)

    def step(x):
        loss = toy.step(x)["loss"]
        taken = int(toy.adam.state[toy.net.weight]["step"])
        return {"loss": loss if taken != 7 else loss * float("nan")}

    with pytest.raises(FloatingPointError, match="^step 7: the loss term loss is not finite"):
        list(runs.keep(run, fit(step, toy.batch, STEPS)))
    assert torch.load(run.partial / "state.pt", weights_only=True)["step"] == 6
    assert len(checkpoint.read_csv(run.partial / "history.csv")) == 6


def test_a_stored_state_that_is_not_finite_gives_way_to_the_one_before(home):
    """As one of an earlier version, which did not look."""
    _, calm, _ = train()
    files.swap(home / "results" / "smoke" / "toy-s0", home / "calm")
    _, _, run = train(until=7)
    newest = run.partial / "state.pt"
    content = torch.load(newest, weights_only=True)
    content["state"]["net"]["weight"][0, 0] = float("inf")
    torch.save(content, newest)
    _, resumed, run = train()
    assert run.why.startswith("resumed after step")
    assert resumed == calm
    assert equal(state_of(run.folder), state_of(home / "calm"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_cut_run_resumes_on_a_gpu_within_a_tolerance(home, monkeypatch):
    """A CycleGAN of the smoke profile. cuDNN may add in another order each time, and a GAN amplifies that."""
    from chaos import promises

    from semcg import devices, training

    def gan(until: int | None) -> dict:
        cfg, fabric = config.make("smoke"), devices.fabric_for("cuda")
        t = training.CycleGANTraining.create(cfg, steps=STEPS, fabric=fabric)
        step = training.translation_step(t, fabric=fabric, lambda_s=0.0)

        def batch(n):
            draw = torch.Generator().manual_seed(n)
            x, y = (torch.rand(1, 3, 64, 64, generator=draw) * 2 - 1 for _ in "st")
            labels = torch.zeros(1, 64, 64, dtype=torch.uint8)
            return tuple(part.to(fabric.device) for part in (x, labels, y, labels))

        run = runs.open_run(recipe(), steps=STEPS, state=t.state(), batch=batch)
        for record in runs.keep(run, fit(step, batch, STEPS, start=run.step)):
            if record["step"] == until:
                break
        return state_of(run.folder if run.folder.exists() else run.partial)

    def flat(state: dict) -> torch.Tensor:
        return torch.cat([v.flatten().float() for name in ("G_st", "G_ts") for v in state[name].values()])

    calm = flat(gan(None))
    monkeypatch.setenv("SEMCG_HOME", str(home / "second"))
    gan(7)
    resumed = flat(gan(None))
    apart = float(torch.linalg.vector_norm(resumed - calm) / torch.linalg.vector_norm(calm))
    if os.environ.get("SEMCG_CHAOS") == "count":
        promises.count({"gpu": {"device": torch.cuda.get_device_name(), "weights": apart}})
    assert apart < 1e-2


def test_starting_over(home, monkeypatch):
    train()
    monkeypatch.setenv("SEMCG_FRESH", "1")
    _, records, run = train()
    assert run.why == "asked to start over: training from scratch"
    assert len(records) == STEPS


def test_a_crash_between_the_two_renames_loses_nothing(home):
    train()
    folder = home / "results" / "smoke" / "toy-s0"
    os.rename(folder, folder.with_name(".toy-s0.partial"))  # as if the second rename had not happened
    _, records, run = train()
    assert len(records) == STEPS
    assert run.folder.is_dir()
    assert not run.partial.exists()


def test_events_tell_what_happened(home, monkeypatch, tmp_path):
    monkeypatch.setenv("SEMCG_EVENTS", str(tmp_path / "events.jsonl"))
    train()
    train()
    text = (tmp_path / "events.jsonl").read_text()
    assert text.count('"event": "run"') == 2
    assert text.count('"event": "done"') == 1
    assert '"why": "reused"' in text


CHILD = """
    import os, signal, sys
    sys.path.insert(0, {tests!r})
    import test_runs as t
    from semcg import runs
    from semcg.loop import fit
    toy = t.Toy()
    run = runs.open_run(t.recipe(), steps=t.STEPS, state=toy.state, batch=toy.batch)
    def batch(n):
        if n == 5:
            os.kill(os.getpid(), {signal})
        return toy.batch(n)
    for record in runs.keep(run, fit(toy.step, batch, t.STEPS, start=run.step)):
        pass
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_signal_at_any_step_loses_nothing(home, number):
    code = textwrap.dedent(CHILD).format(tests=str(Path(__file__).parent), signal=int(number))
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert child.returncode != 0
    if number != signal.SIGKILL:
        assert "toy-s0 is saved at step 6; the same command resumes from there" in child.stderr
    _, resumed, run = train()
    expected_step = 4 if number == signal.SIGKILL else 6  # smoke saves every 2 steps, a signal at once
    assert run.why == f"resumed after step {expected_step}"
    state = state_of(run.folder)
    files.swap(run.folder, home / "cut")
    _, calm, run = train()
    assert resumed == calm
    assert equal(state, state_of(run.folder))


def test_a_learners_step_is_part_of_the_recipe():
    def own(x):
        return x

    own.__module__ = "__main__"
    assert "return x" in recipes.notebook_source(own)
    assert recipes.notebook_source(runs.keep) == ""
    assert recipes.notebook_source(None) == ""
