"""Measures are the same for any number of threads, of processes at once, and for any batch and order of the frames."""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
import torch

from semcg import segmenters, world
from semcg.data import Scenes
from semcg.devices import fabric_for
from semcg.evaluate import collect, read_scenes, segmentation_counts, target_features, train_reader
from semcg.gan import UNet

FRAMES = 4  # the fewest of which a half has a kernel distance


@pytest.fixture(scope="module")
def streets(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data") / "world"
    return world.write(root, size=(128, 256), train=8, val=0, test=FRAMES, judge_train=0, judge_val=0)


@pytest.fixture(autouse=True)
def threads_as_before():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def measured(streets: Path, *, threads: int, batch: int = 4, backwards: bool = False) -> dict:
    """Return all parts of a measurement by untrained networks, which are the same in every process."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    judge, second = (segmenters.build("unet", width=w).eval() for w in (8, 4))
    there, back = (UNet(width=8, depth=3).eval() for _ in range(2))
    reader = train_reader(streets, steps=2, batch=16)
    test = Scenes(streets / "source" / "test")
    target = target_features(judge, streets, batch=batch)
    frames = test.names[::-1] if backwards else None
    nets, order = (
        {"judge": judge, "second judge": second, "Sem_t": second},
        {"batch": batch, "frames": frames},
    )
    parts = collect(there, folder=streets, nets=nets, reader=reader, back=back, target=target, **order)
    counts = segmentation_counts(judge, test, batch=batch, fabric=fabric_for("cpu"))
    parts["downstream"] = {"all": {str(k): n for k, n in enumerate(counts.flatten().tolist())}}
    read = read_scenes(reader, streets, "target", "test")
    return parts | {f"target {kind}": boards for kind, boards in read.items()}


def in_a_process(streets: Path, options: dict) -> tuple[int, dict]:
    return os.getpid(), measured(streets, **options)


@pytest.fixture(scope="module")
def first(streets) -> dict:
    before = torch.get_num_threads()
    parts = measured(streets, threads=1)
    torch.set_num_threads(before)
    return parts


def the_same(other: dict, first: dict) -> None:
    """Counts and texts exactly, floats to 1e-5."""
    wanted = {
        "judge",
        "second judge",
        "Sem_t",
        "downstream",
        "boundary",
        "edges",
        "plates",
        "signs",
        "markings",
    }
    assert set(other) == set(first) >= wanted | {"oracle", "cycle", "KID", "target plates", "target signs"}
    for part, items in first.items():
        assert set(other[part]) == set(items), part
        for item, entries in items.items():
            for key, value in entries.items():
                seen = other[part][item][key]
                assert type(seen) is type(value)
                close = pytest.approx(value, rel=1e-5, abs=1e-9) if isinstance(value, float) else value
                assert seen == close, (part, item, key)


@pytest.mark.parametrize(
    "options",
    [{"threads": 2}, {"threads": 2, "batch": 1, "backwards": True}],
    ids=str,
)
def test_threads_batches_and_order_change_nothing(streets, first, options):
    the_same(measured(streets, **options), first)
    assert torch.get_num_threads() == options["threads"]


def test_processes_at_once_change_nothing(streets, first):
    """As a sweep's workers do: each in its own process, several at the same time, from the same folder."""
    asked = [{"threads": 1}, {"threads": 1, "batch": 2, "backwards": True}]
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as workers:
        found = list(workers.map(in_a_process, [streets] * 2, asked))
    assert os.getpid() not in {pid for pid, _ in found}
    for _, parts in found:
        the_same(parts, first)


def test_a_lost_frame_would_be_seen(streets, first):
    """The comparison is none that everything passes: a frame less shows in counts, and one plate in the readings."""
    fewer = {part: dict(items) for part, items in first.items()}
    fewer["edges"].popitem()
    with pytest.raises(AssertionError):
        the_same(fewer, first)
    other = {part: {item: dict(e) for item, e in items.items()} for part, items in first.items()}
    row = next(iter(other["judge"].values()))
    row[next(iter(row))] += 1
    with pytest.raises(AssertionError):
        the_same(other, first)
