"""Grids: which runs they ask for, which are one run, and what is refused in one sentence."""

import importlib
import sys

import pytest

from rdh import cli, studies
from rdh.config.run_config import make_config
from rdh.errors import UserError
from rdh.studies import Grid, expand, read_study
from rdh.studies._tools.grid import Cell, by_arm, by_value

SMALL = Grid(methods=("dpsh",), bits=(8, 16), seeds=(0, 1), preset="demo")


def test_a_grid_is_every_combination_once():
    asked = expand([SMALL])
    assert len(asked) == SMALL.n_runs == 8
    assert len({one.config.hash for one in asked}) == 8
    keys = {(one.cell.n_bits, one.cell.arm, one.seed) for one in asked}
    assert keys == {(k, arm, s) for k in (8, 16) for arm in ("baseline", "rdh") for s in (0, 1)}


def test_the_arms_of_a_pair_differ_in_the_plug_ins_alone():
    by_cell = {(one.cell, one.seed): one.config.model_dump() for one in expand([SMALL])}
    for (cell, seed), fields in by_cell.items():
        other = by_cell[Cell(cell.method, cell.n_bits, "baseline"), seed]
        different = {name for name in fields if fields[name] != other[name]}
        expected = set() if cell.arm == "baseline" else {"amplifier", "quantization"}
        assert different == expected
        assert fields["eta"] == 1.0


def test_multi_label_data_weigh_quantization_less_in_both_arms():
    grid = Grid(methods=("dpsh",), bits=(8,), seeds=(0,), preset=None, fixed={"dataset": "mosaic"})
    assert [one.config.eta for one in expand([grid])] == [0.1, 0.1]


def test_an_arm_that_does_not_use_a_swept_setting_is_one_run_for_all_values():
    grid = Grid(
        methods=("hashnet",), bits=(8,), seeds=(0,), preset="demo", swept={"tau": (0.9, 0.99)}
    )
    hashes = {
        arm: {one.config.hash for one in expand([grid]) if one.cell.arm == arm}
        for arm in ("baseline", "rdh")
    }
    assert (len(hashes["baseline"]), len(hashes["rdh"])) == (1, 2)
    cells = list(dict.fromkeys(one.cell for one in expand([grid])))
    assert [(one.before.swept, one.after.swept) for one in by_arm(cells)] == [
        ((("tau", 0.9),), (("tau", 0.9),)),
        ((("tau", 0.99),), (("tau", 0.99),)),
    ]
    (other,) = by_value(cells, "tau", 0.99, "another tau")
    assert (other.before.value("tau"), other.after.value("tau")) == (0.99, 0.9)


def test_a_swept_switch_reaches_the_method():
    grid = Grid(
        methods=("dpsh",), bits=(8,), seeds=(0,), preset="demo", arms=("rdh",),
        swept={"method_options.theta_scale": (0.1, 0.5)},
    )  # fmt: skip
    options = [one.config.method_options for one in expand([grid])]
    assert options == [{"theta_scale": 0.1}, {"theta_scale": 0.5}]


REFUSED = [
    ({"bits": ()}, r"bits of a study must name at least one value, got none"),
    ({"seeds": (0, 2, 3)}, r"seeds of a study must have no hole.*got 0 to 3 without 1; name a"),
    ({"splits": (0, 5)}, r"splits of a study must have no hole.* without 1, 2, 3, 4"),
    ({"methods": ("lsh",)}, r"lsh can't be run in the arm rdh: amplifier must be off for lsh"),
    ({"methods": ("frob",)}, r"method must be one of .*, got 'frob'"),
    ({"arms": ("baseline", "best")}, r"arms must be among baseline, noq, .*, got 'best'"),
    (
        {"methods": ("hashnet",), "arms": ("baseline", "noq")},
        r"hashnet can't be run in the arm noq: hashnet has no plain quantization to leave out",
    ),
    ({"swept": {"seed": (0, 1)}}, r"seed of a study is named by seeds, not by set or sweep"),
    ({"fixed": {"amplifier": True}}, r"amplifier of a study is named by arms"),
    ({"fixed": {"tau": 0.9}, "swept": {"tau": (0.9,)}}, r"tau of a study is both swept and set"),
    ({"fixed": {"taus": 0.9}}, r"'taus' is not a setting of a run; did you mean tau\?"),
    ({"fixed": {"tau": 7}}, r"tau must be in \[0, 1\), got 7"),
    ({"preset": "fast"}, r"preset must be one of demo, digits, quick, offline, paper, got 'fast'"),
    (
        {"seeds": tuple(range(400))},
        r"A study has at most 1000 runs, got 1600 \(2 code lengths x 2 arms x 400 seeds\); ask for",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "sentence"), REFUSED)
