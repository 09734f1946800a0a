"""How long the worst filters take: hand-made ones at every bound, and random words up to the length that is read.

    python -m benchmarks.filters

Prints processor milliseconds, the best of several tries, of the slowest filters, and whether each was read or refused.
A hostile filter should cost less than 5 ms on an idle core.
"""

import random
import time
from collections.abc import Iterator

from db.query.filter_bounds import MAX_BYTES, MAX_DEPTH, MAX_TERMS
from db.query.filter_language import parse_filter
from models.errors import FilterError

N_RANDOM = 300
N_TRIES = 15
N_SHOWN = 8

TERMS = (
    "ood", "k_vrh_gpa>1", "1.5e3<k_vrh_gpa", 'formula STARTS WITH "a"', "elements LENGTH >=2", 'elements HAS "Al"',
    "k_vrh_gpa IS KNOWN", 'elements HAS ANY "Al","N"', 'source_ids HAS "x"',
)  # fmt: skip
WORDS = (*TERMS, "(", ")", "AND", "OR", "NOT", "(ood", "NOT (", ",", '"', "5 <", "k_vrh_gppa", '"\\\\')


def hand_made() -> Iterator[str]:
    """Filters at the bounds on terms, parentheses, depth and length."""
    for term in TERMS:
        for around in ("{}", "({})", "NOT({})"):
            n_terms = MAX_TERMS // (1 + term.count(","))
            yield "OR".join([around.format(term)] * n_terms)[:MAX_BYTES]
            yield " AND ".join([around.format(term)] * (n_terms - 1) + ["k_vrh_gppa > 1"])[:MAX_BYTES]
    yield " OR ".join(["(" * MAX_DEPTH + "ood" + ")" * MAX_DEPTH] * 3)
    yield "elements HAS ANY " + ",".join(['"Al"'] * MAX_TERMS)
    for piece in ("(", '"', "\\", '("', "NOT ", "a", "9", "k_vrh_gpa", "5 < ", '"\\', "ood ", "ood AND(", "é", '""'):
        yield (piece * MAX_BYTES)[: MAX_BYTES // len(piece[0].encode())]
        yield f'formula = "{(piece * MAX_BYTES)[: MAX_BYTES // 2 - 20]}'
    yield 'formula = "' + "\\\\" * (MAX_BYTES // 2 - 10) + '"'


def random_filters(seed: int = 0) -> Iterator[str]:
    """Random words, half of them with terms and connectives in turn."""
    rng = random.Random(seed)
    for k in range(N_RANDOM):
        n_words = rng.randint(1, 400)
        if k % 2:
            yield " ".join(rng.choice(WORDS) for _ in range(n_words))[:MAX_BYTES]
        else:
            terms = [rng.choice(("{}", "({})", "NOT ({})")).format(rng.choice(TERMS)) for _ in range(n_words // 4 + 1)]
            yield "".join(term + rng.choice((" AND ", " OR ")) for term in terms)[:-4][:MAX_BYTES]


def milliseconds(text: str) -> tuple[float, str]:
    """Processor time of the best try, and how it ended."""
    taken, end = [], "read"
    for _ in range(N_TRIES):
        began = time.thread_time()
        try:
            parse_filter(text)
        except FilterError:
            end = "refused"
        taken.append(1000 * (time.thread_time() - began))
    return min(taken), end


def main() -> None:
    """Measures all, prints the slowest."""
    parse_filter("ood")  # the automaton is made once
    found = [(*milliseconds(text), text) for text in (*hand_made(), *random_filters())]
    print(f"{len(found)} filters, {sum(end == 'read' for _, end, _ in found)} of them read; slowest:")  # noqa: T201
    for taken, end, text in sorted(found, reverse=True)[:N_SHOWN]:
        print(f"{taken:6.2f} ms  {end:8}{len(text.encode()):5} bytes  {text[:60]!r}")  # noqa: T201


if __name__ == "__main__":
    main()
