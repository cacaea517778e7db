"""From folders to tensors: datasets, joint augmentation, batch n as a function of (seed, n).

Nothing here has a state that a resumed run would have to restore. Item k of a dataset, for any k >= 0, is a
pure function of the files, the seed and k: which frame, which crop, whether flipped, which colours. Batch n
of rank r is a fixed range of items. So a run that goes on at step n sees what it would have seen, with any
number of loader processes, and several ranks see together what one would have seen alone.
"""

from semcg.data.batches import Batches, Unpaired
from semcg.data.scenes import Scenes

__all__ = ["Batches", "Scenes", "Unpaired"]
