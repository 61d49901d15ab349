"""Charts of plain numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator, NullLocator, ScalarFormatter

from fer_lib import facs
from fer_lib.claims import CLAIMS, Verdict
from fer_lib.errors import Lacking
from fer_lib.measures.ablation import Ablation
from fer_lib.measures.comparisons import LEVEL
from fer_lib.measures.distance import best_maps
from fer_lib.measures.saliency import INTACT
from fer_lib.measures.sparse_probe import SINGLE, SPARSE
from fer_lib.plot.style import ACCENT, INK, PALE, SECOND, panels, styled


@styled
def training_curve(history: pd.DataFrame, flat: int = 0) -> Figure:
    """Loss and accuracy of training and test pictures by epoch, and how far the weights of each layer are from their start.

    Parameters
    ----------
    history : DataFrame
        `fer_lib.network.training.Trained.history`.
    flat : int
        Number of last epochs in which the loss no longer fell as convergence asks: they are shaded. 0: it did not converge.
    """
    figure, axes = panels(1, 3, 9, 2.8)
    for ax, measure, label in zip(
        axes[0], ("loss", "accuracy"), ("cross-entropy (nats)", "share right"), strict=False
    ):
        ax.plot(history["epoch"], history[measure], color=PALE, lw=1.8, label="training (augmented)")
        tested = history.dropna(subset=[f"test_{measure}"])
        ax.plot(tested["epoch"], tested[f"test_{measure}"], color=ACCENT, lw=1.8, label="test")
        ax.set_ylabel(label)
    moved = 100 * history.filter(regex="^moved_").rename(columns=lambda name: name.removeprefix("moved_"))
    colours = ((ACCENT, "-"), (SECOND, "-"), (INK, "-"), (PALE, "-"), (PALE, ":"))
    for (layer, share), (colour, style) in zip(moved.items(), colours, strict=False):
        axes[0, 2].plot(history["epoch"], share, color=colour, ls=style, lw=1.8, label=layer)
    axes[0, 2].set_ylabel("moved from the start (%)")
    for ax in axes[0]:
        ax.set_xlabel("epoch")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set_ylim(bottom=0)
        if flat:
            last = float(history["epoch"].iloc[-1])
            ax.axvspan(last - flat, last, color=SECOND, alpha=0.12, lw=0, label="converged")
    axes[0, 1].set_ylim(0, 1)
    axes[0, 0].set_ylim(0, max(1.0, float(history["loss"].quantile(0.9)) * 1.2))
    axes[0, 1].legend(loc="lower right")
    axes[0, 2].legend(handles=axes[0, 2].lines, loc="lower left", bbox_to_anchor=(0, 1), ncols=3, fontsize=8)
    return figure


@styled
def training_curves(curves: Sequence[Mapping[str, Sequence[float]]]) -> Figure:
    """Training loss and test accuracy of several networks by epoch, from ``epoch``, ``loss`` and ``test_accuracy`` of each."""
    figure, axes = panels(1, 2, 8, 2.8)
    measures = {"loss": "training loss (nats)", "test_accuracy": "share right, test"}
    for ax, (measure, label) in zip(axes[0], measures.items(), strict=True):
        for curve in curves:
            ax.plot(curve["epoch"], curve[measure], color=ACCENT, lw=1, alpha=0.6)
            ax.plot(curve["epoch"][-1:], curve[measure][-1:], ".", color=ACCENT)
        ax.set_xlabel("epoch")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set_ylabel(label)
        ax.set_ylim(bottom=0)
    axes[0, 1].set_ylim(0, 1)
    return figure


@styled
def confusion(truth: np.ndarray, predicted: np.ndarray, names: Sequence[str]) -> Figure:
    """True expression (rows) by predicted one (columns): counts, shaded by the row's share."""
    count = np.zeros((len(names), len(names)), int)
    np.add.at(count, (truth, predicted), 1)
    share = count / np.maximum(count.sum(1, keepdims=True), 1)
    figure, axes = panels(1, 1, 5.2, 4.4)
    ax = axes[0, 0]
    ax.imshow(share, cmap="Greys", vmin=0, vmax=1)
    for r in range(len(names)):
        for c in range(len(names)):
            if count[r, c]:
                ax.text(
                    c,
                    r,
                    count[r, c],
                    ha="center",
                    va="center",
                    color="white" if share[r, c] > 0.5 else INK,
                    fontsize=8,
                )
    ax.set_xticks(range(len(names)), names, rotation=40, ha="right")
    ax.set_yticks(range(len(names)), names)
    ax.set_xlabel("predicted")
    ax.set_ylabel("true")
    return figure


