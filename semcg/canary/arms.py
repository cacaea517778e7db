"""The arms of the canary: what each stage computes on fixed inputs."""

import inspect
import io
import math
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from semcg import config as configs
from semcg import files, metrics
from semcg.config import Config
from semcg.contents import remember
from semcg.data import Batches, Scenes, Unpaired
from semcg.evaluate import Pictures, collect, values
from semcg.losses import SEMANTIC_KINDS
from semcg.reader import DigitReader
from semcg.training import class_weights, fabric_for, fit, translation_step
from semcg.training.build import build_segmentation, build_translation, network_for
from semcg.training.loop import linear_decay, warm_poly
from semcg.translate import identity
from semcg.world import write

__all__ = ["STAGES", "Numbers", "compute", "settings"]

Numbers = dict[str, list[float]]

_SIDE = 32  # pixels of a crop


def compute(stage: str, device: str = "cpu") -> Numbers:
    """Return the numbers of a stage, arm by arm; torch's random numbers and default type are left as they were."""
    if stage not in STAGES:
        raise ValueError(f"stage = {stage!r}: allowed: {', '.join(STAGES)}")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # these networks are too small for two
    try:
        with torch.random.fork_rng(devices=[]), tempfile.TemporaryDirectory() as scratch:
            return {arm: [float(x) for x in numbers] for arm, numbers in STAGES[stage](device, Path(scratch))}
    finally:
        torch.set_num_threads(threads)


def settings(**changes: object) -> Config:
    """Return the config of the canary's trainings: narrow networks, crops of 32 pixels, three steps."""
    small = {"crop": _SIDE, "segmenter_width": 1 / 16, "second_judge_width": 1 / 16}
    small |= dict.fromkeys(("judge_width", "downstream_width", "generator_width", "discriminator_width"), 4)
    small |= dict.fromkeys(("segmenter_steps", "judge_steps", "downstream_steps", "generator_depth"), 3)
    small |= {"pool": 1, "steps": 4}
    return configs.make("smoke", **small | changes)


SEGMENTERS: dict[str, tuple[str, dict]] = {
    "segmenter": ("segmenter", {}),
    "segmenter, the paper's settings": (
        "segmenter",
        {
            "segmenter_optimizer": "sgd",
            "segmenter_schedule": "constant",
            "segmenter_weights": False,
            "segmenter_stride": 8,
            "segmenter_seed": 3,
        },
    ),
    "judge": ("judge", {}),
    "second judge": ("second judge", {"judge_steps": 2}),
    "downstream": ("downstream", {"seed": 5}),
}
"""Arms of the stage "segmenter": kind of network, and what its config changes."""

TRANSLATIONS: dict[str, dict] = {
    "CycleGAN": {"lambda_s": 0.0},
    **{kind: {"semantic_loss": kind, "steps": 1} for kind in SEMANTIC_KINDS},
    "scores_l2": {"steps": 3},
    "paper's settings": {"lambda_s": 0.0, "generator_skip": "half", "steps": 2, "seed": 1},
    "one segmenter": {"one_segmenter": True, "steps": 1},
    "identity, least squares": {
        "lambda_s": 0.0,
        "identity": 5.0,
        "gan_loss": "lsgan",
        "steps": 2,
        "batch": 2,
    },
    "resnet9": {"lambda_s": 0.0, "generator": "resnet9", "steps": 1},
    "recolor": {"lambda_s": 0.0, "generator": "recolor", "steps": 2},
    "recolor, no grain": {"lambda_s": 0.0, "generator": "recolor", "generator_grain": 0.0, "steps": 1},
    "one graph": {"leaf_split": False, "steps": 1},
}
"""Arms of the stage "translation": what its config changes."""


def _segmenter(device: str, scratch: Path) -> Iterator[tuple[str, list]]:
    for arm, (kind, changes) in SEGMENTERS.items():
        with _float64():
            yield arm, _train_segmenter(settings(**changes), kind, device)
    with _float64():  # one step: it is the paper's alternative, of 40 million weights
        yield "deeplabv3, scores", _deeplab_scores()
    for precision in ("fp32", "bf16"):
        fabric = fabric_for(device, precision)
        t, step = build_segmentation(settings(), "segmenter", fabric)
        seen = _types_seen(t.net.layer1)
        step(*_labelled(0, 2, fabric.device))
        yield f"types in {precision}", [*seen, *_types(t.net)]
    for name in ("drn26", "deeplabv3", "segnet"):
        with torch.device("meta"):
            net = network_for(configs.make("paper", segmenter=name), "segmenter")
        yield f"exact {name}", [sum(p.numel() for p in net.parameters()), len(net.state_dict())]
    yield "schedule", [warm_poly(1000)(n) for n in (0, 10, 49, 50, 500, 999)]
    yield from _data(scratch)


