"""The synthetic world: frozen label maps, exact geometry, the two looks, and folders without chance."""

import hashlib
import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semcg import files, pictures
from semcg.labels import CLASSES, IGNORE, names
from semcg.world import VERSION, Scene, annotations, render, write
from semcg.world.scene import RandomStream
from semcg.world.things import Vehicle

SIZE = (128, 256)
SMALL = (64, 128)
ID = {name: k for k, name in enumerate(names())}

# sha256 of the label maps, first 16 digits. They freeze the world: a change here draws every data set anew,
# so it goes with a higher `semcg.world.VERSION`.
GOLDEN = {
    "0 source 64": "f62be7aa5cf23d4c",
    "0 source 128": "56f60346524fdeea",
    "0 target 64": "a1c4d22e80c81202",
    "0 target 128": "b500f29a16c6d100",
    "1 source 64": "8167d5194de6e49d",
    "1 source 128": "0f0ccae972de0c93",
    "1 target 64": "f743aa48525f87c5",
    "1 target 128": "11e94367977f8411",
    "77 source 64": "e803210eac79f557",
    "77 source 128": "6da2cd52d54bf7b2",
    "77 target 64": "ab2a44a2b9e5cc78",
    "77 target 128": "4fe47f4c86a3d197",
}
DRAW = {"size": (32, 64), "train": 6, "val": 2, "test": 3, "judge_train": 3, "judge_val": 2}


def _digest(labels: np.ndarray) -> str:
    return hashlib.sha256(labels.tobytes()).hexdigest()[:16]


@pytest.fixture(scope="module")
def many() -> dict[str, list]:
    """150 scenes of each domain in its own style: (scene, rgb, label)."""
    styles = {"source": "game", "target": "camera"}
    return {
        domain: [
            (scene, *render(scene, style, SMALL)) for scene in (Scene.sample(n, domain) for n in range(150))
        ]
        for domain, style in styles.items()
    }


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    """A small world by one process."""
    return write(tmp_path_factory.mktemp("world") / "one", **DRAW)


def _frequencies(samples: list) -> np.ndarray:
    counts = sum(np.bincount(label.ravel(), minlength=256) for _, _, label in samples)
    return counts[:19] / counts[:19].sum()


def _alone(*vehicles: Vehicle, seed: int = 4) -> Scene:
    """A street with nothing in it but the vehicles given."""
    return replace(Scene.sample(seed, "source"), things=tuple(sorted(vehicles, key=lambda v: -v.z)))


def _car(x: float, z: float, plate: str = "123") -> Vehicle:
    return Vehicle("car", x, z, oncoming=False, hue=1, plate=plate, line="", tall=1.0)


# the scene


def test_the_world_is_frozen():
    found = {
        f"{seed} {domain} {size[0]}": _digest(render(Scene.sample(seed, domain), "game", size)[1])
        for seed in (0, 1, 77)
        for domain in files.DOMAINS
        for size in (SMALL, SIZE)
    }
    assert found == GOLDEN


def test_openness_follows_the_two_distributions():
    source = np.array([Scene.sample(n, "source").openness for n in range(300)])
    target = np.array([Scene.sample(n, "target").openness for n in range(300)])
    # Beta(a, b) has mean a / (a + b), and Beta(2.2, 1) the distribution function x ** 2.2.
    assert source.mean() == pytest.approx(2.2 / 3.2, abs=0.04)
    assert target.mean() == pytest.approx(1.0 / 3.2, abs=0.04)
    for x in (0.3, 0.6, 0.9):
        assert (source <= x).mean() == pytest.approx(x**2.2, abs=0.08)
        assert (target <= x).mean() == pytest.approx(1 - (1 - x) ** 2.2, abs=0.08)
    # The layouts overlap: both domains draw open and closed streets.
    for o in (source, target):
        assert min((o < 0.4).mean(), (o > 0.6).mean()) > 0.05


def test_layout_and_openness_can_be_chosen():
    own, other = Scene.sample(5, "source"), Scene.sample(5, "source", layout="target")
    assert Scene.sample(5, "source", layout="source").openness == own.openness
    # One uniform number u makes both: u ** (1 / 2.2), and 1 minus that.
    assert other.openness == pytest.approx(1 - own.openness)
    assert Scene.sample(5, "source", openness=own.openness) == own
    wide, narrow = (Scene.sample(5, "target", openness=o).street for o in (1.0, 0.0))
    assert wide.half_width > narrow.half_width
    assert wide.setback > narrow.setback


