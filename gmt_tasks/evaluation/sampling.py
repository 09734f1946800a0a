"""A fair sample of the crystals of sources, in one pass and with the memory of the sample only."""

from collections.abc import Iterable

import numpy as np

from gmt_tasks.ingest.blocks import IngestPlan, ingested_blocks
from gmt_tasks.sources.source import Source
from models.crystals.crystal import CrystalBatch


def sample_crystals(sources: Iterable[Source], n: int, *, seed: int, max_atoms: int) -> tuple[list[str], CrystalBatch]:
    """Draws accepted crystals evenly from all that the sources hold.

    Every crystal gets a random number; the n smallest stay.

    Args:
        sources: opened sources, read to their ends.
        n: crystals wanted.
        seed: of the random numbers.
        max_atoms: larger cells are not drawn.

    Returns:
        Names and crystals in the order of the sources; all of them where they are fewer than n.
    """
    rng = np.random.default_rng(seed)
    names: list[str] = []
    crystals = CrystalBatch.from_arrays([], [], [])
    numbers = np.zeros(0)
    for source in sources:
        for block in ingested_blocks(source, IngestPlan(max_atoms, shard_atoms=1)):
            # Only the sample and one block are in memory: whoever has one of the n smallest numbers so far stays.
            numbers = np.concatenate([numbers, rng.random(block.crystals.n_crystals)])
            kept = np.sort(np.argsort(numbers, kind="stable")[:n])
            all_names = names + block.source_ids
            names = [all_names[k] for k in kept]
            crystals = CrystalBatch.join([crystals, block.crystals]).select(kept)
            numbers = numbers[kept]
    return names, crystals
