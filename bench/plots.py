"""Bars for the docs: the same figures, the same file, whenever it is drawn. Needs matplotlib (the `bench` extra)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

BAR_INCHES = 0.12
FREE_INCHES = 0.1
"""Between two groups of bars."""


def bars(path: Path, groups: Sequence[str], series: Mapping[str, Sequence[float]], label: str) -> None:
    """Draw horizontal bars (.svg or .png): a group for each name, the first on top; in it a bar for each series."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "papersearch"
    from matplotlib import pyplot

    step = len(series) + FREE_INCHES / BAR_INCHES
    size = (7.5, BAR_INCHES * step * len(groups) + 1.2)
    figure, axes = pyplot.subplots(figsize=size, layout="constrained")
    for n, (name, values) in enumerate(series.items()):
        axes.barh([at * step + n for at in range(len(groups))], values, 1.0, label=name)
    axes.set_yticks([at * step + (len(series) - 1) / 2 for at in range(len(groups))], groups)
    axes.set_ylim(len(groups) * step - 0.5, -1.0)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlabel(label)
    figure.legend(loc="outside lower center", ncols=len(series))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(figure)
