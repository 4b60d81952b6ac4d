#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Keys and mice for the guest, screens and networks that are not there, streams exchanged while in use; beside QEMU. Usage: input.py ROOST"""
import base64
import os
import tempfile

from qmp import BARE, Vm, case, check, main, qemu


def key(name, kind="qcode"):
    return {"type": kind, "data": name}


def event(kind, **data):
    return {"type": kind, "data": data}


# Commands whose answer, or error, is QEMU's: before the machine runs, and while it does.
STANDING = [("input-send-event", {"events": []}), ("send-key", {"keys": [key("a")]})]
SAME = [("screendump", {"filename": "/tmp/x"}), ("screendump", {"filename": "/tmp/x", "device": "x"}), ("screendump", {"filename": "/tmp/x", "head": 1}),
        ("screendump", {"filename": "/tmp/x", "format": "jpeg"}), ("send-key", {"keys": []}), ("send-key", {"keys": [key("foo")]}), ("send-key", {}),
        ("send-key", {"keys": [key(9999999, "number")]}), ("send-key", {"keys": [key("a")], "hold-time": -5}), ("send-key", {"keys": [{"type": "qcode"}]}),
        ("input-send-event", {"events": []}), ("input-send-event", {"device": "x", "events": []}), ("input-send-event", {"head": 3, "events": []}),
        ("input-send-event", {"events": [event("rel", axis="x", value=1)]}), ("input-send-event", {"events": [event("abs", axis="x", value=1)]}),
        ("input-send-event", {"events": [event("btn", down=True, button="left"), event("btn", down=False, button="left")]}),
        ("input-send-event", {"events": [event("key", down=True, key=key("a")), event("key", down=False, key=key("a"))]}),
        ("input-send-event", {"events": [event("key", down=True, key=key("nosuch"))]}), ("input-send-event", {"events": [event("rel", axis="z", value=1)]}),
        ("netdev_add", {"type": "nosuch", "id": "a"}), ("netdev_add", {"type": "user"}), ("netdev_add", {"id": "n"}), ("netdev_add", {"type": "none", "id": "n"}),
        ("netdev_add", {"type": "user", "id": "1_"}), ("netdev_del", {"id": "n"}), ("netdev_del", {}), ("set_link", {"name": "n", "up": True}),
        ("set_link", {"name": "n"}), ("query-rx-filter", None), ("query-rx-filter", {"name": "x"}),
        ("chardev-change", {"id": "nosuch", "backend": {"type": "null", "data": {}}}), ("chardev-change", {"id": "mux", "backend": {"type": "null", "data": {}}}),
        ("chardev-change", {"id": "monitor", "backend": {"type": "null", "data": {}}}), ("chardev-change", {"id": "mux"})]
LINES = ["sendkey foo", "sendkey a", "sendkey ctrl-alt-delete 10", "sendkey a-b-foo", "sendkey 0x1e", "sendkey <", "mouse_move 1 1", "mouse_move 1 1 1", "mouse_button 1",
         "mouse_button 0", "mouse_set 99", "screendump /tmp/x", "netdev_add foo,id=a", "netdev_add user", "netdev_del u", "set_link x on",
         "hostfwd_add tcp::5555-:22", "hostfwd_remove tcp::5555", "chardev-add null,id=x", "chardev-change x null", "chardev-change zz null", "chardev-remove x",
         "chardev-remove x", "chardev-add null", "chardev-add foo,id=r"]


def answer(vm, command, args):
    try:
        return vm(command, args)
    except Exception as failed:
        return getattr(failed, "error", failed)


@case("answered, and refused, as QEMU does it: class and sentence")
def _():
    more = ("-chardev", "null,id=mux,mux=on", "-chardev", "null,id=monitor", "-mon", "chardev=monitor,mode=control", "-serial", "null")
    with Vm(*BARE, *more) as ours, qemu(*BARE, *more) as theirs:
        for command, args in STANDING + [("cont", None)] + SAME:
            mine, other = answer(ours, command, args), answer(theirs, command, args)
            check(mine == other, f"{command} {args}: {mine}, not {other}")
        for line in LINES:
            mine, other = (vm("human-monitor-command", {"command-line": line}) for vm in (ours, theirs))
            check(mine == other, f"{line}: {mine!r}, not {other!r}")


@case("bad lines about keys, mice, streams and networks are answered")
def _():
    with Vm(*BARE) as vm:
        vm("cont")
        for line in ("sendkey", "sendkey a x", "sendkey -", "sendkey " + "a-" * 5000, "mouse_move 1", "mouse_move x y", "mouse_button 9", "mouse_button x", "mouse_set x", "screendump", "set_link x maybe",
                     "set_link x", "netdev_add", "netdev_add ,,,", "chardev-add", "chardev-add ,,", "chardev-add nosuch,id=x", "chardev-add null,id=x,nosuch=1", "chardev-add file,id=x",
                     "chardev-add socket,id=x", "chardev-add ringbuf,id=x,size=3", "chardev-change x", "chardev-change x nosuch", "hostfwd_add", "hostfwd_add a b", "screendump a b x"):
            text = vm("human-monitor-command", {"command-line": line})
            check(text and "\r\n" in text, f"{line}: {text!r}")
        check(vm.error("send-key", {"keys": [key("a")] * 600})[0] == "GenericError", "too many keys")


