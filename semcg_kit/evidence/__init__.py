"""What a sweep trains and measures, and what follows from it: counts, tables, ledger, and the check of all of it."""

from semcg_kit.evidence.tables import gather, measures_of, pack, seal, verify

__all__ = ["gather", "measures_of", "pack", "seal", "verify"]
