"""Whatever is altered in the shipped evidence, verifying it names the file; and what is whole is called whole."""

import copy
import io
import json
import lzma
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from semcg import claims, protocol, report
from semcg.runs import checkpoint
from semcg_kit import evidence

REFERENCE = Path(__file__).parent.parent / "results" / "reference"
DECIDED = protocol.read()
RUN = "cyclegan-s30"
READERS = ["judge", "second judge", "Sem_t"]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory) -> Path:
    """The shipped evidence with its runs as single files."""
    folder = tmp_path_factory.mktemp("unpacked") / "evidence"
    shutil.copytree(REFERENCE, folder)
    with lzma.open(folder / report.PACKED) as whole, zipfile.ZipFile(io.BytesIO(whole.read())) as packed:
        packed.extractall(folder)
    (folder / report.PACKED).unlink()
    (folder / "digests.json").unlink()
    evidence.seal(folder)
    return folder


@pytest.fixture
def copied(tmp_path, unpacked) -> Path:
    """The same, free to be spoiled."""
    return shutil.copytree(unpacked, tmp_path / "evidence")


@pytest.fixture(scope="module", autouse=True)
def equal_ledgers_are_made_once():
    """Of equal measures and seconds, which most alterations leave as they are."""
    made, really = {}, claims.ledger

    def ledger(measures: pd.DataFrame, decided: protocol.Protocol, rounds: dict) -> list[dict]:
        key = (tuple(pd.util.hash_pandas_object(measures)), str(rounds))
        if key not in made:
            made[key] = really(measures, decided, rounds)
        return copy.deepcopy(made[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(claims, "ledger", ledger)
        yield


def column(name: str, value: object) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        table.loc[table["run"] == RUN, name] = str(value)
        table.to_csv(path, index=False)

    return spoil


def key(name: str, value: object) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        made = json.loads(path.read_text())
        assert made[name] != value
        path.write_text(json.dumps(made | {name: value}))

    return spoil


def rows(change: Callable[[list], list]) -> Callable[[Path], None]:
    return lambda path: path.write_text(json.dumps(change(json.loads(path.read_text()))))


def lines(change: Callable[[list], list]) -> Callable[[Path], None]:
    return lambda path: path.write_text("".join(change(path.read_text().splitlines(keepends=True))))


def one_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def column_less(path: Path) -> None:
    pd.read_csv(path, dtype=str, keep_default_na=False).drop(columns="steps").to_csv(path, index=False)


def doubled(path: Path) -> None:
    table = pd.read_csv(path)
    table.assign(value=2 * table["value"]).to_csv(path, index=False)


def zeroed(path: Path) -> None:
    table = pd.read_csv(path, index_col=0)
    (0 * table).to_csv(path)


def operations(path: Path) -> None:
    made = json.loads(path.read_text())
    made["operations"][DECIDED.cost.b] += 1
    path.write_text(json.dumps(made))


def rounds(path: Path) -> None:
    made = json.loads(path.read_text())
    made["seconds"][DECIDED.cost.b] = [2 * s for s in made["seconds"][DECIDED.cost.b]]
    path.write_text(json.dumps(made))


def without(claim: str) -> Callable[[Path], None]:
    return rows(lambda ledger: [row for row in ledger if row["claim"] != claim])


RECORD = f"records/{RUN}.json"
SPOILED = {
    "curves doubled": ("curves.csv", doubled, "curves.csv is not what digests.json says"),
    "seconds of a run": ("runs.csv", column("seconds", 1.5), f"runs.csv, {RUN}, seconds: 1.5, but the records give"),
    "commit of a run": ("runs.csv", column("commit", "ab"), f"runs.csv, {RUN}, commit: ab, but the records give"),
    "device of a run": ("runs.csv", column("device", "GPU"), f"runs.csv, {RUN}, device: GPU, but the records give"),
    "digest in the table": ("runs.csv", column("counts", "0"), f"runs.csv, {RUN}, counts: 0, but the records give"),
    "a column less": ("runs.csv", column_less, ", steps: nothing, but the records give"),
    "a run less": ("runs.csv", lines(lambda t: t[:-1]), "runs.csv lacks the row target_frames"),
    "a run twice": ("runs.csv", lines(lambda t: [*t, t[-1]]), "runs.csv: the row target_frames occurs twice"),
    "commit in a record": (RECORD, key("commit", "ab"), f"runs.csv, {RUN}, commit: "),
    "seconds in a record": (RECORD, key("seconds", 1.5), f"runs.csv, {RUN}, seconds: "),
    "another run's record": (RECORD, key("run", "other"), f"{RECORD} is of the run 'other'"),
    "a record less": (RECORD, Path.unlink, f"lacks {RECORD}"),
    "operations": ("cost.json", operations, "cost.json is not what digests.json says"),
    "seconds of a step": ("cost.json", rounds, "ledger.json, C7, mean_b: "),
    "no cost": ("cost.json", Path.unlink, "lacks cost.json"),
    "a claim less": ("ledger.json", without("C7"), "ledger.json lacks the row C7"),
    "no row on the weight": ("ledger.json", without("C9"), "ledger.json lacks the row C9 judge mIoU"),
    "the last row less": ("ledger.json", rows(lambda t: t[:-1]), "ledger.json lacks the row medical imaging"),
    "a row more": ("ledger.json", rows(lambda t: [*t, t[0] | {"id": "C11"}]), "ledger.json has the row C11"),
    "rows exchanged": ("ledger.json", rows(lambda t: [t[1], t[0], *t[2:]]), "ledger.json: the row C1 second judge"),
    "a key more": ("ledger.json", rows(lambda t: [t[0] | {"p2": 1}, *t[1:]]), "ledger.json, C1, p2: 1, but"),
    "a key less": ("ledger.json", rows(lambda t: [{k: v for k, v in r.items() if k != "p"} for r in t]), "C1, p:"),
    "a measure less": ("measures.csv", lines(lambda t: t[:1] + t[2:]), "measures.csv lacks the row CycleGAN, 30, "),
    "a measure twice": ("measures.csv", lines(lambda t: [*t, t[-1]]), "measures.csv: the row target frames, , target_frames, "),
    "the course's table": ("table.csv", zeroed, "table.csv is not what digests.json says"),
    "the table's text": ("table.txt", one_byte, "table.txt is not what digests.json says"),
    "published numbers": ("published.csv", one_byte, "published.csv is not what digests.json says"),
    "weights": ("generators/CycleGAN/G_st.safetensors", one_byte, "CycleGAN/G_st.safetensors is not what"),
    "a generator's record": ("generators/CycleGAN/provenance.json", key("steps", 1), "CycleGAN/provenance.json is"),
    "no weights": ("generators/CycleGAN/G_st.safetensors", Path.unlink, "lacks generators/CycleGAN/G_st.safeten"),
    "a picture": ("front.png", one_byte, "front.png is not what digests.json says"),
    "a file more": ("lambda_s_2.png", lambda p: p.write_bytes(b"x"), "lambda_s_2.png is not listed in digests.json"),
    "counts without record": ("counts/new.csv", lambda p: p.write_text("x"), "records/new.json is missing"),
    "a digest": ("digests.json", key("curves.csv", "0"), "curves.csv is not what digests.json says"),
    "no digests": ("digests.json", Path.unlink, "lacks digests.json"),
}  # fmt: skip


@pytest.mark.parametrize("what", SPOILED)
def test_whatever_is_altered_is_named(copied, what):
    name, spoil, words = SPOILED[what]
    spoil(copied / name)
    with pytest.raises(ValueError, match=".") as error:
        list(evidence.verify(copied, DECIDED))
    assert words in str(error.value)


def forged(folder: Path, run: str, content: str) -> None:
    """Write other counts of a run, with their digest wherever it stands."""
    (folder / "counts" / f"{run}.csv").write_text(content)
    record = folder / "records" / f"{run}.json"
    made = json.loads(record.read_text()) | {"counts": checkpoint.sha256(folder / "counts" / f"{run}.csv")}
    record.write_text(json.dumps(made))


def more_pixels(content: str, *parts: str) -> str:
    table = [line.split(",") for line in content.splitlines()]
    for row in table:
        if row[0] in parts and row[1] == row[2] == "car":
            row[3] = str(int(row[3]) + 5000)
    return "".join(",".join(row) + "\n" for row in table)


@pytest.mark.parametrize(
    ("parts", "left_out", "words"),
    [
        (["judge"], "", "contradicts itself: second judge and judge counted other numbers of labeled pixels"),
        (READERS, "", "contradicts itself: the judge's frames do not add up to its table"),
        (READERS, "judge frames", "judge counted other labeled pixels than in counts/"),
    ],
)
def test_counts_with_too_many_pixels_are_found(copied, parts, left_out, words):
    run = "semantic-scores_l2-1-s30"
    lines = (copied / "counts" / f"{run}.csv").read_text().splitlines(keepends=True)
    content = "".join(line for line in lines if line.split(",")[0] != left_out)
    forged(copied, run, more_pixels(content, *parts))
    with pytest.raises(ValueError, match=words):
        list(evidence.verify(copied, DECIDED))


def test_a_copied_run_is_found(copied):
    forged(copied, "cyclegan-s31", (copied / "counts" / f"{RUN}.csv").read_text())
    with pytest.raises(ValueError, match=rf"counts/cyclegan-s31\.csv is a copy of counts/{RUN}\.csv"):
        list(evidence.verify(copied, DECIDED))


def test_every_shipped_file_is_derived_or_held(copied):
    """Of each file that is there, a changed byte is found: none stands outside of the chain."""
    digests = json.loads((copied / "digests.json").read_text())
    files = {p.relative_to(copied).as_posix() for p in copied.rglob("*") if p.is_file()}
    counts = {name for name in files if name.startswith("counts/")}
    assert files - counts - set(digests) == {"digests.json", "runs.csv", "measures.csv", "ledger.json"}


def test_files_behind_a_link_are_compared_too(copied, tmp_path):
    (copied / "generators").rename(tmp_path / "elsewhere")
    (copied / "generators").symlink_to(tmp_path / "elsewhere")
    one_byte(tmp_path / "elsewhere" / "CycleGAN" / "G_st.safetensors")
    with pytest.raises(ValueError, match=r"G_st\.safetensors is not what digests\.json says"):
        list(evidence.verify(copied, DECIDED))


def test_operations_are_counted_again(copied):
    """Even where the digest was renewed: nobody can write another number down."""
    operations(copied / "cost.json")
    evidence.seal(copied, ["cost.json"])
    said = []
    with pytest.raises(ValueError, match=r"cost\.json, operations, semantic: \d+, but a recount"):
        said.extend(evidence.verify(copied, DECIDED))


def test_a_renewed_digest_renews_no_other(copied):
    before = json.loads((copied / "digests.json").read_text())
    (copied / "table.txt").write_text("new")
    (copied / "published.csv").write_text("new")
    evidence.seal(copied, ["table.txt"])
    after = json.loads((copied / "digests.json").read_text())
    assert {name for name in before if before[name] != after[name]} == {"table.txt"}
    with pytest.raises(ValueError, match=r"published\.csv is not"):
        list(evidence.verify(copied, DECIDED))


def test_what_is_shipped_is_whole_again_after_gathering(copied):
    """A sweep's own folder has digests too, and what it keeps for itself is not among them."""
    (copied / "digests.json").unlink()
    (copied / "judging-0.safetensors").write_bytes(b"x")
    evidence.gather(copied, DECIDED)
    assert "judging-0.safetensors" not in json.loads((copied / "digests.json").read_text())
    heads = [line.partition(" ")[0] for line in evidence.verify(copied, DECIDED)]
    assert heads == ["counts", "protocol:", "measures:", "ledger:", "files:", "cost:", "code:"]