def test_a_bad_grid_is_one_sentence(changes, sentence):
    from dataclasses import replace

    with pytest.raises(UserError, match=sentence):
        expand([replace(SMALL, **changes)])


@pytest.mark.parametrize("name", studies.names())
def test_every_study_of_the_folder_expands_and_compares_something(name):
    study = studies.study(name)
    asked = expand(study.grids)
    assert study.title and study.question.endswith("?")
    assert 0 < len(asked) <= studies.MOST_RUNS
    cells = list(dict.fromkeys(one.cell for one in asked))
    known = set(cells)
    for contrast in study.contrasts(cells, study.grids):
        assert {contrast.before, contrast.after} <= known and contrast.before != contrast.after


def test_the_registry_holds_the_ten_studies_and_names_what_can_not_be_used():
    assert studies.names() == [
        "dead_bits", "figure4", "figure5", "figure6", "short_codes", "table1", "table2",
        "theta_scale", "tuned", "tuned_more",
    ]  # fmt: skip
    assert studies.warnings() == []
    with pytest.raises(UserError, match=r"study must be one of dead_bits, .*, got 'table9'"):
        studies.study("table9")


def test_table_1_asks_for_200_runs():
    assert len({one.config.hash for one in expand(studies.study("table1").grids)}) == 200


def test_published_figures_stand_where_the_paper_has_them():
    published = studies.study("table1").published.values
    assert len(published) == 5 * 2 * 4
    assert published["hashnet", "rdh", 64] == 0.7866 and published["dpsh", "baseline", 24] == 0.7465
    alone = studies.study("table2").published.values
    assert alone["hashnet", "eaq", 64] < alone["hashnet", "baseline", 64]


# A person's own study


def write(tmp_path, text: str | bytes):
    path = tmp_path / "mine.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_file_says_what_a_grid_says(tmp_path):
    text = """
        title = "Mine"
        question = "Does tau matter on digits?"
        preset = "demo"
        dataset = "digits"
        methods = ["dpsh"]
        bits = [16]
        arms = ["baseline", "ga", "rdh"]
        seeds = "0-2"
        splits = 1
        [sweep]
        tau = [0.9, 0.99]
        [sweep.method_options]
        theta_scale = [0.5]
        [set]
        epochs = 3
    """
    study = read_study(write(tmp_path, text))
    (grid,) = study.grids
    assert (study.name, study.title, grid.seeds, grid.splits) == ("mine", "Mine", (0, 1, 2), (1,))
    assert dict(grid.swept) == {"tau": (0.9, 0.99), "method_options.theta_scale": (0.5,)}
    assert dict(grid.fixed) == {"epochs": 3, "dataset": "digits"}


def test_a_file_needs_not_say_more_than_what_it_asks(tmp_path):
    study = read_study(write(tmp_path, "bits = 32"))
    assert study.grids[0].methods == ("hashnet",) and expand(study.grids)[0].config == make_config()
    assert study.notes == ()


def test_what_a_file_says_twice_or_for_nothing_is_said(tmp_path):
    study = read_study(
        write(tmp_path, "bits = [16, 16]\narms = ['rdh']\n[sweep]\ntau = [0.9, 0.9]")
    )
    assert (study.grids[0].bits, study.grids[0].swept["tau"]) == ((16,), (0.9,))
    assert study.notes == (
        "bits names a value more than once; it counts once.",
        "sweep tau names a value more than once; it counts once.",
        "There is one arm, rdh, so nothing is compared; name two, as in "
        'arms = ["baseline", "rdh"].',
    )


