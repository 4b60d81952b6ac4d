#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Guest memory from outside: files, dumps, and virtual addresses through the guest's page tables. Usage: memory.py ROOST"""
import os
import tempfile

from qmp import BARE, Vm, case, check, main, qemu


def flat(vm, command, folder, args):
    path = os.path.join(folder, "out")
    vm(command, args | {"filename": path})
    with open(path, "rb") as file:
        return file.read()


@case("pmemsave and memsave write what QEMU writes, and fail where it fails")
def _():
    with Vm(*BARE) as ours, qemu(*BARE) as theirs, tempfile.TemporaryDirectory() as folder:
        for args in ({"val": 0xfffff0, "size": 32}, {"val": 0x1000, "size": 70000}, {"val": 0, "size": 0}):
            mine = flat(ours, "pmemsave", folder, args)
            check(mine == flat(theirs, "pmemsave", folder, args) and len(mine) == args["size"], args)
        for args in ({"val": 0x2000, "size": 5000}, {"val": 0x2000, "size": 0, "cpu-index": 0}):
            check(len(flat(ours, "memsave", folder, args)) == args["size"], args)
        bad = {"val": 0, "size": 1, "filename": folder + "/x", "cpu-index": 9}
        check(ours.error("memsave", bad) == theirs.error("memsave", bad), "cpu-index")
        check(ours.error("pmemsave", {"val": 0, "size": 1, "filename": "/nonexistent/x"})[0] == "GenericError", "path")
        check(ours.error("memsave", {"val": 0, "size": 1, "filename": ""})[0] == "GenericError", "no path")


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


@case("virtual addresses by the guest's page tables, as QEMU finds them")
def _():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "rom")
        with open(path, "wb") as file:
            file.write(paging_rom())
        args = ("-M", "pc", "-m", "32", "-nodefaults", "-display", "none", "-bios", path)
        with Vm(*args) as ours, qemu(*args) as theirs:
            for vm in (ours, theirs):
                while "0xe0000011" not in vm("human-monitor-command", {"command-line": "p/x $cr0"}) and \
                        "CR0=e0000011" not in vm("human-monitor-command", {"command-line": "info registers"}):
                    pass
            for line in ("x /xw 0x400000", "x /2xb 0x400002", "x /xw 0x808000", "x /xw 0xa000", "x /xw 0x401000", "x /xw 0xc00000"):
                mine, other = (vm("human-monitor-command", {"command-line": line}) for vm in (ours, theirs))
                check(mine == other, f"{line}: {mine!r}, not {other!r}")
            place = {"val": 0x400000, "size": 4096}
            check(flat(ours, "memsave", folder, place) == flat(theirs, "memsave", folder, place), "memsave")
            nowhere = {"val": 0x400ff0, "size": 32, "filename": folder + "/x"}
            check(ours.error("memsave", nowhere) == theirs.error("memsave", nowhere), ours.error("memsave", nowhere))


main()
