"""A paragraph for each figure, which Snakemake's own report shows too."""

from pathlib import Path

FOLDER = Path(__file__).parent


def caption(stem: str) -> str:
    """What a figure shows, in one paragraph."""
    return " ".join((FOLDER / f"{stem}.rst").read_text(encoding="utf-8").split())