@styled
def likeness_over_maps(table: pd.DataFrame) -> Figure:
    """Likeness of the maps' strongest squares: one dot a map, one row for each column of the table."""
    figure, axes = panels(1, 1, 7, 0.55 * table.shape[1] + 0.9)
    ax = axes[0, 0]
    rng = np.random.default_rng(0)
    for r, column in enumerate(table.columns[::-1]):
        values = table[column].dropna().to_numpy()
        colour = ACCENT if column == "trained" else "#777777"
        ax.scatter(values, r + rng.uniform(-0.16, 0.16, len(values)), s=5, color=colour, alpha=0.45, lw=0)
        if len(values):
            ax.plot([values.mean()] * 2, [r - 0.32, r + 0.32], color=INK, lw=1.6)
    ax.set_yticks(range(table.shape[1]), table.columns[::-1])
    ax.set_xlabel("mean likeness of the pairs of squares (correlation of HOG); one dot a map, bar: mean")
    return figure


def _stems(ax: Axes, values: np.ndarray, au: int) -> None:
    ax.set_title(f"AU {au}: {facs.AUS[au].name}")
    known = values[np.isfinite(values)]
    if not (values > -np.inf).any():
        ax.text(0.5, 0.5, "no map has a value", ha="center", transform=ax.transAxes)
        return
    # Infinite distances (a zero activation under the rule "infinite") reach above all others.
    ceiling = 1.15 * (known.max() if known.size and known.max() > 0 else 1.0)
    heights = np.where(values == np.inf, ceiling, values)
    ax.vlines(np.arange(len(values)), 0, heights, color=PALE, lw=0.9)
    best = int(best_maps(values[None])[0])
    if best < 0:
        ax.text(0.5, 0.98, "no single winner", ha="center", va="top", transform=ax.transAxes, color=ACCENT)
    else:
        ax.vlines(best, 0, heights[best], color=ACCENT, lw=1.8)
        right = best > 0.85 * len(values)
        ax.annotate(
            f"map {best}" + (" (infinite)" if np.isinf(values[best]) else ""),
            (best, heights[best]),
            textcoords="offset points",
            xytext=(-4 if right else 4, -2),
            color=ACCENT,
            fontsize=8,
            va="top",
            ha="right" if right else "left",
        )
    ax.set_xlim(-1, len(values))
    ax.set_ylim(min(0.0, 1.05 * float(np.nanmin(heights))), None)


def _band(ax: Axes, null: np.ndarray) -> None:
    """Shade what the largest of all maps reaches in 90 % of the permutations."""
    known = null[np.isfinite(null)]
    if known.size:
        low, high = np.quantile(known, [0.05, 0.95])
        ax.axhspan(low, high, color=SECOND, alpha=0.18, lw=0, label="largest by chance (90 %)")
        ax.set_ylim(top=max(ax.get_ylim()[1], 1.1 * high))


