# SPDX-License-Identifier: GPL-2.0-or-later
# qmp.py - a QMP client for the tests: VMs of Roost and, where it is installed, QEMU; every reply and event of Roost's is held against
# its own query-qmp-schema
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
from tap import ROOST, Skip, case, check, main, roost                # noqa: F401

QEMU = shutil.which("qemu-system-x86_64")
PATIENCE = 60
BARE = ("-S", "-M", "pc", "-m", "32", "-nodefaults", "-display", "none")


class Schema:
    """What query-qmp-schema said, and whether values agree with it."""

    def __init__(self, entries):
        self.entries = {e["name"]: e for e in entries}
        check(len(self.entries) == len(entries), "a name is in the schema twice")

    def complain(self, type_name, value, place="", is_reply=True):
        entry = self.entries.get(type_name)
        if not entry:
            return f"{place}: the schema has no type {type_name}"
        return getattr(self, "_" + entry["meta-type"])(entry, value, place)

    def _builtin(self, entry, value, place):
        kinds = {"string": str, "boolean": bool, "int": int, "number": (int, float), "null": type(None), "value": object}
        right = isinstance(value, kinds[entry["json-type"]]) and (entry["json-type"] in ("boolean", "value") or not isinstance(value, bool))
        return None if right else f"{place}: {value!r} is no {entry['name']}"

    def _enum(self, entry, value, place):
        return None if value in entry["values"] else f"{place}: {value!r} is none of {entry['values']}"

    def _array(self, entry, value, place):
        if not isinstance(value, list):
            return f"{place}: {value!r} is no list"
        return next(filter(None, (self.complain(entry["element-type"], v, f"{place}[{i}]") for i, v in enumerate(value))), None)

    def _alternate(self, entry, value, place):
        found = [self.complain(m["type"], value, place) for m in entry["members"]]
        return None if None in found else f"{place}: {value!r}: {found}"

    def members(self, entry, value):
        found = {m["name"]: m for m in entry["members"]}
        if "tag" in entry:
            branch = [v["type"] for v in entry["variants"] if v["case"] == value.get(entry["tag"])]
            for name in branch:
                found |= self.members(self.entries[name], value)
        return found

    def _object(self, entry, value, place):
        if not isinstance(value, dict):
            return f"{place}: {value!r} is no object"
        members = self.members(entry, value)
        for name, member in members.items():
            if name in value:
                wrong = self.complain(member["type"], value[name], f"{place}.{name}")
                if wrong:
                    return wrong
            elif "default" not in member:
                return f"{place}: {name} is missing in {value!r}"
        unknown = set(value) - set(members)
        return f"{place}: {sorted(unknown)} are not in the schema" if unknown else None


class Failed(Exception):
    def __init__(self, error):
        super().__init__(f"{error['class']}: {error['desc']}")
        self.error = error


class Client:
    """One connection; events that come meanwhile are kept in .events."""

    def __init__(self, path, greet=True):
        begin = time.monotonic()
        while True:
            self.socket = socket.socket(socket.AF_UNIX)
            try:
                self.socket.connect(path)
                break
            except OSError:
                self.socket.close()
                if time.monotonic() - begin > PATIENCE:
                    raise
                time.sleep(0.02)
        self.socket.settimeout(PATIENCE)
        self.file = self.socket.makefile("rb")
        self.events, self.schema = [], None
        self.greeting = self.read()
        if greet:
            self("qmp_capabilities")

    def line(self):
        line = self.file.readline()
        if not line:
            raise EOFError("the monitor hung up")
        check(line.endswith(b"\r\n"), f"{line!r} does not end in CR LF")
        return line

    def read(self):
        return json.loads(self.line())

    def send(self, text):
        self.socket.sendall(text if isinstance(text, bytes) else text.encode())

    def answer(self):
        """The next message that is no event."""
        while True:
            message = self.read()
            if "event" not in message:
                return message
            self.take_event(message)

    def take_event(self, message):
        check(set(message) <= {"timestamp", "event", "data"} and set(message["timestamp"]) == {"seconds", "microseconds"}, message)
        if self.schema:
            entry = self.schema.entries.get(message["event"])
            check(entry and entry["meta-type"] == "event", f"{message['event']} is not in the schema")
            wrong = self.schema.complain(entry["arg-type"], message.get("data", {}), message["event"])
            check(not wrong, wrong)
        self.events.append(message)

    def raw(self, text):
        self.send(text + "\r\n")
        return self.answer()

    def __call__(self, command, args=None, fds=(), **more):
        message = {"execute": command} | ({"arguments": args} if args is not None else {}) | more
        data = json.dumps(message).encode() + b"\r\n"
        if fds:
            socket.send_fds(self.socket, [data], fds)
        else:
            self.send(data)
        reply = self.answer()
        if "error" in reply:
            check(set(reply["error"]) == {"class", "desc"}, reply)
            raise Failed(reply["error"])
        if self.schema:
            wrong = self.schema.complain(self.schema.entries[command]["ret-type"], reply["return"], command)
            check(not wrong, wrong)
        return reply["return"]

    def error(self, command, args=None, **more):
        """The class and sentence of what must fail."""
        try:
            result = self(command, args, **more)
        except Failed as failed:
            return failed.error["class"], failed.error["desc"]
        raise AssertionError(f"{command} {args}: {result!r} instead of an error")

    def wait_event(self, name):
        while True:
            for event in self.events:
                if event["event"] == name:
                    self.events.remove(event)
                    return event.get("data", {})
            self.take_event(self.read())

    def names(self):
        names = [event["event"] for event in self.events]
        self.events.clear()
        return names

    def close(self):
        self.file.close()
        self.socket.close()


