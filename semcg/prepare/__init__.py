"""Raw archives (your own folders) to the common layout.

    folder("data/mine", source=Domain(images="renders", labels="masks", mapping="masks.csv"),
           target=Domain(images="photos"), size=(128, 256))

takes two folders of images, each with or without labels, and writes what `semcg.files` describes: the same
folders that the drawn world has, so that nothing downstream knows which data is which. Every input is read
and checked before anything is written; what is written appears in one piece, at the end. A call that was
killed goes on where it stopped.
"""

from semcg.prepare.codings import CODINGS, Mapping, decode_labels, mapping
from semcg.prepare.folders import Domain, folder

__all__ = ["CODINGS", "Domain", "Mapping", "decode_labels", "folder", "mapping"]
