#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The protocol itself: greeting, negotiation, errors as QEMU words them, limits, slow and vanishing clients. Usage: core.py ROOST"""
import json
import os
import socket
import subprocess
import tempfile
import time

from qmp import BARE, PATIENCE, Client, Vm, case, check, main, qemu, shape, ROOST

NONE = ("-S", "-M", "none", "-nodefaults", "-display", "none")

# Requests and, but for parse errors, their answers: QEMU's own when it is there, else what it said when these were written.
REQUESTS = [
    ('{"execute":"foo"}', "CommandNotFound", "The command foo has not been found"),
    ('{}', "GenericError", "QMP input lacks member 'execute'"),
    ('[]', "GenericError", "QMP input must be a JSON object"),
    ('5', "GenericError", "QMP input must be a JSON object"),
    ('{"execute":5}', "GenericError", "QMP input member 'execute' must be a string"),
    ('{"execute":"query-status","x":1}', "GenericError", "QMP input member 'x' is unexpected"),
    ('{"execute":"query-status","arguments":5}', "GenericError", "QMP input member 'arguments' must be an object"),
    ('{"execute":"query-status","arguments":{"a":1}}', "GenericError", "Parameter 'a' is unexpected"),
    ('{"execute":"query-status","control":{"run-oob":true}}', "GenericError", "QMP input member 'control' is unexpected"),
    ('{"exec-oob":"query-status"}', "GenericError", "QMP input member 'exec-oob' is unexpected"),
    ('{"execute":"qmp_capabilities"}', "CommandNotFound", "Capabilities negotiation is already complete, command ignored"),
    ('{"execute":"closefd"}', "GenericError", "Parameter 'fdname' is missing"),
    ('{"execute":"closefd","arguments":{"fdname":5}}', "GenericError", "Invalid parameter type for 'fdname', expected: string"),
    ('{"execute":"closefd","arguments":{"fdname":null}}', "GenericError", "Invalid parameter type for 'fdname', expected: string"),
    ('{"execute":"closefd","arguments":{"fdname":"x","y":5}}', "GenericError", "Parameter 'y' is unexpected"),
    ('{"execute":"closefd","arguments":{"fdname":"x"}}', "GenericError", "File descriptor named 'x' not found"),
    ('{"execute":"remove-fd","arguments":{"fdset-id":"x"}}', "GenericError", "Invalid parameter type for 'fdset-id', expected: integer"),
    ('{"execute":"remove-fd","arguments":{"fdset-id":1.5}}', "GenericError", "Invalid parameter type for 'fdset-id', expected: integer"),
    ('{"execute":"remove-fd","arguments":{"fdset-id":18446744073709551615}}', "GenericError", "Invalid parameter type for 'fdset-id', expected: integer"),
    ('{"execute":"set-action","arguments":{"reboot":"foo"}}', "GenericError", "Parameter 'reboot' does not accept value 'foo'"),
    ('{"execute":"set-action","arguments":{"reboot":5}}', "GenericError", "Invalid parameter type for 'reboot', expected: string"),
    ('{"execute":"query-stats","arguments":{"target":"vm","providers":5}}', "GenericError", "Invalid parameter type for 'providers', expected: array"),
    ('{"execute":"query-stats","arguments":{"target":"vm","providers":[5]}}', "GenericError", "Invalid parameter type for 'providers[0]', expected: object"),
    ('{"execute":"query-stats","arguments":{"target":"vm","providers":[{}]}}', "GenericError", "Parameter 'providers[0].provider' is missing"),
    ('{"execute":"query-stats","arguments":{"target":"vm","vcpus":[]}}', "GenericError", "Parameter 'vcpus' is unexpected"),
    ('{"execute":"query-cpu-model-expansion","arguments":{"type":"static","model":{}}}', "GenericError", "Parameter 'model.name' is missing"),
    ('{"execute":"query-cpu-model-expansion","arguments":{"type":"static","model":{"name":"nosuch"}}}', "GenericError", "CPU model 'nosuch' not found"),
]
PARSE_ERRORS = ['{"execute" "x"}', 'foo', '}', '{"a":1,}', '{"a":1,"a":2}', '[1 2]', '"abc', '\x01', '{"a":"\\q"}', '{"a":nul}', '{"a":01}', "[" * 1030, "{'a':" * 1030,
                '"' + "a" * 100000]


