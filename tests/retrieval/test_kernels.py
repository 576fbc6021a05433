"""The kernels against slow loops and each other, alone, in threads and in other processes.

They must agree to the last integer.
"""

import os
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rdh.retrieval import gpu, pack_codes, pairwise
from rdh.retrieval.bitsliced import kernel as bitsliced
from rdh.retrieval.bitsliced import llvm, planes
from rdh.retrieval.fastest import fastest_kernel
from rdh.retrieval.kernel import Codes
from tests import naive_retrieval as naive

KERNELS = {"pairwise": pairwise, "bitsliced": bitsliced, "torch": gpu.TorchKernel("cpu")}


def random_data(rng, n_query, n_gallery, n_bits, n_classes, multi_label=False, noise=0.5):
    """Codes around one of three centres: with little noise most distances tie.

    Some items have no label at all.
    """

    def labels(n):
        if multi_label:
            return (rng.random((n, n_classes)) < 0.3).astype(np.uint8)
        return np.eye(n_classes, dtype=np.uint8)[rng.integers(0, n_classes, n)]

    centres = rng.random((3, n_bits)) < 0.5

    def codes(n):
        return np.where(
            centres[rng.integers(0, 3, n)] ^ (rng.random((n, n_bits)) < noise), 1, -1
        ).astype(np.int8)

    return codes(n_query), codes(n_gallery), labels(n_query), labels(n_gallery)


def packed(data, own=None):
    return Codes(pack_codes(data[0]), pack_codes(data[1]), data[0].shape[1], *data[2:], own)


def ranked_by_sorting(
    query_codes, gallery_codes, query_labels, gallery_labels, top_k=None, own=None
):
    """The four parts of a `Ranking`, by a stable sort of every query's distances."""
    n_bits, rows = query_codes.shape[1], []
    for query, (code, labels) in enumerate(zip(query_codes, query_labels, strict=True)):
        others = np.arange(len(gallery_codes)) != (-1 if own is None else own[query])
        distances = (code != gallery_codes).sum(axis=1)[others]
        relevant = (labels & gallery_labels).any(axis=1)[others]
        ranks = np.flatnonzero(relevant[np.argsort(distances, kind="stable")][:top_k]) + 1
        counts = [
            np.bincount(some, minlength=n_bits + 1) for some in (distances, distances[relevant])
        ]
        rows.append((*counts, (np.arange(1, len(ranks) + 1) / ranks).sum(), len(ranks)))
    return [np.array(part) for part in zip(*rows, strict=True)]


def assert_same_ranking(ours, expected):
    for part, other in zip(ours, expected, strict=True):
        if part.dtype == np.int64:
            np.testing.assert_array_equal(part, other)
        else:
            np.testing.assert_allclose(part, other, rtol=1e-12)


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize(("n_bits", "n_classes"), [(4, 3), (16, 9), (65, 17), (33, 130)])
@pytest.mark.parametrize("name", KERNELS)
def test_histograms_equal_naive_counts(name, n_bits, n_classes, multi_label):
    data = random_data(np.random.default_rng(n_bits), 5, 40, n_bits, n_classes, multi_label)
    found = KERNELS[name].distance_histograms(packed(data))
    for ours, expected in zip(found, naive.histograms(*data), strict=True):
        assert ours.dtype == np.int64 and ours.flags.c_contiguous
        np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize(
    "n_bits",
    [1, 2, 7, 8, 9, 12, 15, 16, 17, 24, 32, 48, 63, 64, 65, 100, 128, 129, 255, 256, 257, 1024],
)
@pytest.mark.parametrize("name", KERNELS)
def test_every_code_length_is_exact(name, n_bits):
    if name == "bitsliced" and not bitsliced.is_available(n_bits):
        assert fastest_kernel(n_bits) is pairwise
        return
    data = random_data(np.random.default_rng(n_bits), 3, 700, n_bits, 4)
    data[1][0], data[1][1], data[1][-1] = (
        data[0][0],
        -data[0][0],
        -data[0][1],
    )  # both ends of the range
    expected = ranked_by_sorting(*data, top_k=300)
    assert_same_ranking(KERNELS[name].stable_precision_sums(packed(data), top_k=300), expected)
    assert_same_ranking(KERNELS[name].distance_histograms(packed(data)), expected[:2])


