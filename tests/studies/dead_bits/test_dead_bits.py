"""The study of dead bits: its grids, what its chapters say, and which runs its predictors take."""

import io
import shutil

import numpy as np
import pandas as pd
import pytest

from rdh import catalog, execution, studies
from rdh.config.presets import preset_config
from rdh.config.run_config import RunConfig
from rdh.store.run_store import RunStore
from rdh.studies import answer, expand, look, render
from rdh.studies._dead_bits import predictors, ranks
from rdh.studies._dead_bits.counts import compare, mean, pairs_of
from rdh.studies._dead_bits.predictors import at_hand, paired
from tests.studies.conftest import finish

N = 800.0  # entries of a run
NOISE = {0: 0.0, 1: 0.001, 2: -0.001}
MAPS = {"baseline": 0.50, "eaq": 0.55, "rdh": 0.60, "labels": 0.56, "not_labels": 0.58}


def asked(**words: str) -> studies.Study:
    usual = {"preset": "quick", "methods": "dpsh", "bits": "8", "seeds": "0-2"}
    return studies.study("dead_bits").with_words(usual | words)


def kind(config: RunConfig) -> str:
    arm = config.arm or "baseline"
    return config.amplifier_aim if config.amplifier_aim in MAPS else arm


def count(store, config: RunConfig, **changes: float) -> str:
    """A finished run that counted its entries."""
    score = MAPS[kind(config)] + NOISE[config.seed % 3] * (1 + (kind(config) != "baseline"))
    dead = 8.0 if config.amplifier else 40.0
    run_id = finish(store, config, score, dead=(2.0, dead))
    metrics = {
        "map": score, "map_tie": score, "train_entries": N, "train_saturated": 300.0,
        "train_flagged": 200.0, "train_flagged_wrong": 20.0, "train_flagged_undecided": 0.0,
        "train_flagged_all_pairs": 200.0, "train_flagged_confirmed": 200.0,
        "train_wrong": 4 * dead, "train_undecided": 3.0, "train_dead": dead + config.seed,
        "map_train": 0.9, "cost_train": 0.02, "cost_flagged": -0.1 - NOISE[config.seed % 3],
        "cost_random": -0.2, "cost_gallery": 0.001 * dead * (1 + NOISE[config.seed % 3]),
    }  # fmt: skip
    result = store.result(run_id) | {"metrics": metrics | changes}
    store.write_json(run_id, "result.json", result)
    return run_id


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    """Intervals are not looked at here."""
    monkeypatch.setattr(ranks, "DRAWS", 50)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """All runs of a small grid of the study; read only."""
    store = RunStore(tmp_path_factory.mktemp("made") / "runs")
    for config in {one.config.hash: one.config for one in expand(asked().grids)}.values():
        count(store, config)
    return store


@pytest.fixture(scope="module")
def findings(made):
    return look(made, asked())


@pytest.fixture
def full(made, tmp_path):
    """The same, to be changed."""
    shutil.copytree(made.root, tmp_path / "runs")
    return RunStore(tmp_path / "runs")


def chapter(findings, title: str):
    return next(one for one in findings.chapters if one.title.startswith(title))


# Grids


def test_a_pair_and_an_aim_are_the_runs_that_a_person_would_launch():
    found = {one.config.hash for one in expand(studies.study("dead_bits").grids)}
    usual = {"method": "dpsh", "n_bits": 32, "seed": 1, "eta": 1.0}
    rdh = usual | {"amplifier": True, "quantization": "error_aware"}
    for fields in (usual, rdh, rdh | {"amplifier_aim": "labels"}, rdh | {"amplifier_scale": 2.0}):
        assert preset_config("offline", **fields).hash in found


def test_a_method_that_is_not_aimed_stays_out_of_the_aims_and_a_new_one_is_in_all():
    whole = studies.study("dead_bits")
    (alone,) = whole.with_words({"methods": "csq"}).grids
    assert alone.methods == ("csq",) and alone.arms == ("baseline", "rdh")
    both = whole.with_words({"methods": "csq,dpsh", "bits": "24,32"}).grids
    assert [one.methods for one in both] == [("csq", "dpsh"), *[("dpsh",)] * 3]
    assert [one.bits for one in both] == [(24, 32), *[(32,)] * 3]
    assert {one.bits for one in whole.with_words({"bits": "16"}).grids} == {(16,)}


