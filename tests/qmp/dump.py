#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""dump-guest-memory: the core file beside QEMU's and as gdb reads it, its filters, its errors, a dump in the background. Usage: dump.py ROOST"""
import os
import re
import shutil
import struct
import subprocess
import tempfile

from qmp import BARE, Skip, Vm, case, check, main, paging_rom, qemu

# 16-bit code that goes to long mode with the first 2 MiB mapped at 0 and at ffffffff80000000h, sets registers and halts. Tables at 8000h.
LONG_ENTRIES = [(0x8000, 0x9003), (0x8ff8, 0x9003), (0x9000, 0xa003), (0x9ff0, 0xa003), (0xa000, 0x83)]
NO_SUCH = {"paging": False, "protocol": "file:/nonexistent/x"}
BAD = [{"begin": 0}, {"length": 10}, {"protocol": "foo:/x"}, {"protocol": "fd:zz"}, {"format": "kdump-zlib", "paging": True}, {"format": "kdump-lzo"},
       {"format": "kdump-zlib", "begin": 0, "length": 4}, {"begin": 1 << 40, "length": 5}, {"begin": 0, "length": 0}, {"format": "nosuch"}, {"paging": 5},
       {"protocol": "fd:zz", "detach": True}]


def long_mode_rom(hostile=False):
    """hostile: all entries but the first of the topmost table lead back to it. Firmware as paging_rom's: real mode writes the tables through ds = 800h, and a far jump leads to 64-bit code behind it."""
    base, code = 0xf0000, bytearray()

    def emit(*parts):
        for part in parts:
            code.extend(part if isinstance(part, bytes) else bytes([part]))
    emit(0xfa, b"\xb8\x00\x08", b"\x8e\xd8")
    if hostile:                                     # mov bx, 8; mov dword [bx], 8003h; mov dword [bx+4], 0; add bx, 8; cmp bx, 1000h; jb
        emit(b"\xbb\x08\x00", b"\x66\xc7\x07\x03\x80\x00\x00\x66\xc7\x47\x04\x00\x00\x00\x00\x83\xc3\x08\x81\xfb\x00\x10\x72\xe8")
    for address, value in LONG_ENTRIES[:1] + LONG_ENTRIES[2:] if hostile else LONG_ENTRIES:
        emit(b"\x66\xc7\x06", (address - 0x8000).to_bytes(2, "little"), value.to_bytes(4, "little"))
    emit(b"\x2e\x66\x0f\x01\x16", (0x300).to_bytes(2, "little"))                                   # lgdt cs:[300h]
    emit(b"\x66\xb8", (0x8000).to_bytes(4, "little"), b"\x0f\x22\xd8", b"\x66\xb8\x20\x00\x00\x00\x0f\x22\xe0")    # cr3; cr4 = PAE
    emit(b"\x66\xb9\x80\x00\x00\xc0\x0f\x32\x66\x0d\x00\x01\x00\x00\x0f\x30")                      # efer |= LME
    emit(b"\x66\xb8\x01\x00\x00\x80\x0f\x22\xc0")                                                  # cr0 = PG | PE
    emit(b"\x66\xea", (base + 0x200).to_bytes(4, "little"), b"\x08\x00")                           # into 64-bit code
    image = bytearray(b"\xf4" * 65536)
    image[:len(code)] = code
    image[0x200:0x200 + 16] = b"\x48\xb8" + (0x1122334455667788).to_bytes(8, "little") + b"\x49\xc7\xc7\x78\x56\x34"      # mov rax; mov r15
    image[0x210:0x216] = b"\x12" + b"\xfa\xf4\xeb\xfd\x90"
    image[0x300:0x306] = (0x17).to_bytes(2, "little") + (base + 0x310).to_bytes(4, "little")
    image[0x310:0x328] = bytes(8) + b"\xff\xff\x00\x00\x00\x9b\xaf\x00" + b"\xff\xff\x00\x00\x00\x93\xcf\x00"
    image[0xFFF0:0xFFF5] = bytes([0xEA, 0x00, 0x00, 0x00, 0xF0])
    return bytes(image)


