"""The two styles of a street: a saturated game with hard shadows, and a dull, noisy, hazy camera.

A style is a palette and some numbers. Both have the same ones, so that they can be mixed: strength 0 is the
game, 1 the camera. A drawing is painted by looking its part numbers up in the palette; nothing here can move
an edge, and the labels never come this way.
"""

from functools import cache
from types import SimpleNamespace

import numpy as np

from semcg.world.canvas import CAST, CONTACT, FINE, FOCAL, GROUND, SKY, Drawing
from semcg.world.scene import RandomStream, Scene

__all__ = ["MATERIALS", "PARAMETERS", "STYLES", "check_style", "paint_scene", "render"]

STYLES = ("game", "camera")
LUMA = np.array([0.299, 0.587, 0.114], np.float32)

PARAMETERS = {  # of the game, of the camera; colors are in [0, 1]
    "palette": (0.0, 1.0),  # share of the camera's colors
    "cast": (0.52, 1.0),  # factor on ground in a cast shadow
    "contact": (0.62, 0.62),  # factor on ground under a thing
    "smooth": (1.0, 0.0),  # weight of the materials' smooth texture
    "grain": (0.0, 1.0),  # weight of their fine texture
    "haze_color": (
        np.array([0.80, 0.86, 0.92]),
        np.array([0.74, 0.76, 0.76]),
    ),  # color that distance turns to
    "haze_reach": (120.0, 55.0),  # meters in which haze grows to 1 - 1/e
    "haze_weight": (0.10, 0.34),  # weight of the haze
    "glow": (0.35, 0.5),  # share of the haze's color in the sky at the horizon
    "gain": (np.array([1.04, 1.00, 0.95]), np.array([1.06, 1.12, 1.06])),  # factors on red, green and blue
    "least_exposure": (0.92, 0.84),  # least exposure
    "greatest_exposure": (1.08, 1.12),  # greatest exposure
    "saturation": (1.12, 0.85),
    "contrast": (1.12, 1.06),  # about 0.5
    "bias": (0.0, 0.06),
    "blur": (-0.085, 0.165),  # weight of either neighbor in a three-tap filter; below 0 it sharpens
    "vignette": (0.0, 0.30),  # loss of light in the corners
    "noise": (0.004, 0.009),  # deviation of the sensor's noise, half of it gray
    "dark_noise": (0.0, 0.8),  # how much the noise grows in the dark
}

