"""The interval over queries: AP from the kept codes, paired by query, and where there is none."""

from dataclasses import replace

import numpy as np
import pytest

from rdh.errors import UserError
from rdh.files import write_arrays
from rdh.retrieval import pack_codes
from rdh.studies import expand, look, render, with_queries
from rdh.studies._tools.queries import average_precision, over_queries
from rdh.studies._tools.tables import definitions
from tests.naive_queries import mean_difference, shuffled_average_precision
from tests.studies.conftest import finish, small

N_QUERY, N_GALLERY, N_BITS = 12, 40, 8


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RDH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def with_codes(store, config, quality: float) -> tuple[str, np.ndarray]:
    """A finished run with codes of two classes, and AP of its queries by loops."""
    rng = np.random.default_rng(config.seed)
    classes = rng.integers(0, 2, N_QUERY + N_GALLERY)
    labels = np.eye(2, dtype=np.uint8)[classes]
    signs = np.where(classes[:, None] == 1, 1, -1) * np.ones(N_BITS, dtype=int)
    codes = np.where(rng.random(signs.shape) < quality, signs, -signs)
    query, gallery = codes[:N_QUERY], codes[N_QUERY:]
    expected = np.array(
        [
            shuffled_average_precision(one, gallery, labels[place], labels[N_QUERY:])
            for place, one in enumerate(query)
        ]
    )
    run_id = finish(store, config, float(expected.mean()))
    ids = np.arange(N_QUERY + N_GALLERY)
    (store.run_dir(run_id) / "codes").mkdir(exist_ok=True)
    packed = {"query": pack_codes(query), "gallery": pack_codes(gallery)}
    packed |= {"query_ids": ids[:N_QUERY], "gallery_ids": ids[N_QUERY:]}
    write_arrays(store.run_dir(run_id) / "codes" / "final.npz", packed)
    write_arrays(store.run_dir(run_id) / "split.npz", {"labels": labels})
    return run_id, expected


@pytest.fixture
def study(store):
    study = small(methods=("dpsh",))
    for one in expand(study.grids):
        with_codes(store, one.config, 0.8 if one.cell.arm == "rdh" else 0.6)
    return study


def test_average_precision_of_the_kept_codes_is_that_of_slow_loops(store, cache):
    run_id, expected = with_codes(store, expand(small().grids)[0].config, 0.7)
    first = average_precision(store, run_id)
    assert first.dtype == np.float32
    np.testing.assert_allclose(first, expected, rtol=1e-6)
    (kept,) = (cache / "queries").iterdir()
    assert np.array_equal(np.load(kept), first)
    assert np.array_equal(average_precision(store, run_id), first)


def test_codes_that_do_not_give_the_recorded_map_are_not_used(store):
    run_id, _ = with_codes(store, expand(small().grids)[0].config, 0.7)
    result = store.result(run_id)
    result["metrics"]["map"] += 0.001
    store.write_json(run_id, "result.json", result)
    assert average_precision(store, run_id) is None


def test_the_mean_of_draws_is_that_of_slow_loops_over_query_and_seed(monkeypatch):
    from scipy import stats

    rng = np.random.default_rng(1)
    differences = [rng.normal(0.1, 1, (3, 5)), rng.normal(-0.1, 1, (2, 4))]
    drawn = [rng.integers(0, 5, 5), rng.integers(0, 4, 4)]
    seen = {}
    bootstrap = stats.bootstrap

    def keep(samples, statistic, **options):
        seen.update(samples=samples, statistic=statistic)
        return bootstrap(samples, statistic, **options)

    monkeypatch.setattr(stats, "bootstrap", keep)
    found = over_queries(differences)
    picked = [one[places] for one, places in zip(seen["samples"], drawn, strict=True)]
    by_split = [mean_difference([d], [q]) for d, q in zip(differences, drawn, strict=True)]
    assert seen["statistic"](*picked, axis=-1) == pytest.approx(
        (3 * by_split[0] + 2 * by_split[1]) / 5
    )
    equal = [differences[0], rng.normal(0, 1, (3, 5))]  # splits of one size: the plain mean
    over_queries(equal)
    drawn = [np.array([0, 0, 1, 4, 2]), np.array([3, 3, 3, 1, 0])]
    picked = [one[places] for one, places in zip(seen["samples"], drawn, strict=True)]
    expected = mean_difference(equal, drawn)
    assert seen["statistic"](*picked, axis=-1) == pytest.approx(expected, abs=1e-15)
    assert found.low < found.high and found.method == "queries"


def test_over_many_queries_the_interval_is_near_students():
    from scipy import stats

    rows = np.random.default_rng(0).normal(0.05, 0.2, (4, 2000))
    found, mean = over_queries([rows]), rows.mean(axis=0)
    student = stats.ttest_1samp(mean, 0).confidence_interval(0.95)
    width = student.high - student.low
    assert found.low == pytest.approx(student.low, abs=width / 10)
    assert found.high == pytest.approx(student.high, abs=width / 10)


def test_equal_queries_and_a_single_query_have_no_interval():
    for rows in (np.full((3, 10), 0.1), np.zeros((3, 1))):
        assert np.isnan(over_queries([rows]).low)


def test_the_table_shows_the_interval_only_if_it_was_asked_for(store, study):
    findings = look(store, study)
    assert "over queries" not in render(findings, "html")
    done = []
    asked = with_queries(findings, lambda *step: done.append(step))
    assert done == [(n, 6) for n in range(1, 7)]
    (one,) = asked.results
    assert one.over_queries.low < one.effect.difference < one.over_queries.high
    text = render(asked, "html")
    assert "95% over queries" in text and any("over queries" in x for x in definitions(asked))
    assert render(with_queries(look(store, study)), "csv") == render(asked, "csv")


def test_a_study_of_dead_shares_refuses_it(store, filled):
    study = replace(small(), measure="dead_at_end")
    filled(study, lambda one: 0.5, dead=(1.0, 2.0))
    with pytest.raises(UserError, match=r"small compares the dead share at the end; leave it out"):
        with_queries(look(store, study))


def test_a_comparison_of_which_codes_are_missing_has_no_interval(store, study):
    run_id = next(iter(look(store, study).runs.values())).run_id
    (store.run_dir(run_id) / "codes" / "final.npz").unlink()
    (one,) = with_queries(look(store, study)).results
    assert np.isnan(one.over_queries.low) and one.effect.n == 3
