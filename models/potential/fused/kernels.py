"""Machine code of the fused convolution: loops over edges, and between them vector instructions over channels.

numba's own loops over few channels and few components cost several times as much: they store what fits into registers
and test again and again whether arrays overlap. So the innermost code is emitted here, straight lines per dimension. It
stands in one file with the loops: by the date of this file numba knows when to compile them again.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from models.crystals.crystal import Ints
from models.potential.fused.pairs import Pairs

DIMENSIONS = (1, 3, 5, 7)
"""Of the irreps that there is code for: l = 0 to 3."""

VECTOR_BYTES = 32
"""Two lanes of 128 bits; compilers split it where registers are narrower."""

_INT32 = ir.IntType(32)


class _Emitter:
    """Instructions on vectors of neighbouring channels.

    Args:
        context: of numba's code generation.
        builder: where instructions go.
        scalar: numba's type of the numbers.
    """

    def __init__(self, context: Any, builder: Any, scalar: Any) -> None:
        self.context, self.builder = context, builder
        self.scalar_bytes = scalar.bitwidth // 8
        self.width = VECTOR_BYTES // self.scalar_bytes
        self.type = ir.VectorType(context.get_data_type(scalar), self.width)
        self.zero = ir.Constant(self.type, [0.0] * self.width)

    def pointer(self, array_type: Any, array: Any, offset: Any) -> Any:
        """Address of an entry of a contiguous array."""
        return self.builder.gep(self.context.make_array(array_type)(self.context, self.builder, array).data, [offset])

    def load(self, pointer: Any, offset: Any) -> Any:
        """A vector of the numbers from there on."""
        return self.builder.load(self._vector_at(pointer, offset), align=self.scalar_bytes)

    def store(self, vector: Any, pointer: Any, offset: Any) -> None:
        """Writes a vector from there on."""
        self.builder.store(vector, self._vector_at(pointer, offset), align=self.scalar_bytes)

    def _vector_at(self, pointer: Any, offset: Any) -> Any:
        return self.builder.bitcast(self.builder.gep(pointer, [offset]), self.type.as_pointer())

    def splat(self, number: Any) -> Any:
        """A vector of one number."""
        single = self.builder.insert_element(ir.Constant(self.type, ir.Undefined), number, ir.Constant(_INT32, 0))
        return self.builder.shuffle_vector(single, single, self._mask([0] * self.width))

    def splat_of(self, pointer: Any, entry: Any) -> Any:
        """A vector of one entry of an array."""
        return self.splat(self.builder.load(self.builder.gep(pointer, [entry])))

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        """a * b + c, in one instruction where the machine has it."""
        return self.builder.fadd(self.builder.fmul(a, b, flags=("contract",)), c, flags=("contract",))

    def sums(self, vectors: list[Any]) -> Any:
        """The sum over each of at most `width` vectors, as a vector that is padded with zeros.

        Neighbours are added pairwise within the two lanes of 128 bits, last the lanes: crossing lanes is slow.
        """
        half = self.width // 2
        vectors = [*vectors, *[self.zero] * (self.width - len(vectors))]
        places = [lane + source for lane in (0, half) for source in (0, self.width)]
        even = [place + j for place in places for j in range(0, half, 2)]
        while len(vectors) > 2:
            pairs = zip(vectors[::2], vectors[1::2], strict=True)
            vectors = [self._folded(a, b, even, 1) for a, b in pairs]
        return self._folded(vectors[0], vectors[1], [*range(half), *range(self.width, self.width + half)], half)

    def _folded(self, a: Any, b: Any, places: list[int], distance: int) -> Any:
        """Sums of the numbers at the given places of two vectors and those at a distance from them."""
        first = self.builder.shuffle_vector(a, b, self._mask(places))
        second = self.builder.shuffle_vector(a, b, self._mask([place + distance for place in places]))
        return self.builder.fadd(first, second)

    def _mask(self, places: list[int]) -> Any:
        return ir.Constant(ir.VectorType(_INT32, self.width), places)


def _for_each_dimension(builder: Any, dimension: Any, emit: Callable[[int], None]) -> None:
    """Emits code for all of them; the running program jumps to that of its own."""
    done = builder.append_basic_block("done")
    cases = builder.switch(dimension, done)
    for n in DIMENSIONS:
        block = builder.append_basic_block(f"dimension_{n}")
        cases.add_case(dimension.type(n), block)
        builder.position_at_end(block)
        emit(n)
        builder.branch(done)
    builder.position_at_end(done)


@contextmanager
def _range(builder: Any, stop: Any, step: int) -> Iterator[Any]:
    """A loop from 0 of the running program."""
    with cgutils.for_range_slice(builder, stop.type(0), stop, stop.type(step), inc=True) as (index, _):
        yield index


@intrinsic  # type: ignore[untyped-decorator]
def _add_product(
    _: Any, d1: Any, d3: Any, mul: Any, sign: Any, x: Any, x_at: Any, t: Any, t_at: Any, w: Any, w_at: Any,
    out: Any, out_at: Any, stride: Any
) -> Any:  # fmt: skip
    """out[m3, u] += sign * w[u] * sum_m1 t[m1, m3] * x[m1, u] for channels u < mul, a multiple of the vector's width.

    Arrays are flat, `_at` says where in them the block begins; rows of x are mul apart, rows of out `stride`.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        d1, d3, mul, sign, *_, stride = args
        emitter = _Emitter(context, builder, signature.args[4].dtype)
        x, t, w, out = (emitter.pointer(signature.args[k], args[k], args[k + 1]) for k in (4, 6, 8, 10))

        def emit(n1: int) -> None:
            with _range(builder, mul, emitter.width) as u:
                rows = [emitter.load(x, builder.add(u, builder.mul(mul, mul.type(m)))) for m in range(n1)]
                weight = builder.fmul(emitter.load(w, u), emitter.splat(sign))
                with _range(builder, d3, 1) as m3:
                    total = emitter.zero
                    for m1, row in enumerate(rows):
                        entry = builder.add(m3, builder.mul(d3, d3.type(m1)))
                        total = emitter.multiply_add(emitter.splat_of(t, entry), row, total)
                    at = builder.add(u, builder.mul(stride, m3))
                    emitter.store(emitter.multiply_add(weight, total, emitter.load(out, at)), out, at)

        _for_each_dimension(builder, d1, emit)
        return context.get_dummy_value()

    n = types.int64
    return types.void(n, n, n, x.dtype, x, n, t, n, w, n, out, n, n), codegen


