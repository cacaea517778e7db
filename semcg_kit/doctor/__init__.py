"""What is missing or slow on this machine, in plain words, and what to do about it."""

from semcg_kit.doctor.findings import Finding, report
from semcg_kit.doctor.machine import examine
from semcg_kit.doctor.packages import install_seconds

__all__ = ["Finding", "examine", "install_seconds", "report"]