def _translation(device: str, scratch: Path) -> Iterator[tuple[str, list]]:
    for arm, changes in TRANSLATIONS.items():
        with _float64():
            yield arm, _train_translation(settings(**changes), device)
    with _float64():
        yield "resumed", _resumes(settings(lambda_s=0.0), device)
        yield "averages", _averages(settings(lambda_s=0.0, steps=2), device)
        yield "translations", _translates(settings(lambda_s=0.0, generator="recolor"), device)
    for precision in ("fp32", "bf16"):
        fabric, config = fabric_for(device, precision), settings(precision=precision, steps=1)
        t, step = build_translation(config, fabric, steps=1, **_segmenters())
        watched = (t.m.G_st.downs[0], t.m.D_t, t.m.Sem_s.layer1, t.m.Sem_t.layer1)
        seen = list(map(_types_seen, watched))
        step(*_pair(0, 1, fabric.device))
        weights = [x for net in (t.m.G_st, t.m.G_ts, t.m.D_s, t.m.D_t) for x in _types(net)]
        yield f"types in {precision}", [*(types[0] for types in seen), *weights]
    yield "schedule", [linear_decay(1000)(n) for n in (0, 499, 500, 501, 999)]
    defaults = [p.default for p in inspect.signature(translation_step).parameters.values()]
    yield "defaults", [value for value in defaults if isinstance(value, float)]
    yield from _data(scratch)


def _world(device: str, scratch: Path) -> Iterator[tuple[str, list]]:
    counts = {"train": 1, "val": 1, "test": 2, "judge_train": 2, "judge_val": 0}
    for layout in ("own", "source"):
        root = write(scratch / layout, size=(64, 128), seed=3, layout=layout, **counts)
        digests = remember(root, [*root.rglob("*.png"), root / "scenes.jsonl"])
        yield f"{layout} layout", [int(digest, 16) >> 16 for digest in digests.values()]


class _Exact(nn.Module):
    """A network in float64, so that no pixel's class depends on how a processor rounds."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.multiple = net.double(), getattr(net, "multiple", 1)
        if level := getattr(net, "down4", None):
            self.down4 = level

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.double())


def _measures(device: str, scratch: Path) -> Iterator[tuple[str, list]]:
    pixels = (_waves(2, 24, 24, k=3).double() * 9.4 + 9.5).long()
    table = metrics.confusion(pixels[0], pixels[1].where(pixels[1] < 17, 255))
    scores = [metrics.mean_iou, metrics.frequency_weighted_iou, metrics.pixel_accuracy]
    shares = [*metrics.iou(table), *metrics.category_iou(table).values(), *metrics.flips(table).flatten()]
    yield "exact confusion", table.flatten().tolist()
    yield (
        "scores",
        [*(score(table) for score in scores), *(x for x in map(float, shares) if math.isfinite(x))],
    )
    counts = {"train": 0, "val": 0, "test": 4, "judge_train": 0, "judge_val": 0}
    root = write(scratch / "world", size=(64, 128), seed=1, **counts)
    with _float64():  # the first weights as well
        reader = _Exact(DigitReader(generator=torch.Generator().manual_seed(0)))
        trainings = [
            build_segmentation(settings(segmenter_seed=seed), "judge", fabric_for("cpu"))[0]
            for seed in range(3)
        ]
    judges = {
        name: _Exact(t.net) for name, t in zip(("judge", "second_judge", "Sem_t"), trainings, strict=True)
    }
    ways = {"identity": identity, "oracle": Pictures(root / "source" / "test" / "oracle")}
    for name, way in ways.items():
        parts = collect(way, folder=root, reader=reader, back=identity, **judges)
        for part, items in parts.items():
            numbers = [
                x
                for _, counts in sorted(items.items())
                for _, x in sorted(counts.items())
                if not isinstance(x, str)
            ]
            arm = f"float32 {part}, {name}" if part in ("plates", "signs") else f"{part}, {name}"
            yield arm, [sum(numbers), sum(x * (i % 97 + 1) for i, x in enumerate(numbers))]
        yield f"{name}, values", [x for x in values(parts).values() if math.isfinite(x)]


STAGES: dict[str, Callable[[str, Path], Iterator[tuple[str, list]]]] = {
    "segmenter": _segmenter,
    "translation": _translation,
    "world": _world,
    "measures": _measures,
}
"""Stage -> its arms. A run's fingerprint holds the version of its stage."""


