"""The two ways a street looks: a saturated game with hard shadows, and a dull, noisy, hazy camera.

A look is a palette and a dozen numbers. Both looks have the same fields, so that `Look.between` can mix
them: strength 0 is the game, 1 the camera. A drawing is painted by looking its part numbers up in the
palette; nothing here can move an edge, and the labels never come this way.
"""

from dataclasses import dataclass, fields
from functools import cache
from typing import NamedTuple

import numpy as np

from semcg.world.canvas import CAST, CONTACT, FINE, GROUND, SKY, Drawing
from semcg.world.draw import draw
from semcg.world.scene import Dice, Scene, stream

__all__ = [
    "CAMERA",
    "GAME",
    "Look",
    "MATERIALS",
    "Material",
    "STYLES",
    "check_style",
    "paint",
    "paint_scene",
    "render",
]


class Material(NamedTuple):
    """Colours by hue, as RGB in hexadecimal, and the relative deviation of the texture.

    A part with hue h takes colour h modulo the number of colours; both styles have equally many. The
    camera's colours are the grey ones, of which four fifths are mixed with one fifth of the game's.
    """

    game: str
    grey: str
    blotches: float
    """Of the game's smooth texture."""
    grain: float
    """Of the camera's fine texture."""


MATERIALS: dict[str, Material] = {
    "sky": Material("56a0eb", "ced4d6", 0.0, 0.0),
    "cloud": Material("ffffff", "dee1e2", 0.0, 0.0),
    "hill": Material("78b278", "747c70", 0.03, 0.05),
    "grass": Material("84ba4a", "545c42", 0.05, 0.1),
    "road": Material("706c70", "5c5e61", 0.02, 0.08),
    "sidewalk": Material("cebca4", "86807c", 0.025, 0.08),
    "kerb": Material("e8dece", "9c9894", 0.015, 0.05),
    "yellow line": Material("fccc28", "bab296", 0.015, 0.06),
    "white line": Material("f6f6f2", "bcbcba", 0.015, 0.06),
    "rail": Material("b2b6be", "808080", 0.0, 0.03),
    "facade": Material(
        "f0cea0 ec9678 96c8d6 fae28c de7858 f4ecdc", "766456 887a68 625a56 8e887c 6e5c52 98948c", 0.025, 0.09
    ),
    "roof": Material("c8543e e2d8ca 966854", "5c4e48 78746e 544e4a", 0.02, 0.07),
    "cornice": Material("fffaec", "96928a", 0.01, 0.04),
    "window": Material("5c9ccc 6cb0ce 4e84ba", "3a3e42 464a4e 323438", 0.02, 0.06),
    "curtain": Material("cee4ec f4e8c8", "686a6a 767268", 0.02, 0.06),
    "frame": Material("fffaf0 faecd6 f4f8fa", "949088 86827a 969694", 0.01, 0.04),
    "shop": Material("80ced6 92c4e2", "42484c 4a4c4e", 0.03, 0.08),
    "door": Material("965434 3a6e64 b03c3c", "3e342e 383c3a 463632", 0.02, 0.05),
    "awning": Material("e23e36 2c9480 ee8e28 3c60be", "68403c 485a54 786046 464e62", 0.015, 0.05),
    "cloth": Material("fff8ec", "96928a", 0.015, 0.05),
    "flowers": Material("e23c60 fa8caa f05a32", "704e50 7a6466 6e5446", 0.08, 0.12),
    "wall": Material("dec4a8 ceb096", "746e68 68625c", 0.03, 0.1),
    "coping": Material("f4e6d0", "8a8680", 0.01, 0.05),
    "hedge": Material("609642", "424a3c", 0.06, 0.12),
    "bar": Material("f6f0e2 965c38", "686662 544a42", 0.0, 0.04),
    "trunk": Material("865a3a", "483e36", 0.05, 0.1),
    "palm trunk": Material("b0885c", "5c5246", 0.04, 0.08),
    "leaf shade": Material("3e8028", "263224", 0.09, 0.16),
    "leaf": Material("68ac36", "3a4632", 0.09, 0.16),
    "leaf light": Material("a6ce4e", "505c40", 0.09, 0.16),
    "pole": Material("969aa0", "686a6a", 0.0, 0.03),
    "lamp": Material("fcf6d2", "a0a09c", 0.0, 0.02),
    "light box": Material("32363c", "282a2c", 0.0, 0.03),
    "red lamp": Material("ff3c30", "e25446", 0.0, 0.0),
    "amber lamp": Material("ffba2c", "d6a054", 0.0, 0.0),
    "green lamp": Material("40ec78", "6ecea0", 0.0, 0.0),
    "sign red": Material("e82428", "984640", 0.0, 0.03),
    "sign white": Material("fcfcfc", "cececa", 0.0, 0.03),
    "sign black": Material("18181c", "242426", 0.0, 0.02),
    "sign blue": Material("2462dc", "405480", 0.0, 0.03),
    "sign yellow": Material("ffd020", "be9e54", 0.0, 0.03),
    "bin": Material("467860", "464a48", 0.02, 0.06),
    "plate": Material("ffe85c", "d8d8d4", 0.0, 0.02),
    "plate ink": Material("182078", "222226", 0.0, 0.02),
    "display": Material("ffc43c", "d6b06e", 0.0, 0.0),
    "paint": Material(
        "e22828 2c68d6 fac424 f6f6f6 28aa54 f67e20 34a0ba 96283c",
        "606266 2c2e32 a0a2a4 babcbc 464c4a 5c2e2c 4c5462 3a2828",
        0.01,
        0.03,
    ),
    "frame paint": Material("e82c34 225ace 229660 faaa28", "603a38 363e54 3e4c44 786242", 0.0, 0.03),
    "load": Material("fa7e1e fafafa 3c82dc e83c3c", "886854 aaacac 5c687a 744c46", 0.015, 0.05),
    "bus": Material("fac828 eef6fa e03e36", "968a68 a6a8a8 704842", 0.01, 0.04),
    "tram": Material("f8f2e2 c4e0ec", "9c9a92 8a9094", 0.01, 0.04),
    "tram band": Material("dc2e32 226ebe", "6e423e 465468", 0.0, 0.03),
    "glass": Material("2e4660", "2c3034", 0.02, 0.05),
    "glint": Material("78a8ce", "5c6266", 0.02, 0.05),
    "chassis": Material("34343a", "2a2a2c", 0.0, 0.03),
    "grille": Material("24262c", "222224", 0.0, 0.03),
    "headlamp": Material("fffadc", "c4c4be", 0.0, 0.02),
    "tail lamp": Material("ff221e", "8c302c", 0.0, 0.02),
    "tyre": Material("1e1e22", "202022", 0.0, 0.03),
    "hub": Material("c4c8ce", "7c7c7c", 0.0, 0.03),
    "skin": Material("f0be96 c48c64 80543c", "967a6a 7a5e4e 524038", 0.0, 0.03),
    "hair": Material("462c1e 1e1a1c be8c46", "302a26 222020 6e5e4a", 0.0, 0.03),
    "shirt": Material("f0323c fabe28 4650d2 e646b4 fafafa", "6c4644 847456 42465c 685262 a6a6a2", 0.01, 0.05),
    "trousers": Material("283c82 5a3c2c 323238 ceba96", "303442 423a34 2e2e30 787064", 0.01, 0.05),
    "shoe": Material("2e282c", "2a2828", 0.0, 0.02),
    "helmet": Material("fafafa e0282e 2c6ed2", "a0a09e 683a38 404e68", 0.0, 0.03),
    "bonnet": Material("60141e", "342224", 0.01, 0.02),
}


