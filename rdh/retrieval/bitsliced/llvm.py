"""A small vocabulary to write machine code with: loops, tables and vectors of 512 bits.

LLVM compiles it in memory. A vector `WORDS` holds 8 words of 64 bits; on processors whose own
vectors are shorter LLVM splits it. Every argument of a function is one 64-bit number: a count, or
the address of an array.
"""

import ctypes
import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir

I8, I16, I32, I64, F64 = *(ir.IntType(width) for width in (8, 16, 32, 64)), ir.DoubleType()
POINTER, WORDS, REALS, BYTES = (
    ir.PointerType(),
    *(ir.VectorType(kind, n) for kind, n in ((I64, 8), (F64, 8), (I8, 64))),
)
NO_BITS, ALL_BITS = ir.Constant(WORDS, [0] * 8), ir.Constant(WORDS, [-1] * 8)

XOR_OF_THREE, MAJORITY_OF_THREE = 0x96, 0xE8  # truth tables


class Code(ir.IRBuilder):
    """One function under construction.

    arguments: one letter each, n = a number, p = the address of an array.
    """

    def __init__(self, module: ir.Module, name: str, arguments: str) -> None:
        function = ir.Function(module, ir.FunctionType(ir.VoidType(), [I64] * len(arguments)), name)
        super().__init__(function.append_basic_block())
        self.arguments = [
            value if letter == "n" else self.inttoptr(value, POINTER)
            for letter, value in zip(arguments, function.args, strict=True)
        ]

    def at(self, array: ir.Value, place: ir.Value | int, kind: ir.Type) -> ir.Value:
        """Address of array[place]."""
        return self.gep(array, [I64(place) if isinstance(place, int) else place], source_etype=kind)

    def get(self, array: ir.Value, place: ir.Value | int, kind: ir.Type = WORDS) -> ir.Value:
        """array[place]."""
        align = {WORDS: 8, BYTES: 1}.get(kind)  # arrays need not start where a vector would like it
        return self.load(self.at(array, place, kind), typ=kind, align=align)

    def put(self, array: ir.Value, place: ir.Value | int, value: ir.Value) -> None:
        """array[place] = value."""
        self.store(
            value, self.at(array, place, value.type), align=8 if value.type is WORDS else None
        )

    def table(self, n: int) -> ir.Value:
        """Scratch of n vectors."""
        table = self.alloca(WORDS, n)
        table.align = 64
        # llvmlite would hold on to the type of its entries
        return self.inttoptr(self.ptrtoint(table, I64), POINTER)

    @contextmanager
    def loop(self, n: ir.Value | int, *start: ir.Value) -> Iterator[SimpleNamespace]:
        """Repeats the body for index = 0..n-1.

        `values` are carried from one turn to the next, beginning with `start`; the body sets
        `next`. After the loop `values` are the last ones.
        """
        before = self.block
        head, body, after = (self.append_basic_block() for _ in range(3))
        self.branch(head)
        self.position_at_end(head)
        phis = [self.phi(value.type) for value in (I64(0), *start)]
        turn = SimpleNamespace(index=phis[0], values=phis[1:], next=())
        self.cbranch(
            self.icmp_unsigned("<", turn.index, I64(n) if isinstance(n, int) else n), body, after
        )
        self.position_at_end(body)
        yield turn
        following = (self.add(turn.index, I64(1)), *turn.next)
        for phi, first, later in zip(phis, (I64(0), *start), following, strict=True):
            phi.add_incoming(first, before)
            phi.add_incoming(later, self.block)
        self.branch(head)
        self.position_at_end(after)

    def repeated(self, value: ir.Value, kind: ir.VectorType = WORDS) -> ir.Value:
        """A vector with value in every lane."""
        one = self.insert_element(ir.Constant(kind, ir.Undefined), value, I32(0))
        lanes = ir.Constant(ir.VectorType(I32, kind.count), [0] * kind.count)
        return self.shuffle_vector(one, ir.Constant(kind, ir.Undefined), lanes)

    def call_llvm(self, name: str, result: ir.Type, *arguments: ir.Value) -> ir.Value:
        """One of LLVM's own functions."""
        kinds = [argument.type for argument in arguments]
        function = self.module.globals.get(name) or ir.Function(
            self.module, ir.FunctionType(result, kinds), name
        )
        return self.call(function, arguments)

    def n_set(self, bits: ir.Value) -> ir.Value:
        """How many bits are set, in each lane."""
        return self.call_llvm(
            "llvm.ctpop.v8i64" if bits.type is WORDS else "llvm.ctpop.i64", bits.type, bits
        )

    def any_set(self, bits: ir.Value) -> ir.Value:
        """Whether a vector has any bit set."""
        return self.icmp_signed(
            "!=", self.bitcast(self.icmp_signed("!=", bits, NO_BITS), I8), I8(0)
        )

    def sum_of_lanes(self, words: ir.Value) -> ir.Value:
        """One number from a vector."""
        return self.call_llvm("llvm.vector.reduce.add.v8i64", I64, words)

    def of_three(self, truth: int, a: ir.Value, b: ir.Value, c: ir.Value) -> ir.Value:
        """Bitwise XOR_OF_THREE or MAJORITY_OF_THREE: one instruction with AVX-512."""
        if llvm.get_host_cpu_features().get("avx512f"):
            return self.call_llvm("llvm.x86.avx512.pternlog.q.512", WORDS, a, b, c, I32(truth))
        if truth == XOR_OF_THREE:
            return self.xor(self.xor(a, b), c)
        return self.or_(self.and_(a, b), self.and_(c, self.or_(a, b)))


def compiled(name: str, arguments: str, write: Callable[[Code], None]) -> Callable[..., None]:
    """The function that `write` writes. It takes integers and NumPy arrays.

    It runs without the interpreter lock. arguments: as in `Code`.

    Raises:
        RuntimeError: If LLVM can't build it.
    """
    module = ir.Module()
    code = Code(module, name, arguments)
    write(code)
    code.ret_void()
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    parsed = llvm.parse_assembly(str(module))
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3
    )
    engine = llvm.create_mcjit_compiler(parsed, machine)
    engine.finalize_object()
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * len(arguments))(
        engine.get_function_address(name)
    )
    return functools.partial(_call, engine, function)


def _call(
    _engine: llvm.ExecutionEngine, function: Callable[..., None], *arguments: int | np.ndarray
) -> None:
    """The engine owns the code, so it stays with the function."""
    function(*(one.ctypes.data if isinstance(one, np.ndarray) else one for one in arguments))
