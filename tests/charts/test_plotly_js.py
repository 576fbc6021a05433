"""Which parts of plotly.js are kept. How they draw: tests/browser."""

import re

import pytest

from pages.common.kept_files import NAMED_BY_CONTENTS
from rdh.charts import plotly_js
from rdh.charts.plotly_js import NAMES, WHOLE, _with_traces

TEXT = WHOLE.read_text(encoding="utf-8")


def test_our_kinds_of_charts_are_a_third_of_the_file_at_most_and_keep_its_licence():
    ours = plotly_js.plotly_js()
    assert len(ours) < len(TEXT) / 3
    assert ours.count("plotly.js v") == TEXT.count("plotly.js v")
    assert set(re.findall(r'moduleType:"trace",name:"(\w+)"', ours)) >= {
        "scatter",
        "bar",
        "heatmap",
    }


def test_numbers_of_our_formats_have_a_true_minus():
    ours = plotly_js.plotly_js()
    assert len(plotly_js.MINUS.findall(TEXT)) == 2 and not plotly_js.MINUS.search(ours)
    assert ours.count('minus:"−"') == 1 == ours.count('minus===void 0?"−"')


def test_no_module_calls_one_that_was_left_out():
    ours = plotly_js.plotly_js()
    names = {one for pair in NAMES.findall(TEXT) for one in pair if one}
    kept = {one for pair in NAMES.findall(ours) for one in pair if one}
    assert names & set(re.findall(r"[\w$]+", ours)) == kept


@pytest.mark.parametrize("part", ["=W(", ".register([", 'name:"heatmap"'])
def test_a_file_that_is_built_in_another_way_is_not_cut(part):
    with pytest.raises(LookupError):
        _with_traces(TEXT.replace(part, "?"))


def test_a_kept_file_is_used_as_long_as_it_holds_what_its_name_says(tmp_path, monkeypatch):
    path = plotly_js.kept_in(tmp_path / "scripts")
    assert path.read_text(encoding="utf-8") == plotly_js.plotly_js()
    assert NAMED_BY_CONTENTS.fullmatch(f"/component/x/{path.name}"), "a browser may keep it"
    with monkeypatch.context() as without:
        without.setattr(plotly_js, "plotly_js", None)  # nothing is cut
        assert plotly_js.kept_in(path.parent) == path
    path.write_bytes(path.read_bytes()[:-1])
    assert plotly_js.kept_in(path.parent) == path
    assert path.read_text(encoding="utf-8") == plotly_js.plotly_js()