@styled
def distance_over_maps(values: np.ndarray, *, au: int, null: np.ndarray | None = None) -> Figure:
    """Figure 5: D of one action unit on every map, the maximum marked.

    Parameters
    ----------
    values
        (C,) distances; NaN where a map has none.
    au
        Number of the action unit.
    null
        Largest distance of all maps in each permutation, (B,); its middle 90 % are drawn as a band.
    """
    figure, axes = panels(1, 1, 8, 2.8)
    ax = axes[0, 0]
    _stems(ax, values, au)
    if null is not None:
        _band(ax, null)
        ax.legend(loc="lower right", bbox_to_anchor=(1, 0.98))
    ax.set_xlabel("feature map of conv3")
    ax.set_ylabel("distance D")
    return figure


@styled
def distance_panels(
    distances: pd.DataFrame, aus: Sequence[int], nulls: Mapping[int, np.ndarray] | None = None
) -> Figure:
    """Figure 6: the same for several units; one that the faces show too rarely says so."""
    figure, axes = panels(2, 2, 9, 4.8)
    for ax, au in zip(axes.ravel(), aus, strict=True):
        if au in distances.index:
            _stems(ax, distances.loc[au].to_numpy(), au)
            if nulls and au in nulls:
                _band(ax, nulls[au])
        else:
            ax.set_title(f"AU {au}: {facs.AUS[au].name}")
            ax.text(0.5, 0.5, "too few pictures with and without it", ha="center", transform=ax.transAxes)
            ax.set_xticks([])
            ax.set_yticks([])
    for ax in axes[:, 0]:
        ax.set_ylabel("distance D")
    for ax in axes[-1]:
        ax.set_xlabel("feature map of conv3")
    return figure


@styled
def detector_scores(matches: pd.DataFrame) -> Figure:
    """AUC on the test pictures by action unit: maps chosen by D and by AUC, the same choices before training, expression alone."""
    table = matches.dropna(subset=["auc_d"])
    series: Mapping[str, tuple[str, str, str]] = {
        "auc_expression": ("expression only", "_", "#777777"),
        "auc_untrained_auc": ("by AUC, untrained", "x", SECOND),
        "auc_auc": ("by AUC", "o", SECOND),
        "auc_untrained_d": ("by D, untrained", "x", ACCENT),
        "auc_d": ("by D", "D", ACCENT),
    }
    figure, axes = panels(1, 1, 9, 3.2)
    ax = axes[0, 0]
    at = np.arange(len(table))
    for column, (label, marker, colour) in series.items():
        ax.scatter(
            at,
            table[column],
            marker=marker,
            color=colour,
            s=60 if marker == "_" else 26,
            label=label,
            zorder=3,
        )
    ax.axhline(0.5, color=INK, lw=0.7, ls=":")
    ax.set_xticks(at, [str(au) for au in table["au"]])
    ax.set_xlabel("action unit")
    ax.set_ylabel("AUC on the test pictures")
    ax.set_ylim(0, 1.02)
    ax.legend(ncols=5, loc="upper center", bbox_to_anchor=(0.5, 1.16))
    return figure


@styled
def measures_over_networks(measures: pd.DataFrame, by: str = "set") -> Figure:
    """Draw the measure of each claim for every network, a dot each, in groups; the line at 0 is what place, loudness or chance give.

    Parameters
    ----------
    measures
        `by`, ``item`` (of `fer_lib.measures.network_measures.MEASURES`) and ``value``, a row for each network and measure.
    by
        Column that groups the networks.
    """
    groups = list(dict.fromkeys(measures[by]))
    figure, axes = panels(1, len(CLAIMS), 2.3 * len(CLAIMS), 2.8)
    for ax, (name, claim) in zip(axes[0], CLAIMS.items(), strict=True):
        rows = measures[measures["item"] == claim.column]
        ax.axhline(0, color=INK, lw=1, ls="--")
        for place, group in enumerate(groups):
            values = rows["value"][(rows[by] == group).to_numpy()].dropna().to_numpy(float)
            aside = np.linspace(-0.2, 0.2, len(values)) if len(values) > 1 else np.zeros(len(values))
            ax.plot(
                place + aside, values, "o", ms=4, color=SECOND if group == "untrained" else ACCENT, alpha=0.7
            )
        ax.set_xticks(range(len(groups)), groups, rotation=30, ha="right")
        ax.set_xlim(-0.6, len(groups) - 0.4)
        ax.set_title(name)
    return figure


