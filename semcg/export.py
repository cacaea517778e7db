"""A generator as an ONNX file that takes and gives pictures, for programs without torch.

    images      (N, H, W, 3) uint8, RGB: whole frames of any size
    translated  (N, H, W, 3) uint8, to the nearest level
    values      (N, H, W, 3) float32 in [-1, 1]: the same before rounding; a program may ask for either

Everything around the generator is in the file: bytes to [-1, 1], the mirrored margin up to the sizes that the generator
takes, and the way back. N is free, and so are H and W unless a size was given for the export.
"""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import torch
from torch import Tensor, nn

from semcg import files
from semcg.data import to_bytes
from semcg.translate.frames import SMALLEST


class BytesGenerator(nn.Module):
    """A generator from pictures to pictures, in operations that hold for any height and width.

    Equal to `translate.Padded`, whose padding asks in Python how large a frame is; here the margin is read through
    indices that are computed from the size.

    Parameters
    ----------
    G : Module
        From images to images of the same size, with the attribute `multiple`.
    """

    def __init__(self, G: nn.Module) -> None:
        super().__init__()
        self.G, self.multiple = G, G.multiple

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return pictures (N, H, W, 3) uint8 and values (N, H, W, 3) of pictures (N, H, W, 3) uint8."""
        height, width = images.shape[1:3]
        (rows, top), (columns, left) = (self._places(side) for side in (height, width))
        x = images.permute(0, 3, 1, 2).float() / 127.5 - 1  # (N, 3, H, W)
        y = self.G(x.index_select(2, rows).index_select(3, columns))
        y = y[:, :, top : top + height, left : left + width].permute(0, 2, 3, 1)
        return to_bytes(y), y

    def _places(self, side: int) -> tuple[Tensor, int]:
        """Return which pixel stands at each place of a padded side, and how many places come before the first."""
        at_least = side if self.multiple >= SMALLEST else torch.sym_max(side, SMALLEST)
        padded = (at_least + self.multiple - 1) // self.multiple * self.multiple
        before = (padded - side) // 2
        after = padded - side - before
        place, last = torch.arange(padded) - before, side - 1
        mirrored = last - (last - place.abs()).abs()
        repeated = place.clamp(0, last)
        # Compared as a tensor, so that it is asked of each frame and not once at the export.
        long_enough = (torch.zeros_like(place) + after) < side
        return torch.where(long_enough, mirrored, repeated).clamp(0, last), before


def onnx(
    G: nn.Module, out: Path | str, *, size: tuple[int, int] | None = None, about: dict | None = None
) -> Path:
    """Write a generator as an ONNX file, checked.

    Parameters
    ----------
    G : Module
        From images to images of the same size, with the attribute `multiple`. Float32; on any device.
    out : path
        Gets the suffix .onnx if it has none.
    size : (int, int), optional
        Height and width of the frames, which makes the export several times faster and the graph simpler; left out, any.
    about : dict, optional
        What the file says of itself, as its metadata.

    Returns
    -------
    path
        Of the file; an older one gives way when the new one is whole.

    Raises
    ------
    ValueError
        If onnx or onnxscript is missing, or the name is of another kind of file.
    """
    try:
        import onnxscript  # noqa: F401 - what torch exports through
        from onnx.checker import check_model
    except ImportError as error:
        raise ValueError(f"an export needs {error.name} ({error}): pip install onnx onnxscript") from None
    out = Path(out)
    if out.suffix not in ("", ".onnx"):
        raise ValueError(f"{out}: an ONNX file is called something.onnx")
    out = out.with_suffix(".onnx")
    device = next(G.parameters()).device
    # Two unequal sides that need a margin, and two frames: the exporter would take equal sides, or 1, for fixed.
    height, width = size or (2 * G.multiple + 1, 3 * G.multiple + 1)
    example = torch.zeros(2, height, width, 3, dtype=torch.uint8)
    free = {0: torch.export.Dim("n")}
    if size is None:
        free |= {1: torch.export.Dim("height"), 2: torch.export.Dim("width")}
    names = {"input_names": ["images"], "output_names": ["translated", "values"]}
    net = BytesGenerator(G).eval().cpu()
    try:
        with _silence(), torch.no_grad():
            program = torch.onnx.export(
                net, (example,), dynamo=True, dynamic_shapes=(free,), verbose=False, **names
            )
    finally:
        G.to(device)
    model = program.model_proto
    for key, value in (about or {}).items():
        model.metadata_props.add(key=str(key), value=str(value))
    with files.atomic(out) as partial:
        partial.write_bytes(model.SerializeToString())
        check_model(str(partial), full_check=True)
    return out


@contextmanager
def _silence() -> Iterator[None]:
    """Keep the exporter's remarks to itself: it prints, warns and logs about what it was asked to do."""
    logged, said = logging.root.manager.disable, io.StringIO()
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"), redirect_stdout(said), redirect_stderr(said):
            yield
    finally:
        logging.disable(logged)
