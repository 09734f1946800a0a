"""Driving of shards: lease ahead, submit, commit on arrival, until nothing is left to lease.

This loop is the single writer of its process. It may die at any point: what it committed stays, what it had leased is
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
        stale_after_s: a lease without heartbeat for so many seconds may be taken over.
    """

    store: ResultStore
    run_id: int
    pool: Pool
    holder: str
    on_progress: Callable[[Progress], None] = lambda progress: None
    stop: StopRequest = field(default_factory=StopRequest)
    stale_after_s: float = STALE_AFTER_S
    _leases: dict[tuple[int, int], ShardLease] = field(default_factory=dict, init=False)
    _last_beat_s: float = field(default=0.0, init=False)
    _ask_again_s: float = field(default=0.0, init=False)
    _none_free: bool = field(default=False, init=False)

    def drive(self) -> int:
        """Works until no shard of the run is pending or held by another living driver.

        Returns:
            Number of crystals committed by this call, with a result or quarantined.

        Raises:
            StoppedError: a stop was asked for; the leases are given back.
            GmtError: the pool or the database failed; the leases are given back as far as that is possible.
        """
        # A crash before this call leaves leases that nobody renews: at once, not when they have gone stale.
        self._reclaim()
        n_before, n_total = self.store.progress(self.run_id)
        meter, n_committed = RateMeter(), 0
        self.on_progress(meter.progress(n_before, n_total))
        try:
            while self._lease_ahead() or self.pool.n_in_flight or self._more_may_come():
                for lease, block in self.pool.collect(POLL_S):
                    n_committed += self._commit(lease, block)
                    meter.add(len(lease.crystal_ids))
                    self.on_progress(meter.progress(n_before + n_committed, n_total))
                self._beat()
                self.stop.check()
        except BaseException:
            # The next driver need not wait for these leases to go stale. The database may be what failed.
            with suppress(StoreError):
                self.store.release_leases(self.run_id, self.holder)
            raise
        return n_committed

    def _reclaim(self) -> None:
        """Frees the shards of drivers of this host that died."""
        dead = [holder for holder in self.store.holders(self.run_id) if is_dead(holder)]
        if dead:
            event("shards.reclaimed", shards=self.store.reclaim(self.run_id, dead), holders=len(dead))

    def _lease_ahead(self) -> bool:
        """Leases and submits while the pool has room; True when it leased something."""
        leased = False
        while self.pool.has_room and time.monotonic() >= self._ask_again_s:
            self.stop.check()
            lease = self.store.lease_shard(self.run_id, self.holder, self.stale_after_s)
            self._none_free = lease is None
            if lease is None:
                # The database need not be asked again and again while the last shards are computed.
                self._ask_again_s = time.monotonic() + POLL_S
                break
            self._leases[lease.shard_id, lease.token] = lease
            self.pool.submit(lease)
            leased = True
        return leased

    def _more_may_come(self) -> bool:
        """True until a lease was refused while nobody else holds one: then no shard is left."""
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