@styled
def networks_of_a_claim(verdicts: Sequence[Verdict], own: pd.Series, untrained: pd.DataFrame) -> Figure:
    """Draw each claim's measure: the trained network as a diamond, untrained ones as dots, the level of chance as a line.

    Parameters
    ----------
    verdicts
        Name the claims.
    own
        Measure of the trained network by name; NaN where there is none.
    untrained
        The same, a row for each untrained network.
    """
    figure, axes = panels(len(verdicts), 1, 7, 0.75 * len(verdicts) + 0.3)
    for ax, verdict in zip(axes[:, 0], verdicts, strict=True):
        column = CLAIMS[verdict.claim].column
        ax.axvline(0, color=INK, lw=1, ls="--")
        before = untrained[column].dropna().to_numpy(float)
        ax.plot(before, np.linspace(-0.3, 0.3, len(before)), "o", ms=4, color=SECOND, alpha=0.7)
        ax.plot([own[column]], [0], "D", ms=7, color=ACCENT)
        ax.set_yticks([0], [f"{verdict.claim}: {verdict.decision}"])
        ax.set_ylim(-0.6, 0.6)
    axes[-1, 0].set_xlabel(
        "measure of each claim; diamond: this network, dots: untrained networks, dashed: chance"
    )
    return figure


@styled
def ablation(result: Ablation) -> Figure:
    """Accuracy without the chosen maps beside accuracy without random maps as loud."""
    figure, axes = panels(1, 1, 7, 2.4)
    ax = axes[0, 0]
    ax.hist(result.random, bins=20, color=PALE)
    ax.axvline(result.without, color=ACCENT, lw=2)
    ax.axvline(result.accuracy, color=INK, lw=1, ls="--")
    ax.set_xlabel(
        "accuracy on the test pictures; bars: without random maps, orange: without the chosen, dashed: all maps"
    )
    ax.set_ylabel("random sets")
    return figure


@styled
def maps_swapped(table: pd.DataFrame) -> Figure:
    """How much more the matched maps matter than random ones as loud, in each way of asking, with what could have been seen.

    Parameters
    ----------
    table
        From `fer_lib.measures.ablation.remove_keep_patch`.
    """
    figure, axes = panels(1, 2, 8, 0.42 * len(table) + 1.1, sharey=True)
    labels = {"accuracy": "accuracy", "loss": "cross-entropy (nats)"}
    at = np.arange(len(table))[::-1]
    for ax, (name, label) in zip(axes[0], labels.items(), strict=True):
        low, effect, high = (table[f"{name}_{part}"].to_numpy(float) for part in ("low", "effect", "high"))
        seen = table[f"{name}_detectable"]  # 0 where no set of maps changes a picture
        ax.axvline(0, color=INK, lw=1, ls="--")
        ax.hlines(at, low, high, color=ACCENT, lw=1.6, label="95 % of draws of people")
        ax.plot(effect, at, "D", ms=6, color=ACCENT, label="effect")
        ax.plot(
            seen.where(seen > 1e-9), at, "|", ms=13, mew=1.6, color=SECOND, label="seen in 80 % from here"
        )
        ax.set_yticks(at, table.index)
        ax.set_ylim(-0.6, len(table) - 0.4)
        ax.set_xlabel(label)
        ax.xaxis.set_major_locator(MaxNLocator(4))
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=3)
    return figure


