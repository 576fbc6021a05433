"""The bit-sliced kernel's machine code, first part: 512 items are compared with a query at once.

Codes lie as bit planes: in block i, bit b of lane l of plane k is bit k of one gallery item. For a
code length and a query:
    1  Every plane is XORed with the query's bit, repeated. A set bit says that this item differs.
    2  The planes are added up, bit place by bit place, by adders made of logic. The result is the
       distance of all 512 items, in binary, over a handful of planes (7 for 64 bits).
    3  The planes of the distance are decoded. The lowest three become `low`, 8 masks of the items
       with d % 8 = 0..7. The others become `high`, masks of the items with d // 8 = 0, 1, ...
       high[d // 8] & low[d % 8] are the items at d.
    4  Their set bits are counted into the bin of d. A high mask without items, the usual case,
       skips its 8 bins.
Bins are vectors too; their lanes are summed at the end. Call `slice_bits` and `add_histograms`.
"""

import functools
from collections.abc import Callable

from llvmlite import ir

from rdh.retrieval.bitsliced.llvm import (
    ALL_BITS,
    BYTES,
    I8,
    I64,
    MAJORITY_OF_THREE,
    NO_BITS,
    WORDS,
    XOR_OF_THREE,
    Code,
)


def slice_bits(code: Code) -> None:
    """Turns bytes, one row for every 8 bits and one column for each item, into planes.

    Lane l of block i takes the 64 columns from block_step * i + lane_step * l on; plane k of block
    i is written to place plane_stride * k + block_stride * i.
    """
    rows, n_rows, n_blocks, block_step, lane_step, planes, plane_stride, block_stride = (
        code.arguments
    )
    n_columns = code.mul(n_blocks, I64(512))
    with code.loop(n_rows) as row, code.loop(n_blocks) as block:
        first = code.add(code.mul(row.index, n_columns), code.mul(block.index, block_step))
        for lane in range(8):
            column = code.add(first, code.mul(lane_step, I64(lane)))
            bytes_of_items = code.load(code.at(rows, column, I8), typ=BYTES, align=1)
            for bit in range(8):
                chosen = code.and_(bytes_of_items, ir.Constant(BYTES, [1 << bit] * 64))
                word = code.bitcast(
                    code.icmp_unsigned("!=", chosen, ir.Constant(BYTES, [0] * 64)), I64
                )
                plane = code.add(code.mul(row.index, I64(8)), I64(bit))
                place = code.add(code.mul(plane, plane_stride), code.mul(block.index, block_stride))
                code.put(code.at(planes, place, WORDS), lane, word)


def _distances(code: Code, planes: ir.Value, signs: ir.Value, n_bits: int) -> list[ir.Value]:
    """Steps 1 and 2: the distances of one block in binary, the lowest place first.

    As soon as there are three planes of the same weight, they become one of that weight and one of
    twice the weight. Few are alive at any time, so they stay in registers.

    signs: one word for each bit, all ones if the query's bit is set.
    """
    weights: list[list[ir.Value]] = [[] for _ in range(n_bits.bit_length())]

    def add(weight: int, plane: ir.Value) -> None:
        weights[weight].append(plane)
        if len(weights[weight]) == 3:
            three, weights[weight] = weights[weight], []
            weights[weight] = [code.of_three(XOR_OF_THREE, *three)]
            add(weight + 1, code.of_three(MAJORITY_OF_THREE, *three))

    for bit in range(n_bits):
        add(0, code.xor(code.get(planes, bit), code.repeated(code.get(signs, bit, I64))))
    for weight, planes_left in enumerate(weights):
        if len(planes_left) == 2:
            weights[weight] = [code.xor(*planes_left)]
            add(weight + 1, code.and_(*planes_left))
    return [plane for (plane,) in weights]


