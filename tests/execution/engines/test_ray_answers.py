"""What the engine makes of Ray's answers, recorded from Ray 2.60 and served over real HTTP."""

import errno
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from rdh.errors import UserError
from rdh.execution.engine import ray_client
from rdh.execution.engine.base import EngineUnreachable, Phase, Spec
from rdh.execution.engine.kinds import ray
from rdh.execution.engine.kinds.ray import RayEngine
from rdh.execution.engine.ray_client import Client
from rdh.locks import take_lock

TOKEN = "s3cret"
NODE = {
    "hostname": "vm",
    "ip": "192.0.2.2",
    "raylet": {"nodeId": "b24f", "state": "ALIVE", "resourcesTotal": {"CPU": 2.0, "GPU": 2.0}},
}
GONE = {"hostname": "old", "ip": "192.0.2.3", "raylet": {"nodeId": "a1", "state": "DEAD"}}
DUPLICATE = """Traceback (most recent call last):
RuntimeError: Request failed with status code 400: Traceback (most recent call last):
ValueError: Job with submission_id t-a1 already exists. Please use a different submission_id.
.
"""


class Recorded:
    """A dashboard with answers to give: path -> (status, body). It notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict]] = []
        self.answers: dict[str, tuple[int, object]] = {}
        self.set_nodes(NODE)
        self.set_jobs()
        self.set_usage(0.0)
        recorded = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(size) or b"{}")
                recorded.asked.append((self.command, self.path, body))
                status, answer = recorded.answers.get(self.path, (404, "does not exist"))
                if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                    status, answer = 403, "Forbidden: Invalid authentication token"
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", str(answer))
                self.end_headers()
                self.wfile.write(
                    (answer if isinstance(answer, str) else json.dumps(answer)).encode()
                )

            do_POST = do_DELETE = do_GET

            def log_message(self, *_: object) -> None:
                """Silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"

    def set_nodes(self, *nodes: dict) -> None:
        self.answers["/nodes?view=summary"] = 200, {"data": {"summary": list(nodes)}}

    def set_usage(self, gpus: float) -> None:
        report = {"loadMetricsReport": {"usage": {"GPU": [gpus, 2.0], "CPU": [0.0, 2.0]}}}
        self.answers["/api/cluster_status"] = 200, {"data": {"clusterStatus": report}}

    def set_jobs(self, *jobs: dict) -> None:
        self.answers["/api/jobs/"] = 200, list(jobs)


@pytest.fixture
def head() -> Iterator[Recorded]:
    head = Recorded()
    thread = threading.Thread(target=head.server.serve_forever, args=(0.02,))
    thread.start()
    yield head
    head.server.shutdown()
    thread.join()
    head.server.server_close()


@pytest.fixture
def token_file(tmp_path) -> Path:
    path = tmp_path / "token"
    path.touch(mode=0o600)
    path.write_text(f"{TOKEN}\n")
    return path


@pytest.fixture
def engine(head, token_file, tmp_path, monkeypatch) -> RayEngine:
    monkeypatch.setattr(ray, "JOBS_AGE", 0.0)
    monkeypatch.setattr(ray, "NODES_AGE", 0.0)
    monkeypatch.setattr(ray_client, "SECONDS_OF_SILENCE", 0.0)
    (tmp_path / "runs" / "t").mkdir(parents=True)
    return RayEngine(tmp_path / "runs", Client(head.address, token_file))


def job(engine: RayEngine, key: str, status: str, **facts) -> dict:
    metadata = {"run": key, "root": str(engine.root)}
    return {"submission_id": key, "status": status, "metadata": metadata, **facts}


def spec(engine: RayEngine, attempt: int = 1) -> Spec:
    return Spec("t", attempt, engine.root / "t", ("python", "-m", "toy", "a b"), {"RDH_DATA": "/d"})


@pytest.mark.parametrize(
    ("facts", "phase", "code", "detail"),
    [
        ({"status": "PENDING", "message": "Job has not started yet."}, Phase.PENDING, None, None),
        ({"status": "RUNNING", "driver_node_id": "b24f"}, Phase.RUNNING, None, None),
        ({"status": "SUCCEEDED", "driver_exit_code": 0}, Phase.EXITED, 0, None),
        ({"status": "FAILED", "driver_exit_code": 3, "message": "x"}, Phase.EXITED, 3, None),
        ({"status": "FAILED", "driver_exit_code": -9}, Phase.EXITED, -9, None),
        ({"status": "STOPPED", "driver_exit_code": -15}, Phase.EXITED, -15, None),
        (
            {"status": "FAILED", "message": "Job supervisor actor died.\nA page\nof advice"},
            *(Phase.EXITED, None, "Ray says: Job supervisor actor died."),
        ),
    ],
)
def test_the_states_of_a_job(engine, head, facts, phase, code, detail):
    head.set_jobs(job(engine, "t-a1", **facts))
    report = engine.poll("t-a1:ray")
    assert (report.phase, report.exit_code, report.detail) == (phase, code, detail)
    assert report.device == ("vm (192.0.2.2)" if "driver_node_id" in facts else None)


