"""How threads wait: a segmenter's step with OpenMP's own policy, the passive one and one thread, idle and busy.

Each measurement is a fresh process, since the policy is read when torch is imported. The three take turns, round after
round, once with the machine as it is and once beside processes that only compute. A ratio is the median over rounds of
clock times within one round, with the least and the largest.

    python benchmarks/threads.py                     about two minutes
    python benchmarks/threads.py --course            also the smoke course as a user starts it, idle and beside four busy processes
    python benchmarks/threads.py --full --write      more rounds, and benchmarks/threads.json
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

from common import arguments, keep, machine, ratios, said

from semcg.system import cores

STEP = """
import time, torch
from semcg import segmenters
torch.manual_seed(0)
net = segmenters.build("drn26", width=0.25, stride=4)
x = torch.rand(4, 3, 128, 128)
def step():
    net.zero_grad()
    net(x).square().mean().backward()
step()
begun = time.perf_counter()
for _ in range({steps}):
    step()
print((time.perf_counter() - begun) / {steps})
"""
WAYS = {
    "the library's own policy": {},
    "passive": {"OMP_WAIT_POLICY": "passive"},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
COURSE_BESIDE = 4


def seconds(way: str, steps: int) -> float:
    """Return the seconds of a step in a fresh process."""
    kept = {k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY", "OMP_NUM_THREADS")}
    command = [sys.executable, "-c", STEP.format(steps=steps)]
    done = subprocess.run(command, env=kept | WAYS[way], capture_output=True, text=True, check=True)
    return float(done.stdout)


@contextmanager
def beside(busy: int) -> Iterator[None]:
    """Let so many processes run that only compute."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def measured(rounds: int, steps: int, busy: int) -> dict[str, list[float]]:
    """Return the seconds of a step, each way in turn, beside `busy` processes."""
    with beside(busy):
        turns = [{way: seconds(way, steps) for way in WAYS} for _ in range(rounds)]
    return {way: [turn[way] for turn in turns] for way in WAYS}


def course(busy: int) -> float:
    """Return the seconds of `make course PROFILE=smoke` in an empty folder beside `busy` processes."""
    command = [sys.executable, "-m", "semcg_kit", "course", "--profile", "smoke", "--device", "cpu"]
    with tempfile.TemporaryDirectory() as home, beside(busy):
        begun = time.perf_counter()
        subprocess.run(command, env=os.environ | {"SEMCG_HOME": home}, capture_output=True, check=True)
        return time.perf_counter() - begun


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--course", action="store_true", help="also the smoke course, idle and busy")
    given = parser.parse_args()
    rounds, steps = (7, 10) if given.full else (3, 3)
    result = {"machine": machine()}
    own, *others = WAYS
    for load, busy in (("idle", 0), ("busy", 2 * cores())):
        found = measured(rounds, steps, busy)
        result[load] = {"processes beside it": busy, "seconds of a step": found}
        print(f"\n{load}: {busy} processes beside it; times as fast as {own}")
        for way in others:
            result[load][way] = ratios(found[own], found[way])
            print(f"  {way:<12} {said(result[load][way])}")
    if given.course:
        alone, busy = course(0), course(COURSE_BESIDE)
        result["smoke course"] = {"processes beside it": COURSE_BESIDE, "seconds": [alone, busy]}
        print(
            f"\nthe smoke course takes {busy / alone:.1f} times as long beside {COURSE_BESIDE} busy processes"
        )
    if given.write:
        keep("threads", result)


if __name__ == "__main__":
    main()