class Vm(Client):
    def __init__(self, *args, program=None, greet=True, qmp=True):
        self.folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.folder.name, "qmp")
        self.process = subprocess.Popen([program or ROOST, *args, "-qmp", f"unix:{self.path},server=on,wait=off"],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        super().__init__(self.path, greet)
        if greet and not program:
            self.schema = Schema(self("query-qmp-schema"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
        if self.process.poll() is None:
            self.process.terminate()
        output = self.process.communicate(timeout=PATIENCE)[0]
        self.folder.cleanup()
        check(self.process.returncode in (0, 1, -15) and b"Sanitizer" not in output and b"runtime error:" not in output, (self.process.returncode, output))


def qemu(*args):
    if not QEMU:
        raise Skip("qemu-system-x86_64 is not installed")
    return Vm(*args, program=QEMU)


def paging_rom():
    """Firmware that builds 32-bit page tables at 8000h (virtual 400000h is physical 9000h, 800000h a large page of zero), switches paging on and
    halts. Real mode writes the tables; a GDT inside the ROM leads to protected mode."""
    base = 0xf0000
    code = bytearray()

    def emit(*parts):
        for part in parts:
            code.extend(part if isinstance(part, bytes) else bytes([part]))

    def store(address, value):                      # mov dword [bx], value with ds = 0x800
        emit(b"\x66\xc7\x06", (address - 0x8000).to_bytes(2, "little"), value.to_bytes(4, "little"))
    emit(0xfa, b"\xb8\x00\x08", b"\x8e\xd8")        # cli; mov ax, 800h; mov ds, ax
    store(0x8000, 0x00000083)                       # 0: a large page, where the code will be found too
    store(0x8004, 0x0000a003)                       # 400000h: a table
    store(0x8008, 0x00000083)                       # 800000h: a large page of physical 0
    store(0xa000, 0x00009003)
    store(0x9000, 0x12345678)
    emit(b"\x2e\x66\x0f\x01\x16", (0x300).to_bytes(2, "little"))       # lgdt cs:[300h]
    emit(b"\x66\xb8", (0x8000).to_bytes(4, "little"), b"\x0f\x22\xd8")  # cr3
    emit(b"\x0f\x20\xe0", b"\x66\x83\xc8\x10", b"\x0f\x22\xe0")         # cr4 |= PSE
    emit(b"\x0f\x20\xc0", b"\x66\x0d\x01\x00\x00\x80", b"\x0f\x22\xc0")  # cr0 |= PG | PE
    emit(0xf4)
    image = bytearray(b"\xf4" * 65536)
    image[:len(code)] = code
    image[0x300:0x306] = (0x17).to_bytes(2, "little") + (base + 0x310).to_bytes(4, "little")
    image[0x310:0x328] = bytes(8) + b"\xff\xff\x00\x00\x0f\x9b\x00\x00" + b"\xff\xff\x00\x00\x00\x93\xcf\x00"
    image[0xFFF0:0xFFF5] = bytes([0xEA, 0x00, 0x00, 0x00, 0xF0])
    return bytes(image)


def shape(value):
    """Keys and types, all that clients may rely on."""
    if isinstance(value, dict):
        return {key: shape(v) for key, v in sorted(value.items())}
    if isinstance(value, list):
        merged = None
        for item in map(shape, value):
            merged = item if merged is None else merge(merged, item)
        return [merged] if value else []
    return "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__


def merge(a, b):
    if isinstance(a, dict) and isinstance(b, dict):
        return {key: merge(a[key], b[key]) if key in a and key in b else a.get(key, b.get(key)) for key in a | b}
    if isinstance(a, list) and isinstance(b, list):
        return [merge(a[0], b[0])] if a and b else a or b
    return a


def differences(ours, theirs, place=""):
    """What their shape has and ours lacks or has otherwise, and what only ours has; lines."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted(ours.keys() | theirs.keys()):
            where = f"{place}.{key}"
            if key not in ours:
                yield f"-{where}"
            elif key not in theirs:
                yield f"+{where}"
            else:
                yield from differences(ours[key], theirs[key], where)
    elif isinstance(ours, list) and isinstance(theirs, list):
        if ours and theirs:
            yield from differences(ours[0], theirs[0], place + "[]")
    elif ours != theirs:
        yield f"~{place}: {ours} instead of {theirs}"
