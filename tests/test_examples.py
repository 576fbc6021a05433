"""The examples in docstrings of public functions give what they say."""

import doctest
import importlib

import pytest

MODULES = {
    "rdh.rescue": {"alpha", "saturated", "flagged", "amplify", "similarity"},
    "rdh.retrieval.evaluate": {"evaluate"},
    "rdh.retrieval.bit_costs": {"bit_costs"},
    "rdh.retrieval.codes": {"pack_codes", "unpack_codes", "hamming_distances", "code_counts"},
    "rdh.retrieval.ranking": {"average_precisions"},
    "rdh.retrieval.radius": {"precision_recall_by_radius", "ball_scores", "mean_tie_size"},
    "rdh.codes.files": {"nearest"},
}


@pytest.mark.parametrize("name", MODULES)
def test_examples_give_what_they_say(name):
    module = importlib.import_module(name)
    found = doctest.DocTestFinder(exclude_empty=True).find(module, name)
    with_examples = {one.name.removeprefix(f"{name}.") for one in found if one.examples}
    assert MODULES[name] <= with_examples
    for one in found:
        said: list[str] = []
        results = doctest.DocTestRunner(verbose=False).run(one, out=said.append)
        assert results.failed == 0, "".join(said)
