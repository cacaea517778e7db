"""The sentences of the paper that claim something, how each is read here, and those that nothing here can test."""

from dataclasses import dataclass

__all__ = ["CLAIMS", "UNMEASURED", "Claim"]


@dataclass(frozen=True)
class Claim:
    """A sentence of the paper and how it is read here."""

    id: str
    words: str
    """Quoted from the paper."""
    section: str
    reading: str
    """What is measured, and what the sentence leaves open."""


CLAIMS = (
    Claim(
        "C1",
        "significant improvements in semantic detail preservation compared to traditional CycleGAN",
        "4",
        "Mean IoU of what an independent judge reads in translated frames, against the source's exact labels.",
    ),
    Claim(
        "C2",
        "significantly improved in the recognition of vehicles, buildings, and road signs",
        "3",
        "Judge IoU of the vehicle category, building and traffic sign; holds only if all three do. The paper names no "
        "comparator; we read: better than CycleGAN.",
    ),
    Claim(
        "C3",
        "Compared with the source domain model, the performance of the model has been significantly improved in "
        "multiple categories, especially in key categories such as 'rider' and 'vehicle'",
        "3",
        "A segmenter trained on translated frames with the source's labels, scored on target frames, against one "
        "trained on the source frames as they are.",
    ),
    Claim(
        "C4",
        "better preserve the details of buildings and roads",
        "3",
        "F-score of the boundaries of building and road, two pixels of tolerance at 128 rows; holds only if both do.",
    ),
    Claim(
        "C5",
        "maintain the clarity of road markings and license plates",
        "3",
        "Licence plates that a reader trained on target plates reads whole, digits of 4.5 pixels or more.",
    ),
    Claim(
        "C6",
        "reducing edge blur when processing complex street scenes",
        "3",
        "Width of the edges along true boundaries, relative to the source's. We read: sharper than CycleGAN.",
    ),
    Claim(
        "C7",
        "without significantly increasing computational demands",
        "1",
        "Time of a training step with the semantic loss over one without, below the protocol's ratio. Inference is "
        "unchanged: the same generator.",
    ),
    Claim(
        "C8",
        "maintaining visual fidelity",
        "Abstract, 4",
        "Kernel distance (KID) of translated frames to target frames on the judge's features: no worse than CycleGAN by "
        "more than a margin.",
    ),
    Claim(
        "C9",
        "fine-tuned to 1, maintaining a balance",
        "2.3",
        "lambda_s = 1 against the other weights, on C1's measure and on C8's.",
    ),
    Claim(
        "C10",
        "effectively preserved the source image structure",
        "2.3",
        "Distance of a frame to itself brought back. Reported without a verdict on semantics: a sky made a building and "
        "brought back as sky costs nothing.",
    ),
)
"""Every sentence that claims something measurable, in the order of the ledger."""

UNMEASURED = {
    "human preference": "nobody was asked",
    "medical imaging and scientific simulations": "the paper shows none, and there are no such data here",
}
"""What the paper also speaks of, and why it has no row."""