@case("greeting, negotiation, and what comes before it")
def _():
    with Vm(*NONE, greet=False) as vm:
        check(vm.greeting["QMP"]["version"]["qemu"]["major"] == 7 and vm.greeting["QMP"]["capabilities"] == ["oob"], vm.greeting)
        reply = vm.raw('{"execute":"query-status"}')
        check(reply == {"error": {"class": "CommandNotFound", "desc": "Expecting capabilities negotiation with 'qmp_capabilities'"}}, reply)
        check("error" in vm.raw('{"execute":"qmp_capabilities","arguments":{"enable":["foo"]}}'), "foo was enabled")
        reply = vm.raw('{"execute":"qmp_capabilities","arguments":{"enable":["oob"]},"id":[1,{"a":2}]}')
        check(reply == {"return": {}, "id": [1, {"a": 2}]}, reply)
        check("OOB" in vm.raw('{"exec-oob":"query-status"}')["error"]["desc"], "query-status ran out of band")
        check("clashes" in vm.raw('{"exec-oob":"query-status","execute":"a"}')["error"]["desc"], "two verbs")


@case("errors are worded as QEMU words them")
def _():
    with Vm(*BARE) as vm:
        for text, name, sentence in REQUESTS:
            reply = vm.raw(text)
            check(reply == {"error": {"class": name, "desc": sentence}}, f"{text}: {reply}")


@case("QEMU words them so")
def _():
    with qemu(*BARE) as vm:
        for text, name, sentence in REQUESTS:
            reply = vm.raw(text)
            check(reply == {"error": {"class": name, "desc": sentence}}, f"{text}: {reply}")


@case("what is no JSON is answered by a sentence, and the session goes on")
def _():
    with Vm(*NONE) as vm:
        for text in PARSE_ERRORS:
            vm.send(text + "\n")
            error = vm.answer()["error"]
            check(error["class"] == "GenericError" and error["desc"].startswith("JSON parse error"), error)
            check(vm("query-status")["status"], "the session is stuck")


@case("ids of every kind, single quotes, LF and CRLF, many requests in one write")
def _():
    with Vm(*NONE) as vm:
        for ident in ("libvirt-1", 7, -1.5, None, True, [], {"a": [1]}, ""):
            reply = vm.raw(json.dumps({"execute": "query-name", "id": ident}))
            check(reply["id"] == ident and "id" in reply, reply)
            reply = vm.raw(json.dumps({"execute": "nosuch", "id": ident}))
            check(reply["id"] == ident and reply["error"]["class"] == "CommandNotFound", reply)
        check("return" in vm.raw("{'execute':'query-name'}"), "single quotes")
        vm.send("".join('{"execute":"query-name","id":%d}%s' % (i, ("", "\n", "\r\n", " ")[i % 4]) for i in range(2000)))
        check([vm.answer()["id"] for _ in range(2000)] == list(range(2000)), "out of order")


@case("-qmp-pretty and -mon, several sessions at once, each with its own negotiation; events go to all that are ready")
def _():
    with tempfile.TemporaryDirectory() as folder:
        paths = [f"{folder}/{i}" for i in range(3)]
        with Vm(*BARE, "-qmp-pretty", f"unix:{paths[0]},server=on,wait=off", "-chardev", f"socket,id=c,path={paths[1]},server=on,wait=off", "-mon",
                "chardev=c,mode=control", "-chardev", f"socket,id=d,path={paths[2]},server=on,wait=off", "-mon", "d,mode=control,pretty=on") as vm:
            others = [Client(paths[1])]
            raw = socket.socket(socket.AF_UNIX)
            raw.connect(paths[0])
            text = b""
            while not text.endswith(b"}\r\n"):
                text += raw.recv(4096)
            check(text.startswith(b'{\n    "QMP": {\n'), text)
            silent = socket.socket(socket.AF_UNIX)
            silent.connect(paths[2])
            vm("cont")
            others[0].wait_event("RESUME")
            check(vm.names() == ["RESUME"], "no RESUME here")
            silent.settimeout(0.2)
            got = silent.recv(65536)
            check(b"RESUME" not in got, "an event before the negotiation")
            raw.close()
            silent.close()
            others[0].close()


@case("a client that goes in mid-command, and the next one finds a fresh session")
def _():
    with Vm(*NONE) as vm:
        for tail in (b'{"execute":"query-na', b'{"execute":"query-qmp-schema"}' * 50, b"[" * 500, b'"'):
            vm.send(tail)
            vm.close()
            Client.__init__(vm, vm.path, greet=False)
            check("QMP" in vm.greeting, vm.greeting)
            check("negotiation" in vm.raw('{"execute":"query-status"}')["error"]["desc"], "still negotiated")
            vm("qmp_capabilities")


