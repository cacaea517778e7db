"""Two real steps of the paper's experiment at full size: U-Net 64/8, PatchGAN 64, DRN-26, crop 768, batch 1, on the CPU."""

import json
import subprocess
import sys

import pytest

from semcg import config as configs
from semcg.runs import budget

# A process of its own, since the largest resident size of a process never falls.
CHILD = """
import json, resource, sys
from semcg import config as configs
from semcg.runs.budget import begin
from semcg.training import fabric_for

def resident():
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

config = configs.make("paper", precision=sys.argv[1])
step, batch = begin("translation", config, fabric_for("cpu", config.precision))
before = resident()
terms = [{name: float(value) for name, value in step(*batch).items()} for _ in range(2)]
print(json.dumps({"before": before, "peak": resident(), "terms": terms}))
"""
GIB = 2**30
MOMENTS = (
    2 * 4 * 2 * (54_409_603 + 2_764_737)
)  # Adam's two, of two generators and two discriminators, float32


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_two_full_size_steps(precision):
    config = configs.make("paper")
    assert (config.crop, config.generator_width, config.generator_depth) == (768, 64, 8)
    assert (config.discriminator_width, config.segmenter_width, config.batch) == (64, 1.0, 1)
    done = subprocess.run([sys.executable, "-c", CHILD, precision], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    beyond = found["peak"] - found["before"] - MOMENTS  # the weights were there before
    stage = next(s for s in budget.stages(config, epoch=1) if s.config.lambda_s and s.kind == "translation")
    expected = budget.needed_bytes(stage, process=0)[1]
    print(
        f"\n{precision}, leaf split: peak {found['peak'] / GIB:.2f} GiB, beyond weights and moments "
        f"{beyond / GIB:.2f} GiB; the budget counts {expected / GIB:.2f} GiB without the process"
    )
    for terms in found["terms"]:
        assert all(abs(value) < float("inf") for value in terms.values()), terms
    assert found["terms"][0]["gradient G"] > 0
    assert beyond < 4 * GIB
