"""hb.json, and what the heart makes of a control.json that somebody edited."""

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
