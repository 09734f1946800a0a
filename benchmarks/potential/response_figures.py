"""Figures of response.py beside this: errors of GMTNet, of the route by Born charges, and of their blend."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from benchmarks.potential.born_charges import OFFSET

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Rows = dict[str, Ints]

SHARES = np.linspace(0, 1, 21)
N_FOLDS = 5
N_RESAMPLED = 2000
SMALL_C_PER_M2 = 0.03


def dielectric_report(
    rows: Rows, formula: NDArray[np.str_], electronic: Floats, ionic: dict[str, Floats], total: Floats, mean: Floats
) -> str:
    """Errors on each split; the share of the blend is the best of val, where val is judged that of other folds.

    Args:
        rows: of the crystals by split, val first.
        formula: [n].
        electronic: the network's, [n, 3, 3].
        ionic: by method, [n, 3, 3] each.
        total: labels, NaN where there is only a mean, [n, 3, 3].
        mean: label of the ionic part of the mean constant, [n].
    """
    val = rows["val"][np.isfinite(mean[rows["val"]])]

    def cost(share: float, chosen: Ints) -> float:
        k = val[chosen]
        both = blended(ionic["network"][k], ionic["route"][k], np.full(len(k), share))
        return float(np.abs(log_error(both, mean[k])).mean())

    shares, best = out_of_fold(formula[val], cost)
    text = f"\ndielectric: share of the route in the blend {best:.2f} by all of val\n"
    for split, every in rows.items():
        labelled = every[np.isfinite(mean[every])]
        share = shares if split == "val" else np.full(len(labelled), best)
        found = {name: tensors[labelled] for name, tensors in ionic.items()}
        found["blend"] = blended(found["network"], found["route"], share)
        whole = np.isfinite(total[labelled]).all(axis=(1, 2))
        text += f"{split}, n = {whole.sum()} tensors and {(~whole).sum()} means of another code\n"
        for name, tensors in found.items():
            text += (
                f"  {name:16s}{dielectric_figures(tensors, electronic[labelled], total[labelled], mean[labelled])}\n"
            )
        arrays = (found["network"], found["blend"], electronic[labelled], total[labelled], mean[labelled])
        text += changes(_scores, arrays, whole)
        arrays = (found["network"], found["blend"], mean[labelled])
        text += changes(_mean_scores, arrays, np.ones(len(labelled), dtype=np.bool_))
    return text


def dielectric_figures(ionic: Floats, electronic: Floats, total: Floats, mean: Floats) -> str:
    """One row of the table."""
    whole = np.isfinite(total).all(axis=(1, 2))
    scores = _scores(ionic[whole], electronic[whole], total[whole], mean[whole])
    text = ", ".join(f"{name} {value:.3f}" for name, value in scores.items())
    other = spearmanr(_means(ionic[~whole]), mean[~whole]).statistic
    return f"{text} | means: Spearman {other:.3f}, |log| {np.abs(log_error(ionic, mean)[~whole]).mean():.3f}"


def _scores(ionic: Floats, electronic: Floats, total: Floats, mean: Floats) -> dict[str, float]:
    found = electronic + ionic
    relative = np.linalg.norm(found - total, axis=(1, 2)) / np.linalg.norm(total, axis=(1, 2))
    constant, label = _means(found), _means(total)
    return {
        "ionic Spearman": float(spearmanr(_means(ionic), mean).statistic),
        "ionic mean |log|": float(np.abs(log_error(ionic, mean)).mean()),
        "eps0 Spearman": float(spearmanr(constant, label).statistic),
        "median error": float(np.median(np.abs(constant / label - 1))),
        "EwT25": float((relative < 0.25).mean()),
        "EwT10": float((relative < 0.1).mean()),
        "Fnorm": float(np.linalg.norm(found - total, axis=(1, 2)).mean()),
    }


def _mean_scores(ionic: Floats, mean: Floats) -> dict[str, float]:
    return {
        "ionic Spearman of all labels": float(spearmanr(_means(ionic), mean).statistic),
        "ionic mean |log| of all labels": float(np.abs(log_error(ionic, mean)).mean()),
    }


def piezoelectric_report(
    rows: Rows, formula: NDArray[np.str_], e: dict[str, Floats], label: Floats, sign_free: NDArray[np.bool_]
) -> str:
    """Rank correlations of norms, and signs, on each split.

    Args:
        rows: of the crystals by split, val first.
        formula: [n].
        e: e_ijk in C/m² by method, [n, 3, 3, 3] each.
        label: likewise, NaN where it is missing.
        sign_free: the label's sign is not proven, [n].
    """
    norms = {name: np.log(norm(tensors) + SMALL_C_PER_M2) for name, tensors in e.items()}
    labels = norm(label)
    val = rows["val"][np.isfinite(labels[rows["val"]])]

    def cost(share: float, chosen: Ints) -> float:
        k = val[chosen]
        return -float(spearmanr((1 - share) * norms["network"][k] + share * norms["route"][k], labels[k]).statistic)

    shares, best = out_of_fold(formula[val], cost)
    text = f"\npiezoelectric: share of the route in the blend {best:.2f} by all of val\n"
    for split, every in rows.items():
        k = every[np.isfinite(labels[every])]
        share = shares if split == "val" else np.full(len(k), best)
        found = {name: values[k] for name, values in norms.items()}
        found["blend"] = (1 - share) * found["network"] + share * found["route"]
        text += f"{split}, n = {len(k)}\n"
        for name, values in found.items():
            rank = spearmanr(values, labels[k]).statistic
            text += f"  {name:16s}Spearman of |e| {rank:.3f}{_signs(name, e, label, k, sign_free)}\n"
        arrays = (found["network"], found["blend"], labels[k])
        text += changes(
            lambda x, y: {"Spearman": float(spearmanr(x, y).statistic)}, arrays, np.ones(len(k), dtype=np.bool_)
        )
    return text


def _signs(name: str, e: dict[str, Floats], label: Floats, k: Ints, sign_free: NDArray[np.bool_]) -> str:
    if name not in e:
        return ""
    proven = k[~sign_free[k] & (norm(label[k]) > 0.1)]
    cosine = (e[name][proven] * label[proven]).sum(axis=(1, 2, 3)) / norm(label[proven]) / norm(e[name][proven])
    return f", sign right {100 * (cosine > 0).mean():.0f} %, median cosine {np.median(cosine):.2f}, n = {len(proven)}"


def changes(scores: Callable[..., dict[str, float]], arrays: tuple[Floats, ...], use: NDArray[np.bool_]) -> str:
    """Blend (second array) minus network (first), with 90 % bootstrap intervals over crystals."""
    first, second, *others = (array[use] for array in arrays)
    rng = np.random.default_rng(0)
    drawn = [np.arange(len(first)), *rng.integers(0, len(first), (N_RESAMPLED, len(first)))]
    differences: dict[str, list[float]] = {}
    for k in drawn:
        shared = [array[k] for array in others]
        before, after = scores(first[k], *shared), scores(second[k], *shared)
        for name, value in after.items():
            differences.setdefault(name, []).append(value - before[name])
    lines = []
    for name, values in differences.items():
        low, high = np.quantile(values[1:], [0.05, 0.95])
        lines.append(f"{name} {values[0]:+.3f} [{low:+.3f}, {high:+.3f}]")
    return f"  blend - network: {'; '.join(lines)}\n"


def norm(tensor: Floats) -> Floats:
    """Frobenius norm of e_ijk, [n]."""
    return np.asarray(np.linalg.norm(tensor.reshape(len(tensor), -1), axis=1))


def _means(tensor: Floats) -> Floats:
    return np.asarray(np.trace(tensor, axis1=1, axis2=2) / 3)


def log_error(ionic: Floats, mean: Floats) -> Floats:
    """Error of the logarithm of the ionic mean constant, [n]."""
    return np.asarray(np.log((_means(ionic) + OFFSET).clip(0.05) / (mean + OFFSET)))


def folds(formula: NDArray[np.str_]) -> Ints:
    """Numbers below N_FOLDS, the same for crystals of one formula, [n]."""
    names, place = np.unique(formula, return_inverse=True)
    return np.random.default_rng(0).permutation(len(names))[place] % N_FOLDS


def out_of_fold(formula: NDArray[np.str_], cost: Callable[[float, Ints], float]) -> tuple[Floats, float]:
    """The best share for each crystal by the crystals of other folds, [n], and the best one by all."""

    def best(rows: Ints) -> float:
        return float(SHARES[np.argmin([cost(share, rows) for share in SHARES])])

    fold = folds(formula)
    of_fold = np.array([best(np.flatnonzero(fold != k)) for k in range(N_FOLDS)])
    return of_fold[fold], best(np.arange(len(formula)))


def blended(first: Floats, second: Floats, share: Floats) -> Floats:
    """Mean of the logarithms of ionic tensors [n, 3, 3], shares [n] of the second."""
    logarithms = []
    for tensor in (first, second):
        values, vectors = np.linalg.eigh(tensor + OFFSET * np.eye(3))
        values = np.log(np.maximum(values, 0.05))
        logarithms.append(np.einsum("nij,nj,nkj->nik", vectors, values, vectors))
    values, vectors = np.linalg.eigh((1 - share)[:, None, None] * logarithms[0] + share[:, None, None] * logarithms[1])
    return np.einsum("nij,nj,nkj->nik", vectors, np.exp(values), vectors) - OFFSET * np.eye(3)
