"""The trained networks of a config, by the names of the paper, loaded from their runs and ready to look at images."""

from lightning_fabric import Fabric
from torch import nn

from semcg import segmenters
from semcg.config import Config
from semcg.runs import recipes
from semcg.runs.store import load
from semcg.training import generator_for

__all__ = ["generators", "judge", "new_judge", "new_segmenter", "segmenter"]


def new_segmenter(config: Config) -> nn.Module:
    """Return the untrained network that `config` describes for Sem_s and Sem_t."""
    options = (
        {"width": config.segmenter_width, "stride": config.segmenter_stride}
        if config.segmenter == "drn26"
        else {}
    )
    return segmenters.build(config.segmenter, **options)


def new_judge(config: Config) -> nn.Module:
    """Return the untrained network of the judge, of another architecture than the segmenters in the loss."""
    return segmenters.build("unet", width=config.judge_width)


def segmenter(config: Config, domain: str, fabric: Fabric) -> nn.Module:
    """Return Sem_s ("source") or Sem_t ("target"), trained, in evaluation mode. Raises as `semcg.runs.load` does."""
    net = new_segmenter(config)
    load(recipes.segmenter(config, domain), net=net)
    return net.to(fabric.device).eval()


def judge(config: Config, fabric: Fabric) -> nn.Module:
    """Return the judge, trained, in evaluation mode. Raises as `semcg.runs.load` does."""
    net = new_judge(config)
    load(recipes.judge(config), net=net)
    return net.to(fabric.device).eval()


def generators(config: Config, fabric: Fabric, *, baseline: bool = False) -> tuple[nn.Module, nn.Module]:
    """Return G_st and G_ts of a CycleGAN, trained, in evaluation mode. Raises as `semcg.runs.load` does."""
    G_st, G_ts = generator_for(config), generator_for(config)
    load(recipes.translation(config, baseline=baseline), G_st=G_st, G_ts=G_ts)
    return G_st.to(fabric.device).eval(), G_ts.to(fabric.device).eval()
