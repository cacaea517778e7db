"""What the street is made of: the colours of every material in both styles, and how rough it is."""

from typing import NamedTuple

__all__ = ["MATERIALS", "Material"]


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
