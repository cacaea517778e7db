"""Training the CycleGAN, with and without the semantic consistency loss: Eq. (5), one step of it."""

from dataclasses import dataclass

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from semcg import losses
from semcg.config import Config
from semcg.gan import CycleGAN, ImagePool, PatchGAN, ResNet9, UNet, initialise
from semcg.training.loop import Step, descend, linear_decay

__all__ = ["Translation", "generator_for", "translation_step"]


def generator_for(config: Config) -> nn.Module:
    """Return the untrained generator that `config` describes."""
    if config.generator == "resnet9":
        return ResNet9(width=config.generator_width)
    return UNet(width=config.generator_width, depth=config.generator_depth, skip=config.generator_skip)


@dataclass(frozen=True)
class Translation:
    """The six networks and what training four of them needs."""

    m: CycleGAN
    adam_G: Optimizer
    adam_D: Optimizer
    decay_G: LambdaLR
    decay_D: LambdaLR
    pool_s: ImagePool
    pool_t: ImagePool

    @classmethod
    def begin(
        cls,
        config: Config,
        *,
        steps: int,
        fabric: Fabric,
        Sem_s: nn.Module | None = None,
        Sem_t: nn.Module | None = None,
    ) -> "Translation":
        """Initialise the networks of a CycleGAN from `config.seed` and give them optimisers, schedules and image pools.

        Equal seeds give equal initial weights whatever the loss, so that two conditions differ in the loss alone.
        """
        generator = torch.Generator().manual_seed(config.seed)
        built = [generator_for(config), generator_for(config)]
        built += [PatchGAN(width=config.discriminator_width) for _ in range(2)]
        # Channels last suits bf16 convolutions; the segmenters may follow, since frozen networks have no weight gradient.
        layout = torch.channels_last if config.precision == "bf16" else torch.contiguous_format
        for net in built:
            initialise(net, std=config.init_std, generator=generator)
            net.to(fabric.device, memory_format=layout)
        for net in (Sem_s, Sem_t):
            if net is not None:
                net.to(fabric.device, memory_format=layout)
        m = CycleGAN(*built, Sem_s, Sem_t)

        def adam(*nets: nn.Module) -> Optimizer:
            parameters = [p for net in nets for p in net.parameters()]
            return torch.optim.Adam(parameters, lr=config.lr, betas=config.betas, fused=True)

        adam_G, adam_D = adam(m.G_st, m.G_ts), adam(m.D_s, m.D_t)
        decay = linear_decay(steps)
        pools = [ImagePool(config.pool, seed=2 * config.seed + i) for i in range(2)]
        return cls(m, adam_G, adam_D, LambdaLR(adam_G, decay), LambdaLR(adam_D, decay), *pools)

    def state(self) -> dict[str, object]:
        """Return what a saved training state holds, by name; the segmenters are frozen and not part of it."""
        names = ("G_st", "G_ts", "D_s", "D_t")
        rest = ("adam_G", "adam_D", "decay_G", "decay_D", "pool_s", "pool_t")
        return {name: getattr(self.m, name) for name in names} | {name: getattr(self, name) for name in rest}


def translation_step(
    training: Translation,
    *,
    fabric: Fabric,
    lambda_c: float = 10.0,
    lambda_s: float = 1.0,
    semantic_loss: str = "scores_l2",
    gan_loss: str = "log",
    identity: float = 0.0,
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

    Returns
    -------
    callable
        (x_s (B, 3, H, W), y_s (B, H, W), x_t, y_t) -> the loss terms of Eq. (5) before weighting, both directions
        added: "gan", "cycle", "semantic" (if weighted), "identity" (if weighted), and "D_s", "D_t".
    """
    m, t = training.m, training
    if lambda_s and (m.Sem_s is None or m.Sem_t is None):
        raise ValueError(f"lambda_s = {lambda_s} needs both segmenters, Sem_s and Sem_t")
    # Labels are the source's only; what a translated photograph shows is what Sem_t says of the photograph.
    backward_loss = "ce_pseudo" if semantic_loss == "ce_labels" else semantic_loss

    def generators(x_s: Tensor, y_s: Tensor, x_t: Tensor) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        x_st, x_ts = m.G_st(x_s), m.G_ts(x_t)
        terms = {
            "gan": losses.generator(m.D_t(x_st), kind=gan_loss)
            + losses.generator(m.D_s(x_ts), kind=gan_loss),
            "cycle": losses.cycle(x_s, m.G_ts(x_st)) + losses.cycle(x_t, m.G_st(x_ts)),
        }
        if lambda_s:
            terms["semantic"] = losses.semantic(
                m.Sem_s(x_s), m.Sem_t(x_st), kind=semantic_loss, labels=y_s
            ) + losses.semantic(m.Sem_t(x_t), m.Sem_s(x_ts), kind=backward_loss)
        if identity:
            terms["identity"] = losses.identity(x_t, m.G_st(x_t)) + losses.identity(x_s, m.G_ts(x_s))
        return terms, x_st.detach(), x_ts.detach()

    def discriminator(D: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
        on_real, on_fake = D(torch.cat([real, fake])).chunk(2)  # instance norm keeps the halves apart
        return losses.discriminator(on_real, on_fake, kind=gan_loss)

    weights = {"gan": 1.0, "cycle": lambda_c, "semantic": lambda_s, "identity": identity}

    def step(x_s: Tensor, y_s: Tensor, x_t: Tensor, y_t: Tensor) -> dict[str, Tensor]:
        with fabric.autocast():
            terms, x_st, x_ts = generators(x_s, y_s, x_t)
        descend(t.adam_G, sum(weights[name] * value for name, value in terms.items()), terms, fabric=fabric)

        with fabric.autocast():
            judged = {
                "D_s": discriminator(m.D_s, x_s, t.pool_s(x_ts)),
                "D_t": discriminator(m.D_t, x_t, t.pool_t(x_st)),
            }
        descend(t.adam_D, judged["D_s"] + judged["D_t"], judged, fabric=fabric)

        t.decay_G.step()
        t.decay_D.step()
        return {name: value.detach() for name, value in (terms | judged).items()}

    return step