STYLES = ("game", "camera")
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class Look:
    """A style in numbers; colours are in [0, 1]."""

    palette: float
    """Share of the camera's colours."""
    cast: float
    """Factor on ground in a cast shadow."""
    contact: float
    """Factor on ground under a thing."""
    smooth: float
    """Weight of the materials' smooth texture."""
    grain: float
    """Weight of their fine texture."""
    haze: np.ndarray
    """Colour that distance turns to."""
    reach: float
    """Metres in which haze grows to 1 - 1/e."""
    hazy: float
    """Weight of the haze."""
    glow: float
    """Share of the haze's colour in the sky at the horizon."""
    gain: np.ndarray
    """Factors on red, green and blue."""
    dark: float
    """Least exposure."""
    bright: float
    """Greatest exposure."""
    saturation: float
    contrast: float
    """About 0.5."""
    bias: float
    side: float
    """Weight of either neighbour in the three-tap filter: positive blurs, negative sharpens."""
    vignette: float
    """Loss of light in the corners."""
    noise: float
    """Deviation of the sensor's noise, half of it grey."""
    gloom: float
    """How much the noise grows in the dark."""

    @staticmethod
    def between(strength: float) -> "Look":
        """Mix the two looks: 0 is the game, 1 the camera."""
        pairs = ((getattr(GAME, f.name), getattr(CAMERA, f.name)) for f in fields(Look))
        return Look(*(a + strength * (b - a) for a, b in pairs))


