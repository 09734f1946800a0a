"""Training: labelled crystals -> a checkpoint. Seeded, resumable, one network for all tensors.

A run lives in a folder: `state.pt` after every epoch (weights, optimiser, averages, epoch; read back only by this
code), and at the end the checkpoint (safetensors + JSON).
"""

from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import torch

from gmt_tasks.labels.files import LabelledCrystals
from gmt_tasks.training.config import TrainingConfig, training_facts
from gmt_tasks.training.data import Prepared, label_counts, prepare, training_rows, typical_norms
from gmt_tasks.training.distillation.distillation import DistillationLoop, prepare_distillation
from gmt_tasks.training.distillation.ensemble_answers import SPREAD_COLUMNS
from gmt_tasks.training.distillation.widening import doubled, doubled_config
from gmt_tasks.training.epochs import Report
from gmt_tasks.training.loop import TrainingLoop
from gmt_tasks.training.published_protocol import labelled_tensors, read_labels_or_published
from gmt_tasks.training.split_table import write_split_table
from models.crystals.crystal import Floats, Ints
from models.errors import ModelError
from models.gmtnet.card import ModelCard, find_checkpoint, read_card
from models.gmtnet.checkpoint import load_checkpoint, save_checkpoint
from models.gmtnet.config import CONFIGS, GMTNetConfig
from models.gmtnet.device import resolve_device
from models.gmtnet.heads import DirectionHead, PositiveHead, TensorHead
from models.gmtnet.label_scales import HeadScales, direction_scales, linear_scales, positive_scales
from models.gmtnet.network import GMTNet
from models.gmtnet.torch_graph import Features, TorchGraph
from models.quantities import TENSORS, Scalar, Tensor
from models.tensors.voigt import to_components

LEARNED_FROM_COMPUTED = (Scalar.EXPANSION, Scalar.DISTORTION)
"""What only computed crystals say: a training without them makes a network without, or keeps what its start says."""


def train(
    config: TrainingConfig,
    out: Path,
    *,
    report: Report = print,
    stop_after_epoch: int | None = None,
    device: str = "auto",
    labels: LabelledCrystals | None = None,
    loop: type[TrainingLoop] = TrainingLoop,
) -> ModelCard | None:
    """Trains (or goes on training) and writes the checkpoint.

    Args:
        config: what to train on what.
        out: folder of this run; an unfinished run found there with the same configuration is resumed.
        report: receives one line per event.
        stop_after_epoch: leave the run resumable after that epoch instead of finishing.
        device: "auto" takes the GPU when there is one, else "cpu" or "cuda"; it may change between two calls.
        labels: of the data folder, where the caller has read them (and split them in another way).
        loop: what runs the epochs.

    Returns:
        The card of the finished model, None if stopped before the end.
    """
    chosen_device = resolve_device(device)
    out.mkdir(parents=True, exist_ok=True)
    data = read_labels_or_published(Path(config.data)) if labels is None else labels
    rows = training_rows(data, config)
    if config.teacher:
        prepared, answers = prepare_distillation(data, rows, config, out, report)
        loop = type("Distillation", (DistillationLoop,), {"answers": answers})
    else:
        prepared = prepare(data, rows, config)
    network, elements = _first_network(config, data, rows, prepared, report)
    report(
        f"{len(rows)} training crystals with labels, {len(prepared.candidates)} candidates, "
        f"{len(prepared.computed)} computed states, {sum(p.numel() for p in network.parameters()):,} weights, "
        f"seed {config.seed}"
    )
    report(f"labels read: {', '.join(f'{n:,} {name}' for name, n in label_counts(data, rows).items())}")
    run = loop(network, config, out, report, chosen_device)
    typical = typical_norms(data, rows)
    while run.epoch < config.epochs:
        run.run_epoch(prepared, typical)
        if run.epoch == stop_after_epoch:
            return None
    facts = training_facts(config) | {
        "n_crystals": len(rows),
        "labels": label_counts(data, rows),
        "final_losses": run.losses,
    }
    card = ModelCard(config.name, config.version, "", network.config, elements, {}, facts)
    save_checkpoint(towards_start(run.averaged_network(), config), out, card)
    path = out / f"{config.name}.json"
    write_split_table(data, path, find_checkpoint(config.start) if config.start else None)
    return read_card(path)


