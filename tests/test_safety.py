"""Nobody is let in: what a downloaded file, an archive, a parameter or a table could do, tried."""

import ast
import json
import pickle
import re
import subprocess
import sys
import tarfile
import tomllib
import warnings
import zipfile
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from chaos import corpus
from packaging.requirements import Requirement
from packaging.version import Version

from semcg import files, pictures, published, segmenters, translate
from semcg_kit import prepare
from semcg_kit.execution.execute import execute, typed
from semcg_kit.prepare.archives import entries

ROOT = Path(__file__).parent.parent
MODULES = sorted(path for room in ("semcg", "semcg_kit") for path in (ROOT / room).rglob("*.py"))
NOTEBOOKS = sorted((ROOT / "notebooks").rglob("*.ipynb"))


def calls(source: str) -> list[tuple[str, ast.Call]]:
    """Return each call in a source with its dotted name."""
    return [
        (ast.unparse(node.func), node) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)
    ]


def keywords(call: ast.Call) -> dict[str, str]:
    return {k.arg: ast.unparse(k.value) for k in call.keywords if k.arg}


# ---------------------------------------------------------------- the source


FORBIDDEN = {
    "eval": "runs text as code",
    "exec": "runs text as code",
    "compile": "makes text code",
    "__import__": "imports by text",
    "os.system": "a shell string",
    "os.popen": "a shell string",
    "subprocess.getoutput": "a shell string",
    "subprocess.getstatusoutput": "a shell string",
    "pickle.load": "runs what the file says",
    "pickle.loads": "runs what the file says",
    "marshal.loads": "runs what the file says",
    "shelve.open": "is pickle",
    "joblib.load": "is pickle",
    "pd.read_pickle": "is pickle",
    "torch.hub.load": "fetches and runs code",
    "torch.export.load": "unpickles",
    "torch.jit.load": "runs what the file says",
    "yaml.load": "builds what the file says",
    "tempfile.mktemp": "leaves a gap that others can fill",
    "shutil.unpack_archive": "has no say in where members go",
}
UNPACKS = re.compile(r"(^|\.)(extract|extractall)$")


def faults(source: str) -> list[str]:
    """Return what a source does that nothing here may do."""
    found = []
    for name, call in calls(source):
        given = keywords(call)
        if name in FORBIDDEN:
            found.append(f"{name}: {FORBIDDEN[name]}")
        if given.get("shell", "False") != "False":
            found.append(f"{name}: a shell string")
        if (
            name.startswith("subprocess.")
            and call.args
            and isinstance(call.args[0], ast.Constant | ast.JoinedStr)
        ):
            found.append(f"{name}: a command as one string")
        if name == "torch.load" and (given.get("weights_only") != "True" or "mmap" in given):
            found.append("torch.load: without weights_only=True, or with mmap")
        if name in ("np.load", "numpy.load") and given.get("allow_pickle", "False") != "False":
            found.append("np.load: with allow_pickle")
        if name == "Image.open" and "formats" not in given:
            found.append("Image.open: with every decoder that Pillow has")
        if name.endswith("urlopen") or name.startswith("requests."):
            found.append(f"{name}: a download beside the one that checks a hash")
        if UNPACKS.search(name) and "match" not in name:
            found.append(f"{name}: unpacks an archive to disk")
        if given.get("verify") == "False":
            found.append(f"{name}: without a look at the certificate")
    if re.search(r"MAX_IMAGE_PIXELS|LOAD_TRUNCATED_IMAGES", source):
        found.append("Pillow's limits are changed")
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_no_module_runs_text_or_trusts_a_file(path):
    assert faults(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_no_notebook_does_either(path):
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            # A notebook opens what the modules that it uses have checked already.
            found = [fault for fault in faults(cell.source) if not fault.startswith("Image.open")]
            assert found == [], cell.id


@pytest.mark.parametrize(
    "source",
    [
        "eval('1')",
        "exec(text)",
        "os.system('ls')",
        "subprocess.run('ls', shell=True)",
        "subprocess.run(f'ls {x}')",
        "pickle.load(f)",
        "torch.load(p)",
        "torch.load(p, weights_only=False)",
        "torch.load(p, weights_only=True, mmap=True)",
        "np.load(p, allow_pickle=True)",
        "Image.open(p)",
        "urllib.request.urlopen(u)",
        "requests.get(u)",
        "z.extractall(p)",
        "torch.hub.load(r, m)",
        "Image.MAX_IMAGE_PIXELS = None",
        "get(u, verify=False)",
    ],
)
def test_each_of_these_would_be_found(source):
    assert faults(source)


def test_every_address_is_https():
    """Addresses in strings of the package; those of this machine, which tests use, aside."""
    found = []
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found += [
                    (path.name, a) for a in re.findall(r"\b(?:http|ftp|git|ssh)://[^\s\"')]+", node.value)
                ]
    assert found == []


# ---------------------------------------------------------------- weights


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def bombs(tmp_path: Path) -> dict[str, Path]:
    mark = tmp_path / "exploded"
    plain, saved, hidden, old = (tmp_path / f"{n}.pth" for n in ("plain", "saved", "hidden", "old"))
    plain.write_bytes(pickle.dumps(Bomb(mark)))
    torch.save({"conv1.weight": Bomb(mark)}, saved)
    torch.save({"conv1.weight": torch.zeros(1), "epoch": [{"a": (1, Bomb(mark))}]}, hidden)
    torch.save(Bomb(mark), old, _use_new_zipfile_serialization=False)
    return {"plain": plain, "saved": saved, "hidden": hidden, "old": old}


@pytest.mark.parametrize("kind", ["plain", "saved", "hidden", "old"])
def test_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path, kind):
    path = bombs(tmp_path)[kind]
    with pytest.raises(ValueError, match="more than plain weights, and was not read"):
        published.load_published(segmenters.DRN26(width=1 / 64), path)
    assert not (tmp_path / "exploded").exists()
    with open(path, "rb") as handle:  # it would have: this is what the test protects from
        pickle.load(handle) if kind == "plain" else torch.load(path, weights_only=False)
    assert (tmp_path / "exploded").exists()


