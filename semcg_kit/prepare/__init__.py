"""Raw archives (GTA5, Cityscapes) and your own folders to the common layout of `semcg.files`.

    source = Domain(images="renders", labels="masks", mapping="masks.csv")
    write(plans(source, target=Domain(images="photos"), size=(128, 256)), "data/mine")

takes two folders of images, each with or without labels. Every input is inspected before anything is written; what is
written appears in one piece, at the end.

    write([gta5("archives/gta5").sized((1024, 1024))], "data/paper", processes=8)
    write([cityscapes("archives/cityscapes").sized((1024, 1024))], "data/paper", processes=8)

do the same for archives that take an hour, one domain each. They are written in place, and `manifest.csv`, without which
nothing trains, comes last. One writer writes all `Plan`s, with a record of every frame, so that a call that was killed
resumes where it stopped.
"""

from semcg.mappings import mapping
from semcg_kit.prepare.archives import cityscapes, gta5
from semcg_kit.prepare.folders import Domain, plans
from semcg_kit.prepare.frames import Plan
from semcg_kit.prepare.writing import estimate, write

__all__ = ["Domain", "Plan", "cityscapes", "estimate", "gta5", "mapping", "plans", "write"]
