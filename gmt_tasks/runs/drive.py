"""Driving of shards: lease ahead, submit, commit on arrival, until all is read and nothing is left to lease.

This loop alone writes results in its process. It may die at any point: what it committed stays, what it had leased is
taken over by the next driver, at once on the same host, otherwise when its leases have gone stale.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from db.records import ResultBlock, ShardLease
from db.store import STALE_AFTER_S, ResultStore
from gmt_tasks.process import StopRequest, is_dead
from gmt_tasks.runs.reading import Reading
from gmt_tasks.telemetry import Progress, RateMeter, event
from models.errors import StoreError

POLL_S = 1.0


class Pool(Protocol):
    """Where shards are computed."""

    @property
    def has_room(self) -> bool:
        """True when another shard can be submitted."""
        ...

    @property
    def n_in_flight(self) -> int:
        """Shards that are submitted and not yet collected."""
        ...

    def submit(self, lease: ShardLease) -> None:
        """Takes a shard."""
        ...

    def collect(self, timeout_s: float = 1.0) -> list[tuple[ShardLease, ResultBlock]]:
        """Completed shards; waits up to `timeout_s` seconds."""
        ...


@dataclass
class ShardDriver:
    """Drives the shards of one run through a pool.

    Attributes:
        store: the database.
        run_id: the run.
        pool: where shards are computed.
        holder: name under which shards are leased.
        on_progress: called after every commit.
        stop: checked before every lease.
        reading: of the sources, which may go on beside the driver.
        stale_after_s: a lease without heartbeat for so many seconds may be taken over.
    """

    store: ResultStore
    run_id: int
    pool: Pool
    holder: str
    on_progress: Callable[[Progress], None] = lambda progress: None
    stop: StopRequest = field(default_factory=StopRequest)
    reading: Reading = field(default_factory=lambda: Reading(ended=True))
    stale_after_s: float = STALE_AFTER_S
    _leases: dict[tuple[int, int], ShardLease] = field(default_factory=dict, init=False)
    _last_beat_s: float = field(default=0.0, init=False)
    _ask_again_s: float = field(default=0.0, init=False)
    _none_free: bool = field(default=False, init=False)
    _n_total: int = field(default=0, init=False)

    def drive(self) -> int:
        """Works until all is read and no shard of the run is pending or held by another living driver.

        When the reading fails it ends after the shard it is at: the next call has to read on, and then finds the rest.

        Returns:
            Number of crystals committed by this call, with a result or quarantined.

        Raises:
            StoppedError: a stop was asked for; the leases are given back.
            GmtError: the pool or the database failed; the leases are given back as far as that is possible.
        """
        # A crash before this call leaves leases that nobody renews: at once, not when they have gone stale.
        self._reclaim()
        n_before, self._n_total = self.store.progress(self.run_id)
        meter, n_committed = RateMeter(), 0
        self.on_progress(self._progress(meter, n_before))
        try:
            while not self.reading.failed and (self._lease_ahead() or self.pool.n_in_flight or self._more_may_come()):
                for lease, block in self._collect():
                    n_committed += self._commit(lease, block)
                    meter.add(len(lease.crystal_ids))
                    self.on_progress(self._progress(meter, n_before + n_committed))
                self._beat()
                self.stop.check()
        finally:
            # The next driver need not wait for what is left to go stale. The database may be what failed.
            with suppress(StoreError):
                self.store.release_leases(self.run_id, self.holder)
        return n_committed

    def _progress(self, meter: RateMeter, n_done: int) -> Progress:
        return meter.progress(n_done, self._n_total, more_may_come=not self.reading.ended)

    def _collect(self) -> list[tuple[ShardLease, ResultBlock]]:
        """Completed shards; waits for one, or for the reading where nothing else is left to wait for."""
        if self.pool.has_room and not self.pool.n_in_flight and not self.reading.ended:
            self.reading.wait(POLL_S)
            return []
        return self.pool.collect(POLL_S)

    def _reclaim(self) -> None:
        """Frees the shards of drivers of this host that died."""
        dead = [holder for holder in self.store.holders(self.run_id) if is_dead(holder)]
        if dead:
            event("shards.reclaimed", shards=self.store.reclaim(self.run_id, dead), holders=len(dead))

    def _lease_ahead(self) -> bool:
        """Leases and submits while the pool has room; True when it leased something."""
        leased = False
        if self.reading.take_news():
            _, self._n_total = self.store.progress(self.run_id)
            self._ask_again_s = 0.0
        while self.pool.has_room and time.monotonic() >= self._ask_again_s:
            self.stop.check()
            # Asked before the lease: what comes after it is then looked for once more.
            all_read = self.reading.ended
            lease = self.store.lease_shard(self.run_id, self.holder, self.stale_after_s)
            self._none_free = lease is None and all_read
            if lease is None:
                # The database need not be asked again and again while the last shards are computed.
                self._ask_again_s = time.monotonic() + POLL_S
                break
            self._leases[lease.shard_id, lease.token] = lease
            self.pool.submit(lease)
            leased = True
        return leased

    def _more_may_come(self) -> bool:
        """True until a lease was refused when all was read and nobody else held one: then no shard is left."""
        if not self._none_free:
            return True
        others = [holder for holder in self.store.holders(self.run_id) if holder != self.holder]
        if others:
            # One of them may have died: its shards are then for this driver.
            event("shards.wait", other_drivers=len(others))
            self._reclaim()
        return bool(others)

    def _commit(self, lease: ShardLease, block: ResultBlock) -> int:
        """Commits a shard; 0 when another driver took it over meanwhile, whose result then counts."""
        del self._leases[lease.shard_id, lease.token]
        if not self.store.commit_shard(lease, block):
            event("shard.lost", shard=lease.shard_id)
            return 0
        event("shard.committed", shard=lease.shard_id, done=len(block.crystal_ids), quarantined=len(block.quarantined))
        return len(lease.crystal_ids)

    def _beat(self) -> None:
        """Renews the leases often enough that none goes stale while its shard is computed."""
        now = time.monotonic()
        if now - self._last_beat_s < self.stale_after_s / 4:
            return
        self._last_beat_s = now
        for lease in list(self._leases.values()):
            if not self.store.heartbeat(lease):
                event("lease.lost", shard=lease.shard_id)