def test_a_job_that_ray_has_forgotten_is_unknown_and_still_takes_its_place(engine, head):
    assert engine.capacity() == 2
    assert engine.poll("t-a1:ray").phase is Phase.UNKNOWN
    assert engine.capacity() == 1


def test_capacity_is_what_neither_we_nor_others_take(engine, head):
    head.set_jobs(job(engine, "a-a1", "RUNNING"), job(engine, "b-a1", "FAILED"))
    assert engine.capacity() == 1  # started just now: Ray does not count it yet
    head.set_usage(1.0)
    assert engine.capacity() == 1
    head.set_usage(2.0)  # somebody else's
    assert engine.capacity() == 0
    head.set_jobs()
    head.set_usage(0.5)
    assert engine.capacity() == 1
    head.set_nodes(NODE, GONE)
    head.answers["/api/cluster_status"] = 200, {"data": {"clusterStatus": None}}
    assert engine.capacity() == 2


def test_runs_share_a_gpu_or_take_cpus_where_there_is_none(head, token_file, tmp_path, monkeypatch):
    monkeypatch.setattr(ray, "NODES_AGE", 0.0)
    shared = RayEngine(tmp_path, Client(head.address, token_file), slots=3, cpus=4)
    assert (shared.capacity(), shared._unit()) == (6, ("GPU", 1 / 3))
    small = {"nodeId": "c", "state": "ALIVE", "resourcesTotal": {"CPU": 10.0}}
    head.set_nodes({**NODE, "raylet": small})
    assert (shared.capacity(), shared._unit()) == (2, ("CPU", 4))
    assert shared.about().says == f"Ray cluster at {head.address}: 1 node, no GPU, 10 CPUs."


def test_a_start_sends_the_job_once_and_knows_what_was_sent_before(engine, head):
    head.answers["/api/jobs/"] = 200, []
    assert engine.start(replace(spec(engine), grace=4.5)) == "t-a1:ray"
    (sent,) = [body for method, _, body in head.asked if method == "POST"]
    log = engine.root / "t" / "log.txt"
    assert sent["entrypoint"].endswith(f"&& exec python -m toy 'a b' >>{log} 2>&1 </dev/null")
    assert (sent["submission_id"], sent["entrypoint_num_gpus"]) == ("t-a1", 1)
    env = sent["runtime_env"]["env_vars"]
    assert (env["RDH_RUN_ID"], env["RDH_ATTEMPT"], env["RDH_DATA"]) == ("t", "1", "/d")
    assert env["RAY_JOB_STOP_WAIT_TIME_S"] == "5"  # Ray kills by its own clock
    assert TOKEN not in json.dumps(sent)
    head.answers["/api/jobs/t-a1"] = 200, job(engine, "t-a1", "RUNNING")
    assert engine.start(spec(engine)) == "t-a1:ray"
    assert len([asked for asked in head.asked if asked[0] == "POST"]) == 1


def test_a_run_on_several_devices_takes_them_of_one_node_whole(engine, head):
    head.set_nodes(NODE, {**NODE, "raylet": {**NODE["raylet"], "nodeId": "c"}})
    assert (engine.most_devices(), engine.capacity()) == (2, 4)
    engine.start(replace(spec(engine), devices=2))
    sent = next(body for method, _, body in head.asked if method == "POST")
    assert (sent["entrypoint_num_gpus"], sent["entrypoint_num_cpus"]) == (2, 0)
    running = job(engine, "t-a1", "RUNNING", driver_node_id="b24f")
    head.set_jobs({**running, "metadata": sent["metadata"]})
    assert engine.capacity() == 2
    assert engine.poll("t-a1:ray").device == "vm (192.0.2.2) × 2"
    with pytest.raises(UserError, match="devices must be at most 2 here, got 3"):
        engine.start(replace(spec(engine), devices=3))