def decoded_distances(
    code: Code, planes: ir.Value, signs: ir.Value, n_bits: int
) -> tuple[list[ir.Value], list[ir.Value]]:
    """Steps 1 to 3: the masks of d % 8 and of d // 8."""
    places = _distances(code, planes, signs, n_bits)
    return _masks(code, places[:3], 7), _masks(code, places[3:], n_bits // 8)


def _masks(code: Code, places: list[ir.Value], largest: int) -> list[ir.Value]:
    """Step 3: for every value 0..largest, the items whose binary places give it."""

    @functools.cache
    def mask(value: int, n_places: int) -> ir.Value:
        if n_places == 0:
            return ALL_BITS
        top = 1 << (n_places - 1)
        below, place = mask(value % top, n_places - 1), places[n_places - 1]
        if value >= top:
            return code.and_(below, place)
        if n_places == len(places) and value + top > largest:
            return below  # nothing else looks like this value, so the top place need not be asked
        return code.and_(below, code.xor(place, ALL_BITS))

    return [mask(value, len(places)) for value in range(largest + 1)]


def count(
    code: Code,
    decoded: tuple[list[ir.Value], list[ir.Value]],
    items: ir.Value,
    add: Callable[[int, ir.Value], None],
) -> None:
    """Step 4: calls add(d, items at distance d) for the items of the block that `items` has set."""
    low, high = decoded
    for eight, mask in enumerate(high):
        chosen = code.and_(mask, items)
        with code.if_then(code.any_set(chosen)):
            # the last mask is that of d = n_bits alone
            for place in range(8 if eight < len(high) - 1 else 1):
                add(8 * eight + place, code.and_(chosen, low[place]))


def labels_of(
    code: Code, query: ir.Value, starts: ir.Value, numbers: ir.Value
) -> tuple[ir.Value, ...]:
    """Where the list of a query's labels begins and ends, and the list of all labels."""
    return code.get(starts, query, I64), code.get(starts, code.add(query, I64(1)), I64), numbers


def relevant_items(
    code: Code, block: ir.Value, query_labels: tuple[ir.Value, ...], labels: tuple[ir.Value, ...]
) -> ir.Value:
    """The block's items that share a label with the query: its labels' planes ORed."""
    (first, last, numbers), (planes, n_blocks) = query_labels, labels
    with code.loop(code.sub(last, first), NO_BITS) as turn:
        label = code.get(numbers, code.add(first, turn.index), I64)
        plane = code.get(planes, code.add(code.mul(label, n_blocks), block))
        turn.next = (code.or_(turn.values[0], plane),)
    return turn.values[0]


def add_histograms(code: Code, n_bits: int) -> None:
    """Adds to bins (n_queries, 2, n_bits + 1) the items at each distance, relevant ones second.

    Any run of blocks can be given, so that a long gallery is walked in pieces that stay in the
    cache.
    """
    planes, n_blocks, valid, labels, label_stride, starts, numbers, signs, n_queries, bins = (
        code.arguments
    )
    table = code.table(2 * (n_bits + 1))
    with code.loop(n_queries) as query:
        with code.loop(2 * (n_bits + 1)) as bin_:
            code.put(table, bin_.index, NO_BITS)
        own_signs = code.at(signs, code.mul(query.index, I64(n_bits)), I64)
        own_labels = labels_of(code, query.index, starts, numbers)
        with code.loop(n_blocks) as block:
            relevant = relevant_items(code, block.index, own_labels, (labels, label_stride))
            others = code.and_(code.get(valid, block.index), code.xor(relevant, ALL_BITS))
            own_planes = code.at(planes, code.mul(block.index, I64(n_bits)), WORDS)
            decoded = decoded_distances(code, own_planes, own_signs, n_bits)
            for first_bin, items in ((0, others), (n_bits + 1, relevant)):

                def add(d: int, found: ir.Value, first_bin: int = first_bin) -> None:
                    code.put(
                        table,
                        first_bin + d,
                        code.add(code.get(table, first_bin + d), code.n_set(found)),
                    )

                # a gallery sorted by labels has blocks of one kind
                with code.if_then(code.any_set(items)):
                    count(code, decoded, items, add)
        own_bins = code.at(bins, code.mul(query.index, I64(2 * (n_bits + 1))), I64)
        with code.loop(2 * (n_bits + 1)) as bin_:
            so_far = code.get(own_bins, bin_.index, I64)
            code.put(
                own_bins,
                bin_.index,
                code.add(so_far, code.sum_of_lanes(code.get(table, bin_.index))),
            )