GAME = Look(
    palette=0.0,
    cast=0.52,
    contact=0.62,
    smooth=1.0,
    grain=0.0,
    haze=np.array([0.80, 0.86, 0.92]),
    reach=120.0,
    hazy=0.10,
    glow=0.35,
    gain=np.array([1.04, 1.00, 0.95]),
    dark=0.92,
    bright=1.08,
    saturation=1.12,
    contrast=1.12,
    bias=0.0,
    side=-0.085,
    vignette=0.0,
    noise=0.004,
    gloom=0.0,
)
CAMERA = Look(
    palette=1.0,
    cast=1.0,
    contact=0.62,
    smooth=0.0,
    grain=1.0,
    haze=np.array([0.74, 0.76, 0.76]),
    reach=55.0,
    hazy=0.34,
    glow=0.5,
    gain=np.array([1.06, 1.12, 1.06]),
    dark=0.84,
    bright=1.12,
    saturation=0.85,
    contrast=1.06,
    bias=0.06,
    side=0.165,
    vignette=0.30,
    noise=0.009,
    gloom=0.8,
)


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
        How far the camera style goes: 0 looks like the game, 1 is the full camera style, and every colour
        and number of the look in between is their linear mixture. The game style does not depend on it.

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
    drawing = draw(scene, size)
    return paint_scene(scene, drawing, style, strength), drawing.labels()


def check_style(style: str, strength: float) -> None:
    """Raise ValueError if the style is unknown or the strength outside [0, 1]."""
    if style not in STYLES:
        raise ValueError(f"style is {style!r}; it must be one of {STYLES}")
    if not 0 <= strength <= 1:
        raise ValueError(f"strength is {strength!r}; it must lie in [0, 1]")


def paint_scene(scene: Scene, drawing: Drawing, style: str, strength: float) -> np.ndarray:
    """Paint a scene's drawing (H, W, 3) uint8, with the exposure and the noise that are the scene's own."""
    dice = stream("look", scene.seed, scene.domain)
    return paint(drawing, Look.between(strength if style == "camera" else 0.0), dice)


def paint(drawing: Drawing, look: Look, dice: Dice) -> np.ndarray:
    """Turn a drawing into a picture.

    Parameters
    ----------
    drawing : Drawing
    look : Look
    dice : Dice
        For exposure, texture and noise.

    Returns
    -------
    (H, W, 3) uint8
    """
    light = _texture(drawing, look, dice) * _vignette(drawing.ids.shape, look)
    picture = _colors(drawing, look) * light[..., None]
    picture = _grade(picture, look, dice.between(look.dark, look.bright))
    picture = _filter(_filter(picture, look.side, 0), look.side, 1)
    picture += _noise(picture, look, dice)
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)


def _colors(drawing: Drawing, look: Look) -> np.ndarray:
    """Return the mean colour (H, W, 3) float32 of each pixel's sub-pixels, with haze and shadows."""
    table = _part_colors(drawing, look)
    ground, sky = drawing.depths == GROUND, drawing.depths == SKY
    # 0: the haze is in the table already; 1 and 2: ground and sky, whose haze is the row's.
    kind = (ground + 2 * sky).astype(np.uint8)
    rows = _row_haze(drawing, look)
    shades = np.ones(256, np.float32)
    shades[CONTACT], shades[CAST] = look.contact, look.cast
    haze = look.haze.astype(np.float32)
    total = 0.0
    # Nine pictures of one sub-pixel each stay in the cache where one of nine times the size would not.
    for i in range(FINE):
        for j in range(FINE):
            ids = drawing.ids[i::FINE, j::FINE]
            kinds = kind[ids]
            shade = np.where(kinds == 1, shades[drawing.shadow[i::FINE, j::FINE]], np.float32(1))
            fog = np.where(kinds == 1, rows[0, i::FINE, None], rows[1, i::FINE, None]) * (kinds > 0)
            total = total + table[ids] * (shade * (1 - fog))[..., None] + fog[..., None] * haze
    return total / np.float32(FINE * FINE)


def _part_colors(drawing: Drawing, look: Look) -> np.ndarray:
    """Return the colour (parts, 3) float32 of every part, hazy where the part has one depth."""
    colors, first, count, _ = _palette()
    material = _material_numbers(drawing)
    index = first[material] + drawing.hues % count[material]
    game, camera = colors[0, index], colors[1, index]
    color = (game + np.float32(look.palette) * (camera - game)) * drawing.shades[:, None]
    fog = np.where(drawing.depths > 0, _fog(drawing.depths, look), 0).astype(np.float32)[:, None]
    return color * (1 - fog) + fog * look.haze.astype(np.float32)