def test_a_start_that_can_not_be_now_may_be_later_and_others_never(engine, head):
    def number() -> int | None:
        with pytest.raises(OSError) as caught:
            engine.start(spec(engine))
        return caught.value.errno

    head.answers["/api/jobs/t-a1"] = 200, {**job(engine, "t-a1", "RUNNING"), "metadata": {}}
    assert number() == errno.EEXIST  # of another runs folder
    del head.answers["/api/jobs/t-a1"]
    lock = take_lock(engine.root / "t" / "alive.lock")
    assert number() == errno.EAGAIN  # an earlier process still ends
    os.close(lock)
    good = head.answers["/nodes?view=summary"]
    head.answers["/nodes?view=summary"] = 500, "No available agent"
    assert number() == errno.EAGAIN
    head.answers["/nodes?view=summary"] = good
    head.answers["/api/jobs/"] = 400, DUPLICATE
    with pytest.raises(OSError, match="submission_id t-a1 already exists"):
        engine.start(spec(engine))


def test_an_old_job_leaves_rays_list_and_only_ours_are_adopted(engine, head):
    stranger = {**job(engine, "s-a1", "RUNNING"), "metadata": {"root": "/another"}}
    old = job(engine, "o-a1", "FAILED", end_time=1000)
    head.answers["/api/jobs/o-a1"] = 200, {}
    head.set_jobs(job(engine, "t-a1", "PENDING"), stranger, old, {"submission_id": None})
    assert engine.adopt() == {"t-a1": "t-a1:ray"}
    assert [path for method, path, _ in head.asked if method == "DELETE"] == ["/api/jobs/o-a1"]


def test_silence_a_wrong_token_and_nonsense_change_nothing_and_are_said(engine, head, token_file):
    for status, answer, words in (
        (200, "<html>a proxy</html>", "its answer is not Ray's"),
        (302, "http://192.0.2.9/", "its answer is not Ray's"),
        (200, {"data": None}, None),
    ):
        head.answers["/nodes?view=summary"] = status, answer
        says = engine.about().says
        assert says.startswith(f"Ray at {head.address} can't be reached ({words})") or not words
    head.set_nodes(NODE)
    token_file.write_text("wrong")
    with pytest.raises(EngineUnreachable, match="refuses the token"):
        engine.poll("t-a1:ray")
    token_file.unlink()
    with pytest.raises(EngineUnreachable, match="can't be read"):
        engine.stop("t-a1:ray")
    nobody = RayEngine(engine.root, Client("http://127.0.0.1:1", token_file))
    token_file.touch(mode=0o600)
    token_file.write_text(TOKEN)
    with pytest.raises(EngineUnreachable, match="Connection refused"):
        nobody.capacity()
    assert "none starts until it answers again" in nobody.about().says


def test_after_no_answer_nobody_is_asked_for_a_while(head, token_file):
    client = Client(head.address, token_file)
    token_file.write_text("wrong")
    for _ in range(3):
        with pytest.raises(EngineUnreachable, match="refuses"):
            client.ask("GET", "/api/jobs/")
    assert len(head.asked) == 1


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1:8265", "ray://127.0.0.1:10001", "http://", "http://head", "http://head:x"),
        *(
            "http://head:99999",
            "http://user@head:8265",
            "http://head:8265/api",
            "http://[:1",
            "auto",
        ),
    ],
)
def test_an_address_that_can_not_be_is_one_sentence(address, token_file):
    with pytest.raises(UserError, match="RDH_RAY_ADDRESS must look like http"):
        ray.check({"RDH_RAY_ADDRESS": address, "RDH_RAY_TOKEN_FILE": str(token_file)})


def test_a_token_file_is_there_readable_and_its_owners_only(tmp_path, token_file):
    def said(path: Path) -> str:
        with pytest.raises(UserError, match="RDH_RAY_TOKEN_FILE") as caught:
            ray.check({"RDH_RAY_TOKEN_FILE": str(path)})
        assert TOKEN not in str(caught.value)
        return str(caught.value)

    ray.check({"RDH_RAY_TOKEN_FILE": str(token_file)})
    assert "No such file" in said(tmp_path / "none")
    assert "can't be read" in said(tmp_path)
    token_file.chmod(0o644)
    assert "for its owner only, got mode 644; run chmod 600" in said(token_file)
    token_file.chmod(0o600)
    for text in (b"", b"\n", b"two\nlines", b"\xff\xfe"):
        token_file.write_bytes(text)
        said(token_file)
