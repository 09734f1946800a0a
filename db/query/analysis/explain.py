"""Why a filter finds so little: how many crystals each of its terms leaves, and which term, or pair, leaves none."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from sqlalchemy import Connection, and_, case, func, literal, select

from db.query.by_column.rows import NotByColumnError
from db.query.by_column.selection import Selection, which_rows
from db.query.filter_language import parse_filter
from db.query.filter_tree import And, Filter, Is, Knowledge, properties_of, to_text
from db.query.properties import SECOND_OPINION
from db.query.request import Request
from db.query.sql.conditions import HITS, Condition, to_condition
from models.errors import FilterError

MAX_EXPLAINED = 24
"""Terms looked at: all pairs of them are counted at once."""


SCREEN_AGAIN = "screen them again by a version that predicts it, which --model or 'gmtscreen models promote' chooses"
"""What helps where results of the version that answers lack a property."""


@dataclass(frozen=True)
class Term:
    """One of the terms that AND joins.

    Attributes:
        text: in the filter language.
        n: crystals that the term alone describes.
        without: crystals that the filter describes without it.
    """

    text: str
    n: int
    without: int


@dataclass(frozen=True)
class Explanation:
    """What the terms of a filter leave.

    Attributes:
        n: crystals that the whole filter describes.
        total: crystals there are.
        terms: those that AND joins at the top of the filter, in its order.
        empty_pairs: pairs of terms each of which leaves crystals, and which together leave none.
        unknown: properties of terms that leave none, where no crystal's value is known.
    """

    n: int
    total: int
    terms: tuple[Term, ...]
    empty_pairs: tuple[tuple[str, str], ...]
    unknown: tuple[str, ...] = ()

    def sentences(self) -> list[str]:
        """The reason of an empty answer in words, the most telling first; nothing where there are hits."""
        if self.n:
            return []
        if not self.total:
            return ["There are no results yet."]
        alone = [f"No crystal of {self.total:,} passes {term.text}." for term in self.terms if term.n == 0]
        if alone:
            # Older results lack what was derived later, and a model need not predict everything.
            advice = {name: "refine some" if name in SECOND_OPINION else SCREEN_AGAIN for name in self.unknown}
            return alone + [f"{name} is unknown of all crystals: {todo}." for name, todo in advice.items()]
        if self.empty_pairs:
            counts = {term.text: term.n for term in self.terms}
            return [
                f"{counts[one]:,} crystals pass {one} and {counts[other]:,} pass {other}, but none passes both."
                for one, other in self.empty_pairs
            ]
        freed = sorted((term for term in self.terms if term.without), key=lambda term: -term.without)
        if freed:
            return [f"Without {term.text} there would be {term.without:,}." for term in freed]
        return ["Every two of the terms leave some crystals, all together none; leave out two or more."]


def terms_of(tree: Filter) -> list[Filter]:
    """The terms that AND joins at the top of a filter, nested ones and those of presets too, each once."""
    if not isinstance(tree, And):
        return [tree]
    inner = [terms_of(term) for term in tree.terms]
    return list(dict.fromkeys(term for terms in inner for term in terms))


def explain(connection: Connection, request: Request) -> Explanation:
    """Counts what each term, each pair of terms and all but each term leave, in one walk through the results.

    Args:
        connection: to the database.
        request: its filter, and its model.

    Raises:
        FilterError: the filter cannot be read, is empty, or has more than 24 terms joined by AND.
    """
    if not request.filter.strip():
        raise FilterError("There is no filter to explain. Give one.")
    tree = parse_filter(request.filter, request.vocabulary)
    terms = terms_of(tree)
    if len(terms) > MAX_EXPLAINED:
        raise FilterError(f"AND joins {len(terms)} terms, at most {MAX_EXPLAINED} are explained. Leave out some.")
    pairs = list(combinations(range(len(terms)), 2))
    places = list(range(len(terms)))
    others = [places[:left_out] + places[left_out + 1 :] for left_out in places]
    sets: list[Sequence[int]] = [places, *((place,) for place in places), *others, *pairs]
    try:
        counts = _count_by_column(connection, request, terms, sets)
    except NotByColumnError:
        counts = _count(connection, request, tree, [to_condition(term) for term in terms], sets)
    n, total = counts.pop(0), counts.pop()
    alone, without = counts[: len(terms)], counts[len(terms) : 2 * len(terms)]
    texts = [to_text(term) for term in terms]
    empty = [
        (texts[one], texts[other])
        for (one, other), together in zip(pairs, counts[2 * len(terms) :], strict=True)
        if not together and alone[one] and alone[other]
    ]
    rows = tuple(Term(*row) for row in zip(texts, alone, without, strict=True))
    emptied = [properties_of(term) for term, n_alone in zip(terms, alone, strict=True) if not n_alone]
    unknown = []
    for name in sorted(set().union(*emptied)):
        searched = to_condition(Is(name, Knowledge.KNOWN)), *which_rows(connection, tree, request)
        known = connection.execute(select(literal(1)).select_from(HITS).where(*searched).limit(1)).first()
        unknown += [name] if total and known is None else []
    return Explanation(n, total, rows, tuple(empty), tuple(unknown))


def _count_by_column(
    connection: Connection, request: Request, terms: Sequence[Filter], sets: Sequence[Sequence[int]]
) -> list[int]:
    """As `_count`, from the stored columns."""
    selection = Selection(connection, request)
    rows = selection.shown()
    passes = [selection.table.evaluate(term).true[rows] for term in terms]
    counts = []
    for chosen in sets:
        together = np.ones(len(rows), np.bool_)
        for place in chosen:
            together &= passes[place]
        counts.append(int(np.count_nonzero(together)))
    return [*counts, len(rows)]


def _count(
    connection: Connection, request: Request, tree: Filter, conditions: Sequence[Condition], sets: list[Sequence[int]]
) -> list[int]:
    """Crystals that pass all conditions of each set, and at last those there are."""
    # Each term is computed once per row, as a column that is 1 where it is true; unknown counts as false.
    columns = [
        case((condition, literal(1)), else_=literal(0)).label(f"term_{k}") for k, condition in enumerate(conditions)
    ]
    rows = select(*columns).select_from(HITS).where(*which_rows(connection, tree, request)).subquery()
    sums = []
    for chosen in sets:
        passes = and_(literal(value=True), *(rows.c[f"term_{k}"] == 1 for k in chosen))
        sums.append(func.coalesce(func.sum(case((passes, 1), else_=0)), 0))
    row = connection.execute(select(*sums, func.count()).select_from(rows)).one()
    return [int(value) for value in row]
