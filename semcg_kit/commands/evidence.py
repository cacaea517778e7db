"""Commands on what a sweep measured: the ledger, its verification, the report."""

from pathlib import Path
from typing import Annotated

import typer

from semcg import files
from semcg_kit.commands import Data, Device, Profile, plain, resolved, say

__all__ = ["cost", "ledger", "replicate", "report", "ship", "verify", "watch"]

Protocol = Annotated[Path | None, typer.Option(help="Default: results/reference/protocol.toml.")]


def ledger(profile: Profile = "", protocol: Protocol = None, data: Data = "") -> None:
    """Compute measures, curves and verdicts from what a sweep has counted so far, and print every row's verdict."""
    from semcg import claims, devices, statistics
    from semcg_kit import evidence
    from semcg_kit.evidence.measuring import write_floor

    decided, config, folder = _evidence(profile, protocol, data)
    config = devices.with_precision(config)
    floor = write_floor(config, devices.fabric_for("auto", config.precision), folder)
    rows = evidence.gather(folder, decided, histories=folder.parent)
    for row in rows:
        waits = row["seeds"] and row["verdict"].startswith("undecided")
        verdict = statistics.undecided(row["seeds"]) if waits else row["verdict"]
        say(f"{row['id']:<26} {row['measure'] or '':<24} {verdict}")
    for claim in claims.CLAIMS:
        say(f"{claim.id:<4} {claims.claim_verdict(rows, claim.id)}")
    missing = [row for row in rows if row["verdict"] == "not measured" and row["seeds"] is not None]
    seen = {row[side] for row in rows if row["seeds"] for side in ("condition_a", "condition_b")}
    absent = [row for row in missing if {row["condition_a"], row["condition_b"]} <= seen]
    if absent:
        named = {f"{row['measure']} ({row['class']})".removesuffix(" (all)") for row in absent}
        say(f"both conditions were measured, but these data have no value of: {', '.join(sorted(named))}")
    if len(missing) > len(absent):
        say(f"rows that compare a condition that was not measured here: {len(missing) - len(absent)}")
    if not floor:
        say("the floor of the semantic loss was not measured: it needs segmenters and data with an oracle")
    say(f"the ledger is in {folder}")


def ship(protocol: Protocol = None) -> None:
    """Finish the evidence next to a protocol: pack its runs, renew tables, pictures and the pages that show the verdicts."""
    from notebooks.exercises import teaching
    from semcg.devices import fabric_for
    from semcg_kit import evidence
    from semcg_kit.evidence import shipping

    decided, config, folder = _evidence("", protocol, "")
    evidence.gather(folder, decided)
    say(evidence.pack(folder))
    teaching.write_verdicts(decided, folder)
    for name in shipping.ship(config, decided):
        say(f"a generator of {name} is in {shipping.GENERATORS}")
    for path in (*shipping.ship_curve(config, decided), shipping.ship_front(fabric_for("auto"))):
        say(path)
    evidence.seal(folder)


def _evidence(profile: str, protocol: Path | None, data: str) -> tuple:
    """Return the protocol, the config of its data, and the folder of what a sweep measured.

    A protocol that names its test frames has its evidence beside it, any other one in the results of its data.
    """
    from semcg import config as configs
    from semcg import protocol as protocols
    from semcg_kit.evidence import measuring
    from semcg_kit.sweep import plan

    decided, data = protocols.read(protocol), resolved(data)
    fields = plan.settings_at(decided, profile) | {"data": data or decided.data}
    made = configs.make(profile or decided.profile, **fields)
    beside = plan.keeps(decided, profile, data)
    folder = (protocol or protocols.DEFAULT).parent if beside else measuring.evidence_folder(made)
    return decided, made, folder


