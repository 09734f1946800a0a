"""Speed, accuracy and size of every shipped model and of every configuration of the network, side by side.

Speed is processor time of one process, so it counts every thread: crystals per second of one core. All configurations
take turns over the same crystals, round by round, so that what else the machine does falls on all of them; figures are
medians of the rounds, and ratios are medians of the ratios within a round. A configuration without shipped weights is
measured with random ones, which cost as much, and has no accuracy.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from db.records import ModelVersion
from gmt_tasks.evaluation.sampling import sample_crystals
from gmt_tasks.evaluation.scoreboard.board import NAN, BoardRow, BoardTable, Figure, Origin, Section
from gmt_tasks.evaluation.scoreboard.paper import OWN_LABELS, card_metrics
from gmt_tasks.screening.refusals import unsupported
from gmt_tasks.screening.screener import Screener
from gmt_tasks.screening.symmetry_analysis import analyse_symmetry
from gmt_tasks.sources.open import open_source
from models.crystals.crystal import MAX_ATOMS, CrystalBatch
from models.gmtnet.card import find_checkpoint, read_card
from models.gmtnet.config import CONFIGS
from models.quantities import TENSORS, Tensor
from models.tensor_model import OrbitModel

PUBLISHED_FORM = "gmtnet-paper"
"""With which speeds are compared: the layers and sizes of the paper."""

SOURCES = ("reference", "prototypes:n=160")
N_CRYSTALS = 128
N_ROUNDS = 5
UNTRAINED = "untrained"

PARAMETERS, NETWORKS = "parameters (10⁶)", "networks"
NETWORK_SPEED, PATH_SPEED = "network, crystals/s", "whole path, crystals/s"
NETWORK_RATIO, PATH_RATIO = f"network, × {PUBLISHED_FORM}", f"whole path, × {PUBLISHED_FORM}"
K_MAE, G_MAE = "MAE K, GPa", "MAE G, GPa"
_PROPERTIES = {K_MAE: "k_vrh_gpa", G_MAE: "g_vrh_gpa"}
_UNITS = {"1": "", "C/m^2": ", C/m²"}


def fnorm_column(quantity: Tensor) -> str:
    """Name of the column of a tensor's Fnorm of the best 90 %."""
    tensor = TENSORS[quantity]
    return f"Fnorm {tensor.symbol}{_UNITS.get(tensor.unit, f', {tensor.unit}')}"


COLUMNS = (
    PARAMETERS, NETWORKS, NETWORK_SPEED, NETWORK_RATIO, PATH_SPEED, PATH_RATIO,
    *map(fnorm_column, Tensor), K_MAE, G_MAE,
)  # fmt: skip


@dataclass(frozen=True)
class Configuration:
    """A model that is measured.

    Attributes:
        name: `name@version`, or the name of a configuration without shipped weights.
        screener: the whole path.
        checkpoint: what the model is called where it is shipped; None for random weights.
    """

    name: str
    screener: Screener
    checkpoint: str | None = None


def shipped_and_untrained(models: Sequence[str]) -> list[Configuration]:
    """The models, then each configuration whose name none of them has."""
    from models.gmtnet.predictor import GMTNetPredictor

    configurations = []
    for model in models:
        screener = Screener.load(model, device="cpu")
        configurations.append(Configuration(str(screener.model_version), screener, model))
    names = {read_card(find_checkpoint(model)).name for model in models}
    for name, config in CONFIGS.items():
        if name not in names:
            version = ModelVersion(name, UNTRAINED, "")
            # beside the network the path is that of the first model: what it says about reliability takes time, too
            like = configurations[0].screener
            screener = replace(like, model=GMTNetPredictor.untrained(config), model_version=version)
            configurations.append(Configuration(name, screener))
    return configurations


def configurations_table(models: Sequence[str], report: Callable[[str], None]) -> BoardTable:
    """Measures the models and every further configuration.

    Args:
        models: shipped names or checkpoints; the published form is measured in any case.
        report: is given a line per round.
    """
    with_published = list(models) if PUBLISHED_FORM in models else [*models, PUBLISHED_FORM]
    configurations = shipped_and_untrained(with_published)
    crystals = measured_crystals(configurations)
    seconds = measure(configurations, crystals, report)
    reference = next(each.name for each in configurations if each.checkpoint == PUBLISHED_FORM)
    rows = []
    for each in configurations:
        figures = size_figures(each) | speed_figures(seconds[each.name], seconds[reference], crystals.n_crystals)
        figures |= accuracy_figures(each.checkpoint)
        note = "" if each.checkpoint else "not trained: no shipped weights of this name"
        sha256 = each.screener.model_version.sha256
        rows.append(BoardRow(each.name, Origin.OURS, figures, "", crystals.n_crystals, note, sha256))
    mean_atoms = len(crystals.numbers) / crystals.n_crystals
    return BoardTable(
        Section.CONFIGURATIONS,
        "configurations",
        "configurations of the network",
        "1",
        f"speed: well-known and prototype crystals of {mean_atoms:.1f} atoms on average",
        crystals.n_crystals,
        COLUMNS,
        tuple(rows),
        "measured here; accuracy from the cards, test part of our split (Fnorm of the best 90 %; labels as above)",
        (
            f"Speed is processor time of one core, the median of {N_ROUNDS} rounds in which all take turns; brackets "
            "behind ratios: the lowest and the highest of a round. Network: symmetric cells to raw tensors; whole "
            "path: crystals to derived columns, intervals and reliability.",
        ),
    )