def test_bits_can_die_in_every_method_of_the_grid_and_of_the_others_any_can_be_asked_for():
    names = {name for name, card in catalog.methods().items() if len(card.arms()) > 1}
    study = studies.study("dead_bits")
    assert set(study.grids[0].methods) < names
    for name in names.difference(study.grids[0].methods):
        assert study.with_words({"methods": name}).grids[0].methods == (name,)


# Chapters


def test_the_counts_are_compared_pair_by_pair_and_said_first(findings):
    said = " ".join(answer(findings))
    assert "10.0% (DPSH, 8 bits), in the median 10.0%, are wrong, without RDH" in said
    assert "RDH lowers the dead share" not in said, "all pairs are equal: there is no interval"
    assert "RDH raises MAP. Mean difference: +0.1000" in said
    found = chapter(findings, "How many")
    row = found.tables[0].cells.iloc[0]
    assert row["flagged"] == "25.0%" and row["dead"] == "5.125%" and row["MAP"] == "0.5000"
    assert row["dead: change by RDH"].startswith("-4.000%")
    marked = found.tables[0].bold.iloc[0]
    assert marked["MAP: change by RDH"] and not marked["MAP"]


def test_the_gain_is_taken_apart_and_its_parts_are_those_of_each_seed(findings):
    found = chapter(findings, "Where the gain")
    parts, aims, by_pair = found.tables
    row = parts.cells.iloc[0]
    assert row["RDH"].startswith("+0.1000 [") and row["EAQL alone"].startswith("+0.0500 [")
    assert row["Freeing dead bits alone (labels)"].startswith("+0.0100")
    assert row["Loosening the others alone (not_labels)"].startswith("+0.0300")
    assert len(by_pair.cells) == 3 and by_pair.cells["RDH"].tolist() == [
        "+0.1000", "+0.1010", "+0.0990"
    ]  # fmt: skip
    assert len(aims.cells) == 5 and "minus the paper's" in aims.cells


def test_csv_holds_every_count_of_every_pair_with_its_interval(findings):
    table = pd.read_csv(io.StringIO(render(findings, "csv")))
    assert {"map", "dead", "flagged", "saturated", "recall", "cost_gallery"} <= set(
        table["measure"]
    )
    dead = table[(table["measure"] == "dead") & (table["group"] == "RDH")].iloc[0]
    assert dead["pairs"] == 3 and dead["difference"] == pytest.approx(-0.04)


@pytest.mark.parametrize("kind", studies.KINDS)
def test_a_report_has_every_chapter_and_is_the_same_to_the_byte(kind, findings, made):
    text = render(findings, kind)
    assert text == render(look(made, asked()), kind)
    if kind in ("md", "html"):
        places = [text.index(one.title) for one in findings.chapters]
        assert places == sorted(places) and len(places) == 3, "no evaluation within the training"


def test_runs_that_did_not_count_are_no_rows_and_the_report_stands(full):
    run_id = full.run_ids()[0]
    result = full.result(run_id)
    result["metrics"] = {"map": 0.5, "map_tie": 0.5}
    full.write_json(run_id, "result.json", result)
    found = look(full, asked())
    assert chapter(found, "How many").tables[0].cells.iloc[0]["pairs"] == "2"
    assert "1 did not count their dead bits" in chapter(found, "Which count").said[0]


def test_a_share_of_few_entries_is_unknown_for_a_cell_if_one_seed_lacks_it(full):
    first = next(one for one in full.run_ids() if full.config(one).arm == "")
    result = full.result(first)
    result["metrics"] |= {"train_flagged": 50.0}
    full.write_json(first, "result.json", result)
    findings = look(full, asked())
    assert "of them wrong" not in chapter(findings, "How many").tables[0].cells
    counted = chapter(findings, "How many").results
    assert counted["flagged_wrong"][0].effect.n == 0 and counted["flagged"][0].effect.n == 3


