"""What must hold for every input: labels, metrics, geometry and configs, on inputs that hypothesis makes up.

Examples are derived from the tests' names, so that the same ones are tried on every machine.
"""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch.nn import functional as F

from semcg import config, files, gan, labels, metrics, segmenters, translate
from semcg.labels import CATEGORIES, CLASSES, IGNORE
from semcg.runs.checkpoint import as_csv, read_csv

few = settings(
    deadline=None,
    derandomize=True,
    max_examples=30,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

SHAPE = arrays.array_shapes(min_dims=1, max_dims=3, max_side=9)
BYTES = arrays.arrays(np.uint8, SHAPE)
TRAIN_IDS = st.sampled_from([*range(len(CLASSES)), IGNORE])


def maps(count: int, values=TRAIN_IDS):
    """Several label maps of one shape."""
    one = st.tuples(st.integers(1, 7), st.integers(1, 7))
    return one.flatmap(
        lambda shape: st.tuples(*(arrays.arrays(np.uint8, shape, elements=values) for _ in range(count)))
    )


# ---------------------------------------------------------------- labels


@few
@given(BYTES)
def test_label_ids_become_train_ids_and_nothing_else(ids):
    found = labels.to_train_ids(ids)
    assert found.shape == ids.shape
    assert found.dtype == np.uint8
    table = {c.label_id: c.train_id for c in CLASSES}
    assert (
        found.tolist() == np.vectorize(lambda v: table.get(int(v), IGNORE), otypes=[np.uint8])(ids).tolist()
    )


@few
@given(arrays.arrays(np.uint8, SHAPE, elements=TRAIN_IDS))
def test_train_ids_go_to_label_ids_and_colors_and_back(train_ids):
    assert np.array_equal(labels.to_train_ids(labels.to_label_ids(train_ids)), train_ids)
    colors = labels.to_colors(train_ids)
    assert colors.shape == (*train_ids.shape, 3)
    of_color = {c.color: c.train_id for c in CLASSES} | {(0, 0, 0): IGNORE}
    assert len(of_color) == len(CLASSES) + 1, "no two classes share a color"
    back = [of_color[tuple(color)] for color in colors.reshape(-1, 3).tolist()]
    assert back == train_ids.ravel().tolist()


@few
@given(arrays.arrays(np.uint8, SHAPE), st.integers(19, 254))
def test_one_impossible_train_id_anywhere_is_refused(ids, wrong):
    ids.flat[-1] = wrong
    for turn in (labels.to_label_ids, labels.to_colors):
        with pytest.raises(ValueError, match="train ids are 0..18 or 255"):
            turn(ids)


# ---------------------------------------------------------------- metrics


def by_hand(pred: np.ndarray, label: np.ndarray) -> list[list[int]]:
    table = [[0] * (len(CLASSES) + 1) for _ in CLASSES]
    for p, y in zip(pred.ravel().tolist(), label.ravel().tolist(), strict=True):
        if y != IGNORE:
            table[y][p if p < len(CLASSES) else len(CLASSES)] += 1
    return table


@few
@given(maps(2), st.integers(0, 255))
def test_every_labeled_pixel_is_counted_once(both, odd):
    pred, label = both
    pred.flat[0] = odd  # a prediction may be any byte
    counts = metrics.confusion(pred, label)
    assert counts.tolist() == by_hand(pred, label)
    assert int(counts.sum()) == int((label != IGNORE).sum())


@few
@given(maps(2), st.integers(1, 6))
def test_counts_add_up_however_the_pixels_are_dealt_out(both, parts):
    pred, label = (m.ravel() for m in both)
    pieces = zip(np.array_split(pred, parts), np.array_split(label, parts), strict=True)
    assert torch.equal(sum(metrics.confusion(p, y) for p, y in pieces), metrics.confusion(pred, label))
    order = np.random.default_rng(parts).permutation(len(pred))
    assert torch.equal(metrics.confusion(pred[order], label[order]), metrics.confusion(pred, label))


@few
@given(maps(2))
def test_scores_lie_in_0_to_1_and_absent_classes_have_none(both):
    pred, label = both
    counts = metrics.confusion(pred, label)
    scores = metrics.iou(counts)
    occurs = {int(v) for v in np.unique(label) if v != IGNORE}
    predicted = {int(v) for v in np.unique(pred[label != IGNORE]) if v < len(CLASSES)}
    for c, score in enumerate(scores.tolist()):
        assert math.isnan(score) == (c not in occurs | predicted)
        assert math.isnan(score) or 0 <= score <= 1
    have = [s for s in scores.tolist() if not math.isnan(s)]
    expected = sum(have) / len(have) if have else math.nan
    assert metrics.mean_iou(counts) == pytest.approx(expected, nan_ok=True)
    for score in (metrics.pixel_accuracy(counts), metrics.frequency_weighted_iou(counts)):
        assert math.isnan(score) == (not occurs)
        assert math.isnan(score) or 0 <= score <= 1
    assert set(metrics.category_iou(counts)) == set(CATEGORIES)


@few
@given(maps(1))
def test_the_label_itself_scores_full_marks(one):
    (label,) = one
    counts = metrics.confusion(label, label)
    assert set(metrics.iou(counts)[metrics.present(counts)].tolist()) <= {1.0}
    kept = metrics.flips(counts).diagonal()
    assert set(kept[~kept.isnan()].tolist()) <= {1.0}


@few
@given(maps(2), st.permutations(range(len(CLASSES))))
def test_scores_follow_a_renaming_of_the_classes(both, order):
    names = np.array([*order, *([IGNORE] * (256 - len(order)))], np.uint8)
    pred, label = both
    assume((pred < len(CLASSES)).all())
    before = metrics.iou(metrics.confusion(pred, label))
    after = metrics.iou(metrics.confusion(names[pred], names[label]))
    torch.testing.assert_close(after[torch.tensor(order)], before, equal_nan=True, rtol=0, atol=0)


@few
@given(maps(2))
def test_flips_sum_to_what_was_read_as_a_class(both):
    pred, label = both
    shares = metrics.flips(metrics.confusion(pred, label))
    for c in range(len(CLASSES)):
        here = label == c
        if not here.any():
            assert shares[c].isnan().all()
        else:
            assert float(shares[c].sum()) == pytest.approx((pred[here] < len(CLASSES)).mean())


# ---------------------------------------------------------------- geometry

SIDES = st.tuples(st.integers(1, 70), st.integers(1, 70))


def frame(height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1000 * height + width)
    return torch.rand(1, 3, height, width, generator=generator) * 2 - 1


@few
@given(SIDES, st.sampled_from([1, 2, 4, 8, 16, 32]))
def test_padding_keeps_the_frame_and_reaches_the_next_multiple(sides, multiple):
    x = frame(*sides)
    around, top, left = translate.pad(x, multiple)
    assert torch.equal(around[..., top : top + sides[0], left : left + sides[1]], x)
    for side, padded in zip(sides, around.shape[-2:], strict=True):
        assert padded % multiple == 0
        assert padded >= translate.frames.SMALLEST or multiple > translate.frames.SMALLEST
        assert padded - max(side, translate.frames.SMALLEST) < multiple
    assert set(around.unique().tolist()) <= set(x.unique().tolist()), "nothing but the frame's own pixels"


@few
@given(SIDES, st.sampled_from([4, 8, 16]))
def test_a_network_that_changes_nothing_changes_nothing_at_any_size(sides, multiple):
    class Same(torch.nn.Module):
        def forward(self, x):
            assert x.shape[-2] % multiple == 0
            assert x.shape[-1] % multiple == 0
            return x

    G, x = Same(), frame(*sides)
    G.multiple = multiple
    assert torch.equal(translate.Padded(G)(x), x)


@settings(few, max_examples=10)
@given(SIDES)
def test_a_generator_returns_frames_of_the_size_that_it_got(sides):
    torch.manual_seed(0)
    G = translate.any_size(gan.UNet(width=4, depth=3).eval())
    with torch.inference_mode():
        made = G(frame(*sides))
    assert made.shape == (1, 3, *sides)
    assert float(made.abs().max()) <= 1


@few
@given(st.tuples(st.integers(1, 6), st.integers(1, 6)), st.sampled_from([1, 2, 3, 4, 8]))
def test_scores_are_brought_to_size_by_the_half_pixel_rule(sides, s):
    h, w = sides
    z = frame(h, w)

    def axis(n: int) -> torch.Tensor:
        """The weights of n scores in each of n s pixels, (n s, n)."""
        weights = torch.zeros(n * s, n, dtype=torch.float64)
        for i in range(n * s):
            at = min(max((i + 0.5) / s - 0.5, 0), n - 1)
            low = int(at)
            weights[i, low] += 1 - (at - low)
            weights[i, min(low + 1, n - 1)] += at - low
        return weights

    expected = axis(h) @ z.double() @ axis(w).T
    found = segmenters.upsample(z, (h * s, w * s))
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=1e-6)


