"""Who may use the dashboard: the token's file, whose connection it is, and the switch."""

import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rdh.errors import UserError
from rdh.execution import login
from rdh.execution.connections import ask_kernel, look_up

NOBODY_ELSE = 65534  # the user "nobody"


@pytest.fixture(params=["127.0.0.1", "::1"])
def listener(request) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    with socket.socket(family) as listening:
        listening.bind((request.param, 0))
        listening.listen()
        yield listening


def as_another_user(action) -> str:
    """What `action` returns in a process of the user "nobody", or the name of its exception."""
    if os.geteuid():
        pytest.skip("only root can become another user")
    hears, says = os.pipe()
    if not (pid := os.fork()):
        try:
            os.setgroups([])
            os.setgid(NOBODY_ELSE)
            os.setuid(NOBODY_ELSE)
            said = action()
        except BaseException as error:
            said = type(error).__name__
        os.write(says, str(said).encode())
        os._exit(0)
    os.close(says)
    with os.fdopen(hears) as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    return said


def test_the_token_is_made_once_and_only_its_owner_can_read_it(tmp_path):
    token = login.read_token(tmp_path)
    assert len(token) > 40 and login.read_token(tmp_path) == token
    assert stat.S_IMODE((tmp_path / login.FILE).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [login.FILE], "no draft is left"
    (tmp_path / login.FILE).unlink()
    assert login.read_token(tmp_path) != token, "without its file there is a new one"


@pytest.mark.process
def test_another_user_can_read_neither_the_token_nor_a_run(tmp_path, monkeypatch):
    from rdh.config.presets import demo_pair
    from rdh.store.run_store import RunStore

    store = RunStore(tmp_path / "made")
    run_id = store.create(demo_pair()[0])
    assert stat.S_IMODE(store.root.stat().st_mode) == 0o700
    store.root.chmod(0o755)  # as that of an earlier version
    login.read_token(store.root)
    # pytest keeps the folder above tmp_path to itself; the current folder leads past it
    monkeypatch.chdir(store.root)
    assert as_another_user(lambda: len([*Path().iterdir()])) == "2", "names can be seen"
    assert as_another_user(lambda: Path(login.FILE).read_text()) == "PermissionError"
    assert as_another_user(lambda: Path(run_id, "config.json").read_text()) == "PermissionError"


def readable_by_others(path: Path) -> None:
    path.write_text("a" * 40)
    path.chmod(0o640)


def of_another_user(path: Path) -> None:
    path.write_text("a" * 40)
    path.chmod(0o600)
    try:
        os.chown(path, NOBODY_ELSE, NOBODY_ELSE)
    except PermissionError:
        pytest.skip("only root can give a file away")


def a_link(path: Path) -> None:
    other = path.with_name("chosen")
    other.write_text("a" * 40)
    other.chmod(0o600)
    path.symlink_to(other)


def a_pipe(path: Path) -> None:
    os.mkfifo(path, 0o600)


def empty(path: Path) -> None:
    path.touch(0o600)


@pytest.mark.parametrize("makes", [readable_by_others, of_another_user, a_link, a_pipe, empty])
def test_a_file_that_others_could_have_read_or_chosen_is_refused(makes, tmp_path):
    makes(tmp_path / login.FILE)
    with pytest.raises(UserError, match=login.FILE):
        login.read_token(tmp_path)


def test_a_token_is_right_as_a_whole_only(tmp_path):
    token = login.read_token(tmp_path)
    assert login.is_token(token, f" {token}\n")
    wrong = ["", token[:-1], token + "x", token.swapcase(), "é\udcff\0", token * 10**5]
    assert not any(login.is_token(token, typed) for typed in wrong)


def test_a_cookie_does_not_hold_the_token_and_ends_with_it(tmp_path):
    token = login.read_token(tmp_path)
    cookies = dict([login.cookie_of(token)])
    assert login.has_cookie(token, cookies) and token not in str(cookies)
    (tmp_path / login.FILE).unlink()
    assert not login.has_cookie(login.read_token(tmp_path), cookies)
    (name,) = cookies
    for value in ("", token, "é", cookies[name][:-1]):
        assert not login.has_cookie(token, {name: value})


@contextmanager
def connected(listener: socket.socket, user: int) -> Iterator[socket.socket]:
    """A connection whose socket a user made."""
    if user and os.geteuid():
        pytest.skip("only root can become another user")
    os.seteuid(user or os.geteuid())
    try:
        made = socket.socket(listener.family)
    finally:
        os.seteuid(os.getuid())
    with made:
        made.connect(listener.getsockname()[:2])
        yield made


@pytest.mark.parametrize("ask", [ask_kernel, look_up])
def test_the_user_who_opened_a_connection_is_known_as_long_as_it_is_open(listener, ask):
    """On IPv4 and IPv6, by the kernel's answer and by its tables."""
    for user in (0, NOBODY_ELSE):
        with connected(listener, user) as made:
            client, server = made.getsockname()[:2], listener.getsockname()[:2]
            hosts = [socket.inet_pton(listener.family, server[0])] * 2
            assert ask(hosts, (client[1], server[1])) == (user or os.geteuid())
        assert ask(hosts, (client[1], server[1])) is None, "closed: root is shown as its owner"


def test_a_connection_of_this_user_is_ones_own_and_another_users_is_not(listener):
    server = listener.getsockname()[:2]
    with connected(listener, 0) as made:
        assert login.is_own(made.getsockname()[:2], server)
    with connected(listener, NOBODY_ELSE) as made:
        assert not login.is_own(made.getsockname()[:2], server)


@pytest.mark.parametrize(
    "client",
    [None, ("192.0.2.7", 80), ("127.0.0.1", 1), ("::1", 1), ("unknown", 0), ("127.0.0.1", 2**20)],
)
def test_a_connection_that_nobody_can_tell_is_not_ones_own(client):
    assert not login.is_own(client, ("127.0.0.1", 2))
    assert not login.is_own(("127.0.0.1", 1), None)


def test_the_switch_is_0_or_1_and_says_so():
    said = {value: login.who_is_asked({"RDH_LOGIN": value}) for value in ("0", "1", "")}
    assert said == {"0": login.NOBODY, "1": login.EVERYBODY, "": login.STRANGERS}
    assert login.who_is_asked({}) == login.STRANGERS
    with pytest.raises(UserError, match="RDH_LOGIN must be 0 or 1, got 'off'"):
        login.who_is_asked({"RDH_LOGIN": "off"})


@pytest.mark.parametrize("address", ["0.0.0.0", "192.0.2.7", "::", None, "", "gpu1"])
def test_without_the_login_nothing_is_changed_from_beyond_this_machine(address):
    with pytest.raises(UserError, match=r"^Nothing is launched .* RDH_LOGIN=0 .* 127\.0\.0\.1\.$"):
        login.check_may_change(address, {"RDH_LOGIN": "0"})
    login.check_may_change(address, {})
    login.check_may_change(address, {"RDH_LOGIN": "1"})


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_without_the_login_this_machine_may_change_things(address):
    login.check_may_change(address, {"RDH_LOGIN": "0"})