def measured_crystals(configurations: Sequence[Configuration]) -> CrystalBatch:
    """A fixed draw of well-known and prototype crystals that every configuration accepts."""
    opened = [open_source(name) for name in SOURCES]
    _, crystals = sample_crystals(opened, 2 * N_CRYSTALS, seed=0, max_atoms=MAX_ATOMS)
    refused: set[int] = set()
    for each in configurations:
        refused |= set(unsupported(crystals, each.screener.model.elements))
    kept = np.array([row for row in range(crystals.n_crystals) if row not in refused], dtype=np.int64)
    return crystals.select(kept[:N_CRYSTALS])


@dataclass(frozen=True)
class Seconds:
    """Processor time of the network and of the whole path in each round, in s."""

    network: list[float]
    path: list[float]


def measure(
    configurations: Sequence[Configuration],
    crystals: CrystalBatch,
    report: Callable[[str], None],
    now: Callable[[], float] = time.process_time,
) -> dict[str, Seconds]:
    """Processor time of every configuration, in turns; a first round, which compiles, does not count."""
    taken = {each.name: Seconds([], []) for each in configurations}
    for number in range(N_ROUNDS + 1):
        for each in configurations:
            network, path = _round(each.screener, crystals, now)
            if number:
                taken[each.name].network.append(network)
                taken[each.name].path.append(path)
        report(f"configurations: round {number} of {N_ROUNDS}" + ("" if number else ", which compiles"))
    return taken


def _round(screener: Screener, crystals: CrystalBatch, now: Callable[[], float]) -> tuple[float, float]:
    """Seconds of the network alone and of the whole path."""
    idealized = analyse_symmetry(crystals, screener.symprec).idealized
    start = now()
    if isinstance(screener.model, OrbitModel):
        screener.model.predict_idealized(idealized)
    else:
        screener.model.predict(crystals)
    middle = now()
    screener.predict(crystals)
    return middle - start, now() - middle


def speed_figures(own: Seconds, reference: Seconds, n_crystals: int) -> dict[str, Figure]:
    """Crystals per second, and how many times as fast as the reference, with the ends of the rounds' ratios."""
    figures = {}
    for speed, ratio, ours, theirs in (
        (NETWORK_SPEED, NETWORK_RATIO, own.network, reference.network),
        (PATH_SPEED, PATH_RATIO, own.path, reference.path),
    ):
        figures[speed] = Figure(float(np.median([n_crystals / seconds for seconds in ours])))
        ratios = [other / seconds for other, seconds in zip(theirs, ours, strict=True)]
        figures[ratio] = Figure(float(np.median(ratios)), min(ratios), max(ratios))
    return figures


def size_figures(configuration: Configuration) -> dict[str, Figure]:
    """Weights in millions over all networks, and how many networks there are."""
    from models.gmtnet.predictor import GMTNetPredictor

    model = configuration.screener.model
    if not isinstance(model, GMTNetPredictor):
        return {PARAMETERS: Figure(NAN), NETWORKS: Figure(NAN)}
    return {PARAMETERS: Figure(model.n_parameters / 1e6), NETWORKS: Figure(float(len(model.networks)))}


def accuracy_figures(checkpoint: str | None) -> dict[str, Figure]:
    """Test figures of a shipped model's card; NaN for what it does not say, and for random weights."""
    figures = dict.fromkeys((*map(fnorm_column, Tensor), K_MAE, G_MAE), Figure(NAN))
    if checkpoint is None:
        return figures
    for quantity in Tensor:
        metrics = card_metrics(checkpoint, quantity, OWN_LABELS[quantity])
        if metrics is not None:
            figures[fnorm_column(quantity)] = Figure(metrics.fnorm_trimmed)
    heads = {name: head for head, name in _PROPERTIES.items()}
    for row in read_card(find_checkpoint(checkpoint)).metrics.get("properties", []):
        if (row["split"], row["predictor"]) == ("test", "model") and row["property"] in heads:
            figures[heads[row["property"]]] = Figure(float(row["mae"]))
    return figures