@pytest.mark.parametrize("n_gallery", [1, 63, 64, 65, 511, 512, 513, 4096, 70_000])
def test_galleries_of_any_size_are_exact_and_threads_change_nothing(n_gallery):
    data = random_data(np.random.default_rng(n_gallery), 130, n_gallery, 20, 5, noise=0.2)
    some = tuple(part[:3] if place in (0, 2) else part for place, part in enumerate(data))
    expected = ranked_by_sorting(*some)
    alone = bitsliced.stable_precision_sums(packed(data), threads=1)
    assert_same_ranking([part[:3] for part in alone], expected)
    for kernel in (pairwise, bitsliced):
        for threads in (1, 2, 5):
            found = kernel.stable_precision_sums(packed(data), threads=threads)
            assert_same_ranking(found, alone)
            assert_same_ranking(
                kernel.distance_histograms(packed(data), threads=threads), alone[:2]
            )
    many = bitsliced.stable_precision_sums(packed(data), threads=3)
    np.testing.assert_array_equal(
        many.precision_sums, alone.precision_sums
    )  # the same sum in the same order


@pytest.mark.parametrize("pairs", [1, 7, 64, 1000])
def test_blocks_do_not_change_the_torch_kernel(monkeypatch, pairs):
    data = random_data(np.random.default_rng(0), 11, 53, 20, 4)
    monkeypatch.setitem(gpu.PAIRS_AT_ONCE, "cpu", pairs)
    assert_same_ranking(
        gpu.TorchKernel("cpu").stable_precision_sums(packed(data)), ranked_by_sorting(*data)
    )
    assert_same_ranking(
        gpu.TorchKernel("cpu").distance_histograms(packed(data)), ranked_by_sorting(*data)[:2]
    )


@pytest.mark.parametrize("piece_bytes", [1, 3000, 1 << 22])
def test_pieces_of_a_long_gallery_do_not_change_the_histograms(monkeypatch, piece_bytes):
    data = random_data(np.random.default_rng(1), 5, 3000, 16, 4, multi_label=True)
    monkeypatch.setattr(bitsliced, "PIECE_BYTES", piece_bytes)
    assert_same_ranking(bitsliced.distance_histograms(packed(data)), ranked_by_sorting(*data)[:2])


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(
    n_bits=st.integers(1, 70),
    n_query=st.integers(1, 40),
    n_gallery=st.integers(1, 1200),
    n_classes=st.integers(1, 70),
    multi_label=st.booleans(),
    noise=st.sampled_from([0.0, 0.03, 0.5]),
    top_k=st.one_of(st.none(), st.integers(1, 3000)),
    seed=st.integers(0, 2**32 - 1),
)
def test_all_kernels_agree(n_bits, n_query, n_gallery, n_classes, multi_label, noise, top_k, seed):
    data = random_data(
        np.random.default_rng(seed), n_query, n_gallery, n_bits, n_classes, multi_label, noise
    )
    expected = ranked_by_sorting(*data, top_k=top_k)
    for kernel in KERNELS.values():
        assert_same_ranking(kernel.stable_precision_sums(packed(data), top_k=top_k), expected)
        assert_same_ranking(kernel.distance_histograms(packed(data)), expected[:2])


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(
    n_bits=st.integers(1, 70),
    n_query=st.integers(1, 40),
    n_gallery=st.integers(2, 1200),
    n_classes=st.integers(1, 20),
    multi_label=st.booleans(),
    noise=st.sampled_from([0.0, 0.03, 0.5]),
    is_same_code=st.booleans(),
    top_k=st.one_of(st.none(), st.integers(1, 3000)),
    seed=st.integers(0, 2**32 - 1),
)
def test_all_kernels_leave_out_a_querys_own_item(
    n_bits, n_query, n_gallery, n_classes, multi_label, noise, is_same_code, top_k, seed
):
    """Its codes may differ on both sides: some methods learn the gallery's codes."""
    rng = np.random.default_rng(seed)
    data = random_data(rng, n_query, n_gallery, n_bits, n_classes, multi_label, noise)
    own = rng.integers(0, n_gallery, n_query)
    if is_same_code:
        data = data[1][own], data[1], data[3][own], data[3]
    expected = ranked_by_sorting(*data, top_k=top_k, own=own)
    for kernel in KERNELS.values():
        assert_same_ranking(kernel.stable_precision_sums(packed(data, own), top_k=top_k), expected)
        assert_same_ranking(kernel.distance_histograms(packed(data, own)), expected[:2])


@pytest.mark.parametrize("pairs", [7, 1000])
def test_blocks_do_not_change_what_the_torch_kernel_leaves_out(monkeypatch, pairs):
    rng = np.random.default_rng(8)
    data, own = random_data(rng, 11, 53, 20, 4), rng.integers(0, 53, 11)
    monkeypatch.setitem(gpu.PAIRS_AT_ONCE, "cpu", pairs)
    expected, kernel = ranked_by_sorting(*data, own=own), gpu.TorchKernel("cpu")
    assert_same_ranking(kernel.stable_precision_sums(packed(data, own)), expected)
    assert_same_ranking(kernel.distance_histograms(packed(data, own)), expected[:2])