def _material_numbers(drawing: Drawing) -> np.ndarray:
    numbers = {name: k for k, name in enumerate(MATERIALS)}
    return np.array([numbers[name] for name in drawing.materials])


@cache
def _palette() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return colours (2, n, 3) in [0, 1]; per material the first, the count, and the two textures (m, 2)."""
    materials = MATERIALS.values()
    game, grey = (
        np.array([list(bytes.fromhex(rgb)) for colors in style for rgb in colors.split()], np.float32)
        for style in ([m.game for m in materials], [m.grey for m in materials])
    )
    count = np.array([len(m.game.split()) for m in materials])
    textures = np.array([(m.blotches, m.grain) for m in materials], np.float32)
    return np.stack([game, 0.8 * grey + 0.2 * game]) / 255, np.cumsum(count) - count, count, textures


def _fog(depth: np.ndarray, look: Look) -> np.ndarray:
    """Return the share of haze at a depth in metres."""
    share = 1.6 * look.hazy * (1 - np.exp(-np.maximum(depth, 0) / look.reach))
    return np.minimum(0.75, share).astype(np.float32)


def _row_haze(drawing: Drawing, look: Look) -> np.ndarray:
    """Return the share of haze (2, 3 H) of the ground and of the sky in every row of sub-pixels."""
    height = len(drawing.ids)
    up = np.clip((np.arange(height) + 0.5) / (drawing.camera.horizon * height), 0, 1)
    return np.stack([_fog(drawing.row_depths(), look), look.glow * up * up]).astype(np.float32)


@cache
def _bank() -> np.ndarray:
    """Return two tiles (2, 256, 512) of deviation 1: smooth blotches and fine grain; they wrap around."""
    grain = stream("bank").grain(256, 512)
    smooth = grain
    # Three passes of three, since one wide box leaves a woven pattern.
    for axis in (0, 1) * 3:
        smooth = sum(np.roll(smooth, k, axis) for k in (-1, 0, 1))
    return np.stack([smooth / smooth.std(), grain])


def _texture(drawing: Drawing, look: Look, dice: Dice) -> np.ndarray:
    """Return the factor (H, W) that the roughness of the materials puts on the light."""
    middle = drawing.ids[FINE // 2 :: FINE, FINE // 2 :: FINE]
    height, width = middle.shape
    down, right = dice.below(256), dice.below(512)
    tile = _bank()[:, (np.arange(height) + down)[:, None] % 256, (np.arange(width) + right) % 512]
    rough = _palette()[3][_material_numbers(drawing)] * np.array([look.smooth, look.grain], np.float32)
    return 1 + rough[:, 0][middle] * tile[0] + rough[:, 1][middle] * tile[1]


def _vignette(shape: tuple[int, int], look: Look) -> np.ndarray:
    """Return the factor (H, W) of the lens: 1 in the middle, 1 - vignette in the corners."""
    y, x = (np.linspace(-1, 1, side // FINE, dtype=np.float32) for side in shape)
    return 1 - np.float32(look.vignette) * (x * x + (y * y)[:, None]) / 2


def _grade(picture: np.ndarray, look: Look, exposure: float) -> np.ndarray:
    """Apply gain, saturation and contrast, which are one matrix, and the bias."""
    saturate = look.saturation * np.eye(3) + (1 - look.saturation) * LUMA
    matrix = look.contrast * saturate * (look.gain * exposure)  # (out, in): gains act on the input
    return picture @ matrix.T.astype(np.float32) + np.float32(0.5 * (1 - look.contrast) + look.bias)


def _filter(picture: np.ndarray, side: float, axis: int) -> np.ndarray:
    """Convolve with (side, 1 - 2 side, side) along an axis; the edge repeats."""
    pad = [(1, 1) if k == axis else (0, 0) for k in range(3)]
    padded = np.pad(picture, pad, mode="edge")
    before, after = (padded[:-2], padded[2:]) if axis == 0 else (padded[:, :-2], padded[:, 2:])
    return np.float32(1 - 2 * side) * picture + np.float32(side) * (before + after)


def _noise(picture: np.ndarray, look: Look, dice: Dice) -> np.ndarray:
    """Return the sensor's noise (H, W, 3), half colour and half grey, greater in the dark by `gloom`."""
    height, width, _ = picture.shape
    grain = dice.grain(height, width, 4)
    mixed = np.float32(0.5**0.5) * (grain[..., :3] + grain[..., 3:])
    luma = np.clip(picture @ LUMA, 0, 1)[..., None]
    return np.float32(look.noise) * (1 + np.float32(look.gloom) * (0.5 - luma)) * mixed