def test_scenes_of_equal_seed_differ_between_the_domains_and_topics():
    source, target = (Scene.sample(3, domain, openness=0.5) for domain in files.DOMAINS)
    assert source.street != target.street
    firsts = {
        RandomStream(topic, 3, domain).between(0, 1)
        for topic in ("street", "trees", "look")
        for domain in files.DOMAINS
    }
    assert len(firsts) == 6


def test_poisson_has_its_mean_and_variance():
    rng = RandomStream("street", 8)
    counts = np.array([rng.poisson(1.7) for _ in range(4000)])
    assert counts.mean() == pytest.approx(1.7, abs=0.07)
    assert counts.var() == pytest.approx(1.7, abs=0.15)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"seed": -1}, "seed is -1"),
        ({"seed": 1.5}, "seed is 1.5"),
        ({"domain": "camera"}, "'camera'.*source.*target"),
        ({"layout": "both"}, "'both'.*own"),
        ({"openness": 1.2}, r"1.2.*\[0, 1\]"),
        ({"openness": float("nan")}, "nan"),
    ],
)
def test_bad_arguments_of_a_scene(arguments, said):
    with pytest.raises(ValueError, match=said):
        Scene.sample(**{"seed": 0, "domain": "source", **arguments})


# the picture


@pytest.mark.parametrize("size", [(64, 128), (128, 256), (256, 512), (48, 80)])
def test_shapes_and_types(size):
    rgb, label = render(Scene.sample(2, "target"), "camera", size)
    assert rgb.shape == (*size, 3)
    assert label.shape == size
    assert rgb.dtype == label.dtype == np.uint8


@pytest.mark.parametrize("domain", files.DOMAINS)
def test_labels_are_those_of_both_styles_and_every_strength(domain):
    scene = Scene.sample(11, domain)
    game, label = render(scene, "game", SMALL)
    camera, same = render(scene, "camera", SMALL)
    half, also_same = render(scene, "camera", SMALL, strength=0.5)
    assert np.array_equal(label, same)
    assert np.array_equal(label, also_same)
    # Strength 0 is the game, and the half way lies between in color.
    assert np.array_equal(render(scene, "camera", SMALL, strength=0.0)[0], game)
    assert np.array_equal(render(scene, "game", SMALL, strength=0.3)[0], game)
    spread = [np.ptp(rgb.reshape(-1, 3).astype(float), axis=1).mean() for rgb in (game, half, camera)]
    assert spread[0] > 1.2 * spread[1] > 1.44 * spread[2]


def test_geometry_does_not_depend_on_the_size():
    scene = Scene.sample(6, "source")
    fine, coarse = (render(scene, "game", size)[1] for size in ((192, 384), (64, 128)))
    # The middle sub-pixel of three by three is the middle of the coarse pixel.
    assert (fine[1::3, 1::3] == coarse).mean() > 0.97


def test_a_car_lies_where_the_pinhole_puts_it():
    """Straight ahead of the camera one sees its rear: 1.76 m wide, standing on the ground, 9 m away."""
    z = 9.0
    camera = Scene.sample(4, "source").camera
    scene = _alone(_car(camera.x, z))
    rows, columns = np.nonzero(render(scene, "game", SIZE)[1] == ID["car"])
    scale = 1.62 * SIZE[0] / z  # pixels per meter
    middle, ground = SIZE[1] * camera.center, SIZE[0] * camera.horizon + scale * camera.height
    assert columns.min() == pytest.approx(middle - 0.88 * scale, abs=1)
    assert columns.max() + 1 == pytest.approx(middle + 0.88 * scale, abs=1)
    assert rows.max() + 1 == pytest.approx(ground, abs=1)
    (plate,) = annotations(scene, SIZE)
    x0, y0, x1, y1 = plate["box"]
    assert (x0 + x1) / 2 == pytest.approx(middle, abs=0.5)
    assert x1 - x0 == pytest.approx(0.82 * scale, abs=0.5)
    assert y1 - y0 == pytest.approx(0.30 * scale, abs=0.5)
    assert plate["digit_px"] == pytest.approx(0.216 * scale, abs=1e-3)