@styled
def logits_of_units(effect: pd.DataFrame, defined: pd.DataFrame) -> Figure:
    """How far each action unit, switched on, raises each expression's logit; pairs that the criteria name are framed.

    Parameters
    ----------
    effect
        A row for each unit, a column for each expression, in standard deviations of the logit.
    defined
        From `fer_lib.measures.criteria.criteria_units`, of the same shape.
    """
    values, named = effect.to_numpy().T, defined.to_numpy(bool).T
    figure, axes = panels(1, 1, 0.36 * len(effect) + 2.1, 0.33 * effect.shape[1] + 1.1)
    ax = axes[0, 0]
    limit = max(1e-9, float(np.abs(values).max()))
    shown = ax.imshow(values, cmap="PuOr_r", vmin=-limit, vmax=limit, aspect="auto")
    for row, column in np.argwhere(named):
        ax.add_patch(Rectangle((column - 0.46, row - 0.44), 0.92, 0.88, fill=False, edgecolor=INK, lw=1.4))
    ax.set_xticks(range(len(effect)), [str(au) for au in effect.index])
    ax.set_yticks(range(effect.shape[1]), list(effect.columns))
    ax.set_xlabel("action unit switched on")
    ax.spines[:].set_visible(False)
    figure.colorbar(shown, ax=ax, label="change of the logit\n(standard deviations)")
    return figure


@styled
def alignment_of_units(table: pd.DataFrame) -> Figure:
    """Share of projected energy in each action unit's region: the matched map beside its controls.

    Parameters
    ----------
    table
        From `fer_lib.measures.alignment.region_alignment`.
    """
    figure, axes = panels(1, 1, 8, 2.9)
    ax = axes[0, 0]
    at = np.arange(len(table))
    marks = {
        "random place": ("random place", "_", INK, 90),
        "other maps": ("all maps, mean", "o", PALE, 34),
        "untrained": ("matched, untrained", "x", SECOND, 30),
        "matched": ("matched", "D", ACCENT, 30),
    }
    for column, (label, marker, colour, size) in marks.items():
        ax.scatter(at, table[column], marker=marker, color=colour, s=size, label=label, zorder=3)
    ax.set_xticks(at, [str(au) for au in table.index])
    ax.set_xlim(-0.6, len(table) - 0.4)
    ax.set_ylim(bottom=-0.02)
    ax.set_xlabel("action unit")
    ax.set_ylabel("share of energy in its region")
    ax.legend(ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return figure


@styled
def saliency_checks(table: pd.DataFrame) -> Figure:
    """How alike projections stay to those before, and to the picture's edges, as weights are drawn anew from the top down.

    Parameters
    ----------
    table
        From `fer_lib.measures.saliency.saliency_checks`.
    """
    whats = ("projection before", "picture, high-passed")
    stages = [INTACT, *(name for name in dict.fromkeys(table["randomised"]) if name != INTACT)]
    labels = ["as trained" if name == INTACT else f"down to {name}" for name in stages]
    measures = [name for name in ("rank correlation", "ssim") if table[name].notna().any()]
    figure, axes = panels(
        max(1, len(measures)), 2, 8, 2.3 * max(1, len(measures)) + 0.5, sharey="row", sharex=True
    )
    styles = zip(dict.fromkeys(table["rule"]), "oDs", (SECOND, ACCENT, "#777777"), strict=False)
    for place, (rule, marker, colour) in enumerate(styles):
        for row, measure in enumerate(measures):
            for ax, what in zip(axes[row], whats, strict=True):
                found = table[(table["rule"] == rule) & (table["compared with"] == what)].set_index(
                    "randomised"
                )
                found = found.reindex([name for name in stages if name in found.index])
                at = np.array([stages.index(name) for name in found.index]) + 0.1 * (place - 1)
                ends = [found[measure] - found[f"{measure}_low"], found[f"{measure}_high"] - found[measure]]
                ax.errorbar(
                    at,
                    found[measure],
                    yerr=np.abs(ends),
                    fmt=f"{marker}-",
                    ms=5,
                    lw=1,
                    color=colour,
                    label=rule,
                )
    for row, measure in enumerate(measures):
        axes[row, 0].set_ylabel({"ssim": "structural similarity"}.get(measure, measure))
        for ax in axes[row]:
            ax.axhline(0, color=INK, lw=0.8, ls="--")
            ax.set_xticks(range(len(stages)), labels)
    for ax, what in zip(axes[0], whats, strict=True):
        ax.set_title(f"with: {what}")
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=3)
    return figure