@intrinsic  # type: ignore[untyped-decorator]
def _add_gradients(
    _: Any, d1: Any, d3: Any, mul: Any, sign: Any, x: Any, x_at: Any, t: Any, t_at: Any, w: Any, w_at: Any,
    g: Any, g_at: Any, stride: Any, x_gradient: Any, t_gradient: Any, w_gradient: Any
) -> Any:  # fmt: skip
    """Adds to the gradients by x, t, w of `_add_product`, when g is the gradient by its `out`.

    The gradient by t is read and written up to a vector's width beyond the block, unchanged there.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        d1, d3, mul, sign = args[:4]
        stride = args[12]
        emitter = _Emitter(context, builder, signature.args[4].dtype)
        x, t, w, g = (emitter.pointer(signature.args[k], args[k], args[k + 1]) for k in (4, 6, 8, 10))
        places = ((13, 5), (14, 7), (15, 9))
        x_gradient, t_gradient, w_gradient = (emitter.pointer(signature.args[k], args[k], args[a]) for k, a in places)
        slots = [cgutils.alloca_once(builder, emitter.type) for _ in range(DIMENSIONS[-1])]

        def emit(n3: int) -> None:
            with _range(builder, d1, 1) as m1:
                for slot in slots[:n3]:
                    builder.store(emitter.zero, slot)
                first = builder.mul(m1, d3)
                with _range(builder, mul, emitter.width) as u:
                    at = builder.add(u, builder.mul(mul, m1))
                    signed = builder.fmul(emitter.load(x, at), emitter.splat(sign))
                    weight = builder.fmul(emitter.load(w, u), emitter.splat(sign))
                    weighted = builder.fmul(emitter.load(x, at), weight)
                    product = emitter.zero  # of t and g, the part of this m1
                    for m3, slot in enumerate(slots[:n3]):
                        row = emitter.load(g, builder.add(u, builder.mul(stride, mul.type(m3))))
                        entry = builder.add(first, d3.type(m3))
                        product = emitter.multiply_add(emitter.splat_of(t, entry), row, product)
                        builder.store(emitter.multiply_add(weighted, row, builder.load(slot)), slot)
                    emitter.store(emitter.multiply_add(signed, product, emitter.load(w_gradient, u)), w_gradient, u)
                    emitter.store(emitter.multiply_add(weight, product, emitter.load(x_gradient, at)), x_gradient, at)
                for start in range(0, n3, emitter.width):
                    parts = [builder.load(slot) for slot in slots[start : min(n3, start + emitter.width)]]
                    at = builder.add(first, d3.type(start))
                    sums = builder.fadd(emitter.sums(parts), emitter.load(t_gradient, at))
                    emitter.store(sums, t_gradient, at)

        _for_each_dimension(builder, d3, emit)
        return context.get_dummy_value()

    n = types.int64
    arguments = (n, n, n, x.dtype, x, n, t, n, w, n, g, n, n, x_gradient, t_gradient, w_gradient)
    return types.void(*arguments), codegen


class PathTable(NamedTuple):
    """Paths of a tensor product as the loops read them, those of one l1 behind each other.

    Attributes:
        groups: where those of the next l1 begin and, last, their number, shape [n_groups + 1].
        d1, d3: dimensions of the features and of the result, shape [n_paths] like all that follow.
        mul: channels.
        odd: whether l2 is odd, so that t changes sign with the direction of the edge.
        x, out: numbers per atom before the features of l1 and before the results of l3.
        stride: channels of all results of l3.
        channel: the first among them.
        t, w: where in the numbers of a pair those of the path begin.
        t_size, w_size: numbers per pair, shape [].
    """

    groups: Ints
    d1: Ints
    d3: Ints
    mul: Ints
    odd: Ints
    x: Ints
    out: Ints
    stride: Ints
    channel: Ints
    t: Ints
    w: Ints
    t_size: int
    w_size: int


def _compiled(function: Callable[..., None]) -> Callable[..., None]:
    """As machine code, which stays on disk for the next process where there is a folder to write to."""
    try:
        return njit(nogil=True, cache=True)(function)  # type: ignore[no-any-return]
    except RuntimeError:  # neither beside this file nor in the user's home
        return njit(nogil=True)(function)  # type: ignore[no-any-return]


@_compiled
def add_products(pairs: Pairs, paths: PathTable, x: Any, t: Any, w: Any, out: Any) -> None:
    """Adds the results of all paths over all edges; arrays are flat and of one type of number."""
    n_atoms = len(pairs.starts) - 1
    plus = x.dtype.type(1)
    # by l1 first: what is added to one atom for one l1 stays in the fastest cache
    for group in range(len(paths.groups) - 1):
        for i in range(n_atoms):
            for e in range(pairs.starts[i], pairs.starts[i + 1]):
                source, pair = pairs.source[e], pairs.pair[e]
                for k in range(paths.groups[group], paths.groups[group + 1]):
                    d1, d3, mul, stride = paths.d1[k], paths.d3[k], paths.mul[k], paths.stride[k]
                    sign = -plus if pairs.reverse[e] and paths.odd[k] else plus
                    x_at = n_atoms * paths.x[k] + source * d1 * mul
                    out_at = n_atoms * paths.out[k] + i * d3 * stride + paths.channel[k]
                    t_at, w_at = pair * paths.t_size + paths.t[k], pair * paths.w_size + paths.w[k]
                    _add_product(d1, d3, mul, sign, x, x_at, t, t_at, w, w_at, out, out_at, stride)


@_compiled
def add_gradients(pairs: Pairs, paths: PathTable, inputs: Any, g: Any, gradients: Any) -> None:
    """Adds to the gradients by x, t, w (`inputs`) of `add_products`, when g is the gradient by its `out`.

    The gradient by t needs `VECTOR_BYTES` numbers of room at its end.
    """
    x, t, w = inputs
    gx, gt, gw = gradients
    n_atoms = len(pairs.starts) - 1
    plus = x.dtype.type(1)
    for group in range(len(paths.groups) - 1):
        for i in range(n_atoms):
            for e in range(pairs.starts[i], pairs.starts[i + 1]):
                source, pair = pairs.source[e], pairs.pair[e]
                for k in range(paths.groups[group], paths.groups[group + 1]):
                    d1, d3, mul, stride = paths.d1[k], paths.d3[k], paths.mul[k], paths.stride[k]
                    sign = -plus if pairs.reverse[e] and paths.odd[k] else plus
                    x_at = n_atoms * paths.x[k] + source * d1 * mul
                    g_at = n_atoms * paths.out[k] + i * d3 * stride + paths.channel[k]
                    t_at, w_at = pair * paths.t_size + paths.t[k], pair * paths.w_size + paths.w[k]
                    _add_gradients(d1, d3, mul, sign, x, x_at, t, t_at, w, w_at, g, g_at, stride, gx, gt, gw)
