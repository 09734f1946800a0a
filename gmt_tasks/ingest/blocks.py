"""The validated blocks of a source, with content ids, cut at a limit."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from db.records import IngestedBlock
from gmt_tasks.ingest.content_id_pool import ContentIdPool, Identify
from gmt_tasks.ingest.validate import ingest_block
from gmt_tasks.sources.source import Source, SourceBlock

SHARD_ATOMS, GPU_SHARD_ATOMS = 2048, 16_384
"""Most atoms of a shard: seconds on a CPU core, and what fills a worker's share of a GPU."""


@dataclass(frozen=True)
class IngestPlan:
    """How sources become shards.

    Attributes:
        max_atoms: largest cell in atoms; larger ones are rejected.
        shard_atoms: largest number of atoms of a shard.
        n_workers: small blocks are cut so that all of these have work; as many processes compute content ids.
        shards_per_worker: of a block, at least, and
        least_shard_atoms: as far as shards have so many atoms.
        limit: inputs to take from all sources together, None for all.
    """

    max_atoms: int
    shard_atoms: int = SHARD_ATOMS
    n_workers: int = 1
    limit: int | None = None
    shards_per_worker: int = 16
    least_shard_atoms: int = 128

    def on_gpus(self, shard_atoms: int | None, n_workers: int) -> "IngestPlan":
        """The plan for workers on GPUs: few large shards, because a GPU is slow while it waits and not when it is full.

        Args:
            shard_atoms: most atoms of a shard; None takes the usual.
            n_workers: workers that share out the blocks.
        """
        most = shard_atoms or GPU_SHARD_ATOMS
        return replace(self, shard_atoms=most, n_workers=n_workers, shards_per_worker=1, least_shard_atoms=SHARD_ATOMS)


def ingested_blocks(
    source: Source, plan: IngestPlan, start: int = 0, n_before: int = 0, identify: Identify | None = None
) -> Iterator[IngestedBlock]:
    """The validated blocks of a source from an input position on, cut at the limit.

    Args:
        source: the source.
        plan: bounds; the limit counts the `n_before` inputs of earlier sources.
        start: 0-based position of the first input wanted.
        n_before: see above.
        identify: computes content ids; None computes them in processes of their own once there are many.

    Yields:
        Blocks in order.
    """
    # the limit as a position in this source
    stop = None if plan.limit is None else max(plan.limit - n_before, 0)
    if stop is not None and start >= stop:
        return
    with ContentIdPool(plan.n_workers) as pool:
        for block in source.blocks(start):
            wanted = block if stop is None else head(block, stop)
            yield ingest_block(source.name, wanted, plan.max_atoms, identify or pool.identify)
            if stop is not None and block.stop >= stop:
                return


def head(block: SourceBlock, stop: int) -> SourceBlock:
    """The inputs of a block at positions below `stop`."""
    if block.stop <= stop:
        return block
    n_kept = int((block.positions < stop).sum())
    return replace(
        block,
        stop=stop,
        positions=block.positions[:n_kept],
        source_ids=block.source_ids[:n_kept],
        crystals=block.crystals.select(range(n_kept)),
        metadata=block.metadata[:n_kept],
        places=block.places[:n_kept],
        lineage=block.lineage[:n_kept],
        spacegroups=None if block.spacegroups is None else block.spacegroups[:n_kept],
        rejected=[rejected for rejected in block.rejected if rejected.position < stop],
    )