@styled
def rejection_rates(table: pd.DataFrame) -> Figure:
    """Share of simulations in which each p value rejects at 5 % where there is nothing to find, with its interval.

    Parameters
    ----------
    table
        From `fer_lib.levels.rejection_rates`.
    """
    figure, axes = panels(1, 1, 8, 0.24 * len(table) + 0.9)
    ax, at = axes[0, 0], np.arange(len(table))[::-1]
    colours = np.where(table["holds"], SECOND, ACCENT)
    ax.hlines(at, table["low"], table["high"], colors=colours, lw=1.4)
    ax.scatter(table["rejected"], at, color=colours, s=22, zorder=3)
    ax.axvline(LEVEL, color=INK, lw=1, ls="--")
    ax.set_yticks(at, table.index)
    ax.set_xlim(left=0)
    ax.set_xlabel("share of simulations with p of at most 0.05; line: exact interval, dashed: 0.05")
    return figure


@styled
def intervention_grid(effect: pd.DataFrame, chosen: pd.Series) -> Figure:
    """How the map matched to each unit (row) responds to each unit switched on alone (column), its own one framed.

    Parameters
    ----------
    effect : DataFrame
        How far each AU that is switched on (row) moves the maximum of each map (column), in standard deviations of the map.
    chosen : Series
        The matched map of each AU (index); -1 for none.

    Raises
    ------
    Lacking
        If no matched AU can be switched on.
    """
    aus = [au for au in chosen.index if au in effect.index and chosen[au] >= 0]
    if not aus:
        raise Lacking("none of the matched action units can be switched on alone in a rendered face")
    values = effect.loc[aus, chosen.loc[aus]].to_numpy().T
    figure, axes = panels(1, 1, 6.4, 5.4)
    ax = axes[0, 0]
    limit = max(1e-9, float(np.abs(values).max()))
    shown = ax.imshow(values, cmap="PuOr_r", vmin=-limit, vmax=limit)
    for i in range(len(aus)):
        ax.add_patch(Rectangle((i - 0.5, i - 0.5), 1, 1, fill=False, edgecolor=INK, lw=1.2))
    ax.set_xticks(range(len(aus)), [str(au) for au in aus])
    ax.set_yticks(range(len(aus)), [f"{au}: map {chosen[au]}" for au in aus])
    ax.set_xlabel("action unit switched on")
    ax.set_ylabel("action unit and the map matched to it")
    ax.spines[:].set_visible(False)
    figure.colorbar(shown, ax=ax, shrink=0.7, label="change of the map's maximum (standard deviations)")
    return figure


@styled
def planted(rates: pd.DataFrame) -> Figure:
    """Share of simulations in which each measure finds the planted detector, from `fer_lib.measures.planted.detection_rates`."""
    figure, axes = panels(1, 3, 9, 3.1, sharey=True)
    styles = zip(rates["measure"].unique(), (ACCENT, "#777777", "#777777", SECOND), "Dxso", strict=False)
    for measure, colour, marker in styles:
        for ax, vary in zip(axes[0], ("positives", "shift", "gain"), strict=True):
            line = rates[(rates["measure"] == measure) & (rates["vary"] == vary)].sort_values("value")
            ax.plot(line["value"], line["found"], color=colour, marker=marker, ms=5, lw=1.4, label=measure)
    axes[0, 0].set_xlabel("sequences with the unit, of 593")
    axes[0, 1].set_xlabel("shift (standard deviations)")
    axes[0, 2].set_xlabel("spread of the log gains")
    axes[0, 0].set_ylabel("planted map found")
    axes[0, 0].set_ylim(-0.04, 1.04)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4)
    return figure


