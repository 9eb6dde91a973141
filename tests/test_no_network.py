"""No test reaches another machine, and every test may reach this one."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

ELSEWHERE = ("192.0.2.1", 443)  # of nobody, for documentation (RFC 5737)


def test_another_machine_cannot_be_reached() -> None:
    with socket.socket() as one, pytest.raises(RuntimeError, match="reached for 192.0.2.1"):
        one.connect(ELSEWHERE)
    with socket.socket() as one, pytest.raises(RuntimeError, match="another machine"):
        one.connect_ex(ELSEWHERE)
    with pytest.raises(RuntimeError, match="use a stand-in"):
        socket.create_connection(ELSEWHERE, timeout=1)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_this_machine_can_be_reached(host: str) -> None:
    with socket.create_server((host, 0)) as server:
        place = (host, server.getsockname()[1])
        with socket.create_connection(place, timeout=5) as one:
            assert one.getpeername()[1] == place[1]
        with socket.socket() as one:
            assert one.connect_ex(place) == 0


def test_a_file_can_be_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the name of a socket has few letters
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as one:
        server.bind("socket")
        server.listen()
        one.connect("socket")
        assert one.getpeername() == "socket"


def test_a_datagram_socket_may_be_asked_for_the_address_of_this_machine() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as one:
        assert isinstance(one.connect_ex(ELSEWHERE), int)  # 0, or why there is no way
