#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Run state: the commands that move it, and their events in QEMU's order, beside QEMU. Usage: run.py ROOST"""
import tempfile

from qmp import BARE, Vm, case, check, main, qemu, shape


def out(size, port, value):
    """mov dx, port; mov al/ax/eax, value; out"""
    move = {1: b"\xb0", 2: b"\xb8", 4: b"\x66\xb8"}[size] + value.to_bytes(size, "little")
    return bytes([0xBA]) + port.to_bytes(2, "little") + move + {1: b"\xee", 2: b"\xef", 4: b"\x66\xef"}[size]


EXIT = out(1, 0xf4, 1)
# PIIX4's power management registers to port 600h, switched on; SLP_EN with the type that means off.
POWER_OFF = out(4, 0xcf8, 0x80000b40) + out(4, 0xcfc, 0x601) + out(4, 0xcf8, 0x80000b80) + out(1, 0xcfc, 1) + out(2, 0x604, 0x2000)

# (command, arguments); what is compared: events before the reply, and the reply's shape.
STEPS = [("query-status", None), ("stop", None), ("query-status", None), ("cont", None), ("query-status", None), ("cont", None), ("stop", None), ("stop", None),
         ("query-status", None), ("system_reset", None), ("query-status", None), ("system_powerdown", None), ("system_wakeup", None), ("inject-nmi", None),
         ("set-action", {"panic": "pause", "reboot": "reset", "shutdown": "pause", "watchdog": "none"}), ("watchdog-set-action", {"action": "none"}), ("set-action", None),
         ("cont", None), ("system_reset", None), ("query-current-machine", None), ("query-status", None), ("quit", None)]


def walk(vm):
    told = []
    for command, args in STEPS:
        reply = vm.raw('{"execute":"%s"%s}' % (command, ',"arguments":' + str(args).replace("'", '"') if args else ""))
        events = [(e["event"], e.get("data")) for e in vm.events]
        vm.events.clear()
        told.append((command, events, reply if command == "query-status" or "error" in reply else shape(reply)))
    check(vm.process.wait(60) == 0, "status of quit")
    return told


@case("the same commands have the same events and replies as in QEMU")
def _():
    with Vm(*BARE) as ours, qemu(*BARE) as theirs:
        for mine, other in zip(walk(ours), walk(theirs)):
            check(mine == other, f"{mine}\ninstead of\n{other}")


@case("-S holds the processors until cont")
def _():
    with rom_of(EXIT) as firmware, Vm(*BARE, "-device", "isa-debug-exit,iobase=0xf4", "-bios", firmware.name) as vm:
        check(vm("query-status") == {"running": False, "singlestep": False, "status": "prelaunch"}, "it runs")
        vm("cont")
        check(vm.process.wait(60) == 2 * 1 + 1, vm.process.returncode)
        vm.process.returncode = 0


def rom_of(code):
    """64 KiB of firmware that begins with this real mode code."""
    image = bytearray(b"\xf4" * 65536)
    image[:len(code)] = code
    image[0xFFF0:0xFFF5] = bytes([0xEA, 0x00, 0x00, 0x00, 0xF0])
    file = tempfile.NamedTemporaryFile()
    file.write(image)
    file.flush()
    return file


@case("an empty machine: no processors to stop, none to interrupt")
def _():
    with Vm("-M", "none", "-nodefaults", "-display", "none") as vm:
        check(vm("query-status")["status"] == "running", "state")
        check(vm.error("system_wakeup") == ("GenericError", "wake-up from suspend is not supported by this guest"), "wakeup")
        check(vm.error("inject-nmi") == ("GenericError", "this feature or command is not currently supported"), "nmi")
        vm("system_powerdown")
        vm("system_reset")
        check(vm.names() == ["POWERDOWN", "RESET"], "events")


@case("a guest's power-off under -no-shutdown: SHUTDOWN, STOP, and a reset lets it go on")
def _():
    with rom_of(POWER_OFF) as firmware, Vm("-M", "pc", "-m", "32", "-nodefaults", "-display", "none", "-no-shutdown", "-bios", firmware.name) as vm:
        while vm("query-status")["status"] != "shutdown":
            pass
        names = vm.names()
        check(names[-2:] == ["SHUTDOWN", "STOP"] or names == [], names)
        check(vm.error("cont") == ("GenericError", "Resetting the Virtual Machine is required"), "cont")
        vm("system_reset")
        check(vm("query-status")["status"] == "prelaunch", "status after the reset")


main()
