"""Your own two folders of images, brought into the common layout."""

import json
import shutil
from pathlib import Path

from PIL import Image

from semcg import files
from semcg.mappings import Mapping, mapping
from semcg_kit.prepare.frames import checked_size
from semcg_kit.prepare.pairs import Domain, Frame, check, image_of, label_of, paired
from semcg_kit.prepare.splits import divide

__all__ = ["folder"]

MADE_BY = "prepare folder"


def folder(
    out: Path | str,
    *,
    source: Domain,
    target: Domain,
    size: tuple[int, int] | None = None,
    val_share: float = 0.1,
    test_share: float = 0.2,
    judge_share: float = 0.25,
    few: int = 20,
) -> Path:
    """Bring two folders of your own into the common layout.

    Frames are dealt out by sorted name, in whole sequences or blocks of consecutive files, spread evenly: the
    target first between the judge and everything else, then each part to its splits. A source of fewer than
    `few` frames is not divided: train, val and test are then the same frames, and about.json names val and
    test "seen_in_training". Nothing else is in two splits.

    Parameters
    ----------
    out : path
        Folder to write, commonly `data/<name>`. Data that this function wrote there before are kept if inputs
        and settings are the same, and replaced, once the new ones are complete, if not.
    source, target : Domain
        The two domains. Labels are optional; what needs them later will say so.
    size : (H, W), optional
        Size to write, whatever the shape of the frames: images bilinear with antialiasing, labels nearest.
    val_share, test_share : float
        Shares of the frames (of the target: of those that are not the judge's) in val and test.
    judge_share : float
        Share of the target frames that only the judge reads.
    few : int
        Number of source frames from which the source is divided.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    FileNotFoundError, FileExistsError
        If an input is missing, or `out` is something else than data written by this function.
    ValueError
        If an input is not as `Domain` and `mapping` describe, or too little to divide. The message names the
        file.
    OSError
        If a file cannot be written. What was written before stays in `<out>.partial` for the next call.
    """
    out = Path(out)
    shares = {"val_share": val_share, "test_share": test_share, "judge_share": judge_share}
    for name, share in shares.items():
        if not 0 < share < 1:  # nan is neither
            raise ValueError(f"{name} = {share}: a share of the frames lies between 0 and 1; give 0.2, say")
    if val_share + test_share >= 1:
        raise ValueError(
            f"val_share = {val_share} and test_share = {test_share} leave nothing to train on; lower one"
        )
    size = checked_size(size) if size is not None else None
    domains = {"source": source, "target": target}
    for name, domain in domains.items():
        if not 0 <= domain.max_color_distance < float("inf"):
            raise ValueError(
                f"max_color_distance = {domain.max_color_distance} ({name}): a distance is 0 or more, and finite; give 30, say"
            )
    for given in (path for d in domains.values() for path in (d.images, d.labels, d.mapping) if path):
        if Path(given).resolve().is_relative_to(out.resolve()):
            raise ValueError(f"{given} lies in {out}, which would be replaced; write elsewhere")

    _made_here(out)
    frames = {name: paired(name, domain) for name, domain in domains.items()}
    maps = {name: mapping(domain.mapping) if domain.mapping else None for name, domain in domains.items()}
    each = {"val_share": val_share, "test_share": test_share}
    splits, notes = divide(
        list(frames["target"]), "target", sequence=target.sequence, judge_share=judge_share, **each
    )
    undivided = len(frames["source"]) < few
    if undivided:
        splits |= {f"source/{split}": list(frames["source"]) for split in files.SPLITS}
        notes.append(
            f"source: only {len(frames['source'])} frame(s), so val and test are the frames of train"
        )
    else:
        more, told = divide(list(frames["source"]), "source", sequence=source.sequence, **each)
        splits, notes = splits | more, notes + told
    checked = {name: check(domains[name], frames[name], maps[name]) for name in domains}
    for name, domain in domains.items():
        if domain.labels is None:
            notes.append(f"{name}: no labels, so nothing that is trained or scored on them")
        if checked[name].too_far > 0:
            notes.append(
                f"{name}: {checked[name].too_far:.2%} of the label pixels have a colour further than "
                f"{domain.max_color_distance:g} from all of {maps[name].name}, and are ignored"
            )
    sizes = {tuple(size)} if size else checked["source"].sizes | checked["target"].sizes
    about = {
        "data": out.name,
        "made_by": MADE_BY,
        "oracle": False,
        "labels": {name: domain.labels is not None for name, domain in domains.items()},
        "seen_in_training": ["source/val", "source/test"] if undivided else [],
        "counts": {split: len(splits[split]) for split in sorted(splits)},
        "size": list(sizes.pop()) if len(sizes) == 1 else None,
        "settings": {"size": list(size) if size else None, **shares, "few": few}
        | {name: _settings(domain) for name, domain in domains.items()},
        "inputs": {name: checked[name].digest for name in domains},
        "notes": sorted(notes),
    }
    if _made_here(out) == about and _complete(out):
        return out

    partial = files.unfinished(out)
    if _made_here(partial) != about:
        shutil.rmtree(partial, ignore_errors=True)
        files.write_json(partial / "about.json", about)
    for torn in partial.rglob(".*.partial.*"):
        torn.unlink()
    for split, stems in splits.items():
        name = "source" if split.startswith("source/") else "target"
        for stem in stems:
            _write(partial / split, stem, frames[name][stem], domains[name], maps[name], size)
    files.write_manifest(partial)
    files.swap(partial, out)
    return out


def _write(
    folder: Path,
    stem: str,
    frame: Frame,
    domain: Domain,
    to_train_ids: Mapping | None,
    size: tuple[int, int] | None,
) -> None:
    """Write one frame of a split, unless an earlier call did."""
    image_to, label_to = folder / "images" / f"{stem}.png", folder / "labels" / f"{stem}.png"
    if not image_to.exists():
        _save(image_of(frame.image, turn=frame.label is None)[0], image_to, size, Image.Resampling.BILINEAR)
    if frame.label and not label_to.exists():
        label = Image.fromarray(label_of(frame.label, domain, to_train_ids)[0])
        _save(label, label_to, size, Image.Resampling.NEAREST)


def _save(picture: Image.Image, path: Path, size: tuple[int, int] | None, how: Image.Resampling) -> None:
    if size:
        picture = picture.resize((size[1], size[0]), how)
    with files.atomic(path) as partial:
        # Level 6, the default, takes several times as long for a sixth of the bytes.
        picture.save(partial, compress_level=1)


def _settings(domain: Domain) -> dict:
    """Return a domain as about.json has it: names instead of paths, which differ between machines."""
    paths = {key: getattr(domain, key) for key in ("images", "labels", "mapping")}
    plain = {key: getattr(domain, key) for key in ("coding", "max_color_distance", "sequence")}
    return {key: Path(path).resolve().name if path else None for key, path in paths.items()} | plain


def _made_here(folder: Path) -> dict | None:
    """Return what about.json says of a folder that this module wrote; None if there is none yet."""
    # A call killed at its very first write leaves nothing but that file's temporary.
    if not folder.exists() or (folder.is_dir() and all(p.match(".about.*.json") for p in folder.iterdir())):
        return None
    try:
        about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        if about["made_by"] == MADE_BY:
            return about
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise FileExistsError(
        f"{folder} exists and is not data that `semcg {MADE_BY}` wrote; remove it or write elsewhere"
    )


def _complete(folder: Path) -> bool:
    try:
        files.check_manifest(folder)
    except (FileNotFoundError, ValueError):
        return False  # damaged since; to be written again
    return True