def resident(process):
    return int(open(f"/proc/{process.pid}/statm").read().split()[1]) * 4


@case("a client that does not read costs bounded memory and holds up nobody")
def _():
    with tempfile.TemporaryDirectory() as folder:
        with Vm(*NONE, "-qmp", f"unix:{folder}/second,server=on,wait=off") as vm:
            vm("query-qmp-schema")
            before = resident(vm.process)
            deaf = Client(f"{folder}/second")
            deaf.socket.settimeout(0.5)
            sent = 0
            try:
                while sent < 4 << 20:                  # its answers would be gigabytes
                    sent += deaf.socket.send(b'{"execute":"query-qmp-schema"}' * 100)
            except socket.timeout:
                pass
            begin = time.monotonic()
            for _ in range(200):
                vm("query-status")
            check(time.monotonic() - begin < 20, "the other session is slow")
            for _ in range(3000):
                vm.send('{"execute":"stop"}{"execute":"cont"}')
                vm.answer(), vm.answer()
            vm.events.clear()
            grown = resident(vm.process) - before
            check(grown < 64 << 10, f"it grew by {grown} KiB")
            deaf.socket.settimeout(PATIENCE)
            check("return" in deaf.answer(), "the deaf client's answers are lost")
            deaf.close()


@case("100 sessions at once, over TCP and UNIX sockets")
def _():
    with tempfile.TemporaryDirectory() as folder:
        more = [part for i in range(99) for part in ("-qmp", f"unix:{folder}/{i},server=on,wait=off")]
        with Vm(*NONE, *more) as vm:
            clients = [Client(f"{folder}/{i}") for i in range(99)]
            for _ in range(5):
                for client in clients:
                    client.send('{"execute":"query-version"}')
                for client in clients:
                    check("return" in client.answer(), "no answer")
            vm("query-chardev")
            for client in clients:
                client.close()


@case("QMP on TCP, and on standard input and output")
def _():
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen(1)
    server.settimeout(PATIENCE)
    process = subprocess.Popen([ROOST, *NONE, "-qmp", f"tcp:127.0.0.1:{server.getsockname()[1]}"], stdin=subprocess.DEVNULL)
    peer = server.accept()[0]
    peer.settimeout(PATIENCE)
    peer.sendall(b'{"execute":"qmp_capabilities"}{"execute":"quit"}')
    text = b""
    while (part := peer.recv(4096)):
        text += part
    check(process.wait(PATIENCE) == 0 and text.count(b'{"return": {}}') == 2, text)
    ran = subprocess.run([ROOST, *NONE, "-qmp", "stdio"], input=b'{"execute":"qmp_capabilities"}\n{"execute":"query-status"}\n{"execute":"quit"}\n',
                         capture_output=True, timeout=PATIENCE)
    check(ran.returncode == 0 and b'"status": "running"' in ran.stdout.replace(b"prelaunch", b"running") and b"SHUTDOWN" in ran.stdout, ran.stdout)


@case("the handed-over listening socket of libvirt, accepted again after a disconnect")
def _():
    with tempfile.TemporaryDirectory() as folder:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(f"{folder}/s")
        listener.listen(1)
        process = subprocess.Popen([ROOST, *NONE, "-chardev", f"socket,id=charmonitor,fd={listener.fileno()},server=on,wait=off", "-mon",
                                    "chardev=charmonitor,id=monitor,mode=control"], pass_fds=[listener.fileno()], stdin=subprocess.DEVNULL)
        for _ in range(3):
            client = Client(f"{folder}/s")
            client("query-status")
            client.close()
        client = Client(f"{folder}/s")
        client("quit")
        check(process.wait(PATIENCE) == 0, "status")


@case("the lists of commands and events are the schema's")
def _():
    with Vm(*NONE) as vm:
        entries = vm.schema.entries.values()
        check({c["name"] for c in vm("query-commands")} == {e["name"] for e in entries if e["meta-type"] == "command"}, "commands")
        check({c["name"] for c in vm("query-events")} == {e["name"] for e in entries if e["meta-type"] == "event"}, "events")


@case("the greeting has QEMU's shape")
def _():
    with Vm(*NONE) as ours, qemu(*NONE) as theirs:
        check(shape(ours.greeting) == shape(theirs.greeting), (ours.greeting, theirs.greeting))


main()
