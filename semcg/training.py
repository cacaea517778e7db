"""One step per network: what is trained, and how one batch trains it.

`translation_step` and `segmentation_step` return a function of one batch that takes one optimizer step and returns
its loss terms; `semcg.loop.fit` calls such a function again and again. Neither knows of files: `semcg.runs.keep` saves what
`fit` yields. All of it runs on Lightning Fabric, which decides device, precision and number of processes.
"""

from dataclasses import dataclass
from functools import partial

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from semcg import losses, segmenters
from semcg.config import Config
from semcg.gan import CycleGAN, ImagePool, PatchGAN, Recolor, ResNet9, UNet, initialize
from semcg.labels import IGNORE
from semcg.loop import Step, linear_decay, step_if_finite, warm_poly

Segmenter = nn.Module | None
"""What the semantic loss sees of a domain; None in the baseline."""


def network_for(config: Config, kind: str) -> nn.Module:
    """Return an untrained segmenter.

    Parameters
    ----------
    kind : str
        "segmenter" (Sem_s and Sem_t, which the loss sees), "judge", "second judge", or "downstream" (trained on
        translations).
    """
    if kind == "second judge":
        return segmenters.build("segnet", width=config.second_judge_width)
    if kind != "segmenter":
        return segmenters.build("unet", width=getattr(config, f"{kind}_width"))
    options = {"width": config.segmenter_width, "stride": config.segmenter_stride}
    return segmenters.build(config.segmenter, **(options if config.segmenter == "drn26" else {}))


@dataclass(frozen=True)
class SegmenterTraining:
    """A segmenter and what training it needs."""

    net: nn.Module
    optimizer: Optimizer
    schedule: LambdaLR

    @classmethod
    def create(
        cls,
        net: nn.Module,
        *,
        optimizer: str,
        lr: float,
        decay: float,
        steps: int,
        schedule: str,
        seed: int,
        fabric: Fabric,
    ) -> "SegmenterTraining":
        """Initialize a segmenter from `seed`, move it to the device and give it an optimizer.

        Parameters
        ----------
        optimizer : str
            "sgd" (momentum 0.9) or "adamw".
        schedule : str
            "constant" or "poly" (`warm_poly`).
        """
        segmenters.initialize(net, generator=torch.Generator().manual_seed(seed))
        net = net.to(fabric.device)
        kind = partial(SGD, momentum=0.9) if optimizer == "sgd" else AdamW
        chosen = kind(net.parameters(), lr=lr, weight_decay=decay, fused=True)
        factor = warm_poly(steps) if schedule == "poly" else lambda n: 1.0
        return cls(net, chosen, LambdaLR(chosen, factor))

    def state(self) -> dict[str, object]:
        """Return what a saved training state holds, by name."""
        return dict(vars(self))


def class_weights(frequencies: Tensor) -> Tensor:
    """Return a weight per class, 1 / sqrt(frequency + 0.001), with mean 1 over pixels: rare classes count for more.

    Parameters
    ----------
    frequencies : (19,) float
        Share of the labeled pixels, 0..1.
    """
    weights = (frequencies + 1e-3).rsqrt()
    return weights / (weights * frequencies).sum()


def segmentation_step(training: SegmenterTraining, *, fabric: Fabric, weights: Tensor | None = None) -> Step:
    """Return a function of one batch (x, y) that takes one step on the cross-entropy of the up-sampled scores.

    Parameters
    ----------
    weights : (19,) float, optional
        Weight per class (`class_weights`).

    Returns
    -------
    callable
        (x (B, 3, H, W) in [-1, 1], y (B, H, W)) -> {"cross_entropy": (), "gradient": ()}. The second is the norm of
        the gradient. Pixels labeled 255 count for nothing, and a batch of only such pixels for zero.
    """
    weights = None if weights is None else weights.to(fabric.device, torch.get_default_dtype())

    def step(x: Tensor, y: Tensor) -> dict[str, Tensor]:
        training.net.train()
        with fabric.autocast():
            scores = training.net(x)  # (B, 19, h, w)
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
        scores = segmenters.upsample(scores, y.shape[-2:])  # (B, 19, H, W)
        total = F.cross_entropy(scores, y, weights, ignore_index=IGNORE, reduction="sum")
        counted = y != IGNORE
        portion = counted.sum() if weights is None else weights[y[counted]].sum()
        # Of all processes: their mean is then one mean.
        portion = fabric.all_reduce(portion.to(scores.dtype), reduce_op="mean")
        loss = total / portion.clamp(min=1e-6)
        training.optimizer.zero_grad(set_to_none=True)
        fabric.backward(loss)
        norm = step_if_finite(training.optimizer, [loss], fabric=fabric)
        training.schedule.step()
        return {"cross_entropy": loss.detach(), "gradient": norm}

    return step