def test_a_title_can_not_command_a_terminal(tmp_path):
    text = 'title = "a\\u001b[31mred\\u0007"\nbits = 8\n'
    assert read_study(write(tmp_path, text)).title == r"a\x1b[31mred\x07"


BAD_FILES = [
    ("method = 'dpsh'", r"'method' in mine.toml is not a word of a study; did you mean methods\?"),
    ("frobnicate = 1", r"'frobnicate' in mine.toml is not a word of a study; the words are title"),
    ("[set]\nepoch = 3", r"mine.toml: 'epoch' is not a setting of a run; did you mean epochs\?"),
    ("[sweep]\ntaus = [0.9]", r"mine.toml: 'taus' is not a setting of a run; did you mean tau\?"),
    ("[set]\nbit = 8", r"mine.toml: 'bit' is not a setting of a run; did you mean bits\?"),
    ("[set]\nn_bits = 8", r"mine.toml: n_bits of a study is named by bits, not by set or sweep"),
    ("[set]\nbits = 8", r"mine.toml: bits of a study is named by bits, not by set or sweep; l"),
    ("n_bits = 8", r"'n_bits' in mine.toml is not a word of a study; did you mean bits\?"),
    ("tau = 0.9", r"'tau' in mine.toml is not a word of a study; it is a setting of a run: .*set"),
    ("", r"mine.toml says no run: name at least one of arms, bits, .*, for example methods = "),
    ("title = 'x'", r"mine.toml says no run"),
    ("bits = [-16]", r"mine.toml: n_bits must be in \[1, 1024\], got -16"),
    ("seeds = [-1]", r"mine.toml: seed must be in \[0, 4294967296\), got -1"),
    ("seeds = [0, 9000000000000000000]", r"mine.toml: seeds of a study .* 5, \.\.\.;"),
    ("arms = ['best']", r"mine.toml: arms must be among baseline, .*, got 'best'"),
    ("methods = ['frob']", r"mine.toml: method must be one of adsh, .*, got 'frob'"),
    ("methods = []", r"mine.toml: methods of a study must name at least one value, got none"),
    ("methods = ['lsh']", r"mine.toml: lsh can't be run in the arm rdh: .*; leave out one of"),
    ("[sweep]\ntau = [1.5]", r"mine.toml: tau must be in \[0, 1\), got 1.5"),
    ("[sweep]\ntau = 0.9", r"sweep tau in mine.toml must be a list, got 0.9"),
    ("[sweep]\ntau = [[0.9], [0.99]]", r"sweep tau in mine.toml takes texts, .*, got \[0.9\]; "),
    ("[sweep]\ntau = [{a = 1}]", r"sweep tau in mine.toml takes texts, .*, got {'a': 1}; write"),
    pytest.param(
        f"set.{'.'.join('a' * 900)} = 1", r"set a.a in mine.toml must be a value, got a", id="deep"
    ),
    pytest.param(
        f"bits = 8\ntitle = {list(range(9000))}", r"title .* be text, got \[0, .{,80}$", id="long"
    ),
    ("set = 3", r"set in mine.toml must be a table, setting -> value, got 3; write it"),
    ("bits = [0.5]", r"bits in mine.toml takes whole numbers like \[0, 1, 2\] or a .*, got 0.5"),
    ("seeds = '0-x'", r"seeds in mine.toml takes whole numbers like 24,48 or ranges.* got '0-x'"),
    ("methods = 3", r"methods in mine.toml must be a list, got 3"),
    ("methods = [3]", r"methods in mine.toml must be text, got 3"),
    ("bits = 8\ntitle = ''", r"title in mine.toml must be text, got ''"),
    ("title = ", r"mine.toml is no TOML: Invalid value"),
    ("\x00", r"mine.toml is no TOML"),
    (b"\xff\xfe", r"mine.toml is no TOML: it is no text in UTF-8; save it as plain text"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "sentence"), BAD_FILES)
