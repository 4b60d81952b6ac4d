#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Guest memory from outside: files, dumps, and virtual addresses through the guest's page tables. Usage: memory.py ROOST"""
import os
import tempfile

from qmp import BARE, Vm, case, check, main, paging_rom, qemu


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
