#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Descriptors over the monitor's socket: names, sets, /dev/fdset/N, and what nobody takes. Usage: fds.py ROOST"""
import os
import socket
import subprocess
import tempfile

from qmp import ROOST, Client, Vm, case, check, main, qemu, shape

NONE = ("-S", "-M", "none", "-nodefaults", "-display", "none")


def open_fds(vm):
    return len(os.listdir(f"/proc/{vm.process.pid}/fd"))


@case("getfd and closefd, alone and over a used name")
def _():
    with Vm(*NONE) as vm, tempfile.TemporaryFile() as file:
        before = open_fds(vm)
        check(vm.error("getfd", {"fdname": "x"}) == ("GenericError", "No file descriptor supplied via SCM_RIGHTS"), "without one")
        vm("getfd", {"fdname": "x"}, fds=[file.fileno()])
        vm("getfd", {"fdname": "x"}, fds=[file.fileno()])
        check(open_fds(vm) == before + 1, "the first was not closed")
        check("digit" in vm.error("getfd", {"fdname": "1x"}, fds=[file.fileno()])[1], "a number as name")
        vm("closefd", {"fdname": "x"})
        check(vm.error("closefd", {"fdname": "x"}) == ("GenericError", "File descriptor named 'x' not found"), "twice")
        check(open_fds(vm) == before, "one is left")


@case("sets: add-fd, query-fdsets, remove-fd, as QEMU has them")
def _():
    with Vm(*NONE) as ours, qemu(*NONE) as theirs, tempfile.TemporaryFile() as file:
        for vm in (ours, theirs):
            check(vm("add-fd", None, fds=[file.fileno()])["fdset-id"] == 0, "first set")
            check(vm("add-fd", {"fdset-id": 7, "opaque": "remark"}, fds=[file.fileno()])["fdset-id"] == 7, "set 7")
            check(vm("add-fd", {}, fds=[file.fileno()])["fdset-id"] == 1, "next free set")
        check(shape(ours("query-fdsets")) == shape(theirs("query-fdsets")), "shape")
        for vm in (ours, theirs):
            check(sorted(s["fdset-id"] for s in vm("query-fdsets")) == [0, 1, 7], vm("query-fdsets"))
            vm("remove-fd", {"fdset-id": 7})
            fd = [s for s in vm("query-fdsets") if s["fdset-id"] == 1][0]["fds"][0]["fd"]
            vm("remove-fd", {"fdset-id": 1, "fd": fd})
        for args in ({"fdset-id": 9}, {"fdset-id": 0, "fd": 999}, {"fdset-id": -1}):
            check(ours.error("remove-fd", args) == theirs.error("remove-fd", args), args)
        check(ours.error("add-fd", {"fdset-id": -1}, fds=[file.fileno()]) == theirs.error("add-fd", {"fdset-id": -1}, fds=[file.fileno()]), "-1")


@case("-add-fd, and a chardev that writes into /dev/fdset/N")
def _():
    with tempfile.TemporaryDirectory() as folder:
        fd = os.open(f"{folder}/out", os.O_WRONLY | os.O_CREAT)
        os.set_inheritable(fd, True)
        ran = subprocess.run([ROOST, "-M", "none", "-nodefaults", "-display", "none", "-add-fd", f"fd={fd},set=3,opaque=x", "-chardev", "ringbuf,id=r,logfile=/dev/fdset/3",
                              "-mon", "r,mode=control", "-run-timeout", "0.2"], pass_fds=[fd], capture_output=True)
        check(ran.returncode == 124 and b"QMP" in open(f"{folder}/out", "rb").read(), ran)


@case("descriptors that nobody takes are closed: with the next ones, too many at once, and when the client goes")
def _():
    with Vm(*NONE) as vm, tempfile.TemporaryFile() as file:
        before = open_fds(vm)
        for _ in range(50):
            vm("query-status", fds=[file.fileno()] * 5)
        check(open_fds(vm) <= before + 5, "they pile up")
        socket.send_fds(vm.socket, [b'{"execute":"query-status"}'], [file.fileno()] * 100)
        vm.answer()
        check(open_fds(vm) <= before + 16, "they pile up")
        for i in range(10):
            vm("getfd", {"fdname": f"n{i}"}, fds=[file.fileno()])
        for _ in range(20):
            vm.close()
            Client.__init__(vm, vm.path)
        check(open_fds(vm) == before, "a client's descriptors outlived it")


main()
