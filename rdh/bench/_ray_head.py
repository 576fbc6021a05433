"""A real Ray head on loopback, with a token and free ports, for the campaign and for tests.

head = RayHead(folder); head.start(); ...; head.stop()
"""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from rdh.bench._machine import free_ports
from rdh.execution.engine.base import EngineUnreachable
from rdh.execution.engine.processes import environment
from rdh.execution.engine.ray_client import Client

SECONDS_TO_START = 180.0
TRIES = 3  # Ray gives its node 30 seconds, which a busy machine may not have
MARK = "RDH_RAY_HEAD"


def program() -> str | None:
    """The program `ray`; None if it is not installed. RDH_TEST_RAY names another one."""
    beside = Path(sys.executable).with_name("ray")
    return (
        os.environ.get("RDH_TEST_RAY")
        or (str(beside) if beside.exists() else None)
        or (shutil.which("ray"))
    )


class RayHead:
    """One head, started and killed as often as a test likes, always on the same port."""

    def __init__(self, folder: Path, *, cpus: int = 2, gpus: int = 2) -> None:
        self.folder, self.cpus, self.gpus = folder, cpus, gpus
        folder.mkdir(parents=True, exist_ok=True)
        self.token_file = folder / "token"
        self.token_file.touch(mode=0o600)
        self.token_file.write_text("t" * 32)
        self.port, *self._ports = free_ports(4)
        self.address = f"http://127.0.0.1:{self.port}"

    @property
    def settings(self) -> dict[str, str]:
        """The environment of a supervisor that uses this head."""
        return {
            "RDH_ENGINE": "ray",
            "RDH_RAY_ADDRESS": self.address,
            "RDH_RAY_TOKEN_FILE": str(self.token_file),
        }

    def start(self) -> None:
        """Starts it and waits until it answers for its node.

        Raises:
            TimeoutError: It does not come up.
        """
        client, agent, head = self._ports
        # The mark of the first test that asks for it would end it with that test.
        env = {name: value for name, value in os.environ.items() if not name.startswith("RDH_")}
        env |= {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.token_file),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_JOB_START_TIMEOUT_SECONDS": "86400",
            MARK: str(self.folder),
        }
        options = {
            "--port": head,
            "--dashboard-host": "127.0.0.1",
            "--dashboard-port": self.port,
            "--dashboard-agent-listen-port": agent,
            "--ray-client-server-port": client,
            "--min-worker-port": 0,
            "--max-worker-port": 0,
            "--node-ip-address": "127.0.0.1",
            "--num-cpus": self.cpus,
            "--num-gpus": self.gpus,
            "--object-store-memory": 100_000_000,
            "--temp-dir": f"/tmp/rdh-ray-{self.port}",  # a socket's path must be short
            "--include-log-monitor": "false",
        }
        words = [f"{name}={value}" for name, value in options.items()]
        command = [program() or "ray", "start", "--head", "--disable-usage-stats", *words]
        for _ in range(TRIES):
            with contextlib.suppress(subprocess.TimeoutExpired):
                done = subprocess.run(
                    command,
                    env=env,
                    check=False,
                    stdout=subprocess.DEVNULL,
                    timeout=SECONDS_TO_START,
                )
                if done.returncode == 0:
                    self._wait_for_node()
                    return
            self.kill()
        raise TimeoutError(f"Ray at {self.address} did not come up in {TRIES} tries")

    def _wait_for_node(self) -> None:
        deadline = time.monotonic() + SECONDS_TO_START
        while time.monotonic() < deadline:
            with contextlib.suppress(EngineUnreachable, OSError):
                # a client for each question: it keeps silent for a while after no answer
                answer = Client(self.address, self.token_file).ask("GET", "/nodes?view=summary")
                if answer and answer["data"]["summary"]:
                    return
            time.sleep(0.2)
        raise TimeoutError(f"Ray at {self.address} did not come up")

    def kill(self) -> None:
        """kill -9 to all of Ray's own processes. The runs that it had started live on."""
        self._kill(lambda env: "RDH_RUN_ID" not in env)

    def stop(self) -> None:
        """Ends it, and what it has started."""
        self._kill(lambda env: True)
        shutil.rmtree(f"/tmp/rdh-ray-{self.port}", ignore_errors=True)

    def _kill(self, is_meant: Callable[[dict[str, str]], bool]) -> None:
        marked = [one for one in psutil.process_iter() if self._is_marked(one)]
        # Ray's agents overwrite their environment with their name: they are found as children.
        for process in {*marked, *(child for one in marked for child in _children(one))}:
            if is_meant(environment(process.pid)):
                with contextlib.suppress(psutil.Error):
                    process.kill()

    def _is_marked(self, process: psutil.Process) -> bool:
        return environment(process.pid).get(MARK) == str(self.folder)


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []
