"""The instruments of the synthetic world, trained once and used as shipped: Sem_s, Sem_t, three judges and the plate reader.

`results/instruments/` holds their weights as float16, and `instruments.json`: for each what network it is, the SHA-256
of its file, its score and how it was trained. The command there trains it again.
"""

import hashlib
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn

from semcg import files, segmenters
from semcg.reader import DigitReader

FOLDER = Path("results", "instruments")
"""Where the instruments are: below `files.home()` if they are there, else in the repository."""
_RESTORE = f"restore it with `git checkout -- {FOLDER.as_posix()}`"
HOME = {
    "Sem_s": "source/val",
    "Sem_t": "target/val",
    "judge": "judge/val",
    "second_judge": "judge/val",
    "plain_judge": "judge/val",
    "reader": "target/val",
}
"""Name of each instrument -> the split whose frames its score was computed on."""
SEGMENTERS = tuple(name for name in HOME if name != "reader")


def load_instrument(name: str, folder: Path | str | None = None) -> nn.Module:
    """Return an instrument, in float32 and in evaluation mode, on the CPU.

    Parameters
    ----------
    name : str
        A key of `HOME`.
    folder : path, optional
        Where the instruments are, if not in `FOLDER`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        For another name, or a file that is not the recorded one, does not fit its network or is not finite.
    """
    if name not in HOME:
        raise ValueError(f"no instrument {name!r}; there are {', '.join(HOME)}")
    folder = _folder() if folder is None else Path(folder)
    path, record = folder / f"{name}.safetensors", recorded(folder).get(name)
    if record is None:
        raise ValueError(f"{folder / 'instruments.json'} has no record of {name}: {_RESTORE}")
    content = path.read_bytes()
    if (digest := hashlib.sha256(content).hexdigest()) != record["sha256"]:
        raise ValueError(
            f"{path} has SHA-256 {digest[:16]}..., not the recorded {record['sha256'][:16]}...: {_RESTORE}"
        )
    try:
        net = DigitReader() if name == "reader" else segmenters.build(record["network"], **record["options"])
        net.load_state_dict(load(content))  # copied into float32
    except (RuntimeError, TypeError, ValueError, SafetensorError) as error:
        what = str(error).partition("\n")[0]
        raise ValueError(f"{path} does not fit {record['network']}: {what}; {_RESTORE}") from None
    if wrong := [key for key, value in net.state_dict().items() if not torch.isfinite(value).all()]:
        raise ValueError(f"{path}: {wrong[0]} is not finite; {_RESTORE}")
    return net.eval()


def recorded(folder: Path | None = None) -> dict[str, dict]:
    """Return the records of the instruments by name, without those that are damaged; {} where there are none."""
    listed = files.read_record((folder or _folder()) / "instruments.json")
    kinds = {"network": str, "options": dict, "sha256": str, "config": dict}
    found = {name: record for name, record in listed.items() if isinstance(record, dict)}
    return {n: r for n, r in found.items() if all(isinstance(r.get(key), of) for key, of in kinds.items())}


def _folder() -> Path:
    """$SEMCG_HOME on another disk does not change which instruments are used, unless it has its own."""
    own = files.home() / FOLDER
    return own if own.is_dir() else files.repository() / FOLDER