def build_segmentation(
    config: Config, kind: str, fabric: Fabric, *, weights: Tensor | None = None
) -> tuple[SegmenterTraining, Step]:
    """Return a segmenter's training and its step.

    Parameters
    ----------
    kind : str
        As in `network_for`.
    weights : (19,) float, optional
        Weight per class. Ignored for "segmenter" where `config.segmenter_weights` is false.
    """
    if kind == "segmenter":
        weights = weights if config.segmenter_weights else None
        names = ("optimizer", "lr", "decay", "schedule", "steps")
        settings = {name: getattr(config, f"segmenter_{name}") for name in names}
    else:
        steps = config.downstream_steps if kind == "downstream" else config.judge_steps
        settings = {"optimizer": "adamw", "lr": config.judge_lr, "decay": config.judge_decay}
        settings |= {"schedule": "poly", "steps": steps}
    seed = config.seed if kind == "downstream" else config.segmenter_seed
    training = SegmenterTraining.create(network_for(config, kind), seed=seed, fabric=fabric, **settings)
    return training, segmentation_step(training, fabric=fabric, weights=weights)


def generator_for(config: Config) -> nn.Module:
    """Return the untrained generator that `config` describes."""
    width, depth = config.generator_width, config.generator_depth
    if config.generator == "resnet9":
        return ResNet9(width=width)
    if config.generator == "recolor":
        return Recolor(width=width, depth=depth, grain=config.generator_grain)
    return UNet(width=width, depth=depth, skip=config.generator_skip)


@dataclass(frozen=True)
class CycleGANTraining:
    """The six networks and what training four of them needs.

    `G_st_ema` and `G_ts_ema` have the exponential moving averages of the generators' weights: after each step of `adam_G`,
    also one of your own, average <- d average + (1 - d) weights, with the decay d of the config (Karras et al., "Progressive
    Growing of GANs", ICLR 2018). No loss sees them.
    """

    m: CycleGAN
    G_st_ema: nn.Module
    G_ts_ema: nn.Module
    adam_G: Optimizer
    adam_D: Optimizer
    decay_G: LambdaLR
    decay_D: LambdaLR
    pool_s: ImagePool
    pool_t: ImagePool

    @classmethod
    def create(
        cls, config: Config, *, steps: int, fabric: Fabric, Sem_s: Segmenter = None, Sem_t: Segmenter = None
    ) -> "CycleGANTraining":
        """Initialize the networks of a CycleGAN from `config.seed` and give them optimizers, schedules and image pools.

        Equal seeds give equal initial weights whatever the loss, so that two conditions differ in the loss alone.
        The loss sees frozen copies of the segmenters (`segmenters.frozen`), in `m.Sem_s` and `m.Sem_t`.
        """
        generator = torch.Generator().manual_seed(config.seed)
        built = [generator_for(config), generator_for(config)]
        built += [PatchGAN(width=config.discriminator_width) for _ in range(2)]
        # Channels last suits bf16 convolutions.
        layout = torch.channels_last if config.precision == "bf16" else torch.contiguous_format
        for net in built:
            initialize(net, std=config.init_std, generator=generator)
            net.to(fabric.device, memory_format=layout)
        # On a CPU it suits narrow segmenters in any precision: a sixth of their time. Never in a network that trains there:
        # with it, torch 2.14's weight gradient of a 1 x 1 convolution of stride 2 writes beside its memory.
        seeing = torch.channels_last if fabric.device.type == "cpu" else layout
        sems = (
            None if net is None else segmenters.frozen(net).to(fabric.device, memory_format=seeing)
            for net in (Sem_s, Sem_t)
        )
        m = CycleGAN(*built, *sems)

        generators, discriminators = nn.ModuleList([m.G_st, m.G_ts]), nn.ModuleList([m.D_s, m.D_t])
        adam_G, adam_D = (
            Adam(nets.parameters(), lr=config.lr, betas=config.betas, fused=True)
            for nets in (generators, discriminators)
        )
        averages = nn.ModuleList(generator_for(config) for _ in range(2))
        averages.to(fabric.device, memory_format=layout).load_state_dict(generators.state_dict())
        averages.requires_grad_(False).eval()
        weights, averaged = [*generators.parameters()], [*averages.parameters()]

        def average_weights(*_: object) -> None:
            now = [p.detach().to(a) for p, a in zip(weights, averaged, strict=True)]
            torch._foreach_lerp_(averaged, now, 1 - config.generator_ema)

        adam_G.register_step_post_hook(average_weights)
        decay = linear_decay(steps)
        pools = [ImagePool(config.pool, seed=2 * config.seed + i) for i in range(2)]
        decays = LambdaLR(adam_G, decay), LambdaLR(adam_D, decay)
        return cls(m, *averages, adam_G, adam_D, *decays, *pools)

    def generators(self, which: str) -> tuple[nn.Module, nn.Module]:
        """Return G_st and G_ts to translate with, in evaluation mode: "raw", or "ema" for the averages."""
        pair = (self.G_st_ema, self.G_ts_ema) if which == "ema" else (self.m.G_st, self.m.G_ts)
        return pair[0].eval(), pair[1].eval()

    def state(self) -> dict[str, object]:
        """Return what a saved training state holds, by name; the segmenters are frozen and not part of it."""
        networks = {name: getattr(self.m, name) for name in ("G_st", "G_ts", "D_s", "D_t")}
        return networks | {name: part for name, part in vars(self).items() if name != "m"}