@pytest.mark.parametrize("name", KERNELS)
def test_no_relevant_item_at_all_gives_zeros(name):
    data = random_data(np.random.default_rng(3), 4, 100, 16, 3)
    data[2][1] = 0
    data[3][:] = 0
    found = KERNELS[name].stable_precision_sums(packed(data))
    assert found.n_items.sum() == 400
    assert not found.n_relevant.any() and not found.precision_sums.any() and not found.n_hits.any()


FORKS = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from rdh.retrieval import evaluate


def score(seed):
    rng = np.random.default_rng(seed)
    codes = (rng.choice([-1, 1], (n, 24)) for n in (40, 900))
    labels = (rng.random((n, 3)) < 0.4 for n in (40, 900))
    return evaluate(*codes, *labels).map


if __name__ == "__main__":
    expected = [score(seed) for seed in range(4)]  # compiles and uses threads before it forks
    for method in ("fork", "spawn"):
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as pool:
            assert list(pool.map(score, range(4))) == expected
"""


@pytest.mark.process
def test_forked_and_spawned_processes_find_the_same(tmp_path):
    (tmp_path / "forks.py").write_text(
        FORKS
    )  # a program of its own: a spawned process runs its parent's main module again
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run(
        [sys.executable, str(tmp_path / "forks.py")], env=environment, check=True, timeout=120
    )


def test_the_pairwise_kernel_stands_in_where_the_fast_one_can_not_be_built(monkeypatch):
    def fail(*_):
        raise RuntimeError("no such processor")

    monkeypatch.setattr(planes, "compiled", fail)
    for cached in (bitsliced.is_available, planes.slicing_code):
        cached.cache_clear()
    try:
        assert fastest_kernel(24) is pairwise
    finally:
        bitsliced.is_available.cache_clear()
    monkeypatch.undo()
    assert fastest_kernel(24) is bitsliced


def test_a_processor_without_long_vectors_gets_the_same(monkeypatch):
    data = random_data(np.random.default_rng(5), 6, 800, 40, 4, multi_label=True)
    expected = ranked_by_sorting(*data)
    for cached in (bitsliced._histogram_code, bitsliced._ranking_code, planes.slicing_code):
        cached.cache_clear()
    short_vectors = types.SimpleNamespace(get=lambda _: False, flatten=lambda: "")
    monkeypatch.setattr(llvm.llvm, "get_host_cpu_features", lambda: short_vectors)
    monkeypatch.setattr(llvm.llvm, "get_host_cpu_name", lambda: "")
    try:
        assert_same_ranking(bitsliced.stable_precision_sums(packed(data)), expected)
        assert_same_ranking(bitsliced.distance_histograms(packed(data)), expected[:2])
    finally:
        for cached in (bitsliced._histogram_code, bitsliced._ranking_code, planes.slicing_code):
            cached.cache_clear()


@pytest.mark.process
def test_the_pairwise_kernel_runs_where_no_folder_for_its_code_is_writable(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    script = (
        "import numpy as np\n"
        "from rdh.retrieval import pairwise\n"
        "from rdh.retrieval.kernel import Codes\n"
        "codes, labels = np.zeros((2, 1), np.uint8), np.ones((2, 1))\n"
        "codes = Codes(codes, codes, 8, labels, labels)\n"
        "print(pairwise.stable_precision_sums(codes).precision_sums)\n"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(blocked)}
    root = Path(__file__).resolve().parents[2]
    answer = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        cwd=root,
        env=environment,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.strip() == "[2. 2.]"


@pytest.mark.process
def test_evaluating_imports_neither_torch_nor_numba():
    script = (
        "import sys, numpy as np\n"
        "from rdh.retrieval import evaluate\n"
        "heavy = {'numba', 'llvmlite', 'torch'}\n"
        "assert not heavy & set(sys.modules), 'at import'\n"
        "evaluate(np.ones((2, 16)), np.ones((3, 16)), [0, 0], [0, 0, 0])\n"
        "assert heavy & set(sys.modules) == {'llvmlite'}, heavy & set(sys.modules)\n"
    )
    root = Path(__file__).resolve().parents[2]
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=root, check=False
    )
    assert answer.returncode == 0, answer.stderr


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_gpu_finds_the_same():
    data = random_data(np.random.default_rng(4), 20, 5000, 64, 5)
    assert_same_ranking(
        gpu.TorchKernel("cuda").stable_precision_sums(packed(data)), ranked_by_sorting(*data)
    )