def _first_network(
    config: TrainingConfig, data: LabelledCrystals, rows: Ints, prepared: Prepared, report: Report
) -> tuple[GMTNet, tuple[int, ...]]:
    """The network before the first step, and the elements that it will have seen: those of its start are among them."""
    elements = {int(z) for z in np.unique(data.crystals.select(rows).numbers)}
    wanted = CONFIGS[config.network]
    if config.teacher:
        wanted = replace(wanted, spreads=SPREAD_COLUMNS)
    elif not config.computed:
        # a head that learned nothing would say of every crystal that it is relaxed
        wanted = replace(wanted, scalars=tuple(s for s in wanted.scalars if s not in LEARNED_FROM_COMPUTED))
    if not config.start:
        labelled = labelled_tensors(data)
        missing = [q.value for q in wanted.tensors if q not in labelled]
        if missing:
            # screening wants all of them
            names = ", ".join(missing)
            report(f"no labels for {names}: the model will lack them and can be evaluated, not screened with")
        trained = replace(wanted, tensors=tuple(q for q in wanted.tensors if q in labelled))
        network = make_network(trained, data, rows, config.seed)
        match_scales(network, prepared)
        return network, tuple(sorted(elements))
    networks, card = load_checkpoint(find_checkpoint(config.start))
    # an older network lacks what came since: it is added without a change of what the network says
    wanted = replace(wanted, scalars=tuple(s for s in Scalar if s in {*wanted.scalars, *card.config.scalars}))
    # a distilled network that learns from labels keeps what it knows of its ensemble
    wanted = replace(wanted, spreads=wanted.spreads or card.config.spreads)
    added = {name: getattr(wanted, name) for name in ("tensors", "scalars", "n_relative", "spreads")}
    kinds = [replace(config, **added) for config in (card.config, doubled_config(card.config))]
    if wanted not in kinds or config.start_member >= len(networks):
        raise ModelError(
            f"{card.name}@{card.version} has {len(networks)} networks of another kind than {config.network}: training "
            f"cannot go on from network {config.start_member} of it. Start from random weights, or name another start."
        )
    start = networks[config.start_member]
    if wanted == kinds[1]:
        start = doubled(start, config.seed)
    # the constants of its heads stay: they belong to its weights
    network = _extended(start, wanted, config.seed).train().requires_grad_(requires_grad=True)
    report(f"going on from network {config.start_member} of {card.name}@{card.version} (sha256 {card.sha256[:12]})")
    return network, tuple(sorted(elements | set(card.elements)))


def _extended(network: GMTNet, wanted: GMTNetConfig, seed: int) -> GMTNet:
    """The network with fresh heads for what it was not trained on and inputs of weight 0 that it had not."""
    config = replace(network.config, scalars=wanted.scalars, n_relative=wanted.n_relative, spreads=wanted.spreads)
    if config == network.config:
        return network
    torch.manual_seed(seed)
    extended = GMTNet(config)
    if not network.config.n_relative and extended.radial.relative is not None:
        torch.nn.init.zeros_(extended.radial.relative.weight)
    extended.load_state_dict(extended.state_dict() | network.state_dict())
    return extended


def make_network(network: GMTNetConfig, data: LabelledCrystals, rows: Ints, seed: int) -> GMTNet:
    """A fresh network whose heads know mean and spread of the training labels."""
    torch.manual_seed(seed)
    model = GMTNet(network)
    for quantity in network.tensors:
        labels = data.components[quantity][rows]
        if np.isnan(labels[:, 0]).all():
            raise ModelError(
                f"No training label for {quantity.value}. Add a label file, or take it out of the network's tensors."
            )
        head = model.heads[quantity.value]
        set_constants(head, _scales(head, quantity, {q: data.components[q][rows] for q in TENSORS}))
    return model


def set_constants(head: torch.nn.Module, scales: HeadScales) -> None:
    """Gives a fresh head its means and scales."""
    for name, constant in head.named_buffers(recurse=False):
        if hasattr(scales, name):
            constant.copy_(torch.as_tensor(getattr(scales, name)))


def _scales(head: torch.nn.Module, quantity: Tensor, labels: dict[Tensor, Floats]) -> HeadScales:
    """Constants of a head; labels without the label of their floor are left out."""
    values, floor = labels[quantity], TENSORS[quantity].floor
    if isinstance(head, PositiveHead):
        # the head predicts what lies above the floor
        if isinstance(floor, Tensor):
            values = values - labels[floor]
        elif floor:
            values = values - floor * to_components(quantity, np.eye(3))
        return positive_scales(quantity, values[~np.isnan(values[:, 0])])
    values = values[~np.isnan(values[:, 0])]
    return direction_scales(quantity, values) if isinstance(head, DirectionHead) else linear_scales(quantity, values)


@torch.no_grad()
def match_scales(network: GMTNet, data: Prepared, n_crystals: int = 256) -> None:
    """Scales the read-out weights of fresh heads until each irrep they read has unit spread over training crystals.

    Means over an almost symmetric crystal's atoms nearly cancel for odd irreps: without this a fresh network's
    piezoelectric tensors are 200 times too small and the first epochs are spent on growing them.
    """
    rows = np.concatenate([data.scarce, data.labelled])[:n_crystals]
    network.train()
    features, _ = network.describe(TorchGraph.from_graph(data.graph.select(rows), "cpu", torch.float32))
    for head in network.heads.values():
        match_head(cast("TensorHead", head), features)


@torch.no_grad()
def match_head(head: TensorHead, features: Features) -> None:
    """Scales the read-out weights of one head to unit spread of each irrep over the features of crystals."""
    for kind, layer in head.read.maps.items():
        linear = cast("torch.nn.Linear", layer)
        sizes = linear(features[kind]).square().mean(dim=(0, 2)).sqrt()
        seen = sizes[sizes > 1e-6]  # crystals whose symmetry forbids the irrep say nothing
        if len(seen):
            linear.weight.div_(seen.square().mean().sqrt().clamp(min=1e-3))


@torch.no_grad()
def towards_start(network: GMTNet, config: TrainingConfig) -> GMTNet:
    """The network with the configured share of the weights that its training went on from.

    Source: M. Wortsman et al., Robust fine-tuning of zero-shot models, CVPR (2022), arXiv:2109.01903, section 3.
    """
    if config.start_share:
        start = load_checkpoint(find_checkpoint(config.start))[0][config.start_member].state_dict()
        weights = network.state_dict()
        for name, value in weights.items():
            if value.is_floating_point():
                value.lerp_(start[name].to(value), config.start_share)
    return network
