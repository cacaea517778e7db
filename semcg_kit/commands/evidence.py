"""Commands on what a sweep measured: the ledger, its verification, the report."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from semcg import files
from semcg_kit.commands import Data, Device, Profile, say

__all__ = ["cost", "ledger", "report", "ship", "verify"]

Protocol = Annotated[Path | None, typer.Option(help="Default: results/protocol.toml.")]


def ledger(profile: Profile = "", protocol: Protocol = None, data: Data = "") -> None:
    """Compute measures, curves and verdicts from what a sweep has counted so far, and print every row's verdict."""
    from semcg import claims
    from semcg_kit import evidence

    decided, config, folder = _evidence(profile, protocol, data)
    floor = _floor(config, folder)
    rows = evidence.gather(folder, decided, histories=folder.parent)
    for row in rows:
        counted = f"{row['seeds']} seeds: " if row["seeds"] and row["verdict"].startswith("undecided") else ""
        print(f"{row['id']:<26} {row['measure'] or '':<24} {counted}{row['verdict'].partition(' (')[0]}")
    for claim in claims.CLAIMS:
        print(f"{claim.id:<4} {claims.overall(rows, claim.id)}")
    if absent := sorted(
        {row["measure"] for row in rows if row["verdict"] == "not measured" and row["measure"]}
    ):
        print(f"not in these data, or not measured yet: {', '.join(absent)}")
    if not floor:
        print(
            "the floor of the semantic loss was not measured: data with an oracle and segmenters are needed"
        )
    print(f"the ledger is in {folder}")


def ship(profile: Profile = "", protocol: Protocol = None) -> None:
    """Put the ledger of the drawn world, and a generator of each condition, where they are committed."""
    from semcg import protocol as protocols
    from semcg import report as reports
    from semcg.report import floors, front
    from semcg_kit import evidence, teaching
    from semcg_kit.evidence import shipping

    decided, config, folder = _evidence(profile, protocol, "world")
    evidence.ship(folder, protocols.REFERENCE)
    if (folder / floors.FILE).is_file():
        with files.atomic(protocols.REFERENCE / floors.FILE) as partial:
            shutil.copyfile(folder / floors.FILE, partial)
    readme = protocols.REFERENCE.parent.parent / "README.md"
    measures, rows, _ = reports.tables(protocols.REFERENCE)
    table = front.front(rows, measures, decided, protocols.REFERENCE)
    text = teaching.table_in(readme.read_text(encoding="utf-8"), table, teaching.LEDGER)
    files.write_text(readme, text)
    print(f"the evidence is in {protocols.REFERENCE}, and on the front page {readme}")
    for name in shipping.ship(config, decided):
        print(f"a generator of {name} is in {shipping.GENERATORS}")
    for path in shipping.ship_curve(config, decided):
        print(path)
    evidence.seal(protocols.REFERENCE)


def _evidence(profile: str, protocol: Path | None, data: str) -> tuple:
    """Return the protocol, the config of its data on this machine, and the folder of what a sweep measured there."""
    from semcg import config as configs
    from semcg import protocol as protocols
    from semcg.training import precision_for
    from semcg_kit.evidence import measuring

    decided = protocols.read(protocol)
    made = configs.make(profile or decided.profile, **decided.settings | {"data": data or decided.data})
    made = made.model_copy(update={"precision": precision_for(made.precision, "auto")})
    return decided, made, measuring.folder_of(made)


def _floor(config, folder: Path) -> bool:
    """Measure the floor of the semantic loss, if the data allow it."""
    from semcg.report import floors
    from semcg.training import fabric_for

    return bool(floors.write(config, fabric_for("auto", config.precision), folder))


def cost(profile: Profile = "", protocol: Protocol = None, device: Device = "auto") -> None:
    """Time a training step with and without the semantic loss, in turn, and keep the rounds for the ledger."""
    from semcg import config as configs
    from semcg import protocol as protocols
    from semcg_kit.evidence import costs

    decided = protocols.read(protocol)
    config = configs.make(profile)
    path, found = costs.write(config, decided, device=device)
    for name, of in found["operations"].items():
        median = sorted(found["seconds"][name])[len(found["seconds"][name]) // 2]
        print(f"{name:<18} {median * 1000:8.1f} ms   {of / 1e9:8.2f} GFLOP")
    print(path)


def verify(
    folder: Annotated[Path | None, typer.Argument(help="Default: results/reference.")] = None,
    protocol: Protocol = None,
) -> None:
    """Derive every number of an evidence folder from its counts, without training; stop at the first broken link."""
    from semcg import protocol as protocols
    from semcg_kit import evidence

    path = protocol or protocols.DEFAULT
    for line in evidence.verify(folder or protocols.REFERENCE, protocols.read(path), path=path):
        print(line)


def report(
    profile: Profile = "",
    evidence: Annotated[
        str, typer.Option(help="reference: what is shipped; own: this machine's sweep; or a folder.")
    ] = "reference",
) -> None:
    """Execute the report and write it as Markdown too."""
    from semcg import config as configs
    from semcg import report as reports
    from semcg_kit import site
    from semcg_kit.execution import course as courses

    reports.folder_of(evidence, profile)
    given = {"profile": configs.make(profile).profile, "evidence": evidence}
    path = courses.notebook_path(courses.REPORT)
    courses.run(path, given, say=say)
    executed = courses.output_of(path, given)
    print(executed)
    print(site.markdown(executed, executed.parent.parent / "report"))
