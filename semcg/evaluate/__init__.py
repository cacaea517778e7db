"""From translated frames to measures: what a judge reads in them, the distance to the oracle, and the tables.

Whatever counts pixels returns the table of `semcg.metrics.confusion`, summed over all frames; the numbers are taken
from the sum. Frames are scored whole, at the size of their labels, in float32.
"""

from semcg.evaluate.frames import counts_of_folders, cycle_distance, oracle_distance, segmentation_counts
from semcg.evaluate.tables import (
    COLUMNS,
    class_table,
    comparison_table,
    comparison_text,
    flip_share,
    flip_table,
    judged,
    sky_kept,
)

__all__ = [
    "COLUMNS",
    "class_table",
    "comparison_table",
    "comparison_text",
    "counts_of_folders",
    "cycle_distance",
    "flip_share",
    "flip_table",
    "judged",
    "oracle_distance",
    "segmentation_counts",
    "sky_kept",
]