def test_a_bad_file_is_one_sentence(text, sentence, tmp_path):
    with pytest.raises(UserError, match=sentence) as caught:
        read_study(write(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match=r"The study .*/no.toml can't be read \(no such file"):
        studies.study(str(tmp_path / "no.toml"))
    with pytest.raises(UserError, match=r"can't be read"):
        studies.study(str(tmp_path) + "/.toml")


def test_a_byte_order_mark_before_a_file_is_no_matter(tmp_path):
    assert read_study(write(tmp_path, b"\xef\xbb\xbfbits = [8]")).grids[0].bits == (8,)


# A person's own study as a Python file

OWN = """from rdh.studies._tools.grid import Grid
from rdh.studies._tools.study import Study

STUDY = Study("own", "Own", "Mine?", (Grid(("hashnet",), (8,), seeds=(0,), preset="quick"),), {})
"""
UNUSABLE = [
    ("raise SystemExit(3)", r"own.py, line 1: SystemExit: 3; mend the file"),
    ("\nimport no_such_module", r"own.py, line 2: ModuleNotFoundError"),
    ("x = (", r"own.py, line 1: SyntaxError"),
    ("", r"its file has no STUDY of that name; write one"),
    (OWN.format("measure='mapp'"), r"STUDY: measure must be one of map, .*, got 'mapp'; mend"),
    (OWN.format("notes='mine'"), r"STUDY: notes must be a tuple of str, got 'mine'"),
    (OWN.format("").replace('"Mine?"', "None"), r"STUDY: question must be text, got None"),
    (OWN.format("").replace('("hashnet",)', '"hashnet"'), r"methods of a Grid must be a tuple"),
]


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Writes the file of a study that is there besides ours."""
    files = studies._files
    monkeypatch.setattr(studies, "_files", lambda: sorted([*files(), "own"]))
    monkeypatch.setattr(studies, "__path__", [*studies.__path__, str(tmp_path / "rdh/studies")])
    (tmp_path / "rdh" / "studies").mkdir(parents=True)

    def write_own(text: str) -> None:
        sys.modules.pop("rdh.studies.own", None)
        importlib.invalidate_caches()
        (tmp_path / "rdh" / "studies" / "own.py").write_text(text)

    yield write_own
    sys.modules.pop("rdh.studies.own", None)


@pytest.mark.parametrize(("text", "said"), UNUSABLE)
def test_a_file_of_a_study_that_can_not_be_used_is_one_warning(own, text, said):
    own(text)
    assert "own" not in studies.names() and "table1" in studies.names()
    (warning,) = studies.warnings()
    with pytest.raises(UserError, match=said):
        studies.study("own")
    assert warning.startswith("The study own can't be used: ")


@pytest.mark.parametrize("hook", ["contrasts", "further", "chapters"])
def test_a_function_of_a_study_that_fails_is_one_sentence_with_its_line(own, store, hook):
    own(OWN.format(f"{hook}=lambda *given: 1 / 0"))
    with pytest.raises(UserError, match=rf"own.py, {hook}, line 4: ZeroDivisionError: .*; mend"):
        assert studies.look(store, studies.study("own")).chapters
    own(OWN.format(f"{hook}=lambda *given: 3"))
    with pytest.raises(UserError, match=rf"own.py, {hook} must return a (list|tuple), got 3"):
        assert studies.look(store, studies.study("own")).chapters


def test_a_study_whose_grid_is_bad_is_left_out_of_the_list_with_the_reason(own, capsys):
    own(OWN.format("").replace("hashnet", "frob"))
    assert cli.main(["study", "list"]) == 0
    said = capsys.readouterr()
    assert "The study own is left out: method must be one of" in said.err and "table1" in said.out


def test_a_report_never_overwrites_the_study_that_it_is_of(tmp_path, capsys):
    path = write(tmp_path, "bits = 8")
    before = path.read_bytes()
    (tmp_path / "runs").mkdir()
    more = ["-o", str(path), "--runs", str(tmp_path / "runs")]
    assert cli.main(["study", "report", str(path), *more]) == 2
    assert "-o would overwrite the study itself" in capsys.readouterr().err
    assert path.read_bytes() == before
    (tmp_path / "old.html").write_text("an older report")
    more[1] = str(tmp_path / "old.html")
    assert cli.main(["study", "report", "table1", *more]) == 2
    assert "No run of the study table1 has finished" in capsys.readouterr().err
