#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Out-of-band commands overtake what waits: yank cuts the connection that a command of the same session waits for. Usage: oob.py ROOST"""
import json
import os
import socket
import tempfile
import time

from qmp import BARE, PATIENCE, Client, Vm, case, check, main, qemu

BAD = [[{"type": "chardev", "id": "null"}], [{"type": "chardev", "id": "nosuch"}], [{"type": "block-node", "node-name": "x"}], [{"type": "migration"}],
       [{"type": "chardev", "id": "s"}, {"type": "chardev", "id": "nosuch"}], [{"type": "foo"}], [{"type": "chardev"}], [{}], [5]]


def unless_late(body):
    """The NBD client gives a mute server thirty seconds: where the machine itself stood for that long, the test begins again."""
    def run():
        for _ in range(10):
            begin = time.monotonic()
            try:
                return body()
            except (AssertionError, KeyError):
                if time.monotonic() - begin < 29:
                    raise
        raise AssertionError("the machine is too slow for this test")
    return run


@case("connections are listed and cut, all that are named or none, as in QEMU")
def _():
    with tempfile.TemporaryDirectory() as folder:
        told = []
        for start in (Vm, qemu):
            path = os.path.join(folder, start.__name__)
            with start(*BARE, "-chardev", f"socket,id=s,path={path},server=on,wait=off", "-chardev", "null,id=null") as vm:
                check({"type": "chardev", "id": "s"} in vm("query-yank"), vm("query-yank"))
                peer = socket.socket(socket.AF_UNIX)
                peer.settimeout(PATIENCE)
                peer.connect(path)
                told.append([vm.error("yank", {"instances": instances}) for instances in BAD])
                vm("query-status")
                peer.send(b"x")                                # not cut by those
                check(vm("yank", {"instances": []}) == {} and vm("yank", {"instances": [{"type": "chardev", "id": "s"}]}) == {}, "yank")
                try:
                    check(peer.recv(1) == b"", "the peer is still connected")
                except ConnectionResetError:
                    pass
                peer.close()
                again = socket.socket(socket.AF_UNIX)
                again.connect(path)                            # the server goes on
                vm("chardev-remove", {"id": "s"})
                check({"type": "chardev", "id": "s"} not in vm("query-yank"), vm("query-yank"))
        check(told[0] == told[1], f"{told[0]}\ninstead of\n{told[1]}")


@case("a command that waits for a mute server is overtaken, and ended, by its own session")
@unless_late
def _():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "nbd")
        server = socket.socket(socket.AF_UNIX)
        server.bind(path)
        server.listen(1)
        server.settimeout(PATIENCE)
        with Vm(*BARE, greet=False) as vm:
            check(vm.raw('{"execute":"qmp_capabilities","arguments":{"enable":["oob"]}}') == {"return": {}}, "oob")
            vm.send(json.dumps({"execute": "blockdev-add", "id": "slow", "arguments": {
                "driver": "nbd", "node-name": "n", "server": {"type": "unix", "path": path}}}) + "\r\n")
            peer = server.accept()[0]                      # and nothing more
            reply = vm.raw('{"exec-oob":"query-yank","id":1}')
            check(reply["id"] == 1 and {"type": "block-node", "node-name": "n"} in reply["return"], reply)
            reply = vm.raw('{"exec-oob":"query-status","id":2}')
            check(reply == {"id": 2, "error": {"class": "GenericError", "desc": "The command query-status does not support OOB"}}, reply)
            vm.send('{"exec-oob":"yank","id":3,"arguments":{"instances":[{"type":"block-node","node-name":"n"}]}}\r\n')
            replies = {reply["id"]: reply for reply in (vm.answer(), vm.answer())}
            check(replies[3] == {"return": {}, "id": 3} and replies["slow"]["error"]["class"] == "GenericError", replies)
            check(vm.raw('{"execute":"query-status"}')["return"]["status"] == "prelaunch", "the session goes on")
            peer.close()
        server.close()


@case("while one session waits for a mute server, another's urgent words are heard, its others wait; its client may go, and flood")
@unless_late
def _():
    with tempfile.TemporaryDirectory() as folder:
        server = socket.socket(socket.AF_UNIX)
        server.bind(folder + "/nbd")
        server.listen(1)
        server.settimeout(PATIENCE)
        with Vm(*BARE, *[part for i in range(2) for part in ("-qmp", f"unix:{folder}/{i},server=on,wait=off")]) as vm:
            urgent, gone = (Client(f"{folder}/{i}", greet=False) for i in range(2))
            for client in (urgent, gone):
                check(client.raw('{"execute":"qmp_capabilities","arguments":{"enable":["oob"]}}') == {"return": {}}, "oob")
            vm.send(json.dumps({"execute": "blockdev-add", "arguments": {"driver": "nbd", "node-name": "n", "server": {"type": "unix", "path": folder + "/nbd"}}}))
            peer = server.accept()[0]
            gone.send('{"execute":"query-status"}{"exec-oob":"query-yank"')
            gone.close()
            urgent.send('{"execute":"query-status","id":0}' * 6 + '{"exec-oob":"query-yank","id":1}')
            check(urgent.answer()["id"] == 1, "it is not heard")
            urgent.send('{"exec-oob":"yank","id":2,"arguments":{"instances":[{"type":"block-node","node-name":"n"}]}}')
            check(urgent.answer() == {"id": 2, "return": {}}, "yank")
            check("error" in vm.answer(), "blockdev-add")
            check([urgent.answer()["id"] for _ in range(6)] == [0] * 6, "what waited")
            urgent.send('{"execute":"query-status","id":0}{"exec-oob":"query-yank","id":1}' * 2000)
            ids = [urgent.answer()["id"] for _ in range(4000)]
            check(sorted(ids) == [0] * 2000 + [1] * 2000, "some are lost")
            again = Client(f"{folder}/1")
            check(again("query-status")["status"] == "prelaunch", "the next client")
            again.close(), urgent.close(), peer.close(), server.close()


main()
