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


PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
"""Okabe and Ito's colours, which look different to everybody; the markers differ as well."""
MARKERS = "osD^vPX*"


def lines(path: Path, panels: Mapping[str, Mapping[str, Sequence[tuple[int, float]]]], label: str) -> None:
    """Draw panels side by side (.svg or .png), both axes logarithmic, a line for each series of (x, y); a series looks
    the same in every panel."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "papersearch"
    from matplotlib import pyplot

    drawn = list(dict.fromkeys(name for series in panels.values() for name, points in series.items() if points))
    figure, axes = pyplot.subplots(
        1, len(panels), figsize=(4.2 * len(panels), 4.2), layout="constrained", squeeze=False
    )
    handles = {}
    for at, (title, series) in zip(axes[0], panels.items(), strict=True):
        for name, points in series.items():
            if points:
                number = drawn.index(name)
                style = "-" if number < len(PALETTE) else "--"
                (handles[name],) = at.loglog(
                    *zip(*sorted(points), strict=True),
                    style + MARKERS[number % len(MARKERS)],
                    color=PALETTE[number % len(PALETTE)],
                    linewidth=2.2 if number == 0 else 1.2,
                    markersize=5,
                )
        at.set_title(title, fontsize=9)
        at.set_xlabel(label)
        at.grid(True, which="major", linewidth=0.4, alpha=0.6)
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=5, fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    pyplot.close(figure)
