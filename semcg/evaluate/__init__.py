"""From translated frames to measures: what a judge reads in them, the distance to the oracle, and the tables.

Whatever counts pixels returns the table of `semcg.metrics.confusion`, summed over all frames; the numbers are taken
from the sum. Frames are scored whole, at the size of their labels, in float32.

    parts = collect(G_st, folder=data, judge=judge, Sem_t=Sem_t, reader=train_reader(data), back=G_ts)
    values(parts)["plates read", "all"]     # every measure of a translation, from one pass over its frames
"""

from semcg.evaluate.frames import counts_of_folders, label_pairs, score_table, scored, segmentation_counts
from semcg.evaluate.measures import (
    AXIS,
    BorrowedColors,
    Pictures,
    collect,
    known,
    oracle_distance,
    target_features,
)
from semcg.evaluate.parts import (
    class_table,
    comparison_table,
    comparison_text,
    contradictions,
    counts_of,
    flip_share,
    judged,
    read_parts,
    sky_kept,
    values,
    write_parts,
)
from semcg.evaluate.reading import read_scenes, train_reader

__all__ = [
    "AXIS",
    "BorrowedColors",
    "Pictures",
    "class_table",
    "collect",
    "comparison_table",
    "comparison_text",
    "contradictions",
    "counts_of",
    "counts_of_folders",
    "flip_share",
    "judged",
    "known",
    "label_pairs",
    "oracle_distance",
    "read_parts",
    "read_scenes",
    "score_table",
    "scored",
    "segmentation_counts",
    "sky_kept",
    "target_features",
    "train_reader",
    "values",
    "write_parts",
]
