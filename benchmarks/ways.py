"""The training step in its ways: as the equations read, and as the package takes it; and what compiles it.

    nothing detached   Eqs. (1)-(5) with gradients wherever one can flow: segmenters only in evaluation mode, and read twice
    literal            the same as notebook 04 writes it: the scores of the real image are given, no gradient goes into them
    one graph          the package's step with `leaf_split` off
    leaf split         the package's step
    compiled           the package's step, each network through torch.compile
    CUDA graphs        the same with torch.compile's CUDA graphs, which replay a network's kernels in one call

There is no graph of the whole step: the image pool draws its numbers and the learning rate changes on the CPU, between
kernels that a graph would fix.
"""

from collections.abc import Callable
from types import SimpleNamespace

import torch

from semcg import config as configs
from semcg import losses, training
from semcg.config import Config
from semcg.gan import ImagePool, PatchGAN, initialize
from semcg.runs.budget import step_on_noise
from semcg.training import generator_for

__all__ = ["COMPILED", "NARROW", "SETTINGS", "WAYS", "compiled", "exactly", "literal", "way"]

WAYS = ("nothing detached", "literal", "one graph", "leaf split")
COMPILED = {"compiled": {}, "CUDA graphs": {"mode": "reduce-overhead"}}
SETTINGS = {
    "narrow": configs.make("mini", precision="fp32"),
    "wide": configs.make("paper", crop=256),
}
NARROW = {"generator_width": 16, "discriminator_width": 16, "segmenter_width": 0.25}
_KNOBS = ("lambda_c", "lambda_s", "semantic_loss", "gan_loss", "identity", "leaf_split")


def literal(config: Config, fabric, *, detached: bool = True) -> Callable:
    """Eqs. (1)-(5) as they read: one graph, segmenters only in evaluation mode, Adam as it comes.

    Parameters
    ----------
    detached : bool
        False: the scores of the real images keep their graph, down to the segmenters' weights; "scores_l2" only.
    """
    generator = torch.Generator().manual_seed(config.seed)
    nets = [generator_for(config), generator_for(config)]
    nets += [PatchGAN(width=config.discriminator_width) for _ in range(2)]
    for net in nets:
        initialize(net, std=config.init_std, generator=generator)
    m = SimpleNamespace(
        **dict(zip(("G_st", "G_ts", "D_s", "D_t"), (n.to(fabric.device) for n in nets), strict=True))
    )
    if config.lambda_s:
        m.Sem_s, m.Sem_t = (
            training.network_for(config, "segmenter").to(fabric.device).eval() for _ in range(2)
        )
    adam_G, adam_D = (
        torch.optim.Adam([*a.parameters(), *b.parameters()], lr=config.lr, betas=config.betas)
        for a, b in ((m.G_st, m.G_ts), (m.D_s, m.D_t))
    )
    pool_s, pool_t = (ImagePool(config.pool, seed=2 * config.seed + i) for i in range(2))
    kind = config.gan_loss
    if not detached and config.semantic_loss != "scores_l2":
        raise ValueError(f"semantic_loss = {config.semantic_loss}: nothing detached is scores_l2")

    def semantic(before, after, labels):
        if detached:
            return losses.semantic(before, after, kind=config.semantic_loss, labels=labels)
        return losses.scores_l2(before, after)

    def step(x_s, y_s, x_t, y_t):
        with fabric.autocast():
            x_st, x_ts = m.G_st(x_s), m.G_ts(x_t)
            L_gan = losses.generator(m.D_t(x_st), kind=kind) + losses.generator(m.D_s(x_ts), kind=kind)
            L_cyc = losses.cycle(x_s, m.G_ts(x_st)) + losses.cycle(x_t, m.G_st(x_ts))
            L = L_gan + config.lambda_c * L_cyc
            if config.lambda_s:
                L_sem = semantic(m.Sem_s(x_s), m.Sem_t(x_st), y_s) + semantic(
                    m.Sem_t(x_t), m.Sem_s(x_ts), y_t
                )
                L = L + config.lambda_s * L_sem
        adam_G.zero_grad()
        L.backward()
        adam_G.step()
        with fabric.autocast():
            L_t = losses.discriminator(m.D_t(x_t), m.D_t(pool_t(x_st)), kind=kind)
            L_s = losses.discriminator(m.D_s(x_s), m.D_s(pool_s(x_ts)), kind=kind)
        adam_D.zero_grad()
        (L_s + L_t).backward()
        adam_D.step()
        return {"gan": L_gan.detach(), "cycle": L_cyc.detach(), "D_s": L_s.detach(), "D_t": L_t.detach()}

    return step


def compiled(config: Config, fabric, **options) -> Callable:
    """The package's step, each of its networks through torch.compile with these options."""
    sems = [training.network_for(config, "segmenter") if config.lambda_s else None for _ in range(2)]
    t = training.CycleGANTraining.create(config, steps=1000, fabric=fabric, Sem_s=sems[0], Sem_t=sems[1])
    for net in (t.m.G_st, t.m.G_ts, t.m.D_s, t.m.D_t, t.m.Sem_s, t.m.Sem_t):
        if net is not None:
            net.compile(dynamic=False, **options)
    step = training.translation_step(t, fabric=fabric, **{knob: getattr(config, knob) for knob in _KNOBS})

    def marked(*batch):
        torch.compiler.cudagraph_mark_step_begin()  # what the step before returned may be written over
        return step(*batch)

    return marked


def way(name: str, config: Config, fabric) -> tuple[Callable, tuple]:
    """Return the step of a way with untrained networks, and a batch of noise."""
    config = config.model_copy(update={"leaf_split": name not in WAYS[:3]})
    step, batch = step_on_noise("translation", config, fabric)
    if name in WAYS[:2]:
        return literal(config, fabric, detached=name == "literal"), batch
    return (compiled(config, fabric, **COMPILED[name]) if name in COMPILED else step), batch


def exactly(precision: str) -> str:
    """Say what float32 means on a GPU, and return the precision of the Fabric: "tf32" is float32 with it allowed.

    By itself torch allows TF32 in a GPU's convolutions and not in its products; here "fp32" is neither.
    """
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    return "fp32" if precision == "tf32" else precision