@few
@given(SIDES)
def test_bytes_go_to_values_and_back(sides):
    generator = torch.Generator().manual_seed(sides[0])
    levels = torch.randint(0, 256, (1, 3, *sides), generator=generator, dtype=torch.uint8)
    assert torch.equal(translate.to_bytes(levels.float() / 127.5 - 1), levels)


@few
@given(st.floats(-3, 3, width=32))
def test_values_beyond_the_range_are_clamped_to_it(value):
    level = int(translate.to_bytes(torch.tensor([value]))[0])
    assert level == min(max(round((np.float32(value) + np.float32(1)) * np.float32(127.5)), 0), 255)


@settings(few, max_examples=10)
@given(st.integers(1, 12), st.integers(0, 30))
def test_a_pool_returns_what_it_was_given_and_no_more_than_it_holds(size, count):
    pool = gan.ImagePool(size, seed=0)
    given_so_far: list[float] = []
    for n in range(count):
        given_so_far.append(float(n))
        (shown,) = pool(torch.full((1, 3, 2, 2), float(n)))[:, 0, 0, 0].tolist()
        assert shown in given_so_far
        if n < size:
            assert shown == n, "a pool that is not full shows what it is given"
    other = gan.ImagePool(size, seed=5)
    other.load_state_dict(pool.state_dict())
    later = [torch.full((1, 3, 2, 2), 100.0 + n) for n in range(6)]
    assert [pool(x)[0, 0, 0, 0].item() for x in later] == [other(x)[0, 0, 0, 0].item() for x in later]


