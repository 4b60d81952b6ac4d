#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# qtest.py - the device test protocol over a socket, beside QEMU where it is installed: qtest.py ROOST
#
# Debian's QEMU has no qtest accelerator; its protocol and its devices answer under a paused TCG too, all but the clock.
import os
import shutil
import socket
import subprocess
import sys
import tempfile

ROOST = sys.argv[1]
QEMU = shutil.which("qemu-system-x86_64")
results = []


class Vm:
    """One VM with a qtest socket, listening or calling as libqtest does."""

    def __init__(self, program, *args, accel):
        self.dir = tempfile.TemporaryDirectory()
        path = os.path.join(self.dir.name, "q")
        listener = socket.socket(socket.AF_UNIX)
        listener.settimeout(20)
        listener.bind(path)
        listener.listen(1)
        self.process = subprocess.Popen(
            [program, *accel, "-qtest", f"unix:{path}", "-qtest-log", "/dev/null", "-M", "pc", "-m", "32", "-nodefaults", "-display", "none", *args],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.socket = listener.accept()[0]
        self.socket.settimeout(20)
        self.rest = b""
        self.irqs = []

    def line(self):
        while b"\n" not in self.rest:
            more = self.socket.recv(65536)
            if not more:
                raise EOFError("the VM hung up")
            self.rest += more
        line, self.rest = self.rest.split(b"\n", 1)
        return line.decode()

    def __call__(self, command):
        self.socket.sendall(command.encode() + b"\n")
        while True:
            line = self.line()
            if not line.startswith("IRQ"):
                return line
            self.irqs.append(line)

    def close(self):
        self.socket.close()
        self.process.terminate()
        self.process.wait(20)
        self.dir.cleanup()


def roost(*args):
    return Vm(ROOST, *args, accel=["-accel", "qtest"])


def qemu(*args):
    return Vm(QEMU, *args, accel=["-accel", "tcg", "-S"])


def case(name):
    def run(body):
        try:
            problem = body()
        except Exception as error:             # a case that breaks is a case that fails
            problem = f"{type(error).__name__}: {error}"
        results.append(problem)
        print(f"{'not ok' if problem else 'ok'} {len(results)} - {name}", flush=True)
        for line in (problem or "").splitlines():
            print(f"# {line}")
    return run


def expect(vm, *pairs):
    for command, wanted in pairs:
        got = vm(command)
        if got != wanted:
            return f"{command}: '{got}', not '{wanted}'"
    return None


def in_vm(body, *args):
    def run():
        vm = roost(*args)
        try:
            return body(vm)
        finally:
            vm.close()
    return run


# What both must answer alike. Long runs of registers are made below.
SAME = ["endianness",
        "outb 0x80 0x12", "inb 0x21", "inw 0x21", "inl 0x2f8", "inb 0x5000", "inw 0x5000", "inl 0x5000",
        "writeb 0x1000 0x11", "writew 0x1002 0x2233", "writel 0x1004 0x44556677", "writeq 0x1008 0x8899aabbccddeeff",
        "readb 0x1000", "readw 0x1002", "readl 0x1004", "readq 0x1008", "readq 0x1001", "readb 4096", "readb 010000",
        "read 0x1000 0x10", "read 0x1000 1", "b64read 0x1000 16", "memset 0x1000 5 0xab", "read 0x0ffe 12", "memset 0x1000 0 1",
        "write 0x1000 4 0x01020304", "read 0x1000 4", "write 0x1000 4 0x01", "read 0x1000 4", "b64write 0x1000 4 AQIDBA==", "read 0x1000 4",
        "readl 0xfff0", "readb 0xfffffff0", "writel 0x10000000 1", "writel 0xfffffff0 1", "readl 0xfffffff0",
        "no_such_command", "irq_intercept_in no-such-device", "irq_intercept_in ioapic", "irq_intercept_in ioapic",
        "irq_intercept_out ioapic"]


def registers():
    """Device registers at reset and after writes, as far as time does not move them. Left out where silicon and QEMU differ and Roost
    follows silicon: reserved bits of I/O APIC entries, the 8254's null count, port 92h's A20 bit at reset."""
    for port in (0x21, 0xa1, 0x4d0, 0x4d1, 0x64, 0xcf9):
        yield f"inb {port:#x}"
    for port, value in ((0x4d0, 0xff), (0x4d1, 0xff)):
        yield f"outb {port:#x} {value:#x}"
        yield f"inb {port:#x}"
    for base in (0x20, 0xa0):                  # ICW1-4, masks, ISR and IRR, poll
        for port, value in ((0, 0x11), (1, 0x20), (1, 4), (1, 1), (1, 0x5a)):
            yield f"outb {base + port:#x} {value:#x}"
        yield f"inb {base + 1:#x}"
        for ocw3 in (0x0b, 0x0a, 0x0c, 0x68, 0x48):
            yield f"outb {base:#x} {ocw3:#x}"
            yield f"inb {base:#x}"
        yield f"outb {base + 1:#x} 0"
    for pin in (0, 1, 2, 9, 23):               # I/O APIC
        for register in (0, 1, 2, 0x10 + 2 * pin, 0x11 + 2 * pin):
            yield f"writel 0xfec00000 {register:#x}"
            yield "readl 0xfec00000"
            yield "readl 0xfec00010"
        yield f"writel 0xfec00000 {0x10 + 2 * pin:#x}"
        yield "writel 0xfec00010 0x1ffff"
        yield "readl 0xfec00010"
    for offset in (0x00, 0x04, 0x10, 0x20, 0xf0, 0x100, 0x104, 0x108, 0x10c, 0x120, 0x124, 0x140, 0x160, 0x300):
        yield f"readl {0xfed00000 + offset:#x}"
    yield "writel 0xfed000f0 0x12345678"
    yield "readl 0xfed000f0"
    for timer in range(3):
        for offset, value in ((0x100, 0x3fff), (0x108, 0x1000), (0x100, 0x4)):
            yield f"writel {0xfed00000 + offset + 32 * timer:#x} {value:#x}"
            yield f"readl {0xfed00000 + offset + 32 * timer:#x}"
    for index in (0x0a, 0x0b, 0x0d, 0x0f):
        yield f"outb 0x70 {index:#x}"
        yield "inb 0x71"
    yield "outb 0x70 0x0b"
    yield "outb 0x71 0x82"                     # the clock stands: what is written is read
    for index, value in ((0, 0x12), (2, 0x34), (4, 0x56), (6, 3), (7, 0x29), (8, 2), (9, 0x96), (0x32, 0x19), (1, 0xff), (3, 0xc0), (5, 0x7f)):
        yield f"outb 0x70 {index:#x}"
        yield f"outb 0x71 {value:#x}"
        yield "inb 0x71"
    yield "outl 0xcf8 0x80000000"
    yield "inl 0xcf8"
    yield "inl 0xcfc"


def compare(commands):
    ours, theirs = roost(), qemu()
    try:
        return "\n".join(f"{command}: '{a}', QEMU: '{b}'" for command, a, b in ((c, ours(c), theirs(c)) for c in commands) if a != b) or None
    finally:
        ours.close()
        theirs.close()


if QEMU:
    case("answers are QEMU's")(lambda: compare(SAME))
    case("registers are QEMU's")(lambda: compare(list(registers())))
else:
    print("ok 1 - answers are QEMU's # SKIP QEMU is not installed")
    print("ok 2 - registers are QEMU's # SKIP QEMU is not installed")
    results += [None, None]


@case("answers, without QEMU beside it")
@in_vm
def _(vm):
    return expect(vm, ("endianness", "OK little"), ("inb 0x5000", "OK 0x00ff"), ("inl 0x5000", "OK 0xffffffff"),
                  ("writel 0x1004 0x44556677", "OK"), ("readb 0x1004", "OK 0x0000000000000077"), ("read 0x1004 4", "OK 0x77665544"),
                  ("b64read 0x1004 4", "OK d2ZVRA=="), ("foo", "FAIL Unknown command 'foo'"))


@case("short and wrong commands fail, and the VM goes on")
@in_vm
def _(vm):
    for command in ("inb", "inb zz", "outb 0x80", "outb 0x80 zz", "inb 0x10000", "readq", "writeb 1", "read 0x10", "read 0x10 0", "read 0 99999999999",
                    "write 0 4", "write 0 0 0x00", "b64write 0 4", "memset 0 4", "memset 0 zz 1", "clock_step zz", "clock_step -1", "clock_set",
                    "clock_set -5", "clock_step 18446744073709551615", "clock_step 9223372036854775807000", "irq_intercept_in",
                    "irq_intercept_out /machine/nowhere", "module_load a b", "rtas x", "x" * 5000, "\x01\x7f"):
        got = vm(command)
        if not got.startswith("FAIL "):
            return f"{command[:60]!r}: {got!r}"
    return expect(vm, ("inb 0x80 0x81", "OK 0x00ff"), ("  inb   0x5000", "OK 0x00ff"))


@case("the clock is turned by hand, and timers follow")
@in_vm
def _(vm):
    problem = expect(vm, ("clock_step 1000", "OK 1000"), ("clock_set 5000", "OK 5000"), ("irq_intercept_in ioapic", "OK"),
                     ("outb 0x43 0x34", "OK"), ("outb 0x40 0xa9", "OK"), ("outb 0x40 0x04", "OK"))    # 1193: 999.8 us
    if problem:
        return problem
    vm.irqs.clear()
    first = int(vm("clock_step").split()[1])
    if abs(first - 5000 - 999848) > 2000 or not vm.irqs or vm.irqs[-1] != "IRQ raise 0":
        return f"clock_step went to {first}, {vm.irqs}"
    vm.irqs.clear()
    vm("clock_step 10000000")
    raised = vm.irqs.count("IRQ raise 0")
    return None if raised == 10 else f"{raised} interrupts in 10 ms"


@case("outputs are intercepted by wire")
@in_vm
def _(vm):
    if vm("irq_intercept_out isa-pit") != "OK":
        return "no isa-pit"
    vm("outb 0x43 0x30")
    vm("outb 0x40 1")
    vm("outb 0x40 0")
    vm("clock_step 2000000")
    return None if "IRQ raise 0" in vm.irqs else f"{vm.irqs}"


@case("a serial port interrupts through the I/O APIC's pin 4")
def _():
    vm = roost("-chardev", "null,id=n", "-device", "isa-serial,chardev=n")
    try:
        vm("irq_intercept_in ioapic")
        vm("outb 0x3fc 0x08")
        vm("outb 0x3f9 0x02")
        return None if vm.irqs == ["IRQ raise 4"] else f"{vm.irqs}"
    finally:
        vm.close()


@case("many commands in one write, one command in many writes")
@in_vm
def _(vm):
    vm.socket.sendall(b"inb 0x5000\n" * 2000)
    for _ in range(2000):
        if vm.line() != "OK 0x00ff":
            return "a wrong answer in the crowd"
    for byte in b"inb 0x5000\n":
        vm.socket.sendall(bytes([byte]))
    return None if vm.line() == "OK 0x00ff" else "a wrong answer by bytes"


@case("a large transfer")
@in_vm
def _(vm):
    data = os.urandom(1 << 20).hex()
    if vm(f"write 0x100000 {1 << 20} 0x{data}") != "OK":
        return "refused"
    return None if vm(f"read 0x100000 {1 << 20}") == "OK 0x" + data else "other bytes"


print(f"1..{len(results)}")
sys.exit(any(results))
