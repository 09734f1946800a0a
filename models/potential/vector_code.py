"""Machine code for tensor products of channels that lie side by side, as functions that numba compiles in.

numba's own loops over few channels and few components cost several times as much: they store what fits into registers
and test again and again whether arrays overlap. Here each pair of dimensions d1, d3 has its own straight-line code.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

DIMENSIONS = (1, 3, 5, 7)
"""Of the irreps that have code: l = 0 to 3."""

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

    def _vector_at(self, pointer: Any, offset: Any) -> Any:
        return self.builder.bitcast(self.builder.gep(pointer, [offset]), self.type.as_pointer())

    def load(self, pointer: Any, offset: Any) -> Any:
        """A vector of the numbers from there on."""
        return self.builder.load(self._vector_at(pointer, offset), align=self.scalar_bytes)

    def store(self, vector: Any, pointer: Any, offset: Any) -> None:
        """Writes a vector from there on."""
        self.builder.store(vector, self._vector_at(pointer, offset), align=self.scalar_bytes)

    def splat(self, number: Any) -> Any:
        """A vector of one number."""
        single = self.builder.insert_element(ir.Constant(self.type, ir.Undefined), number, ir.Constant(_INT32, 0))
        return self.builder.shuffle_vector(single, single, self._mask([0] * self.width))

    def splat_of(self, pointer: Any, entry: int) -> Any:
        """A vector of one entry of an array."""
        return self.splat(self.builder.load(self.builder.gep(pointer, [ir.Constant(ir.IntType(64), entry)])))

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        """a * b + c, in one instruction where the machine has it."""
        return self.builder.fadd(self.builder.fmul(a, b, flags=("contract",)), c, flags=("contract",))

    def sums(self, vectors: list[Any]) -> Any:
        """The sum over each of at most `width` vectors, as a vector that is padded with zeros.

        Neighbours are added pairwise within the two lanes of 128 bits, last the lanes: crossing lanes is slow.
        """
        half = self.width // 2
        vectors = vectors + [self.zero] * (self.width - len(vectors))
        places = [lane + source for lane in (0, half) for source in (0, self.width)]
        even = [place + j for place in places for j in range(0, half, 2)]
        while len(vectors) > 2:
            pairs = zip(vectors[::2], vectors[1::2], strict=True)
            vectors = [self._folded(a, b, even, 1) for a, b in pairs]
        return self._folded(*vectors, [*range(half), *range(self.width, self.width + half)], half)

    def _folded(self, a: Any, b: Any, places: list[int], distance: int) -> Any:
        """Sums of the numbers at the given places of two vectors and those at a distance from them."""
        first = self.builder.shuffle_vector(a, b, self._mask(places))
        second = self.builder.shuffle_vector(a, b, self._mask([place + distance for place in places]))
        return self.builder.fadd(first, second)

    def _mask(self, places: list[int]) -> Any:
        return ir.Constant(ir.VectorType(_INT32, self.width), places)


def _for_each_pair_of_dimensions(builder: Any, d1: Any, d3: Any, emit: Callable[[int, int], None]) -> None:
    """Emits code for all of them; the running program jumps to that of its d1, d3."""
    done = builder.append_basic_block("done")
    cases = builder.switch(builder.add(builder.mul(d1, d1.type(8)), d3), done)
    for n1 in DIMENSIONS:
        for n3 in DIMENSIONS:
            block = builder.append_basic_block(f"dimensions_{n1}_{n3}")
            cases.add_case(d1.type(8 * n1 + n3), block)
            builder.position_at_end(block)
            emit(n1, n3)
            builder.branch(done)
    builder.position_at_end(done)


@intrinsic  # type: ignore[untyped-decorator]
def add_product(
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

        def emit(n1: int, n3: int) -> None:
            with cgutils.for_range_slice(builder, mul.type(0), mul, mul.type(emitter.width), inc=True) as (u, _):
                rows = [emitter.load(x, builder.add(u, builder.mul(mul, mul.type(m)))) for m in range(n1)]
                weight = builder.fmul(emitter.load(w, u), emitter.splat(sign))
                for m3 in range(n3):
                    total = builder.fmul(emitter.splat_of(t, m3), rows[0])
                    for m1 in range(1, n1):
                        total = emitter.multiply_add(emitter.splat_of(t, m1 * n3 + m3), rows[m1], total)
                    at = builder.add(u, builder.mul(stride, mul.type(m3)))
                    emitter.store(emitter.multiply_add(weight, total, emitter.load(out, at)), out, at)

        _for_each_pair_of_dimensions(builder, d1, d3, emit)
        return context.get_dummy_value()

    n = types.int64
    return types.void(n, n, n, x.dtype, x, n, t, n, w, n, out, n, n), codegen


@intrinsic  # type: ignore[untyped-decorator]
def add_gradients(
    _: Any, d1: Any, d3: Any, mul: Any, sign: Any, x: Any, x_at: Any, t: Any, t_at: Any, w: Any, w_at: Any,
    g: Any, g_at: Any, stride: Any, x_gradient: Any, t_gradient: Any, w_gradient: Any
) -> Any:  # fmt: skip
    """Adds to the gradients by x, t, w of `add_product`, when g is the gradient by its `out`.

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

        def emit(n1: int, n3: int) -> None:
            for m1 in range(n1):
                for slot in slots[:n3]:
                    builder.store(emitter.zero, slot)
                with cgutils.for_range_slice(builder, mul.type(0), mul, mul.type(emitter.width), inc=True) as (u, _):
                    at = builder.add(u, builder.mul(mul, mul.type(m1)))
                    signed = builder.fmul(emitter.load(x, at), emitter.splat(sign))
                    weight = emitter.load(w, u)
                    weighted = builder.fmul(signed, weight)
                    h = emitter.zero
                    for m3, slot in enumerate(slots[:n3]):
                        row = emitter.load(g, builder.add(u, builder.mul(stride, mul.type(m3))))
                        h = emitter.multiply_add(emitter.splat_of(t, m1 * n3 + m3), row, h)
                        builder.store(emitter.multiply_add(weighted, row, builder.load(slot)), slot)
                    emitter.store(emitter.multiply_add(signed, h, emitter.load(w_gradient, u)), w_gradient, u)
                    signed_weight = builder.fmul(weight, emitter.splat(sign))
                    emitter.store(emitter.multiply_add(signed_weight, h, emitter.load(x_gradient, at)), x_gradient, at)
                for first in range(0, n3, emitter.width):
                    totals = emitter.sums([builder.load(slot) for slot in slots[first : min(n3, first + emitter.width)]])
                    at = mul.type(m1 * n3 + first)
                    emitter.store(builder.fadd(totals, emitter.load(t_gradient, at)), t_gradient, at)

        _for_each_pair_of_dimensions(builder, d1, d3, emit)
        return context.get_dummy_value()

    n = types.int64
    arguments = (n, n, n, x.dtype, x, n, t, n, w, n, g, n, n, x_gradient, t_gradient, w_gradient)
    return types.void(*arguments), codegen