def test_one_sees_the_side_of_a_car_that_faces_the_street():
    camera = Scene.sample(4, "source").camera
    scale, middle = 1.62 * SIZE[0] / 9.0, SIZE[1] * camera.center
    for side in (-1, 1):
        _, columns = np.nonzero(render(_alone(_car(camera.x + 2 * side, 9.0)), "game", SIZE)[1] == ID["car"])
        outer, inner = (columns.min(), columns.max() + 1)[::-side]
        assert outer == pytest.approx(middle + side * 2.88 * scale, abs=1)
        # The far end, 4.2 m behind, lies nearer to the vanishing point.
        assert inner == pytest.approx(middle + side * 1.12 * scale * 9.0 / 13.2, abs=1.5)


def test_a_plate_is_where_its_note_says():
    """Two texts on the same car change pixels in the box of the note, and next to it for the filter, only."""
    one, other = (_alone(_car(0.5, 8.0, plate)) for plate in ("123", "888"))
    for style in ("game", "camera"):
        (first, label), (second, same) = (render(scene, style, SIZE) for scene in (one, other))
        assert np.array_equal(label, same)
        changed = (first != second).any(-1)
        (note,) = annotations(one, SIZE)
        x0, y0, x1, y1 = note["box"]
        inside = np.zeros_like(changed)
        inside[int(y0) - 2 : int(y1) + 3, int(x0) - 2 : int(x1) + 3] = True
        assert changed.any()
        assert not (changed & ~inside).any()
    assert (label[int(y0) + 1 : int(y1), int(x0) + 1 : int(x1)] == ID["car"]).all()
    assert note == {**note, "kind": "plate", "text": "123", "visible": 1.0}
    assert annotations(other, SIZE)[0]["text"] == "888"
    json.dumps(note)


def test_hidden_plates_are_left_out_and_half_hidden_ones_say_so():
    camera = Scene.sample(4, "source").camera
    behind = _car(camera.x, 14.0, "777")

    def found(x):
        truck = Vehicle("truck", x, 7.0, oncoming=False, hue=0, plate="111", line="", tall=1.0)
        return {note["text"]: note["visible"] for note in annotations(_alone(behind, truck), SIZE)}

    assert found(camera.x) == {"111": 1.0}
    # The truck's edge, 1.2 m beside its middle, lies in the line of sight to the middle of the plate.
    half = found(camera.x + 1.2)
    assert half["777"] == pytest.approx(0.5, abs=0.06)
    assert found(camera.x + 3.0)["777"] == 1.0


def test_numbers_of_the_signs_are_noted(many):
    signs = [
        note
        for scene, _, _ in many["source"][:50]
        for note in annotations(scene, SMALL)
        if note["kind"] == "sign"
    ]
    assert {note["text"] for note in signs} == {"30", "50", "70"}
    for note in signs:
        x0, y0, x1, y1 = note["box"]
        assert 0 <= x0 <= x1 <= SMALL[1]
        assert 0 <= y0 <= y1 <= SMALL[0]
        assert 0 < note["visible"] <= 1


def test_only_the_19_classes_and_the_ignored_occur_and_each_of_them_does(many):
    for samples in many.values():
        seen = set(np.unique(np.concatenate([label.ravel() for _, _, label in samples])).tolist())
        assert seen == {*range(len(CLASSES)), IGNORE}


def test_class_frequencies(many):
    """Shares of the labeled pixels, in percent, that the world was made to have."""
    wanted = {
        "source": {
            "road": 25.0,
            "building": 24.9,
            "sky": 19.4,
            "vegetation": 9.7,
            "car": 9.5,
            "sidewalk": 4.8,
        },
        "target": {
            "road": 27.8,
            "building": 26.3,
            "vegetation": 14.7,
            "car": 10.9,
            "sky": 9.2,
            "sidewalk": 4.9,
        },
    }
    for domain, shares in wanted.items():
        found = 100 * _frequencies(many[domain])
        for name, percent in shares.items():
            assert found[ID[name]] == pytest.approx(percent, rel=1 / 3), name
        for name in ("pole", "traffic light", "traffic sign", "person", "rider", "motorcycle", "bicycle"):
            assert 0.1 < found[ID[name]] < 1.5, name


def test_the_layouts_shift_the_sky(many):
    top = {d: np.mean([(label[:21] == ID["sky"]).mean() for _, _, label in s]) for d, s in many.items()}
    assert top["source"] == pytest.approx(0.50, abs=0.08)
    assert top["target"] == pytest.approx(0.26, abs=0.08)


