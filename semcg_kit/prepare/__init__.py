"""Raw archives (GTA5, Cityscapes, your own folders) to the common layout.

    folder("data/mine", source=Domain(images="renders", labels="masks", mapping="masks.csv"),
           target=Domain(images="photos"), size=(128, 256))

takes two folders of images, each with or without labels, and writes what `semcg.files` describes: the same
folders that the drawn world has, so that nothing downstream knows which data is which. Every input is read
and checked before anything is written; what is written appears in one piece, at the end. A call that was
killed goes on where it stopped.

    write(gta5.plan("archives/gta5"), "data/paper", processes=8)
    write(cityscapes.plan("archives/cityscapes"), "data/paper", processes=8)

do the same for archives that take an hour, one domain each. They write in place, keep a record of every frame, and
`manifest.csv`, without which nothing trains, comes last.
"""

from semcg.mappings import CODINGS, Mapping, mapping
from semcg_kit.prepare import cityscapes, gta5
from semcg_kit.prepare.folders import folder
from semcg_kit.prepare.pairs import Domain
from semcg_kit.prepare.plans import Plan
from semcg_kit.prepare.records import about_of, verify
from semcg_kit.prepare.writing import Estimate, estimate, write

__all__ = [
    "CODINGS",
    "Domain",
    "Estimate",
    "Mapping",
    "Plan",
    "about_of",
    "cityscapes",
    "estimate",
    "folder",
    "gta5",
    "mapping",
    "verify",
    "write",
]