# Colors of the game and of the camera, as RGB in hexadecimal, and the relative deviations of the game's smooth and of
# the camera's fine texture. A part with hue h takes color h modulo the number of colors; both styles have equally many.
# A color of the camera is mixed: four fifths of the one given here, one fifth of the game's.
MATERIALS = {
    "sky": ("56a0eb", "ced4d6", 0, 0),
    "cloud": ("ffffff", "dee1e2", 0, 0),
    "hill": ("78b278", "747c70", 0.03, 0.05),
    "grass": ("84ba4a", "545c42", 0.05, 0.1),
    "road": ("706c70", "5c5e61", 0.02, 0.08),
    "sidewalk": ("cebca4", "86807c", 0.025, 0.08),
    "curb": ("e8dece", "9c9894", 0.015, 0.05),
    "yellow line": ("fccc28", "bab296", 0.015, 0.06),
    "white line": ("f6f6f2", "bcbcba", 0.015, 0.06),
    "rail": ("b2b6be", "808080", 0.0, 0.03),
    "facade": (
        "f0cea0 ec9678 96c8d6 fae28c de7858 f4ecdc",
        "766456 887a68 625a56 8e887c 6e5c52 98948c",
        0.025,
        0.09,
    ),
    "roof": ("c8543e e2d8ca 966854", "5c4e48 78746e 544e4a", 0.02, 0.07),
    "cornice": ("fffaec", "96928a", 0.01, 0.04),
    "window": ("5c9ccc 6cb0ce 4e84ba", "3a3e42 464a4e 323438", 0.02, 0.06),
    "curtain": ("cee4ec f4e8c8", "686a6a 767268", 0.02, 0.06),
    "frame": ("fffaf0 faecd6 f4f8fa", "949088 86827a 969694", 0.01, 0.04),
    "shop": ("80ced6 92c4e2", "42484c 4a4c4e", 0.03, 0.08),
    "door": ("965434 3a6e64 b03c3c", "3e342e 383c3a 463632", 0.02, 0.05),
    "awning": ("e23e36 2c9480 ee8e28 3c60be", "68403c 485a54 786046 464e62", 0.015, 0.05),
    "cloth": ("fff8ec", "96928a", 0.015, 0.05),
    "flowers": ("e23c60 fa8caa f05a32", "704e50 7a6466 6e5446", 0.08, 0.12),
    "wall": ("dec4a8 ceb096", "746e68 68625c", 0.03, 0.1),
    "coping": ("f4e6d0", "8a8680", 0.01, 0.05),
    "hedge": ("609642", "424a3c", 0.06, 0.12),
    "bar": ("f6f0e2 965c38", "686662 544a42", 0.0, 0.04),
    "trunk": ("865a3a", "483e36", 0.05, 0.1),
    "palm trunk": ("b0885c", "5c5246", 0.04, 0.08),
    "leaf shade": ("3e8028", "263224", 0.09, 0.16),
    "leaf": ("68ac36", "3a4632", 0.09, 0.16),
    "leaf light": ("a6ce4e", "505c40", 0.09, 0.16),
    "pole": ("969aa0", "686a6a", 0.0, 0.03),
    "lamp": ("fcf6d2", "a0a09c", 0.0, 0.02),
    "light box": ("32363c", "282a2c", 0.0, 0.03),
    "red lamp": ("ff3c30", "e25446", 0, 0),
    "amber lamp": ("ffba2c", "d6a054", 0, 0),
    "green lamp": ("40ec78", "6ecea0", 0, 0),
    "sign red": ("e82428", "984640", 0.0, 0.03),
    "sign white": ("fcfcfc", "cececa", 0.0, 0.03),
    "sign black": ("18181c", "242426", 0.0, 0.02),
    "sign blue": ("2462dc", "405480", 0.0, 0.03),
    "sign yellow": ("ffd020", "be9e54", 0.0, 0.03),
    "bin": ("467860", "464a48", 0.02, 0.06),
    "plate": ("ffe85c", "d8d8d4", 0.0, 0.02),
    "plate ink": ("182078", "222226", 0.0, 0.02),
    "display": ("ffc43c", "d6b06e", 0, 0),
    "paint": (
        "e22828 2c68d6 fac424 f6f6f6 28aa54 f67e20 34a0ba 96283c",
        "606266 2c2e32 a0a2a4 babcbc 464c4a 5c2e2c 4c5462 3a2828",
        0.01,
        0.03,
    ),
    "frame paint": ("e82c34 225ace 229660 faaa28", "603a38 363e54 3e4c44 786242", 0.0, 0.03),
    "load": ("fa7e1e fafafa 3c82dc e83c3c", "886854 aaacac 5c687a 744c46", 0.015, 0.05),
    "bus": ("fac828 eef6fa e03e36", "968a68 a6a8a8 704842", 0.01, 0.04),
    "tram": ("f8f2e2 c4e0ec", "9c9a92 8a9094", 0.01, 0.04),
    "tram band": ("dc2e32 226ebe", "6e423e 465468", 0.0, 0.03),
    "glass": ("2e4660", "2c3034", 0.02, 0.05),
    "glint": ("78a8ce", "5c6266", 0.02, 0.05),
    "chassis": ("34343a", "2a2a2c", 0.0, 0.03),
    "grille": ("24262c", "222224", 0.0, 0.03),
    "headlamp": ("fffadc", "c4c4be", 0.0, 0.02),
    "tail lamp": ("ff221e", "8c302c", 0.0, 0.02),
    "tire": ("1e1e22", "202022", 0.0, 0.03),
    "hub": ("c4c8ce", "7c7c7c", 0.0, 0.03),
    "skin": ("f0be96 c48c64 80543c", "967a6a 7a5e4e 524038", 0.0, 0.03),
    "hair": ("462c1e 1e1a1c be8c46", "302a26 222020 6e5e4a", 0.0, 0.03),
    "shirt": ("f0323c fabe28 4650d2 e646b4 fafafa", "6c4644 847456 42465c 685262 a6a6a2", 0.01, 0.05),
    "trousers": ("283c82 5a3c2c 323238 ceba96", "303442 423a34 2e2e30 787064", 0.01, 0.05),
    "shoe": ("2e282c", "2a2828", 0.0, 0.02),
    "helmet": ("fafafa e0282e 2c6ed2", "a0a09e 683a38 404e68", 0.0, 0.03),
    "hood": ("60141e", "342224", 0.01, 0.02),
}


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
    look = SimpleNamespace(**{name: a + strength * (b - a) for name, (a, b) in PARAMETERS.items()})
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
    return color * (1 - fog) + fog * look.haze_color.astype(np.float32), roughness


@cache
def _palette() -> tuple[dict[str, int], np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return name -> material; colors (2, n, 3) in [0, 1]; per material the first, the count, two textures (m, 2)."""
    game, gray = (
        np.array([list(bytes.fromhex(rgb)) for m in MATERIALS.values() for rgb in m[k].split()], np.float32)
        for k in (0, 1)
    )
    colors = np.stack([game, 0.8 * gray + 0.2 * game]) / 255
    count = np.array([len(m[0].split()) for m in MATERIALS.values()])
    textures = np.array([m[2:] for m in MATERIALS.values()], np.float32)
    return {name: k for k, name in enumerate(MATERIALS)}, colors, np.cumsum(count) - count, count, textures


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
    haze = look.haze_color.astype(np.float32)
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
    matrix = look.contrast * saturate * (look.gain * exposure)  # (out, in): gains act on the input
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