@styled
def one_or_many(probes: pd.DataFrame) -> Figure:
    """AUC of a probe over k maps on unseen people, trained and untrained, beside the best single map (dashed) and chance (dotted).

    Parameters
    ----------
    probes
        `fer_lib.measures.sparse_probe.one_or_many` with a column ``network``, "trained" or "untrained".
    """
    aus = list(dict.fromkeys(probes["au"]))
    figure, axes = _grid_of_units(aus)
    for ax, au in zip(axes.flat, aus, strict=False):
        ax.axhline(0.5, color=INK, lw=0.7, ls=":")
        for network, colour in (("untrained", SECOND), ("trained", ACCENT)):
            of = probes[(probes["au"] == au) & (probes["network"] == network)]
            many = of[of["probe"] == SPARSE].sort_values("k")
            ax.plot(many["k"], many["auc"], "o-", ms=3.5, lw=1.6, color=colour, label=f"k maps, {network}")
            ax.fill_between(many["k"], many["auc_low"], many["auc_high"], color=colour, alpha=0.15, lw=0)
            single = float(of.loc[of["probe"] == SINGLE, "auc"].iloc[0])
            ax.axhline(single, color=colour, lw=1.2, ls="--", label=f"best map, {network}")
        ax.set_xscale("log", base=2)
        ax.set_xticks([4**i for i in range(5) if 4**i <= probes["k"].max()])
        ax.xaxis.set_major_formatter(ScalarFormatter())
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xlabel("maps")
        ax.set_title(f"AU {au}")
        ax.set_ylim(0.3, 1.02)
    axes[0, 0].set_ylabel("AUC on unseen people")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4)
    return figure


@styled
def dose_curves(curves: Mapping[str, pd.DataFrame]) -> Figure:
    """How far one action unit, as it grows, raises the map that belongs to it, a panel a unit; bands: intervals over people.

    Parameters
    ----------
    curves
        Tables of `fer_lib.measures.dose_response.DoseResponse.curves`, by what chose the maps; at most four.

    Raises
    ------
    Lacking
        If no unit has a map.
    """
    aus = sorted({int(au) for table in curves.values() for au in table["au"]})
    if not aus:
        raise Lacking("no action unit that was rendered at several intensities has a matched map")
    figure, axes = _grid_of_units(aus)
    for ax, au in zip(axes.flat, aus, strict=False):
        ax.axhline(0, color=INK, lw=0.7, ls=":")
        for (name, table), colour in zip(curves.items(), (ACCENT, SECOND, INK, PALE), strict=False):
            line = table[table["au"] == au]
            dose = np.r_[0, line["dose"]]
            ax.plot(dose, np.r_[0, line["change"]], "o-", ms=3.5, lw=1.6, color=colour, label=name)
            ax.fill_between(
                dose, np.r_[0, line["low"]], np.r_[0, line["high"]], color=colour, alpha=0.15, lw=0
            )
        ax.set_xticks(range(6), ["–", *"ABCDE"])
        ax.set_title(f"AU {au}")
        ax.set_xlabel("intensity")
    axes[0, 0].set_ylabel("change (sd over neutral faces)")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=4)
    return figure


def _grid_of_units(aus: Sequence[int]) -> tuple[Figure, np.ndarray]:
    """A small panel for each unit, at most five in a row."""
    columns = min(5, len(aus))
    rows = -(-len(aus) // columns)
    figure, axes = panels(rows, columns, max(4.0, 1.9 * columns), 2.3 * rows + 0.4, sharey=True)
    for ax in axes.flat[len(aus) :]:
        ax.set_visible(False)
    return figure, axes
