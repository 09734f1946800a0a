"""Whatever comes in, in whatever order and however often a process dies, every input is accounted for."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from db.records import Balance, Run, RunState, ShardLease
from db.store import ResultStore
from models.errors import Reason
from tests.db.blocks import SHARD_ATOMS, block, crystal_id, results, spec, work_off

ITEM = st.integers(0, 12) | st.sampled_from(Reason)
POISON = [crystal_id(3), crystal_id(7)]


@contextmanager
def fresh_store() -> Iterator[ResultStore]:
    with tempfile.TemporaryDirectory() as folder, ResultStore(Path(folder) / "test.db") as store:
        yield store


@settings(max_examples=10, deadline=None)
@given(blocks=st.lists(st.lists(ITEM, max_size=12), max_size=5))
def test_the_balance_of_any_mixture_closes_and_equals_a_count_by_hand(blocks: list[list[int | Reason]]) -> None:
    with fresh_store() as store:
        run = store.open_run(spec())
        position = 0
        for items in blocks:
            store.add_block(run.id, block(position, items), SHARD_ATOMS)
            position += len(items)
        everything = [item for items in blocks for item in items]
        seeds = [item for item in everything if not isinstance(item, Reason)]
        poisoned = {seed for seed in seeds if crystal_id(seed) in POISON}
        rejected = len(everything) - len(seeds)
        counted = Balance(len(everything), 0, len(seeds) - len(set(seeds)), rejected, 0, len(set(seeds)))
        assert store.balance(run.id) == counted
        store.end_ingest(run.id, "made")
        work_off(store, run.id, poison=POISON)
        done = len(set(seeds)) - len(poisoned)
        balance = store.finish(run.id, 1.0)
        assert balance == Balance(len(everything), done, counted.duplicate, rejected, len(poisoned), 0)
        assert balance.closed
        assert len(store.rejects(run.id)) == rejected + len(poisoned)
        assert store.get_run(run.id).state is RunState.FINISHED


class KilledAndResumed(RuleBasedStateMachine):
    """A screening whose process may be killed between any two transactions, with late writers from earlier lives."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = ResultStore(Path(self.folder.name) / "test.db")
        self.leases: list[ShardLease] = []
        self.life = 0

    @initialize(items=st.lists(ITEM, min_size=1, max_size=30), size=st.integers(1, 8))
    def begin(self, items: list[int | Reason], size: int) -> None:
        self.items, self.size = items, size
        self.run: Run = self.store.open_run(spec())

    @rule()
    def read_a_block(self) -> None:
        start, _ = self.store.ingest_cursor(self.run.id, "made")
        self.store.add_block(self.run.id, block(start, self.items[start : start + self.size]), SHARD_ATOMS)

    @rule()
    def repeat_the_first_block(self) -> None:
        start, _ = self.store.ingest_cursor(self.run.id, "made")
        if start >= self.size:
            self.store.add_block(self.run.id, block(0, self.items[: self.size]), SHARD_ATOMS)

    @rule()
    def lease(self) -> None:
        lease = self.store.lease_shard(self.run.id, f"life {self.life}")
        if lease is not None:
            self.leases.append(lease)

    @rule(data=st.data())
    def commit_any_lease_ever_taken(self, data: st.DataObject) -> None:
        if self.leases:
            lease = data.draw(st.sampled_from(self.leases))
            self.store.commit_shard(lease, results(lease, POISON))

    @rule()
    def die_and_come_back(self) -> None:
        self.store.close()
        self.store = ResultStore(Path(self.folder.name) / "test.db")
        again = self.store.open_run(spec())
        assert again.resumed
        assert again.id == self.run.id
        self.store.reclaim(self.run.id, [f"life {self.life}"])
        self.life += 1

    @invariant()
    def nothing_is_lost(self) -> None:
        if hasattr(self, "run"):
            balance = self.store.balance(self.run.id)
            accounted = balance.done + balance.duplicate + balance.rejected + balance.quarantined + balance.pending
            assert balance.n_in == accounted

    def teardown(self) -> None:
        if hasattr(self, "run"):
            self.bring_to_its_end()
        self.store.close()
        self.folder.cleanup()

    def bring_to_its_end(self) -> None:
        """However the random steps left it, a last life finishes, with the results of a run without any death."""
        self.die_and_come_back()
        while self.store.ingest_cursor(self.run.id, "made")[0] < len(self.items):
            self.read_a_block()
        self.store.end_ingest(self.run.id, "made")
        work_off(self.store, self.run.id, poison=POISON)
        assert self.store.finish(self.run.id, 1.0).closed
        with fresh_store() as calm:
            run = calm.open_run(spec())
            for start in range(0, len(self.items), self.size):
                calm.add_block(run.id, block(start, self.items[start : start + self.size]), SHARD_ATOMS)
            work_off(calm, run.id, poison=POISON)
            assert list(self.store.dump(self.run.id)) == list(calm.dump(run.id))


TestKilledAndResumed = KilledAndResumed.TestCase
TestKilledAndResumed.settings = settings(max_examples=6, stateful_step_count=25, deadline=None)