def test_a_saved_state_that_runs_code_is_not_run(home):
    import test_runs as t

    _, _, run = t.train(until=3)
    for name in ("state.pt", "state.previous.pt"):
        torch.save({"step": 3, "state": Bomb(home / "exploded")}, run.partial / name)
    t.train()
    assert not (home / "exploded").exists()
    assert (home / "results" / "smoke" / "toy-s0" / "net.safetensors").is_file()


@pytest.mark.parametrize(
    "url", ["http://example.org", "ftp://example.org", "file:///etc", "//example.org", "HTTP://1.2.3.4"]
)
def test_weights_come_by_https_alone(tmp_path, url):
    with pytest.raises(ValueError, match="weights are fetched by https"):
        published.fetch_imagenet(tmp_path, url=f"{url}/drn_c_26-ddedf421.pth")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["drn.pth", "drn-ddedf42.pth", "drn-ddedf421.pt", "drn-DDEDF421.pth", "..%2Fx", ""]
)
def test_weights_have_a_hash_in_their_name(tmp_path, name):
    with pytest.raises(ValueError, match="hexadecimal digits"):
        published.fetch_imagenet(tmp_path, url=f"https://example.org/{name}")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_fetched_unless_asked_for():
    """Importing everything, and making every network, reaches for no address."""
    names = [".".join(p.relative_to(ROOT).with_suffix("").parts) for p in MODULES]
    code = (
        "import socket\n"
        "def reach(*a, **k): raise SystemExit('reached for the network')\n"
        "socket.socket.connect = socket.create_connection = socket.getaddrinfo = reach\n"
        f"for name in {[r.removesuffix('.__init__') for r in names if '__main__' not in r]!r}: __import__(name)\n"
        "from semcg import segmenters\n"
        "for name in ('drn26', 'deeplabv3', 'segnet', 'unet'): segmenters.build(name)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# ---------------------------------------------------------------- archives


def zipped(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return path


@pytest.mark.parametrize(
    "name",
    [
        "../out.png",
        "a/../../out.png",
        "/etc/passwd",
        "..\\out.png",
        "C:\\out.png",
        "C:/out.png",
        "a/..",
        "\\\\server\\x",
    ],
)
def test_a_zip_that_climbs_out_is_refused_before_anything_is_read(tmp_path, name):
    with pytest.raises(ValueError, match="points outside the archive; nothing is read from it"):
        entries(zipped(tmp_path / "a.zip", "images/00001.png", name))


@pytest.mark.parametrize(
    ("mode", "words"),
    [(0o120777, "is a link"), (0o020666, "a device or a pipe"), (0o010666, "a device or a pipe")],
)
def test_a_link_in_a_zip_is_refused_before_anything_is_read(tmp_path, monkeypatch, mode, words):
    with zipfile.ZipFile(zipped(tmp_path / "a.zip", "images/00000.png"), "a") as archive:
        link = zipfile.ZipInfo("images/00001.png")
        link.create_system, link.external_attr = 3, mode << 16
        archive.writestr(link, "/etc/passwd")
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_, **__: pytest.fail("it was read"))
    with pytest.raises(
        ValueError, match=rf"images/00001\.png' is .*{words.removeprefix('is ')}.*nothing is read"
    ):
        entries(tmp_path / "a.zip")


@pytest.mark.parametrize("second", ["images/00001.png", "images\\00001.png"])
def test_a_name_that_is_twice_in_a_zip_is_refused_before_anything_is_read(tmp_path, monkeypatch, second):
    """Two readers of such a file see two different pictures."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("images/00001.png", b"one")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # Python's own, about the name
            archive.writestr(second, b"two")
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_, **__: pytest.fail("it was read"))
    with pytest.raises(ValueError, match=r"00001\.png' occurs twice; nothing is read"):
        entries(tmp_path / "a.zip")


def test_a_bomb_in_a_zip_is_refused_before_anything_is_read(tmp_path, monkeypatch):
    """By ratio, and by size alone. What a picture can be is taken: as large as it likes, or as empty."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images/00001.png", bytes(2**24 + 1))
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images/00001.png", bytes(2**24))
        archive.writestr("images/00002.png", np.random.default_rng(0).bytes(2**25))
    assert [entry.size for entry in entries(tmp_path / "b.zip")] == [2**24, 2**25]
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_, **__: pytest.fail("it was read"))
    with pytest.raises(
        ValueError, match=r"00001\.png' would unpack [\d,]+ bytes to 16,777,217, as a decompression bomb"
    ):
        entries(tmp_path / "a.zip")
    real = zipfile.ZipFile.infolist

    def large(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
        found = real(archive)
        found[-1].file_size = found[-1].compress_size = 2**28 + 1
        return found

    monkeypatch.setattr(zipfile.ZipFile, "infolist", large)
    with pytest.raises(ValueError, match=r"00002\.png' would unpack to 268,435,457 bytes, more than"):
        entries(tmp_path / "b.zip")


def test_a_tar_is_not_opened_at_all(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        link = tarfile.TarInfo("images")
        link.type, link.linkname = tarfile.SYMTYPE, "/"
        archive.addfile(link)
    with pytest.raises(FileNotFoundError, match=r"a\.tar is neither a folder nor a zip file"):
        entries(tmp_path / "a.tar")
    assert [path.name for path in MODULES if "tarfile" in path.read_text(encoding="utf-8")] == []


@pytest.mark.parametrize(
    "content", [b"", b"PK", b"PK\x03\x04" + bytes(100), b"<html>404</html>", bytes(1000)]
)
def test_a_zip_that_is_none_is_named(tmp_path, content):
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.zip is not a zip file, or its download is incomplete"):
        entries(tmp_path / "a.zip")


# ---------------------------------------------------------------- parameters, tables, names


@pytest.fixture
def book(tmp_path) -> Path:
    made = nbformat.v4.new_notebook()
    made.cells = [
        nbformat.v4.new_code_cell("name: str = 'a'  # whose\nrate: float = 0.5  # how fast"),
        nbformat.v4.new_code_cell("print(repr(name), repr(rate))"),
    ]
    made.cells[0].metadata["tags"] = ["parameters"]
    made.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(made, tmp_path / "book.ipynb")
    return tmp_path / "book.ipynb"


CODE = [
    "'; import pathlib; pathlib.Path('exploded').touch(); '",
    "\"\"\"'''\nimport pathlib\npathlib.Path('exploded').touch()\n",
    "\\'; open('exploded', 'w')  # ",
    "{0.__class__} %(x)s ${HOME} $(touch exploded) `touch exploded`\u2028import os",
]


def test_a_parameter_that_holds_code_arrives_as_text(book, tmp_path):
    for n, code in enumerate(CODE):
        assert typed(book, {"name": code}) == {"name": code}
        with pytest.raises(ValueError, match="expects float"):
            typed(book, {"rate": code})
        if n == 1:  # one kernel is enough: all go through the same quoting
            execute(book, tmp_path / "out.ipynb", {"name": "".join(CODE)})
    (printed,) = nbformat.read(tmp_path / "out.ipynb", as_version=4).cells[-1].outputs
    assert printed.text == f"{''.join(CODE)!r} 0.5\n"
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    "text",
    [
        "[[class]]\nvalue = 1\ntrain_id = 0\n__class__ = 'x'\n",
        "[[class]]\nvalue = '__import__(\"os\")'\ntrain_id = 0\n",
        "[class]\nvalue = 1\n",
        "[[class]]\nvalue = 99999999999999999999\ntrain_id = 0\n",
        "[[class]]\nvalue = 1e3\ntrain_id = 0\n",
        "[[class]]\nvalue = 1\ntrain_id = [0]\n",
        "include = '/etc/passwd'\n",
        "class = " + "[" * 3000 + "]" * 3000,
    ],
)
def test_a_table_with_surprises_is_refused(tmp_path, text):
    (tmp_path / "m.toml").write_text(text)
    with pytest.raises(ValueError, match=r"m\.toml"):
        prepare.mapping(tmp_path / "m.toml")


def test_a_file_name_is_never_a_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    for name in ("$(touch exploded).png", "; touch exploded;.png", "-rf.png", "|touch exploded.png"):
        (tmp_path / "in" / name).write_bytes(corpus.encoded(corpus.colors()))
    list(translate.folder(translate.identity, tmp_path / "in", tmp_path / "out"))
    assert len(pictures.images_in(tmp_path / "out").images) == 4
    assert not (tmp_path / "exploded").exists()


def test_a_link_is_not_written_through(tmp_path):
    """A name in the place of results that leads elsewhere is replaced, and what it led to stays as it was."""
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "a.txt").symlink_to(tmp_path / "precious")
    files.write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "precious").read_text() == "precious"
    assert not (tmp_path / "a.txt").is_symlink()