def test_colors_of_the_styles(many):
    """Mean and deviation of all pixels, in [0, 1]."""
    for domain, mean, deviation in (
        ("source", (0.53, 0.57, 0.54), 0.26),
        ("target", (0.49, 0.52, 0.49), 0.16),
    ):
        pictures = np.stack([rgb for _, rgb, _ in many[domain]]) / 255
        assert pictures.mean((0, 1, 2)) == pytest.approx(mean, abs=0.03)
        assert pictures.std((1, 2, 3)).mean() == pytest.approx(deviation, abs=0.02)


def test_the_sky_of_the_game_is_bluer_and_the_camera_noisier():
    scene = Scene.sample(30, "source", openness=1.0)
    (game, label), (camera, _) = (render(scene, style, SIZE) for style in ("game", "camera"))
    sky = label == ID["sky"]
    blue = [(rgb[sky, 2].astype(float) - rgb[sky, 0]).mean() for rgb in (game, camera)]
    assert blue[0] > 60 > 30 > abs(blue[1])
    road = (label == ID["road"])[:, 1:] & (label == ID["road"])[:, :-1]
    # The median leaves the edges of the markings out.
    rough = [np.median(np.abs(np.diff(rgb.sum(-1, dtype=int), axis=1))[road]) for rgb in (game, camera)]
    assert rough[1] > 1.5 * rough[0]


@pytest.mark.parametrize(
    ("style", "size", "strength", "said"),
    [
        ("film", SMALL, 1.0, "'film'.*game.*camera"),
        ("game", (64,), 1.0, "size is"),
        ("game", (64.5, 128), 1.0, "size is"),
        ("game", (8, 8), 1.0, "size is"),
        ("game", 64, 1.0, "size is 64"),
        ("camera", SMALL, 1.5, r"1.5.*\[0, 1\]"),
    ],
)
def test_bad_arguments_of_a_picture(style, size, strength, said):
    with pytest.raises(ValueError, match=said):
        render(Scene.sample(0, "source"), style, size, strength=strength)


# the folder


def test_the_folder_is_the_common_layout(drawn):
    files.check_manifest(drawn, contents=True)
    for domain in files.DOMAINS:
        for split, count in (("train", 6), ("val", 2), ("test", 3)):
            for kind in ("images", "labels"):
                found = [path.name for path in pictures.images_in(drawn / domain / split / kind).images]
                assert found == [f"{n:05d}.png" for n in range(count)]
    assert len(pictures.images_in(drawn / "judge/train/images").images) == 3
    assert len(pictures.images_in(drawn / "judge/val/labels").images) == 2
    assert len(pictures.images_in(drawn / "source/test/oracle").images) == 3
    assert not (drawn / "target/test/oracle").exists()
    tops = {"source", "target", "judge", "scenes.jsonl", "about.json", "manifest.csv"}
    assert {path.name for path in drawn.iterdir()} == tops
    assert not drawn.with_name("one.partial").exists()


def test_the_files_are_the_scenes_of_their_notes(drawn):
    notes = [json.loads(line) for line in (drawn / "scenes.jsonl").read_text(encoding="utf-8").splitlines()]
    keys = [(note["domain"], note["split"], note["name"]) for note in notes]
    assert keys == sorted(keys)
    assert len(keys) == 2 * (6 + 2 + 3) + 3 + 2
    assert len({note["seed"] for note in notes if note["domain"] != "judge"}) == 6 + 2 + 3
    seeds = {kind: {n["seed"] for n in notes if (n["domain"] == "judge") == kind} for kind in (True, False)}
    assert not seeds[True] & seeds[False]
    for note in notes:
        folder = drawn / note["domain"] / note["split"]
        layout = ("source", "target")[int(note["name"]) % 2] if note["domain"] == "judge" else note["domain"]
        scene = Scene.sample(note["seed"], layout)
        assert scene.openness == note["openness"]
        rgb, label = render(scene, "game" if note["domain"] == "source" else "camera", DRAW["size"])
        with Image.open(folder / "images" / f"{note['name']}.png") as image:
            assert image.mode == "RGB"
            assert np.array_equal(np.asarray(image), rgb)
        with Image.open(folder / "labels" / f"{note['name']}.png") as image:
            assert image.mode == "L"
            assert np.array_equal(np.asarray(image), label)
        texts = sorted(
            (kind[:-1], text["text"], *text["box"]) for kind in ("plates", "signs") for text in note[kind]
        )
        assert texts == sorted((a["kind"], a["text"], *a["box"]) for a in annotations(scene, DRAW["size"]))
        if (note["domain"], note["split"]) == ("source", "test"):
            with Image.open(folder / "oracle" / f"{note['name']}.png") as image:
                assert np.array_equal(np.asarray(image), render(scene, "camera", DRAW["size"])[0])