@dataclass(frozen=True)
class _Direction:
    """The networks of one direction of Eq. (5), x -> G(x) -> G_back(G(x)), and its reading of Eq. (4)."""

    G: nn.Module
    G_back: nn.Module
    D: nn.Module
    Sem: Segmenter
    Sem_to: Segmenter
    reading: str


def translation_step(
    training: CycleGANTraining,
    *,
    fabric: Fabric,
    lambda_c: float = 10.0,
    lambda_s: float = 1.0,
    semantic_loss: str = "scores_l2",
    gan_loss: str = "log",
    identity: float = 0.0,
    leaf_split: bool = True,
) -> Step:
    """Return a function of one batch that takes one step on Eq. (5): first both generators, then both discriminators.

    Parameters
    ----------
    lambda_c, lambda_s : float
        Weights of the cycle consistency and the semantic consistency loss. With `lambda_s` 0 the segmenters are
        not run at all: the baseline.
    semantic_loss, gan_loss : str
        Readings of Eq. (4) and of Eqs. (1)-(2), see `semcg.losses`.
    identity : float
        Weight of || G_st(x_t) - x_t ||_1 and its mirror image; the paper has no such loss.
    leaf_split : bool
        Cut the graph at the translated image: each loss is run back into the gradient of that image and its graph
        is freed before the next is built, then the sum goes through the generator once. The same gradients in a
        third of the memory. False keeps one graph, as the equations read.

    Returns
    -------
    callable
        (x_s (B, 3, H, W), y_s (B, H, W), x_t, y_t) -> the loss terms of Eq. (5) before weighting, both directions
        added: "gan", "cycle", "semantic" (if weighted), "identity" (if weighted), and "D_s", "D_t"; then "gradient G"
        and "gradient D", the norms of the gradients; and, with `leaf_split`, "pull gan", "pull cycle" and "pull
        semantic": the norm of each weighted term's gradient at x_st, that is, how hard it pulls at the translation.
    """
    m, t = training.m, training
    if lambda_s and (m.Sem_s is None or m.Sem_t is None):
        raise ValueError(f"lambda_s = {lambda_s} needs both segmenters, Sem_s and Sem_t")
    weights = {"gan": 1.0, "cycle": lambda_c, "semantic": lambda_s, "identity": identity}
    # Labels are the source's only; what a translated photograph shows is what Sem_t says of the photograph.
    without_labels = "ce_pseudo" if semantic_loss == "ce_labels" else semantic_loss
    s_to_t = _Direction(m.G_st, m.G_ts, m.D_t, m.Sem_s, m.Sem_t, semantic_loss)
    t_to_s = _Direction(m.G_ts, m.G_st, m.D_s, m.Sem_t, m.Sem_s, without_labels)

    def run_back(d: _Direction, x: Tensor, y: Tensor | None, x_to: Tensor):
        """Run the terms of one direction back into the gradients of both generators.

        Returns the translation, the terms, and how hard each pulls at the translation.
        """
        with fabric.autocast():
            translated = d.G(x)
        fake = translated.detach().requires_grad_() if leaf_split else translated
        compute = {
            "gan": lambda: losses.generator(d.D(fake), kind=gan_loss),
            "cycle": lambda: losses.cycle(x, d.G_back(fake)),
            "semantic": lambda: losses.semantic(d.Sem(x), d.Sem_to(fake), kind=d.reading, labels=y),
            "identity": lambda: losses.identity(x_to, d.G(x_to)),
        }
        parameters = [*d.G.parameters(), *d.G_back.parameters()]
        terms, pulls, total = {}, {}, 0
        for name in (name for name in compute if weights[name]):
            with fabric.autocast():
                term = compute[name]()
            terms[name] = term.detach()
            if not leaf_split:  # one graph, as Eq. (5) reads
                total = total + weights[name] * term
            elif name == "identity":  # of the other domain's image; the translation is not in it
                fabric.backward(weights[name] * term, inputs=parameters)
            else:
                before = 0 if fake.grad is None else fake.grad.clone()
                # Only these get a gradient: none is owed to the discriminators or segmenters on the way.
                fabric.backward(weights[name] * term, inputs=[*parameters, fake])
                pulls[name] = (fake.grad - before).norm()
        if leaf_split:
            fabric.backward(translated, fake.grad, inputs=list(d.G.parameters()))
        else:
            fabric.backward(total, inputs=parameters)
        return translated.detach(), terms, pulls

    def step(x_s: Tensor, y_s: Tensor, x_t: Tensor, y_t: Tensor) -> dict[str, Tensor]:
        for G in (m.G_st, m.G_ts):
            G.train()  # a look at their translations leaves them in evaluation mode
        t.adam_G.zero_grad(set_to_none=True)
        x_st, terms, pulls = run_back(s_to_t, x_s, y_s, x_t)
        x_ts, others, _ = run_back(t_to_s, x_t, None, x_s)
        terms = {name: term + others[name] for name, term in terms.items()}
        gradients = {"gradient G": step_if_finite(t.adam_G, terms.values(), fabric=fabric)}

        t.adam_D.zero_grad(set_to_none=True)
        pairs = ("D_s", m.D_s, x_s, t.pool_s(x_ts)), ("D_t", m.D_t, x_t, t.pool_t(x_st))
        for name, D, real, fake in pairs:
            with fabric.autocast():
                on_real, on_fake = D(torch.cat([real, fake])).chunk(2)  # instance norm keeps the halves apart
                loss = losses.discriminator(on_real, on_fake, kind=gan_loss)
            fabric.backward(loss)
            terms[name] = loss.detach()
        gradients["gradient D"] = step_if_finite(t.adam_D, (terms["D_s"], terms["D_t"]), fabric=fabric)

        t.decay_G.step()
        t.decay_D.step()
        return terms | gradients | {f"pull {name}": value for name, value in pulls.items()}

    return step


def build_translation(
    config: Config, fabric: Fabric, *, steps: int, Sem_s: Segmenter = None, Sem_t: Segmenter = None
) -> tuple[CycleGANTraining, Step]:
    """Return a CycleGAN's training and its step; with `config.one_segmenter`, Sem_s is on both sides of Eq. (4)."""
    Sem_t = Sem_s if config.one_segmenter else Sem_t
    training = CycleGANTraining.create(config, steps=steps, fabric=fabric, Sem_s=Sem_s, Sem_t=Sem_t)
    names = ("lambda_c", "lambda_s", "semantic_loss", "gan_loss", "identity", "leaf_split")
    settings = {name: getattr(config, name) for name in names}
    return training, translation_step(training, fabric=fabric, **settings)
