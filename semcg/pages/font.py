"""A font for the formulas: browsers lower a subscript by what the font's MATH table says, and many machines have no such font.

Glyphs are those of STIX General (SIL Open Font License 1.1), which comes with matplotlib. It has no MATH table; the
one made here holds the usual proportions of mathematical type (compare TeX: The Program, appendix G of the TeXbook),
in thousandths of the font's size. Machines with a font of their own for mathematics keep it: see assets/style.css.
"""

import base64
import io
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from fontTools import subset
from fontTools.otlLib.builder import buildMathTable
from fontTools.ttLib import TTFont

__all__ = ["GLYPHS", "NAME", "face"]

NAME = "semcg formulas"

_RANGES = (
    (0x20, 0x7E),
    (0xB7, 0xB7),  # middle dot
    (0xD7, 0xD7),  # times
    (0x3B1, 0x3C9),  # Greek
    (0x2016, 0x2016),  # the norm's double bar
    (0x2032, 0x2032),  # prime
    (0x210E, 0x2113),  # italic h, script L and l
    (0x2190, 0x2193),  # arrows
    (0x2200, 0x22FF),  # operators
    (0x1D434, 0x1D467),  # italic
    (0x1D49C, 0x1D4CF),  # script
    (0x1D538, 0x1D56B),  # double-struck
    (0x1D6FC, 0x1D71B),  # italic Greek
)
GLYPHS = frozenset(code for first, last in _RANGES for code in range(first, last + 1))
"""Code points that a formula may hold; as the browser draws them, an `x` of a formula is U+1D465."""

_PROPORTIONS = {
    "ScriptPercentScaleDown": 71,
    "ScriptScriptPercentScaleDown": 55,
    "DelimitedSubFormulaMinHeight": 1300,
    "DisplayOperatorMinHeight": 1300,
    "AxisHeight": 250,
    "SubscriptShiftDown": 200,
    "SubscriptTopMax": 370,
    "SubscriptBaselineDropMin": 130,
    "SuperscriptShiftUp": 370,
    "SuperscriptShiftUpCramped": 290,
    "SuperscriptBottomMin": 120,
    "SuperscriptBaselineDropMax": 230,
    "SubSuperscriptGapMin": 160,
    "SuperscriptBottomMaxWithSubscript": 370,
    "SpaceAfterScript": 40,
    "FractionNumeratorShiftUp": 480,
    "FractionNumeratorDisplayStyleShiftUp": 680,
    "FractionDenominatorShiftDown": 480,
    "FractionDenominatorDisplayStyleShiftDown": 690,
    "FractionNumeratorGapMin": 70,
    "FractionNumDisplayStyleGapMin": 150,
    "FractionRuleThickness": 60,
    "FractionDenominatorGapMin": 70,
    "FractionDenomDisplayStyleGapMin": 150,
    "OverbarVerticalGap": 150,
    "OverbarRuleThickness": 60,
    "OverbarExtraAscender": 60,
    "RadicalVerticalGap": 80,
    "RadicalDisplayStyleVerticalGap": 150,
    "RadicalRuleThickness": 60,
    "RadicalExtraAscender": 60,
    "UpperLimitGapMin": 150,
    "UpperLimitBaselineRiseMin": 200,
    "LowerLimitGapMin": 150,
    "LowerLimitBaselineDropMin": 600,
}


@cache
def face() -> str:
    """Return the font as a rule of CSS, with its data inside: a page in a folder may not read files beside it."""
    data = base64.b64encode(_woff()).decode()
    return f'@font-face {{ font-family: "{NAME}"; src: url(data:font/woff;base64,{data}) format("woff"); }}'


def _woff() -> bytes:
    font = TTFont(_stix(), recalcTimestamp=False)  # the same bytes on every day
    options = subset.Options(layout_features=[], notdef_outline=True, hinting=False, legacy_kern=False)
    options.drop_tables += ["FFTM"]  # the drawing program's own
    cutter = subset.Subsetter(options)
    cutter.populate(unicodes=GLYPHS)
    cutter.subset(font)
    size = font["head"].unitsPerEm
    scaled = {k: v if k.endswith("ScaleDown") else v * size // 1000 for k, v in _PROPORTIONS.items()}
    buildMathTable(font, constants=scaled)
    for record in font["name"].names:  # a changed font takes another name
        if record.nameID in (1, 4, 6, 16):
            record.string = NAME.replace(" ", "") if record.nameID == 6 else NAME
    font.flavor = "woff"
    made = io.BytesIO()
    font.save(made)
    return made.getvalue()


def _stix() -> Path:
    """Return matplotlib's file of STIX General, without importing matplotlib."""
    return Path(find_spec("matplotlib").origin).parent / "mpl-data" / "fonts" / "ttf" / "STIXGeneral.ttf"