def test_the_dead_over_time_are_those_after_each_epoch(full):
    for run_id in full.run_ids():
        for step, dead in ((2, 8), (4, 16)):
            values = np.full(8, dead // 8, np.int32)
            path = full.run_dir(run_id) / "codes" / f"probe-{step}.npz"
            path.parent.mkdir(exist_ok=True)
            np.savez(path, dead_counts=values, n_items=np.array(100))
        result = full.result(run_id)
        full.write_json(run_id, "result.json", result | {"seconds": 3.0})  # as if just written
    found = chapter(look(full, asked()), "Dead bits over time")
    assert found.tables[0].cells.iloc[0].tolist() == ["DPSH", "1.000%", "2.000%"]
    assert found.answers[0].startswith(
        "Training from epoch 1 to 2 without RDH can't be judged: 1 cell"
    )


# Predictors


def test_all_runs_of_the_recipe_are_at_hand_and_others_are_left_out_by_their_reasons(full):
    usual = expand(asked().grids)[0].config.model_dump()

    def make(**fields: object) -> RunConfig:
        return RunConfig(**(usual | fields))

    count(full, make(lr=0.1))
    count(full, make(n_bits=16))
    count(full, make(queries="validation"))  # the same network as the study's own
    count(full, make(method_options={"theta_scale": 0.5}))  # likewise: the default
    count(full, make(epochs=9))
    full.create(make(seed=7))
    tau = count(full, make(tau=0.9, seed=8, amplifier=True, quantization="error_aware"))
    frame, left_out = at_hand(look(full, asked()))
    assert left_out == {
        "are networks that another run has measured already": 2,
        "have another epochs": 1,
        "have not finished": 1,
    }
    assert len(frame) == 24 + 5
    other = frame.set_index("run_id").loc[tau]
    assert np.isnan(other["dead"]) and np.isfinite(other["wrong"])


def test_while_runs_are_under_way_the_correlations_wait(full):
    execution.submit(full, [one.config for one in expand(asked(seeds="0-3").grids)][:4])
    found = chapter(look(full, asked(seeds="0-3")), "Which count")
    assert not found.tables and "as soon as no run is under way" in found.said[0]


def frame_of(rows: list[dict]) -> pd.DataFrame:
    usual = {
        "method": "dpsh", "seed": 0, "split_seed": 0, "arm": "", "is_papers": True, "eta": 1.0,
        "map": 0.5, "dead": 0.1, "flagged": 0.2, "pair": "a", "is_validated": False,
    }  # fmt: skip
    return pd.DataFrame([usual | {"setting": f"{n}"} | row for n, row in enumerate(rows)])


def test_a_pair_has_equal_settings_and_the_papers_amplifier():
    rows = [
        {"map": 0.5},
        {"map": 0.7, "arm": "rdh"},
        {"map": 0.9, "arm": "rdh", "is_papers": False},
        {"map": 0.9, "arm": "rdh", "eta": 0.1},
        {"map": 0.9, "arm": "rdh", "pair": "b"},
        {"map": 0.9, "arm": "eaq"},
    ]
    assert paired(frame_of(rows))["gain"].tolist() == pytest.approx([0.2])


def test_a_baseline_without_a_weight_is_the_partner_of_every_weight():
    rows = [{"eta": np.nan}, {"arm": "rdh", "eta": 1.0}, {"arm": "rdh", "eta": 0.1}]
    assert len(paired(frame_of(rows))) == 2


def test_the_better_predictor_is_named_only_if_its_lead_excludes_zero():
    generator = np.random.default_rng(0)
    quality, noise = generator.random(60), generator.random(60)
    rows = [
        {"map": quality[n], "flagged": -quality[n], "dead": noise[n], "seed": n} for n in range(60)
    ]

    def said(frame: pd.DataFrame) -> str:
        return predictors._best(predictors._runs("these runs", frame), "map", "overall")

    assert "flagged by its last batch" in said(frame_of(rows))
    assert "so it is the better predictor: its lead is" in said(frame_of(rows))
    swapped = frame_of(rows).rename(columns={"dead": "flagged", "flagged": "dead"})
    assert said(swapped).endswith("“dead, at the end”, -1.00 [-1.00, -1.00].")
    twins = frame_of([row | {"dead": row["flagged"]} for row in rows])
    twins.loc[0, "dead"] = 0.5
    assert "so it is not surely the better predictor" in said(twins)


def test_a_cell_without_a_run_has_no_number(store):
    first = expand(asked().grids)[0].config
    count(store, first)
    findings = look(store, asked())
    (result,) = compare(findings, [(pairs_of(findings)[0], "map", "map")])
    assert result.effect.n == 0
    assert np.isnan(mean(findings, pairs_of(findings)[0].after, "map"))
