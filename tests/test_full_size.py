"""Two real steps of the paper's experiment at full size: U-Net 64/8, PatchGAN 64, DRN-26, crop 768, batch 1, on the CPU."""

import json
import subprocess
import sys
from dataclasses import replace
from functools import cache

import pytest

from semcg import config as configs
from semcg.runs import budget

# A process of its own, since the largest resident size of a process never falls.
CHILD = """
import json, resource, sys
from pathlib import Path
from semcg import config as configs
from semcg.runs.budget import step_on_noise
from semcg.devices import fabric_for

def resident():
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage begins at the size of the process that started this one
        return 1024 * int(status.read_text().partition("VmHWM:")[2].split()[0])
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

config = configs.make("paper", precision=sys.argv[1], leaf_split=sys.argv[2] == "True")
process = resident()
step, batch = step_on_noise("translation", config, fabric_for("cpu", config.precision))
terms = [{name: float(value) for name, value in step(*batch).items()} for _ in range(2)]
print(json.dumps({"process": process, "peak": resident(), "terms": terms}))
"""
GIB = 2**30

pytestmark = pytest.mark.slow


@cache
def two_steps(precision: str, leaf_split: bool) -> dict:
    """Run two steps and return their terms, the peak, and what the budget foretells of it."""
    config = configs.make("paper", precision=precision, leaf_split=leaf_split)
    assert (config.crop, config.generator_width, config.generator_depth) == (768, 64, 8)
    assert (config.discriminator_width, config.segmenter_width, config.batch) == (64, 1.0, 1)
    command = [sys.executable, "-c", CHILD, precision, str(leaf_split)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    stage = next(s for s in budget.stages(config, epoch=1) if s.name == "semantic")
    found["foretold"] = budget.needed_bytes(replace(stage, steps=2), process=found["process"])
    split = "leaf split" if leaf_split else "one graph"
    print(
        f"\n{precision}, {split}: peak {found['peak'] / GIB:.2f} GiB, {found['process'] / GIB:.2f} of them the process "
        f"before; the budget foretells {found['foretold'] / GIB:.2f} GiB"
    )
    return found


@pytest.mark.parametrize("leaf_split", [True, False])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_two_full_size_steps_are_finite_and_fit_the_budget(precision, leaf_split, capsys):
    with capsys.disabled():  # what was measured is shown also where all is well
        found = two_steps(precision, leaf_split)
    for terms in found["terms"]:
        assert all(abs(value) < float("inf") for value in terms.values()), terms
    assert found["terms"][0]["gradient G"] > 0
    assert found["peak"] < 6 * GIB
    assert 0.9 < found["foretold"] / found["peak"] < 1.25


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_leaf_split_lowers_the_peak(precision, capsys):
    with capsys.disabled():
        split, whole = (two_steps(precision, leaf_split)["peak"] for leaf_split in (True, False))
        print(f"\n{precision}: the leaf split saves {(whole - split) / GIB:.2f} GiB of {whole / GIB:.2f} GiB")
    assert split < whole