class Core:
    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = data = file.read()
        check(data[:4] == b"\x7fELF" and data[5] == 1 and data[16:18] == b"\x04\x00", "no ELF core")
        self.wide, self.machine = data[4] == 2, struct.unpack_from("<H", data, 18)[0]
        at = struct.unpack_from("<Q", data, 32)[0] if self.wide else struct.unpack_from("<I", data, 28)[0]
        size, count = struct.unpack_from("<HH", data, 54 if self.wide else 42)
        self.loads, self.notes = [], []
        for i in range(count):
            if self.wide:
                kind, _, offset, linear, physical, length = struct.unpack_from("<IIQQQQ", data, at + i * size)
            else:
                kind, offset, linear, physical, length = struct.unpack_from("<IIIII", data, at + i * size)
            check(offset + length <= len(data), "a segment ends behind the file")
            if kind == 4:
                self.read_notes(data[offset:offset + length])
            else:
                self.loads.append((linear, physical, length, offset))

    def read_notes(self, data):
        while data:
            name, length, kind = struct.unpack_from("<III", data)
            begin = 12 + (name + 3) // 4 * 4
            self.notes.append((data[12:12 + name - 1].decode(), kind, data[begin:begin + length]))
            data = data[begin + (length + 3) // 4 * 4:]

    def physical(self, address, length):
        for _, physical, size, offset in self.loads:
            if physical <= address < physical + size:
                return self.data[offset + address - physical:][:length]
        return b""

    def linear(self, address, length):
        for linear, _, size, offset in self.loads:
            if linear <= address < linear + size:
                return self.data[offset + address - linear:][:length]
        return b""


def dump(vm, folder, **args):
    path = os.path.join(folder, "core")
    vm("dump-guest-memory", {"paging": False, "protocol": f"file:{path}"} | args)
    return Core(path)


def rom_args(folder, image, *more):
    path = os.path.join(folder, "rom")
    with open(path, "wb") as file:
        file.write(image)
    return ("-M", "pc", "-m", "32", "-nodefaults", "-display", "none", "-bios", path, *more)


def wait_cr0(vm, value):
    while value not in vm("human-monitor-command", {"command-line": "info registers"}):
        pass


@case("refused as QEMU refuses it, and what is known about dumps")
def _():
    with tempfile.TemporaryDirectory() as folder, Vm(*BARE) as ours, qemu(*BARE) as theirs:
        for vm in (ours, theirs):
            check(vm("query-dump") == {"status": "none", "completed": 0, "total": 0}, "before")
        for args in BAD:
            args = {"paging": False, "protocol": f"file:{folder}/x"} | args
            mine, other = ours.error("dump-guest-memory", args), theirs.error("dump-guest-memory", args)
            check(mine == other, f"{args}: {mine}, not {other}")
        check(ours.error("dump-guest-memory", NO_SUCH)[0] == "GenericError", "path")
        check(ours("query-dump-guest-memory-capability") == {"formats": ["elf"]}, "capability")


@case("notes of each processor and memory as in QEMU's file; filters; descriptors; events in QEMU's order")
def _():
    with tempfile.TemporaryDirectory() as folder:
        cores, events = [], []
        for start in (Vm, qemu):
            with start(*rom_args(folder, paging_rom(), "-smp", "2")) as vm:
                wait_cr0(vm, "e0000011")
                whole = dump(vm, folder)
                events.append((vm.names(), vm("query-status")["status"]))
                done = vm("query-dump")
                check(done["status"] == "completed" and done["completed"] == done["total"] >= 31 << 20, done)
                part = dump(vm, folder, begin=0x8ff0, length=0x20)
                check([load[:3] for load in part.loads] == [(0x8ff0, 0x8ff0, 0x20)], part.loads)
                with open(folder + "/fd", "wb") as file:
                    vm("getfd", {"fdname": "d"}, fds=[file.fileno()])
                    vm("dump-guest-memory", {"paging": False, "protocol": "fd:d"})
                check(os.path.getsize(folder + "/fd") > 31 << 20, "descriptor")
                cores.append((whole, dump(vm, folder, paging=True)))
        check(events[0] == events[1], events)
        (mine, mapped), (theirs, their_mapped) = cores
        check([n[:2] for n in mine.notes] == [n[:2] for n in theirs.notes] == [("CORE", 1)] * 2 + [("QEMU", 0)] * 2, mine.notes)
        for ours, other in zip(mine.notes[:2], theirs.notes[:2]):
            check(ours[2][:28] == other[2][:28] and len(ours[2]) == len(other[2]), "NT_PRSTATUS")
        check(mine.machine == theirs.machine == 3, "machine")
        mine_cpu, their_cpu = (core.notes[2][2] for core in (mine, theirs))
        check(len(mine_cpu) == len(their_cpu) and mine_cpu[:8] == their_cpu[:8], "note of a processor")
        check([mine_cpu[i:i + 8].hex() for i in (136, 152, 392, 400, 408, 416, 424)] == [their_cpu[i:i + 8].hex() for i in (136, 152, 392, 400, 408, 416, 424)], "cr0 to cr4, rip")
        for address in (0, 0x8000, 0x9000, 0xa000, 0x100000, 0xfffffff0):
            check(mine.physical(address, 16) == theirs.physical(address, 16), hex(address))
        for address in (0x400000, 0x808000, 0x9000):
            check(mapped.linear(address, 16) == their_mapped.linear(address, 16) != b"", f"linear {address:x}")
        check(not mapped.linear(0xc00000, 4), "what is not mapped")


@case("long mode: gdb reads registers and memory at the guest's own addresses")
def _():
    with tempfile.TemporaryDirectory() as folder, Vm(*rom_args(folder, long_mode_rom(), "-accel", "tcg")) as vm:
        while "1122334455667788" not in vm("human-monitor-command", {"command-line": "p/x $rax"}):
            pass
        core = dump(vm, folder, paging=True)
        check(core.wide and core.machine == 62, "class")
        check([load[0] for load in core.loads if load[0]] == [0xffffffff80000000] or len(core.loads) > 3, core.loads)
        check(core.linear(0xffffffff80008000, 8) == (0x9003 | 0x20).to_bytes(8, "little") or core.linear(0xffffffff80008000, 2)[1] == 0x90, "memory")
        if not shutil.which("gdb"):
            raise Skip("gdb is not installed")
        said = subprocess.run(["gdb", "-batch", "-nx", "-core", folder + "/core", "-ex", "p/x $rax", "-ex", "p/x $r15", "-ex", "x/1xh 0xffffffff80008000"],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120).stdout
        check("0x1122334455667788" in said and "0x12345678" in said and re.search(r"0xffffffff80008000:\s+0x90[02]3", said), said)


@case("page tables that lead back to themselves end in a sentence, not in a dump without end")
def _():
    with tempfile.TemporaryDirectory() as folder, Vm(*rom_args(folder, long_mode_rom(hostile=True), "-accel", "tcg")) as vm:
        while "1122334455667788" not in vm("human-monitor-command", {"command-line": "p/x $rax"}):
            pass
        told = vm.error("dump-guest-memory", {"paging": True, "protocol": f"file:{folder}/core"})
        check(told[0] == "GenericError" and "page tables map more than" in told[1], told)
        check(vm("query-status")["running"], "it stands")
        dump(vm, folder)


@case("in the background: the guest waits, cont is refused, the end is told; the monitor's words")
def _():
    with tempfile.TemporaryDirectory() as folder, Vm("-M", "pc", "-m", "256", "-nodefaults", "-display", "none") as vm:
        vm("dump-guest-memory", {"paging": False, "protocol": f"file:{folder}/core", "detach": True})
        status = vm.raw('{"execute":"query-dump"}')["return"]["status"]
        check(status in ("active", "completed"), status)
        if status == "active":
            reply = vm.raw('{"execute":"cont"}')
            check("return" in reply or "dump in process" in reply["error"]["desc"], reply)
        told = vm.wait_event("DUMP_COMPLETED")
        check(told["result"]["status"] == "completed" and "error" not in told, told)
        vm.wait_event("RESUME")
        say = lambda line: vm("human-monitor-command", {"command-line": line})
        check(say("info dump") == "Status: completed\r\n", say("info dump"))
        check(say(f"dump-guest-memory -p {folder}/two 0 0x1000") == "" and Core(folder + "/two").loads[0][2] == 4096, "monitor")
        check(say("dump-guest-memory /nonexistent/x").startswith("Error: "), "path")
        full = vm.raw('{"execute":"dump-guest-memory","arguments":{"paging":false,"protocol":"file:/dev/full"}}')
        check("No space left" in full["error"]["desc"] and vm.wait_event("DUMP_COMPLETED") or "No space" in str(full), full)


main()
