"""Commands on what a sweep measured: the ledger, its verification, the report."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from semcg import files
from semcg_kit.commands import Device, Profile, say

__all__ = ["cost", "ledger", "report", "verify"]

Protocol = Annotated[Path | None, typer.Option(help="Default: results/protocol.toml.")]


def ledger(
    profile: Profile = "",
    protocol: Protocol = None,
    ship: Annotated[
        bool,
        typer.Option(
            "--ship", help="Also put it, and a generator of each condition, where they are committed."
        ),
    ] = False,
) -> None:
    """Compute measures, curves and verdicts from what a sweep has counted so far."""
    from semcg import claims
    from semcg import config as configs
    from semcg import protocol as protocols
    from semcg import report as reports
    from semcg.report import floors, front
    from semcg.runs import evidence, shipped
    from semcg.training import fabric_for, precision_for
    from semcg_kit import teaching

    config = configs.make(profile)
    config = config.model_copy(update={"precision": precision_for(config.precision, "auto")})
    results = files.results_folder("world", config.profile)
    floor = floors.write(config, fabric_for("auto", config.precision), results / "evidence")
    rows = evidence.gather(results / "evidence", protocols.read(protocol), histories=results)
    for claim in claims.CLAIMS:
        print(f"{claim.id:<4} {claims.overall(rows, claim.id)}")
    print(f"the ledger is in {results / 'evidence'}")
    if not floor:
        print(
            "the floor of the semantic loss was not measured: data with an oracle and segmenters are needed"
        )
    if ship:
        evidence.ship(results / "evidence", protocols.REFERENCE)
        if floor:
            with files.atomic(protocols.REFERENCE / floors.FILE) as partial:
                shutil.copyfile(results / "evidence" / floors.FILE, partial)
        readme = protocols.REFERENCE.parent.parent / "README.md"
        measures, rows, _ = reports.tables(protocols.REFERENCE)
        table = front.front(rows, measures, protocols.read(protocol), protocols.REFERENCE)
        text = teaching.table_in(readme.read_text(encoding="utf-8"), table, teaching.LEDGER)
        files.write_text(readme, text)
        print(f"and in {protocols.REFERENCE}, and on the front page {readme}")
        for name in shipped.ship(configs.make(profile), protocols.read(protocol)):
            print(f"a generator of {name} is in {shipped.GENERATORS}")
        for path in shipped.ship_curve(configs.make(profile), protocols.read(protocol)):
            print(path)
        evidence.seal(protocols.REFERENCE)


def cost(profile: Profile = "", protocol: Protocol = None, device: Device = "auto") -> None:
    """Time a training step with and without the semantic loss, in turn, and keep the rounds for the ledger."""
    from semcg import config as configs
    from semcg import protocol as protocols
    from semcg.runs import costs

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
    from semcg.runs import evidence

    for line in evidence.verify(folder or protocols.REFERENCE, protocols.read(protocol)):
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
