"""What a design proposes: the best that are not too far above the hull, looked at in their order."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gmt_tasks.design import session as session_module
from gmt_tasks.design.proposals import LOOKED_AT
from gmt_tasks.design.request import DesignRequest
from gmt_tasks.design.session import DesignSession
from models.crystals.crystal import CrystalBatch
from tests.gmt_tasks.design.screened_rounds import designed

REQUEST = DesignRequest(sort="-k_vrh_gpa", propose=6, above_hull=0.2)
N_WANTED = 45


@pytest.fixture
def session(tmp_path: Path) -> Iterator[DesignSession]:
    with designed(tmp_path, REQUEST) as opened:
        yield opened


class Energies:
    """Stands in for the potential: every crystal that is looked at lies high where `refuses` says so of its place."""

    def __init__(self, refuses: Any) -> None:
        self.refuses, self.n_looked_at = refuses, 0

    def __call__(self, crystals: CrystalBatch) -> SimpleNamespace:
        places = range(self.n_looked_at, self.n_looked_at + crystals.n_crystals)
        self.n_looked_at = places.stop
        above = np.array([1.0 if self.refuses(place) else 0.0 for place in places])
        width = np.full(len(above), 0.1)
        return SimpleNamespace(
            above_hull_ev_per_atom=above, half_width_ev_per_atom=width, formation_ev_per_atom=above - 1
        )


def use(monkeypatch: pytest.MonkeyPatch, energies: Energies | None) -> None:
    monkeypatch.setattr(session_module, "estimator", lambda: energies)


def ranks(session: DesignSession) -> tuple[list[int], list[int]]:
    """Of the proposals, and of what was refused."""
    store, number = session.store.designs, session.design.id
    return [row["rank"] for row in store.proposals(number)], [row["rank"] for row in store.refused(number)]


def test_without_a_potential_the_chosen_ones_are_proposed(
    session: DesignSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, None)
    assert session.propose() == 6
    assert ranks(session) == ([1, 2, 3, 4, 5, 6], [])
    assert session.store.designs.proposals(session.design.id)[0]["value"] > 80


def test_crystals_are_looked_at_in_their_order_until_enough_are_low(
    session: DesignSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    energies = Energies({0, 2, 3, 7}.__contains__)
    use(monkeypatch, energies)
    assert session.propose() == 6
    assert ranks(session) == ([2, 5, 6, 7, 9, 10], [1, 3, 4, 8])
    assert energies.n_looked_at == 10
    refused = session.store.designs.refused(session.design.id)
    assert all("above_hull: 1.000 ± 0.100" in row["refused"] for row in refused)


def test_nobody_is_asked_where_any_energy_will_do(session: DesignSession, monkeypatch: pytest.MonkeyPatch) -> None:
    energies = Energies(lambda place: True)
    use(monkeypatch, energies)
    session.request = replace(REQUEST, above_hull=0.0)
    assert session.propose() == 6
    assert energies.n_looked_at == 0


def test_where_all_are_high_the_search_ends_and_is_not_repeated(
    session: DesignSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    energies = Energies(lambda place: True)
    use(monkeypatch, energies)
    assert session.needs_proposals()
    assert session.propose() == 0
    assert energies.n_looked_at == LOOKED_AT * REQUEST.propose
    assert not session.needs_proposals()


def test_other_numbers_of_proposals_are_made_anew_also_where_some_were_refused(
    session: DesignSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, Energies({1}.__contains__))
    assert session.propose() == 6
    assert not session.needs_proposals()
    for propose in (5, 7):
        session.request = replace(REQUEST, propose=propose)
        assert session.needs_proposals()
        use(monkeypatch, Energies({1}.__contains__))
        assert session.propose() == propose
        assert not session.needs_proposals()


def test_no_more_are_proposed_than_were_wanted_and_the_search_is_not_repeated(
    session: DesignSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, None)
    session.request = replace(REQUEST, propose=100)
    assert session.propose() == N_WANTED
    assert not session.needs_proposals()