@contextmanager
def _float64() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _waves(*shape: int, k: float) -> Tensor:
    """Return sines in [-1, 1], no two values of which are close by construction; rounded from float64."""
    n = math.prod(shape)
    return (
        torch.sin(torch.arange(n, dtype=torch.float64) * (0.371 + 0.0173 * k) + k)
        .view(shape)
        .to(torch.get_default_dtype())
    )


def _labelled(n: int, batch: int, device: torch.device, domain: int = 0) -> tuple[Tensor, Tensor]:
    """Return batch n: images, and labels of which some are ignored."""
    x = _waves(batch, 3, _SIDE, _SIDE, k=1 + 2 * n + domain)
    y = (_waves(batch, _SIDE, _SIDE, k=40 + 2 * n + domain).double() * 9.4 + 9.5).long()
    y[:, :3] = 255
    return x.to(device), y.to(device)


def _pair(n: int, batch: int, device: torch.device) -> tuple[Tensor, ...]:
    return (*_labelled(n, batch, device), *_labelled(n, batch, device, domain=1))


def _norm(tensors: Iterator[Tensor] | list[Tensor]) -> float:
    return math.sqrt(sum(float(t.detach().double().square().sum()) for t in tensors))


def _state_norms(*nets: nn.Module) -> list[float]:
    """Return the norm of each network's weights and of its gradients."""
    norms = []
    for net in nets:
        norms += [
            _norm([v for v in net.state_dict().values() if v.is_floating_point()]),
            _norm([p.grad for p in net.parameters() if p.grad is not None]),
        ]
    return norms


def _train_segmenter(config: Config, kind: str, device: str) -> list[float]:
    fabric = fabric_for(device, "fp32")
    weights = class_weights(_waves(19, k=7).double().square() / 19)
    t, step = build_segmentation(config, kind, fabric, weights=weights)
    steps = {"segmenter": config.segmenter_steps, "downstream": config.downstream_steps}.get(
        kind, config.judge_steps
    )
    with torch.no_grad():
        numbers = [_norm([t.net.eval()(_labelled(9, 1, fabric.device)[0])])]
    for record in fit(step, lambda n: _labelled(n, 2, fabric.device), steps):
        numbers += [record["cross_entropy"], *_state_norms(t.net)]
    return numbers


def _deeplab_scores() -> list[float]:
    with torch.device("meta"):  # drawing 40 million weights takes longer than using them
        net = network_for(settings(segmenter="deeplabv3"), "segmenter")
    net.to_empty(device="cpu").train()
    for i, value in enumerate([*net.parameters(), net.image_mean, net.image_std]):
        nn.init.constant_(value, 0.02 * math.cos(i))
    with torch.no_grad():
        return [_norm([net(_waves(2, 3, 16, 16, k=3))])]


def _segmenters() -> dict[str, nn.Module]:
    """Return Sem_s and Sem_t, untrained but different."""
    return {
        name: build_segmentation(settings(segmenter_seed=seed), "segmenter", fabric_for("cpu"))[0].net
        for seed, name in enumerate(("Sem_s", "Sem_t"))
    }


def _train_translation(config: Config, device: str) -> list[float]:
    fabric = fabric_for(device, "fp32")
    sems = _segmenters() if config.lambda_s else {}
    t, step = build_translation(config, fabric, steps=config.steps, **sems)
    numbers = []
    for record in fit(step, lambda n: _pair(n, config.batch, fabric.device), config.steps):
        numbers += [
            value for name, value in record.items() if not name.startswith(("step", "gradient", "pull"))
        ]
        numbers += _state_norms(t.m.G_st, t.m.G_ts, t.m.D_s, t.m.D_t)
    return numbers


def _averages(config: Config, device: str) -> list[float]:
    """Return the norms of the moving averages of both generators after each step."""
    fabric = fabric_for(device, "fp32")
    t, step = build_translation(config, fabric, steps=config.steps)
    numbers = []
    for _ in fit(step, lambda n: _pair(n, 1, fabric.device), config.steps):
        numbers += [_norm(net.state_dict().values()) for net in (t.G_st_ema, t.G_ts_ema)]
    return numbers


