"""The first command that a newcomer may type: a street, translated by the generators that come with the repository."""

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from semcg import files
from semcg_kit.commands.options import Device

__all__ = ["first_look"]


def first_look(
    street: Annotated[int, typer.Option(min=0, max=999_999, help="Which street is drawn: any number.")] = 12,
    image: Annotated[Path | None, typer.Option(help="A picture of your own instead, PNG or JPEG.")] = None,
    out: Annotated[Path | None, typer.Option(help="Default: results/first_look/, beside the runs.")] = None,
    device: Device = "auto",
) -> None:
    """Draw a street and translate it with the generators that come with the repository: seconds, no training."""
    begun = time.monotonic()
    from semcg import translate
    from semcg.plots import frames
    from semcg.plots.style import styled
    from semcg.runs import shipped
    from semcg.training import fabric_for
    from semcg_kit import doctor

    fabric = fabric_for(device)
    if image is None:
        x, oracle = shipped.street(street)
        name = f"street_{street}"
    else:
        x, oracle = translate.image(image), None
        name = image.stem
    seen = {"game": x} | shipped.compared(x, fabric)
    if oracle is not None:
        seen["oracle"] = oracle
        print(f"{'street ' + str(street):<20} mean distance to the oracle, in grey levels of 255")
        for title, picture in seen.items():
            if picture is not oracle:
                print(f"{title:<20} {127.5 * (picture - oracle).abs().mean():6.1f}")
        print("Dull grey is near to dull grey, whatever it shows: look at the sky before you trust a number.")
    else:
        print(
            "These generators know one drawn world: on a picture from elsewhere they give colours without meaning."
        )
    path = (out or files.home() / "results" / "first_look") / f"{name}.png"
    with styled(), files.atomic(path) as partial:
        frames.sheet([[picture] for picture in seen.values()], names=list(seen), width=7.0).savefig(
            partial, dpi=150
        )
    print(f"the pictures: {path}")
    install = doctor.install_seconds(Path(sys.prefix))
    before = f"; the installation before it took {install} s" if install else ""
    print(f"this look took {time.monotonic() - begun:.0f} s{before}")
