"""The two styles of a street: a saturated game with hard shadows, and a dull, noisy, hazy camera.

A style is a palette and some numbers, both in `styles.toml`. The styles have the same ones, so that they can be
mixed: strength 0 is the game, 1 the camera. A drawing is painted by looking its part numbers up in the palette;
nothing here can move an edge, and the labels never come this way.
"""

import tomllib
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from semcg.world.canvas import CAST, CONTACT, FINE, FOCAL, GROUND, SKY, Drawing
from semcg.world.scene import RandomStream, Scene

STYLES = ("game", "camera")
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def render(
    scene: Scene, style: str, size: tuple[int, int], *, strength: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a scene in one of the two styles.

    Parameters
    ----------
    scene : Scene
    style : "game" or "camera"
    size : (int, int)
        Height and width in pixels.
    strength : float in [0, 1]
        How far the camera style goes: 0 looks like the game, 1 is the full camera style, and every color
        and number in between is their linear mixture. The game style does not depend on it.

    Returns
    -------
    rgb : (H, W, 3) uint8
    label : (H, W) uint8
        Train ids 0..18, or 255. The same for both styles and every strength: the scene in the other style is
        the perfect translation, the *oracle*.

    Raises
    ------
    ValueError
        If an argument is outside its set.
    """
    check_style(style, strength)
    drawing = scene.draw(size)
    return paint_scene(scene, drawing, style, strength), drawing.labels()


def check_style(style: str, strength: float) -> None:
    """Raise ValueError if the style is unknown or the strength outside [0, 1]."""
    if style not in STYLES:
        raise ValueError(f"style is {style!r}; it must be one of {STYLES}")
    if not 0 <= strength <= 1:
        raise ValueError(f"strength is {strength!r}; it must lie in [0, 1]")


def paint_scene(scene: Scene, drawing: Drawing, style: str, strength: float) -> np.ndarray:
    """Paint a scene's drawing (H, W, 3) uint8, with the texture, exposure and noise that are the scene's own."""
    strength = strength if style == "camera" else 0.0
    look = SimpleNamespace()
    for name, (game, camera) in _styles()["numbers"].items():
        setattr(look, name, np.add(game, strength * np.subtract(camera, game)).tolist())
    rng = RandomStream("look", scene.seed, scene.domain)
    colors, roughness = _part_looks(drawing.parts, look)
    light = _light(drawing, roughness, look, rng)
    picture = _colors(drawing, colors, look) * light[..., None]
    picture = _grade(picture, look, rng.between(look.least_exposure, look.greatest_exposure))
    picture = _filter(_filter(picture, look.blur, 0), look.blur, 1)
    picture += _noise(picture, look, rng)
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)


def _part_looks(parts: np.ndarray, look: SimpleNamespace) -> tuple[np.ndarray, np.ndarray]:
    """Return color (parts, 3), hazy where a part has one depth, and roughness, smooth and fine (parts, 2), float32."""
    numbers, colors, first, count, textures = _palette()
    material = np.array([numbers[name] for name in parts["material"]])
    index = first[material] + parts["hue"] % count[material]
    game, camera = colors[0, index], colors[1, index]
    color = (game + np.float32(look.palette) * (camera - game)) * parts["shade"][:, None]
    depth = parts["depth"]
    fog = np.where(depth > 0, _fog(depth, look), 0).astype(np.float32)[:, None]
    roughness = textures[material] * np.array([look.smooth, look.grain], np.float32)
    return color * (1 - fog) + fog * np.array(look.haze_color, np.float32), roughness


@cache
def _styles() -> dict[str, dict[str, list]]:
    return tomllib.loads(Path(__file__).with_name("styles.toml").read_text(encoding="utf-8"))


@cache
def _palette() -> tuple[dict[str, int], np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return name -> material; colors (2, n, 3) in [0, 1]; per material the first, the count, two textures (m, 2)."""
    materials = _styles()["materials"]
    game, camera, *textures = zip(*materials.values(), strict=True)
    count = np.array([len(colors.split()) for colors in game])
    palettes = [list(bytes.fromhex(" ".join(colors))) for colors in (game, camera)]
    game, gray = np.array(palettes, np.float32).reshape(2, -1, 3)
    colors = np.stack([game, 0.8 * gray + 0.2 * game]) / 255
    numbers = {name: k for k, name in enumerate(materials)}
    return numbers, colors, np.cumsum(count) - count, count, np.array(textures, np.float32).T


def _fog(depth: np.ndarray, look: SimpleNamespace) -> np.ndarray:
    """Return the share of haze at a depth in meters."""
    share = 1.6 * look.haze_weight * (1 - np.exp(-np.maximum(depth, 0) / look.haze_reach))
    return np.minimum(0.75, share).astype(np.float32)


def _colors(drawing: Drawing, colors: np.ndarray, look: SimpleNamespace) -> np.ndarray:
    """Return the mean color (H, W, 3) float32 of each pixel's sub-pixels, with haze and shadows."""
    height, camera = len(drawing.ids), drawing.camera
    # 0: the haze is in the colors already; 1 and 2: ground and sky, whose haze is the row's.
    depth = drawing.parts["depth"]
    kind = ((depth == GROUND) + 2 * (depth == SKY)).astype(np.uint8)
    rows, horizon = np.arange(height) + 0.5, camera.horizon * height
    distance = np.minimum(FOCAL * height * camera.height / np.maximum(rows - horizon, 1e-3), 1e4)
    ground_fog = _fog(distance.astype(np.float32), look)[:, None]
    up = np.clip(rows / horizon, 0, 1)
    sky_fog = (look.glow * up * up).astype(np.float32)[:, None]
    shades = np.ones(256, np.float32)
    shades[CONTACT], shades[CAST] = look.contact, look.cast
    haze = np.array(look.haze_color, np.float32)
    total = 0.0
    # Nine pictures of one sub-pixel each stay in the cache where one of nine times the size would not.
    for i in range(FINE):
        for j in range(FINE):
            ids = drawing.ids[i::FINE, j::FINE]
            kinds = kind[ids]
            shade = np.where(kinds == 1, shades[drawing.shadow[i::FINE, j::FINE]], np.float32(1))
            fog = np.where(kinds == 1, ground_fog[i::FINE], sky_fog[i::FINE]) * (kinds > 0)
            total = total + colors[ids] * (shade * (1 - fog))[..., None] + fog[..., None] * haze
    return total / np.float32(FINE * FINE)


@cache
def _tiles() -> np.ndarray:
    """Return two tiles (2, 256, 512) of deviation 1: smooth blotches and fine grain; they wrap around."""
    grain = RandomStream("bank").grain(256, 512)
    smooth = grain
    # Three passes of three, since one wide box leaves a woven pattern.
    for axis in (0, 1) * 3:
        smooth = sum(np.roll(smooth, k, axis) for k in (-1, 0, 1))
    return np.stack([smooth / smooth.std(), grain])


def _light(drawing: Drawing, roughness: np.ndarray, look: SimpleNamespace, rng: RandomStream) -> np.ndarray:
    """Return the factor (H, W) on the light: the texture of the materials, and the lens, which darkens the corners."""
    middle = drawing.ids[FINE // 2 :: FINE, FINE // 2 :: FINE]
    height, width = middle.shape
    down, right = rng.below(256), rng.below(512)
    tile = _tiles()[:, (np.arange(height) + down)[:, None] % 256, (np.arange(width) + right) % 512]
    texture = 1 + roughness[:, 0][middle] * tile[0] + roughness[:, 1][middle] * tile[1]
    y, x = (np.linspace(-1, 1, side, dtype=np.float32) for side in (height, width))
    return texture * (1 - np.float32(look.vignette) * (x * x + (y * y)[:, None]) / 2)


def _grade(picture: np.ndarray, look: SimpleNamespace, exposure: float) -> np.ndarray:
    """Apply gain, saturation and contrast, which are one matrix, and the bias."""
    saturate = look.saturation * np.eye(3) + (1 - look.saturation) * LUMA
    matrix = look.contrast * saturate * np.multiply(look.gain, exposure)  # (out, in): gains act on the input
    return picture @ matrix.T.astype(np.float32) + np.float32(0.5 * (1 - look.contrast) + look.bias)


def _filter(picture: np.ndarray, weight: float, axis: int) -> np.ndarray:
    """Convolve with (weight, 1 - 2 weight, weight) along an axis; the edge repeats."""
    pad = [(1, 1) if k == axis else (0, 0) for k in range(3)]
    padded = np.pad(picture, pad, mode="edge")
    before, after = (padded[:-2], padded[2:]) if axis == 0 else (padded[:, :-2], padded[:, 2:])
    return np.float32(1 - 2 * weight) * picture + np.float32(weight) * (before + after)


def _noise(picture: np.ndarray, look: SimpleNamespace, rng: RandomStream) -> np.ndarray:
    """Return the sensor's noise (H, W, 3), half color and half gray, greater in the dark by `dark_noise`."""
    height, width, _ = picture.shape
    grain = rng.grain(height, width, 4)
    mixed = np.float32(0.5**0.5) * (grain[..., :3] + grain[..., 3:])
    luma = np.clip(picture @ LUMA, 0, 1)[..., None]
    return np.float32(look.noise) * (1 + np.float32(look.dark_noise) * (0.5 - luma)) * mixed