def _translates(config: Config, device: str) -> list[float]:
    """Return the norms of what both kinds of weights translate, their outputs large enough to be cut off."""
    fabric = fabric_for(device, "fp32")
    t, step = build_translation(config, fabric, steps=config.steps)
    step(*_pair(0, 1, fabric.device))
    with torch.no_grad():
        for p in t.m.G_st.parameters():
            p.mul_(4)
        return [_norm([t.translators(which)[0](_pair(0, 1, fabric.device)[0])]) for which in ("raw", "ema")]


def _resumes(config: Config, device: str) -> list[int]:
    """Return whether two steps, a save, a load and a third step give the same bits as three steps: [1]."""
    fabric = fabric_for(device, "fp32")

    def trained(t, step, *ns: int) -> None:
        for n in ns:
            step(*_pair(n, 1, fabric.device))

    straight = build_translation(config, fabric, steps=4)
    trained(*straight, 0, 1, 2)
    first, second = (build_translation(config, fabric, steps=4) for _ in range(2))
    trained(*first, 0, 1)
    saved = io.BytesIO()
    torch.save({name: part.state_dict() for name, part in first[0].state().items()}, saved)
    saved.seek(0)
    for name, state in torch.load(saved, weights_only=True).items():
        second[0].state()[name].load_state_dict(state)
    trained(*second, 2)
    a, b = (t[0].m.G_st.state_dict() for t in (straight, second))
    return [int(all(torch.equal(a[name], b[name]) for name in a))]


def _types(net: nn.Module) -> list[int]:
    """Return the sizes of the types of a network's weights, in bits."""
    return sorted({torch.finfo(p.dtype).bits for p in net.parameters()})


def _types_seen(layer: nn.Module) -> list[int]:
    """Return a list that receives the bits of the type that a layer computes in."""
    seen: list[int] = []
    layer.register_forward_hook(lambda net, given, x: seen.append(torch.finfo(x.dtype).bits))
    return seen


def _data(scratch: Path) -> Iterator[tuple[str, list]]:
    """Yield what the networks are given: order and crops of frames, as integers, and augmented colors."""
    shape, frames = (40, 48), 5
    for domain, k in (("source", 0), ("target", 50)):
        for part in ("images", "labels"):
            (scratch / domain / part).mkdir(parents=True, exist_ok=True)
        for i in range(frames):
            picture = (_waves(*shape, 3, k=k + i).double().numpy() * 127 + 128).astype(np.uint8)
            label = (_waves(*shape, k=k + 20 + i).double().numpy() * 9.4 + 9.5).astype(np.uint8)
            Image.fromarray(picture).save(scratch / domain / "images" / f"{i}.png")
            Image.fromarray(label).save(scratch / domain / "labels" / f"{i}.png")

    def pixels(x: Tensor) -> int:
        """Return the sum of an image's bytes, each times its place: an integer, exact on every machine."""
        values = ((x.double() + 1) * 127.5).round().long().flatten()
        return int((values * (1 + torch.arange(len(values)) % 251)).sum())

    def classes(y: Tensor) -> int:
        return int((y.flatten() * (1 + torch.arange(y.numel()) % 251)).sum())

    plain = {"crop": _SIDE, "flip": 0.5, "seed": 3}
    source, target = (Scenes(scratch / domain, **plain) for domain in files.DOMAINS)
    pairs = Unpaired(source, target)
    exact = []
    for rank in range(2):
        batches = Batches(pairs, batch=2, rank=rank, ranks=2)
        for n in range(2):
            x_s, y_s, x_t, y_t = batches(n)
            exact += [pixels(x_s), classes(y_s), pixels(x_t), classes(y_t)]
    yield "exact batches", exact
    yield "frequencies", source.frequencies().tolist()
    for name, more in (("color", {"color": True}), ("artefacts", {"artefacts": True})):
        crops = Scenes(scratch / "source", **plain, **more)
        items = [crops.item(k) for k in range(3)]
        yield (
            f"float32 {name}",
            [
                float(v)
                for x, _ in items
                for v in (x.double().mean(), x.double().norm(), x.double()[:, 5, 7].sum())
            ],
        )
        yield f"exact labels with {name}", [classes(y) for _, y in items]