# A guest that copies what the keyboard controller has to the debug port: mov dx,402h; in al,64h; test al,1; jz; in al,60h; out dx,al; jmp
COPY_KEYS = b"\xba\x02\x04\xe4\x64\xa8\x01\x74\xfa\xe4\x60\xee\xeb\xf5"
# ... and one that sets the clock: year 30h into register 9, then halts.
SET_YEAR = b"\xb0\x09\xe6\x70\xb0\x30\xe6\x71\xfa\xf4"


def rom_file(folder, code):
    image = bytearray(b"\xf4" * 65536)
    image[:len(code)] = code
    image[0xFFF0:0xFFF5] = bytes([0xEA, 0x00, 0x00, 0x00, 0xF0])
    path = os.path.join(folder, "rom")
    with open(path, "wb") as file:
        file.write(image)
    return path


def typed(vm, expected):
    """The guest has read that, in hexadecimal."""
    text = b""
    while len(text) < len(bytes.fromhex(expected)):
        text += base64.b64decode(vm("ringbuf-read", {"device": "out", "size": 64, "format": "base64"}))
    check(text.hex(" ") == expected, f"{text.hex(' ')}, not {expected}")


@case("the guest reads the scan codes: pressed in order, let go in reverse; by name, by number, by the monitor's words")
def _():
    with tempfile.TemporaryDirectory() as folder:
        args = ("-M", "pc", "-m", "32", "-nodefaults", "-display", "none", "-bios", rom_file(folder, COPY_KEYS), "-chardev", "ringbuf,id=out,size=256",
                "-device", "isa-debugcon,iobase=0x402,chardev=out")
        for start in (Vm, qemu):
            with start(*args) as vm:
                vm("send-key", {"keys": [key("ctrl"), key("alt"), key("delete")], "hold-time": 1})
                typed(vm, "14 11 e0 71 e0 f0 71 f0 11 f0 14")
                vm("send-key", {"keys": [key(0x1e, "number"), key(0xc8, "number")], "hold-time": 1})
                typed(vm, "1c e0 75 e0 f0 75 f0 1c")
                vm("human-monitor-command", {"command-line": "sendkey shift-a 1"})
                typed(vm, "12 1c f0 1c f0 12")
                vm("input-send-event", {"events": [event("key", down=True, key=key("f12")), event("key", down=False, key=key("f12"))]})
                typed(vm, "07 f0 07")
                for pause, printing in ((key("pause"), key("print")), (key(0xc6, "number"), key(0xb7, "number"))):
                    vm("send-key", {"keys": [pause], "hold-time": 1})
                    typed(vm, "e1 14 77 e1 f0 14 f0 77")           # QEMU's keyboard holds sixteen bytes
                    vm("send-key", {"keys": [printing], "hold-time": 1})
                    typed(vm, "e0 12 e0 7c e0 f0 7c e0 f0 12")


@case("RTC_CHANGE tells how far the guest has moved its clock")
def _():
    with tempfile.TemporaryDirectory() as folder:
        for start in (Vm, qemu):
            with start(*BARE[1:], "-S", "-rtc", "base=2026-01-31T12:00:00", "-bios", rom_file(folder, SET_YEAR)) as vm:
                vm("cont")
                told = vm.wait_event("RTC_CHANGE")
                check(set(told) == {"offset", "qom-path"} and abs(told["offset"] - 126230400) < 86400, told)
                check(told["qom-path"].startswith("/machine/unattached/"), told)


@case("a stream is exchanged while a serial port uses it, and what cannot be made changes nothing")
def _():
    with tempfile.TemporaryDirectory() as folder, Vm(*BARE, "-chardev", "ringbuf,id=s,size=64", "-serial", "chardev:s") as vm:
        change = lambda kind, **data: {"id": "s", "backend": {"type": kind, "data": data}}
        check(vm.error("chardev-change", change("file", out="/nonexistent/x"))[0] == "GenericError", "it was made")
        vm("ringbuf-write", {"device": "s", "data": "x"})
        check(vm("ringbuf-read", {"device": "s", "size": 9}) == "x", "the old one has changed")
        vm("chardev-change", change("file", out=folder + "/out"))
        check(vm.error("chardev-remove", {"id": "s"}) == ("GenericError", "Chardev 's' is busy"), "its user did not move")
        check(vm("chardev-change", change("pty"))["pty"].startswith("/dev/pts/"), "pty")
        check([c["filename"][:13] for c in vm("query-chardev") if c["label"] == "s"] == ["pty:/dev/pts/"], vm("query-chardev"))
        check("char device redirected to /dev/pts/" in vm("human-monitor-command", {"command-line": "chardev-change s pty"}), "monitor")
        vm("human-monitor-command", {"command-line": f"chardev-change s socket,path={folder}/s,server=on,wait=off"})
        check(os.path.exists(folder + "/s"), "socket")
        vm("system_reset")


main()
