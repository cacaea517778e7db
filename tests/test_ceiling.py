"""What the reader makes of frames as they are: of target frames its ceiling, of source frames under "identity"."""

import pytest
from safetensors.torch import load_file

from semcg import evaluate, files, segmenters, world
from semcg.config import make
from semcg.devices import fabric_for
from semcg.runs import checkpoint, recipes
from semcg_kit import evidence
from semcg_kit.evidence import measuring, trainings

FABRIC = fabric_for("cpu")


@pytest.fixture
def config(home, monkeypatch):
    """Few streets of a size at which plates can be read, an untrained judge, and a reader of few steps."""
    made = make("smoke", size=(128, 256))
    monkeypatch.setattr(recipes, "world", lambda config: {"drawn": "for this test"})
    few = {"train": 8, "val": 0, "test": 4, "judge_train": 0, "judge_val": 0}
    root = files.data_folder("world", "smoke")
    world.write(root, size=made.size, **few, recipe=recipes.world(made))
    net = segmenters.build("unet", width=4).eval()
    monkeypatch.setattr(measuring.trained, "judge", lambda config, fabric, second=False: net)
    monkeypatch.setattr(
        measuring, "_measured", lambda *given: None
    )  # the other references need trained networks
    train = evaluate.train_reader
    monkeypatch.setattr(measuring.evaluate, "train_reader", lambda root: train(root, steps=40, batch=32))
    return made


def test_the_ceiling_is_measured_and_stands_in_the_tables(config):
    measuring.references(config, FABRIC)
    folder, root = measuring.evidence_folder(config), files.data_folder("world", "smoke")
    table = evidence.measures_of(folder)
    assert set(table["condition"]) == {measuring.CEILING} == {"target frames"}
    assert set(table["run"]) == {"target_frames"}
    assert table["seed"].isna().all()
    found = {
        (r.measure, r.of_class): r.value for r in table.rename(columns={"class": "of_class"}).itertuples()
    }
    assert {
        ("plates read", "all"),
        ("plates wrong but confident", "all"),
        ("plate digits read", "all"),
    } <= set(found)
    # The same reader, loaded from where it is kept, and the notes of the target's frames rather than the source's.
    (kept,) = folder.glob("judging-*.safetensors")
    reader = measuring.DigitReader()
    reader.load_state_dict({k: v for k, v in load_file(kept).items() if k != "target"})
    target, source = (evaluate.read_scenes(reader.eval(), root, d, "test") for d in ("target", "source"))
    assert evaluate.read_parts(folder / "counts" / "target_frames.csv") == {
        k: v for k, v in target.items() if v
    }
    assert {i: b["text"] for i, b in target["plates"].items()} != {
        i: b["text"] for i, b in source["plates"].items()
    }
    assert found == pytest.approx(evaluate.values(target))


def test_the_ceiling_is_measured_once(config, monkeypatch):
    measuring.references(config, FABRIC)
    path = measuring.evidence_folder(config) / "counts" / "target_frames.csv"
    before = path.stat().st_mtime_ns
    measuring.references(config, FABRIC)
    assert path.stat().st_mtime_ns == before
    path.write_text(path.read_text() + "\n")  # no longer what its record says
    measuring.references(config, FABRIC)
    assert path.stat().st_mtime_ns != before
    assert (
        checkpoint.sha256(path)
        == files.read_json(path.parents[1] / "records" / "target_frames.json")["counts"]
    )


def test_data_without_notes_have_no_ceiling(config):
    root = files.data_folder("world", "smoke")
    (root / "scenes.jsonl").unlink()
    files.write_manifest(root)
    measuring.references(config, FABRIC)
    assert not (measuring.evidence_folder(config) / "records").exists()


def labels_in(folder):
    return {p.name: p.read_bytes() for p in (folder / "labels").iterdir()}


@pytest.mark.parametrize(
    ("condition", "domain"), [(measuring.CEILING, "target"), ("color transfer", "source")]
)
def test_a_segmenter_learns_from_target_frames_for_the_ceiling(config, condition, domain):
    """Its frames and labels are the target's; under any other name those of the source, translated."""
    made = files.results_folder("world", "smoke") / "translated" / f"downstream-{recipes.slug(condition)}-s0"
    seen = []

    def progress(records, steps):
        seen.append(labels_in(made))
        return records

    way = measuring.untrained(config, condition)
    trainings.downstream(config, condition, condition, way, FABRIC, progress=progress)
    root = files.data_folder("world", "smoke")
    assert seen == [labels_in(root / domain / "train")]
    assert labels_in(root / "source" / "train") != labels_in(root / "target" / "train")


def test_a_translation_that_must_be_trained_is_named(config):
    with pytest.raises(ValueError, match="'CycleGAN' translates without training: allowed: identity"):
        measuring.untrained(config, "CycleGAN")
