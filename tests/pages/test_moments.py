"""The step at which a page looks: the newest goes on, a chosen one stays and is in the address."""

import pytest
from streamlit.testing.v1 import AppTest

SCRIPT = """
import streamlit as st
from pages.common.moments import pick_step
st.text(pick_step("At step", st.session_state.get("steps", [10, 20, 30]), key="at"))
"""


def shown(app: AppTest) -> int:
    assert not app.exception
    return int(app.text[0].value)


def opened(**query: str) -> AppTest:
    app = AppTest.from_string(SCRIPT, default_timeout=60)
    for name, value in query.items():
        app.query_params[name] = value
    return app.run()


def test_the_newest_step_goes_on_and_a_chosen_one_stays():
    app = opened()
    assert shown(app) == 30
    app.session_state["steps"] = [10, 20, 30, 40]
    assert shown(app.run()) == 40
    assert shown(app.select_slider[0].set_value(20).run()) == 20
    assert app.query_params["at"] in ("20", ["20"])
    app.session_state["steps"] = [10, 20, 30, 40, 50]
    assert shown(app.run()) == 20
    assert shown(app.select_slider[0].set_value(50).run()) == 50
    assert "at" not in app.query_params, "the newest goes on, so it has no address"


@pytest.mark.parametrize(
    ("asked", "step"), [("20", 20), ("19", 20), ("9999", 30), ("-1", 30), ("x", 30), ("1" * 40, 30)]
)
def test_the_address_chooses_the_nearest_step_there_is(asked, step):
    assert shown(opened(at=asked)) == step


def test_a_single_step_needs_no_slider():
    app = AppTest.from_string(SCRIPT, default_timeout=60)
    app.session_state["steps"] = [5]
    app.run()
    assert shown(app) == 5 and not app.select_slider