# ---------------------------------------------------------------- servers, notebooks, versions


def test_the_lab_listens_to_this_machine_alone_and_asks_for_its_token():
    texts = {p: p.read_text(encoding="utf-8") for p in (ROOT / "Makefile", ROOT / "README.md", *MODULES)}
    assert "--ip=127.0.0.1" in texts[ROOT / "Makefile"]
    for path, text in texts.items():
        for bad in (
            r"0\.0\.0\.0",
            r"token\s*=\s*['\"]{2}",
            r"password\s*=\s*['\"]{2}",
            "allow_origin",
            "allow-root",
            "disable_check_xsrf",
        ):
            assert not re.search(bad, text), f"{path.name}: {bad}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_committed_notebook_holds_nothing_that_runs_or_calls_home(path):
    notebook = nbformat.read(path, as_version=4)
    assert "signature" not in notebook.metadata
    for cell in notebook.cells:
        assert "trusted" not in cell.metadata
        shown = json.dumps(cell.get("outputs", [])) + (cell.source if cell.cell_type == "markdown" else "")
        for bad in (
            r"<script",
            r"javascript:",
            r"<iframe",
            r"<object",
            r"\bon(load|error|click)\s*=",
            r"src=\\?[\"']?(https?:)?//",
        ):
            assert not re.search(bad, shown, re.IGNORECASE), f"{path.stem}, cell {cell.id}: {bad}"


FLOORS = {  # below these, a hole is known
    "torch": ("2.10", "weights_only could be made to run code: CVE-2025-32434, CVE-2026-24747"),
    "pillow": ("12.2", "a decompression bomb in FITS: CVE-2026-40192"),
}


@pytest.mark.parametrize("name", FLOORS)
def test_floors_are_above_the_known_holes_and_the_reason_stands_beside_them(name):
    text = (ROOT / "pyproject.toml").read_text()
    wanted = {
        Requirement(r).name.lower(): Requirement(r) for r in tomllib.loads(text)["project"]["dependencies"]
    }
    (floor,) = [s.version for s in wanted[name].specifier if s.operator == ">="]
    assert Version(floor) >= Version(FLOORS[name][0]), FLOORS[name][1]
    (line,) = [line for line in text.splitlines() if line.strip().startswith(f'"{name}>=')]
    assert "floor" in line.partition("#")[2]
    locked = dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    assert Version(locked[name]) >= Version(floor)
