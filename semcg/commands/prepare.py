"""Commands that bring images into the common layout."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(help="Bring your own images into the common layout.", no_args_is_help=True)


@app.command()
def folder(
    out: Annotated[Path, typer.Option(help="Where the data go; then use it as --data.")],
    source: Annotated[Path, typer.Option(help="Folder of source images.")],
    target: Annotated[Path, typer.Option(help="Folder of target images.")],
    source_labels: Annotated[Path | None, typer.Option(help="Folder of their labels.")] = None,
    target_labels: Annotated[Path | None, typer.Option(help="Folder of their labels.")] = None,
    source_mapping: Annotated[
        Path | None, typer.Option(help="CSV or TOML: value or colour to train id.")
    ] = None,
    target_mapping: Annotated[
        Path | None, typer.Option(help="CSV or TOML: value or colour to train id.")
    ] = None,
    source_coding: Annotated[str, typer.Option(help="auto, palette, grey or color.")] = "auto",
    target_coding: Annotated[str, typer.Option(help="auto, palette, grey or color.")] = "auto",
    source_sequence: Annotated[
        str, typer.Option(help="Regular expression; its group names the sequence.")
    ] = "",
    target_sequence: Annotated[
        str, typer.Option(help="Regular expression; its group names the sequence.")
    ] = "",
    max_color_distance: Annotated[
        float, typer.Option(min=0, help="Euclidean, in RGB; beyond it: ignored.")
    ] = 30.0,
    size: Annotated[str, typer.Option(help="HEIGHTxWIDTH, or none to keep the frames as they are.")] = "none",
    val_share: Annotated[float, typer.Option(help="Of the frames of a domain.")] = 0.1,
    test_share: Annotated[float, typer.Option(help="Of the frames of a domain.")] = 0.2,
    judge_share: Annotated[float, typer.Option(help="Of the target's frames, for the judge alone.")] = 0.25,
) -> None:
    """Your own two domains: folders of images, with or without labels."""
    from semcg import prepare

    def domain(images, labels, mapping, coding, sequence) -> prepare.Domain:
        return prepare.Domain(
            images,
            labels,
            mapping,
            coding=coding,
            max_color_distance=max_color_distance,
            sequence=sequence or None,
        )

    made = prepare.folder(
        out,
        source=domain(source, source_labels, source_mapping, source_coding, source_sequence),
        target=domain(target, target_labels, target_mapping, target_coding, target_sequence),
        size=_size(size),
        val_share=val_share,
        test_share=test_share,
        judge_share=judge_share,
    )
    print(f"the data lie in {made}; next: semcg course --data {made}")


def _size(text: str) -> tuple[int, int] | None:
    if text == "none":
        return None
    height, _, width = text.partition("x")
    if not (height.isdigit() and width.isdigit()):
        raise ValueError(f"size = {text!r}: write HEIGHTxWIDTH, 128x256 say, or none")
    return int(height), int(width)
