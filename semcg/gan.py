"""Generators, the patch discriminator, the history pool, and the bundle of networks named as in the paper.

The paper (section 2.2.1) says "U-Net" and "PatchGAN" and leaves the rest open; the layouts are those that CycleGAN's
public code made common, with instance normalization (no scale, no shift, no running statistics), so that a sample
never depends on its batch:

- `UNet`, `PatchGAN`: Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", CVPR 2017.
  Without dropout, as CycleGAN uses it; `skip="full"` is ours.
- `Recolor`: a generator that only changes colors, after Gharbi et al., "Deep Bilateral Learning for Real-Time Image
  Enhancement", SIGGRAPH 2017, and, as the output layer of a CycleGAN, "Multi-Curve Translator", ECCV 2022.
- `ResNet9`: Johnson et al., "Perceptual Losses for Real-Time Style Transfer and Super-Resolution", ECCV 2016, in the
  form of Zhu et al., "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks", ICCV 2017.
- `ImagePool`: Shrivastava et al., "Learning from Simulated and Unsupervised Images through Adversarial Training",
  CVPR 2017, image by image as in CycleGAN.

Convolutions in front of a normalization keep their bias, as in that code, although its true gradient is zero.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class UNet(nn.Module):
    """U-Net generator: down to a few numbers, up again, each level handed across. 54,409,603 parameters by default.

    Parameters
    ----------
    width : int
        Channels of the first level; they double per level up to 8 times as many.
    depth : int
        Number of down-samplings. Heights and widths are multiples of 2 ** depth, the attribute `multiple`.
    skip : {"half", "full"}
        Where the finest skip lies. "half" is pix2pix's: strokes of one pixel must pass through a code of half
        resolution. "full" hands the input image across as well, as one more level: the outermost up-convolution then
        gives `width` channels, joined with the image, and two 3 x 3 convolutions make the output of them.

    Raises
    ------
    ValueError
        For another skip, or a depth below 1.
    """

    def __init__(self, *, width: int = 64, depth: int = 8, skip: str = "half") -> None:
        super().__init__()
        if skip not in ("half", "full"):
            raise ValueError(f'the skip of a UNet is "half" or "full", not {skip!r}')
        if depth < 1:
            raise ValueError(f"the depth of a UNet is 1 or more, not {depth}")
        self.multiple = 2**depth
        self.skip = skip
        c = [width * min(2**k, 8) for k in range(depth)]  # channels after k + 1 down-samplings
        inner = c[-2::-1]  # of the levels between, from the lowest up
        up_in = [c[-1], *(2 * n for n in inner)]  # with the skip of the same level
        up_out = [*inner, width if skip == "full" else 3]
        self.downs, self.ups = nn.ModuleList(), nn.ModuleList()
        for k, (n_in, n_out) in enumerate(zip([3, *c[:-1]], c, strict=True)):
            activation = [nn.LeakyReLU(0.2)] if k > 0 else []  # not in place: its input is also a skip
            norm = [nn.InstanceNorm2d(n_out)] if 0 < k < depth - 1 else []
            conv = nn.Conv2d(n_in, n_out, 4, stride=2, padding=1)
            self.downs.append(nn.Sequential(*activation, conv, *norm))
        for k, (n_in, n_out) in enumerate(zip(up_in, up_out, strict=True)):
            norm = [nn.InstanceNorm2d(n_out)] if k < depth - 1 else []
            conv = nn.ConvTranspose2d(n_in, n_out, 4, stride=2, padding=1)
            self.ups.append(nn.Sequential(nn.ReLU(inplace=True), conv, *norm))
        self.join = _output_layers(width) if skip == "full" else nn.Identity()
        initialize(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return translations (B, 3, H, W) in [-1, 1] of images (B, 3, H, W) in [-1, 1]."""
        return torch.tanh(self.join(self.trunk(images)))  # (B, 3, H, W)

    def trunk(self, images: Tensor) -> Tensor:
        """Return the features of the last level, joined with its skip where it has one."""
        _check(images, self, multiple=self.multiple)
        x, skips = images, [images] if self.skip == "full" else []
        for down in self.downs:
            x = down(x)  # (B, c_k, H / 2^k, W / 2^k), k = 1, ..., depth
            skips.append(x)
        skips.pop()
        for up in self.ups:
            x = up(x)  # (B, c_k, H / 2^k, W / 2^k), k = depth - 1, ..., 0
            if skips:
                x = torch.cat([skips.pop(), x], dim=1)  # (B, 2 c_k, ...); "full" at last (B, 3 + width, H, W)
        return x