def test_two_processes_draw_what_one_draws(drawn, tmp_path):
    seen = []
    two = write(
        tmp_path / "two", **DRAW, processes=2, progress=lambda done, total: seen.append((done, total))
    )
    assert (two / "manifest.csv").read_bytes() == (drawn / "manifest.csv").read_bytes()
    assert seen[-1] == (27, 27)
    assert len(seen) >= 2


def test_a_killed_draw_goes_on_where_it_stopped(drawn, tmp_path):
    root = tmp_path / "world"
    code = (
        "import os\nfrom semcg.world import write\n"
        "def progress(done, of):\n    done >= 3 and os.kill(os.getpid(), 9)\n"
        f"if __name__ == '__main__':\n    write({str(root)!r}, progress=progress, **{DRAW!r})\n"
    )
    script = tmp_path / "draw.py"
    script.write_text(code, encoding="utf-8")
    partial = tmp_path / "world.partial"
    assert subprocess.run([sys.executable, str(script)]).returncode == -signal.SIGKILL
    assert not root.exists()
    done = {path: path.stat().st_mtime_ns for path in partial.glob("notes/*/*/0*.json")}
    assert 3 <= len(done) < 27
    # What a kill leaves of a half-written file must not come into the manifest.
    (partial / "source").mkdir(exist_ok=True)
    (partial / "source" / ".00000.1.partial.png").write_bytes(b"half")
    first = []
    write(root, **DRAW, progress=lambda n, _: first.append(n))
    assert first[0] > len(done)
    assert (root / "manifest.csv").read_bytes() == (drawn / "manifest.csv").read_bytes()


def test_a_draw_with_other_settings_starts_over(drawn, tmp_path):
    root = tmp_path / "world"

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(root, **DRAW, seed=1, progress=stop)
    assert len(list((tmp_path / "world.partial").glob("notes/*/*/*.json"))) == 1
    first = []
    write(root, **DRAW, progress=lambda n, _: first.append(n))
    assert first[0] == 1
    assert (root / "manifest.csv").read_bytes() == (drawn / "manifest.csv").read_bytes()


def test_an_older_folder_is_replaced(tmp_path):
    small = {"size": (32, 64), "train": 1, "val": 0, "test": 0, "judge_train": 0, "judge_val": 0}
    root = write(tmp_path / "world", **small, strength=0.5, layout="target")
    old = files.manifest_digest(root)
    (root / "leftover.txt").write_text("old", encoding="utf-8")
    write(root, **small, seed=1)
    files.check_manifest(root, contents=True)
    assert files.manifest_digest(root) != old
    about = json.loads((root / "about.json").read_text(encoding="utf-8"))
    assert about["counts"]["source/train"] == about["counts"]["target/train"] == 1
    assert sum(about["counts"].values()) == 2
    assert about["size"] == [32, 64]
    assert about["settings"] == {
        "version": VERSION,
        "seed": 1,
        "strength": 1.0,
        "layout": "own",
        "streets": "test",
    }
    assert about["oracle"] is False


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"train": -1}, "train is -1"),
        ({"judge_val": 2.0}, "judge_val is 2.0"),
        ({"seed": "0"}, "seed is '0'"),
        ({"strength": -0.1}, "strength is -0.1"),
        ({"layout": "judge"}, "layout is 'judge'"),
        ({"processes": 0}, "processes is 0"),
        ({"size": (0, 64)}, "size is"),
        ({"val": 10**7}, "at most"),
        (dict.fromkeys(("train", "val", "test", "judge_train", "judge_val"), 0), "nothing to draw"),
    ],
)
def test_bad_arguments_of_a_draw_leave_nothing(tmp_path, changed, said):
    with pytest.raises(ValueError, match=said):
        write(tmp_path / "world", **{**DRAW, **changed})
    assert not list(tmp_path.iterdir())


def test_drawing_needs_no_torch():
    code = "import sys, semcg.world; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