def cost(profile: Profile = "", protocol: Protocol = None, device: Device = "auto") -> None:
    """Time a training step with and without the semantic loss, in turn, and keep the rounds for the ledger."""
    from semcg_kit.evidence import costs

    decided, config, folder = _evidence(profile, protocol, "")
    found = costs.write(config, decided, folder, device=device)
    for name, of in found["operations"].items():
        median = sorted(found["seconds"][name])[len(found["seconds"][name]) // 2]
        say(f"{name:<18} {median * 1000:8.1f} ms   {of / 1e9:8.2f} GFLOP")
    say(folder / "cost.json")


def verify(
    folder: Annotated[Path | None, typer.Argument(help="Default: results/reference.")] = None,
    protocol: Protocol = None,
) -> None:
    """Derive every number of an evidence folder from its counts, without training; stop at the first broken link."""
    from semcg import protocol as protocols
    from semcg_kit import evidence

    path = protocol or protocols.DEFAULT
    for line in evidence.verify(folder or protocols.REFERENCE, protocols.read(path), path=path):
        say(line)
    say("everything agrees")


def replicate(
    seed: Annotated[int, typer.Option(min=0, help="Seed of initial weights, order and augmentation.")],
    protocol: Protocol = None,
    device: Device = "auto",
) -> None:
    """Train the two main conditions at one seed here, and report whether the results lie where the shipped seeds predict."""
    from semcg import config as configs
    from semcg import protocol as protocols
    from semcg.devices import with_precision
    from semcg.runs import datasets
    from semcg_kit.evidence import measures_of
    from semcg_kit.evidence import replicate as replicates

    path = protocol or protocols.DEFAULT  # the evidence lies beside it
    decided = protocols.read(path)
    rows, confidence = replicates.rows_of(decided, path.with_name("replicate.toml"))
    region = replicates.region(measures_of(path.parent), decided, rows, confidence, without=seed)
    config = configs.make(decided.profile, data=decided.data, seed=seed, **decided.settings)
    config = with_precision(config, device)
    both = {name: config.changed(decided.condition(name).parameters) for name in (rows[0].a, rows[0].b)}
    datasets.draw(config)
    say(f"training {' and '.join(both)} at seed {seed}; this takes minutes")
    found = replicates.measured(both, rows, device=device)
    for row, here, mean in zip(rows, found, region.mean, strict=True):
        there = f"{mean:+.4f} on average over {region.seeds} seeds"
        say(f"{row.id:<16} {row.measure} ({row.of_class}): {here:+.4f} here, {there}")
    distance, limit = region.distance(found), region.limit
    place = f"{'inside' if distance <= limit else 'OUTSIDE'} the joint {confidence:.0%} region"
    say(f"{place}: squared distance {distance:.1f}, its limit {limit:.1f}")
    if distance > limit:
        raise typer.Exit(1)


def watch(
    run: Annotated[Path, typer.Argument(help="Folder of a run, such as results/mini/cyclegan-s0.")],
    once: Annotated[bool, typer.Option("--once", help="Print the current state and exit.")] = False,
    seconds: Annotated[float, typer.Option(min=0.1, max=3600.0, help="Seconds between updates.")] = 5.0,
) -> None:
    """Show the progress of a training: losses, the scores in validation.csv, and the path of its last sheet of frames."""
    import time

    from semcg.runs import keeping
    from semcg.system import live

    text = keeping.describe(run)
    if not once:
        with live(lambda: plain(text)):
            while keeping.is_running(run):
                time.sleep(seconds)
                text = keeping.describe(run)
    say(keeping.describe(run))


def report(
    profile: Profile = "",
    evidence: Annotated[
        str, typer.Option(help="reference: what is shipped; own: this machine's sweep; or a folder.")
    ] = "reference",
) -> None:
    """Execute the report and write it as Markdown: shipped evidence to docs/, other evidence to its results."""
    from notebooks.exercises import teaching
    from semcg import config as configs
    from semcg import report as reports
    from semcg_kit.execution import course as courses

    given = configs.make(profile), {"evidence": (evidence := resolved(evidence))}
    reports.folder_of(evidence, profile)
    courses.run(courses.REPORT, *given, fresh=True, say=say)  # its words too are new
    executed = courses.output_of(courses.REPORT, *given)
    say(executed)
    out = files.repository() / "docs" if evidence == "reference" else executed.parent.parent / "report"
    say(teaching.markdown(executed, out))