@few
@given(maps(1), st.sampled_from([(1, 1), (2, 2), (3, 5)]))
def test_enlarging_labels_makes_no_new_class(one, scale):
    y = torch.from_numpy(one[0].copy())[None, None]
    made = F.interpolate(y, scale_factor=scale, mode="nearest-exact")
    assert set(made.unique().tolist()) <= set(y.unique().tolist())


# ---------------------------------------------------------------- configs, digests, histories

NUMBERS = st.fixed_dictionaries(
    {},
    optional={
        "seed": st.integers(0, 2**31),
        "lambda_c": st.floats(0, 1e4),
        "lambda_s": st.floats(0, 1e4),
        "lr": st.floats(1e-8, 1),
        "flip": st.floats(0, 1),
        "batch": st.integers(1, 64),
        "pool": st.integers(0, 500),
        "steps": st.integers(0, 10**6),
        "epochs": st.integers(1, 500),
        "semantic_loss": st.sampled_from(["scores_l2", "softmax_l2", "kl", "ce_labels"]),
        "segmenter_weights": st.booleans(),
    },
)


@few
@given(NUMBERS)
def test_a_config_survives_json_and_changes_what_was_changed_alone(changes):
    made, plain = config.make("smoke", **changes), config.make("smoke")
    assert config.Config(**json.loads(json.dumps(made.model_dump(mode="json")))) == made
    differs = {n for n in type(made).model_fields if getattr(made, n) != getattr(plain, n)}
    assert differs == {n for n, v in changes.items() if v != getattr(plain, n)}
    for stage in config.STAGES:
        reads = made.part(stage).keys() & differs
        assert (made.part(stage) != plain.part(stage)) == bool(reads)


@few
@given(NUMBERS, st.integers(1, 5000))
def test_the_steps_of_a_translation_are_those_asked_for_or_the_passes(changes, epoch):
    made = config.make("smoke", **changes)
    steps = made.translation_steps(epoch)
    assert steps == made.steps if made.steps else steps * made.batch >= made.epochs * epoch


@few
@given(st.text(max_size=12), st.one_of(st.none(), st.integers(), st.text(max_size=5), st.floats()))
def test_a_name_that_is_no_field_is_refused_whatever_it_is(name, value):
    assume(name not in config.Config.model_fields)
    assume(name.isidentifier() or name)
    with pytest.raises((ValueError, TypeError)):
        config.make("smoke", **{name: value}) if name != "profile" else config.make(str(value))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@few
@given(st.dictionaries(st.text(max_size=4), JSON, max_size=3))
def test_json_comes_back_as_it_went(tmp_path, value):
    try:
        files.write_json(tmp_path / "a.json", value)
    except ValueError:
        assert "inf" in repr(value).lower() or "\\ud" in repr(value)
        return
    assert files.read_json(tmp_path / "a.json") == value
    assert files.digest(value) == files.digest(json.loads(json.dumps(value)))
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


@few
@given(st.lists(st.tuples(st.floats(width=64), st.floats(width=64)), min_size=1, max_size=8))
def test_a_history_reads_back_to_the_bit(tmp_path, values):
    records = [{"step": n + 1, "gan": a, "cycle": b} for n, (a, b) in enumerate(values)]
    path = tmp_path / "history.csv"
    path.write_text(as_csv(records), newline="")
    assert repr(read_csv(path)) == repr(records)


@few
@given(st.dictionaries(st.text("ab/._ é\n\"',", min_size=1, max_size=6), st.binary(max_size=20), max_size=5))
def test_the_manifest_finds_any_change_of_any_name(tmp_path_factory, content):
    root = tmp_path_factory.mktemp("set")
    for name, data in content.items():
        path = root / "x" / f"_{name.replace('/', '_')}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    files.write_manifest(root)
    files.check_manifest(root, contents=True)
    for path in (root / "x").glob("*"):
        before = path.read_bytes()
        path.write_bytes(before + b"!")
        with pytest.raises(ValueError, match="another size"):
            files.check_manifest(root)
        path.write_bytes(before)
    files.check_manifest(root, contents=True)