def recolored(images: Tensor, maps: Tensor) -> Tensor:
    """Change the colors of images by a map that is smooth in space: y = x + A x + b at every pixel.

    Twelve numbers a pixel, a 3 x 3 matrix A and an offset b, given at a fraction of the resolution and raised
    bilinearly. Since A and b are smooth, a stroke keeps its place, its width and, up to the factor 1 + A, its contrast,
    whatever the map is. Gharbi et al., SIGGRAPH 2017, there on a bilateral grid.

    Parameters
    ----------
    images : (B, 3, H, W) float
    maps : (B, 12, H / n, W / n) float
        A row by row, then b. Zeros leave the images unchanged.

    Returns
    -------
    (B, 3, H, W) float
        Not limited to [-1, 1].
    """
    raised = _upsample(maps, images)  # (B, 12, H, W)
    A, b = raised[:, :9].unflatten(1, (3, 3)), raised[:, 9:]
    return images + (A * images[:, None]).sum(2) + b


class Recolor(UNet):
    """Generator that changes colors and cannot redraw: the trunk of a `UNet` predicts the map of `recolored`.

    The U-Net's last two up-convolutions are left out. What remains has a quarter of the resolution, and a 1 x 1
    convolution makes the twelve numbers a pixel of it, so that the output starts near the input. A limited residual
    `grain * tanh(r)` can be added, r from the trunk and the frame at full resolution by two 3 x 3 convolutions: texture
    such as a camera's noise, too weak to draw or erase an object. What neither can do: geometry, strong texture, shadows.

    Parameters
    ----------
    width, depth : int
        As in `UNet`, with a depth of 3 or more.
    grain : float
        Largest value of the residual, 0 for none. Images span 2.

    Raises
    ------
    ValueError
        For a depth below 3 or a negative grain.
    """

    def __init__(self, *, width: int = 64, depth: int = 8, grain: float = 0.25) -> None:
        if depth < 3 or grain < 0:
            least = "a depth of 3 or more and a grain of 0 or more"
            raise ValueError(f"a Recolor has {least}, not {depth} and {grain}")
        super().__init__(width=width, depth=depth)
        self.ups = self.ups[:-2]
        self.grain = grain
        self.color = nn.Conv2d(4 * width, 12, 1)
        if grain:
            self.lift = nn.Conv2d(4 * width, width, 1)
            self.join = _output_layers(width)
        initialize(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return translations (B, 3, H, W) of images (B, 3, H, W) in [-1, 1].

        In training mode values may leave [-1, 1]: cut off there, they would have no gradient back. In evaluation mode
        they are clamped.
        """
        features = F.relu(self.trunk(images))  # (B, 4 width, H / 4, W / 4)
        y = recolored(images, self.color(features))
        if self.grain:
            raised = _upsample(self.lift(features), images)  # (B, width, H, W)
            y = y + self.grain * torch.tanh(self.join(torch.cat([images, raised], dim=1)))
        return y if self.training else y.clamp(-1, 1)  # (B, 3, H, W)


class ResNet9(nn.Module):
    """CycleGAN's own generator: two down-samplings, nine residual blocks, two up-samplings. 11,378,179 parameters.

    Heights and widths are multiples of 4, and 8 at least. The backward pass of reflection padding has no
    deterministic form on CUDA; the U-Net has no such part.

    Parameters
    ----------
    width : int
        Channels at full size; the blocks have four times as many.
    """

    multiple = 4

    def __init__(self, *, width: int = 64) -> None:
        super().__init__()
        c1, c2, c3 = width, 2 * width, 4 * width
        reflect = {"padding_mode": "reflect"}
        self.down = nn.Sequential(
            *_with_norm(nn.Conv2d(3, c1, 7, padding=3, **reflect)),
            *_with_norm(nn.Conv2d(c1, c2, 3, stride=2, padding=1)),
            *_with_norm(nn.Conv2d(c2, c3, 3, stride=2, padding=1)),
        )
        self.blocks = nn.ModuleList(
            nn.Sequential(
                *_with_norm(nn.Conv2d(c3, c3, 3, padding=1, **reflect)),
                nn.Conv2d(c3, c3, 3, padding=1, **reflect),
                nn.InstanceNorm2d(c3),
            )
            for _ in range(9)
        )
        self.up = nn.Sequential(
            *_with_norm(nn.ConvTranspose2d(c3, c2, 3, stride=2, padding=1, output_padding=1)),
            *_with_norm(nn.ConvTranspose2d(c2, c1, 3, stride=2, padding=1, output_padding=1)),
            nn.Conv2d(c1, 3, 7, padding=3, **reflect),
            nn.Tanh(),
        )
        initialize(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return translations (B, 3, H, W) in [-1, 1] of images (B, 3, H, W) in [-1, 1]."""
        _check(images, self, multiple=self.multiple, smallest=8)
        x = self.down(images)  # (B, 4 width, H/4, W/4)
        for block in self.blocks:
            x = x + block(x)  # (B, 4 width, H/4, W/4)
        return self.up(x)  # (B, 3, H, W)


class PatchGAN(nn.Module):
    """Discriminator of 70 x 70 patches: one logit per patch, real above 0. 2,764,737 parameters by default.

    Any size from 24 x 24 is taken; 256 x 256 gives 30 x 30 logits.

    Parameters
    ----------
    width : int
        Channels of the first layer; the last has 8 times as many.
    """

    def __init__(self, *, width: int = 64) -> None:
        super().__init__()
        c = width
        self.layers = nn.Sequential(
            nn.Conv2d(3, c, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2, inplace=True),
            *_with_norm(nn.Conv2d(c, 2 * c, 4, stride=2, padding=1), slope=0.2),
            *_with_norm(nn.Conv2d(2 * c, 4 * c, 4, stride=2, padding=1), slope=0.2),
            *_with_norm(nn.Conv2d(4 * c, 8 * c, 4, stride=1, padding=1), slope=0.2),
            nn.Conv2d(8 * c, 1, 4, stride=1, padding=1),
        )
        initialize(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, 1, H // 8 - 2, W // 8 - 2) of images (B, 3, H, W) in [-1, 1]."""
        _check(images, self, smallest=24)
        return self.layers(images)  # (B, 1, H // 8 - 2, W // 8 - 2)


def initialize(network: nn.Module, *, std: float = 0.02, generator: torch.Generator | None = None) -> None:
    """Draw the weights of all convolutions from N(0, std^2) and set their biases to 0, in place.

    Parameters
    ----------
    network : Module
        On the CPU: a CPU generator then gives the same weights on every machine, up to rounding (about 1e-7).
    std : float
        Standard deviation; 0.02 is CycleGAN's, the paper gives none.
    generator : torch.Generator, optional
        Where the numbers come from; torch's global one if left out.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, std=std, generator=generator)
            nn.init.zeros_(module.bias)


@dataclass(frozen=True)
class CycleGAN:
    """The networks by the paper's names: `m.G_st(x_s)` is x_st, and `m.Sem_t` looks at it.

    The segmenters are frozen here, in place: evaluation mode, no gradient for their parameters. Gradients with
    respect to their input still pass, since that is how the semantic loss reaches the generators.

    Parameters
    ----------
    G_st, G_ts : Module
        Generators, source to target and target to source.
    D_s, D_t : Module
        Discriminators of source and of target images, translated ones included.
    Sem_s, Sem_t : Module, optional
        Segmenters of source and of target images; the baseline has none. One network for both is allowed.

    Raises
    ------
    ValueError
        If only one segmenter is given.
    """

    G_st: nn.Module
    G_ts: nn.Module
    D_s: nn.Module
    D_t: nn.Module
    Sem_s: nn.Module | None = None
    Sem_t: nn.Module | None = None

    def __post_init__(self) -> None:
        if (self.Sem_s is None) != (self.Sem_t is None):
            raise ValueError("the semantic loss needs both Sem_s and Sem_t, and the baseline neither")
        if self.Sem_s is not None:
            self.Sem_s.eval().requires_grad_(False)
            self.Sem_t.eval().requires_grad_(False)


class ImagePool:
    """History of translations, so that a discriminator does not forget what the generator did a while ago.

    Until `size` images are stored, each is stored and returned. Then each is, with probability 1/2, exchanged for a
    stored one, which is returned in its place.

    Parameters
    ----------
    size : int
        Number of images kept; 0 returns every batch as it is.
    seed : int
        Seed of the pool's own random numbers.
    """

    def __init__(self, size: int = 50, *, seed: int = 0) -> None:
        self.size = size
        self.images: list[Tensor] = []
        self.generator = torch.Generator().manual_seed(seed)

    def __call__(self, images: Tensor) -> Tensor:
        """Exchange images (B, 3, H, W) for a batch of the same shape, detached."""
        images = images.detach()
        chosen = list(images)
        for i, image in enumerate(images if self.size else ()):
            if len(self.images) < self.size:
                self.images.append(image.clone())
            elif torch.rand((), generator=self.generator) >= 0.5:
                k = int(torch.randint(self.size, (), generator=self.generator))
                chosen[i] = self.images[k].to(image)  # a restored pool may be on another device
                self.images[k] = image.clone()
        return torch.stack(chosen)  # (B, 3, H, W)

    def state_dict(self) -> dict[str, list[Tensor] | Tensor]:
        """Return all that decides the pool's future, as tensors (which torch.load accepts with weights_only)."""
        return {"images": list(self.images), "generator": self.generator.get_state()}

    def load_state_dict(self, state: dict[str, list[Tensor] | Tensor]) -> None:
        """Continue where the pool that gave `state` stood.

        Raises
        ------
        ValueError
            If the state holds more images than this pool keeps.
        """
        if len(state["images"]) > self.size:
            raise ValueError(f"the state has {len(state['images'])} images, but this pool keeps {self.size}")
        self.images = list(state["images"])
        self.generator.set_state(state["generator"].cpu())


def _with_norm(convolution: nn.Module, *, slope: float = 0.0) -> tuple[nn.Module, ...]:
    """Return a convolution, its instance normalization and (leaky) ReLU."""
    activation = nn.LeakyReLU(slope, inplace=True) if slope else nn.ReLU(inplace=True)
    return convolution, nn.InstanceNorm2d(convolution.out_channels), activation


def _output_layers(width: int) -> nn.Sequential:
    """Return what makes an image of `width` features and the input image, (B, width + 3, H, W), at full resolution."""
    first, second = nn.Conv2d(width + 3, width, 3, padding=1), nn.Conv2d(width, 3, 3, padding=1)
    return nn.Sequential(first, nn.ReLU(inplace=True), second)


def _upsample(maps: Tensor, images: Tensor) -> Tensor:
    return F.interpolate(maps, images.shape[-2:], mode="bilinear", align_corners=False)


def _check(images: Tensor, network: nn.Module, *, multiple: int = 1, smallest: int = 1) -> None:
    name = type(network).__name__
    if images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f"{name} takes images (B, 3, H, W), not {tuple(images.shape)}")
    height, width = images.shape[-2:]
    smallest = max(smallest, multiple)
    if height % multiple or width % multiple or min(height, width) < smallest:
        raise ValueError(
            f"{name} takes heights and widths that are multiples of {multiple} and {smallest} at least, "
            f"but the images are {height} x {width}; pad or crop them"
        )
