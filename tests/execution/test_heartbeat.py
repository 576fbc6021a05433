"""hb.json, and what the heart makes of a control.json that somebody edited."""

import json
import time

import pytest

from rdh.execution.heartbeat import Heart
from rdh.files import read_json


@pytest.mark.parametrize(
    "text",
    [
        *('{"attempt": "x"}', '{"attempt": null}', '{"attempt": [2]}', '{"attempt": {"a": 2}}'),
        *('{"attempt": true}', '{"attempt": NaN}', '{"attempt": 1e999}', '{"attempt": -1}'),
        *("{}", "{", "[2]", "2", "null", "", "\0"),
    ],
)
def test_a_control_file_of_wrong_types_does_not_stop_the_heart(tmp_path, text):
    (tmp_path / "control.json").write_text(text)
    heart = Heart(tmp_path, attempt=1)
    heart.beat()
    heart.beat()
    beat = read_json(tmp_path / "hb.json")
    assert beat is not None and (beat["attempt"], beat["seq"]) == (1, 2)


def test_a_beat_says_how_many_cores_were_busy_since_one_at_least_a_second_before(
    tmp_path, monkeypatch
):
    clocks = {"monotonic": [0.0, 0.5, 2.0, 2.1], "process_time": [1.0, 1.2, 4.0, 4.1]}
    said = []
    heart = None
    for wall, used in zip(*clocks.values(), strict=True):
        monkeypatch.setattr(time, "monotonic", lambda wall=wall: wall)
        monkeypatch.setattr(time, "process_time", lambda used=used: used)
        heart = heart or Heart(tmp_path, attempt=1)
        heart.beat()
        said.append(read_json(tmp_path / "hb.json")["cores_busy"])
    assert said == [None, None, 1.5, 1.5], "three seconds of work in two"


def test_a_beat_says_since_when_no_step_or_batch_was_done(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    heart = Heart(tmp_path, attempt=1)
    for seconds, works, silent in ((5.0, True, 0.0), (30.0, False, 30.0), (10.0, True, 0.0)):
        now[0] += seconds
        if works:
            heart.goes_on(7)
        heart.beat()
        beat = read_json(tmp_path / "hb.json")
        assert beat is not None and (beat["step"], beat["seconds_since_step"]) == (7, silent)


def test_a_request_reaches_a_worker_that_no_signal_reaches_if_it_means_this_attempt(tmp_path):
    asked = []
    heart = Heart(tmp_path, attempt=2, on_request=lambda: asked.append("stop"))
    for control in ({"attempt": 1, "request": "cancel"}, {"attempt": 2, "request": None}):
        (tmp_path / "control.json").write_text(json.dumps(control))
        heart.beat()
    assert asked == []
    (tmp_path / "control.json").write_text('{"attempt": 2, "request": "cancel"}')
    heart.beat()
    assert asked == ["stop"]
