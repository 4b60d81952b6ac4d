#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The monitor for people: over QMP, beside QEMU where its words are what scripts read; and the editing of a line. Usage: hmp.py ROOST"""
import os
import pty
import re
import socket
import subprocess
import tempfile
import time

from qmp import BARE, PATIENCE, ROOST, Vm, case, check, main, qemu

ARGS = (*BARE, "-name", "g1", "-uuid", "11111111-2222-3333-4444-555555555555", "-serial", "null")


def say(vm, line, **more):
    return vm("human-monitor-command", {"command-line": line} | more)


# Lines whose answer is QEMU's word for word.
SAME = ["info status", "info name", "info uuid", "info kvm", "info nosuch", "nosuch", "", "stop", "cont", "info status", "stop", "info status", "system_reset", "nmi",
        "p 1+2*3", "print /x 255", "p /d 0xff", "p/o 8", "print/u -1", "p/x (1+2)*3", "p/x 7/2", "p/x 7%4", "p/x ~0", "p/x 1 | 6 & 3", "xp /4xb 0x5000",
        "system_wakeup", "info mice"]


@case("lines answered as QEMU answers them")
def _():
    with Vm(*ARGS) as ours, qemu(*ARGS) as theirs:
        for line in SAME:
            mine, other = (re.sub(r"#\d", "#n", say(vm, line)) for vm in (ours, theirs))
            check(mine == other, f"{line}: {mine!r}, not {other!r}")


@case("every command and info has a line of help, and every info says something")
def _():
    with Vm(*ARGS, "-object", "iothread,id=io0", "-device", "virtio-rng-pci,id=r", "-drive", "if=none,id=d,file=null-co://,format=raw",
            "-device", "virtio-blk-pci,drive=d", "-device", "ide-cd,id=cd", "-netdev", "user,id=n") as vm:
        commands = re.findall(r"^(\S+) .*-- \w", say(vm, "help"), re.M)
        infos = re.findall(r"^info (\S+) .*-- \w", say(vm, "info"), re.M)
        check(len(commands) >= 16 and len(infos) >= 15 and len(say(vm, "help").splitlines()) == len(commands), (commands, infos))
        for info in infos:
            check(say(vm, f"info {info}").strip(), f"info {info} says nothing")
        check("RIP=" in say(vm, "info registers").upper().replace("EIP=", "RIP=") or "rip" in say(vm, "info registers"), say(vm, "info registers"))
        check("virtio-rng" in say(vm, "info qtree") and "pc.ram" in say(vm, "info mtree") and "peripheral" in say(vm, "info qom-tree"), "trees")
        say(vm, "eject cd")
        check(say(vm, "object_add iothread,id=io1,poll-max-ns=5") == "" and "io1" in say(vm, "info iothreads") and say(vm, "object_del io1") == "", "objects")
        check(say(vm, "device_add virtio-rng-pci,id=r2") == "" and "r2" in say(vm, "info qtree") and say(vm, "device_del r2") == "", "devices")
        check("tray open" in say(vm, "info block") and "Error" in say(vm, "change cd /nonexistent/x") and "removable" in say(vm, "eject d"), "media")
        check(say(vm, "block_resize d 2") == "" or "Error" in say(vm, "block_resize d 2"), "size")
        check("peripheral" not in say(vm, "info qom-tree /machine/peripheral/r").split("\n", 1)[1], "part of the tree")


@case("bad lines are answered, not obeyed")
def _():
    with Vm(*ARGS) as vm:
        for line in ("p", "p (", "p 1+", "p 1/0", "p $nosuch", "p " + "(" * 10000, "x", "x /99999999x 0", "x /4i 0", "x /z 0", "memsave 1", "memsave x 1 /nonexistent/y", "log", "log nosuch",
                     "trace-event nosuch on", "trace-event x maybe", '"', '"\\', "info", "help nosuch", "x" * 100000, "\x01\x02", "pmemsave 0 1 /nonexistent/x", "eject", "eject nosuch", "change", "change nosuch /x", "block_resize x y", "block_resize nosuch 1", "device_add", "device_add nosuch", "device_add ,,,", "device_del nosuch", "object_add foo", "object_add iothread", "object_del x", "chardev-remove x", "balloon 5", "balloon x"):
            check(isinstance(say(vm, line), str), line)
        check(vm.error("human-monitor-command", {"command-line": "info status", "cpu-index": 99}) == ("GenericError", "Parameter 'cpu-index' expects a CPU number"), "cpu 99")
        say(vm, "quit")
        check(vm.process.wait(PATIENCE) == 0, "quit")


class Terminal:
    def __init__(self, path):
        for _ in range(500):
            try:
                self.socket = socket.socket(socket.AF_UNIX)
                self.socket.connect(path)
                break
            except OSError:
                time.sleep(0.02)
        self.socket.settimeout(PATIENCE)
        self.text = ""

    def until(self, end):
        while end not in self.text:
            more = self.socket.recv(65536)
            check(more, f"hung up after {self.text!r}")
            self.text += more.decode()
        before, self.text = self.text.split(end, 1)
        return before

    def ask(self, keys):
        self.socket.sendall(keys.encode() + b"\r")
        self.until("\r\n")
        return self.until("(qemu) ")


@case("a session on a socket: greeting, prompt, history, editing, completion; a new client starts afresh")
def _():
    with tempfile.TemporaryDirectory() as folder:
        with Vm(*ARGS, "-monitor", f"unix:{folder}/m,server=on,wait=off"):
            for _ in range(2):
                person = Terminal(f"{folder}/m")
                check("type 'help'" in person.until("(qemu) "), "greeting")
                check(person.ask("p 1") == "0x1\r\n", "p")
                check(person.ask("p 2") == "0x2\r\n", "p")
                check(person.ask("\x1b[A\x1b[A") == "0x1\r\n", "history")
                check(person.ask("p 12\x1b[D\x7f3") == "0x20\r\n", "cursor")
                check(person.ask("garbage\x15p 4") == "0x4\r\n", "Ctrl-U")
                check(person.ask("p 5 junk\x17") == "0x5\r\n", "Ctrl-W")
                check(person.ask("info stat\t") == "VM status: paused (prelaunch)\r\n", "completion")
                person.socket.sendall(b"system_\t")
                check("system_wakeup" in person.until("(qemu) system_"), "list")
                check("unknown" in person.ask("\x15nosuch"), "unknown")
                person.socket.close()


@case("on a shared terminal, Ctrl-A c leads to the monitor and back, and quit ends the run")
def _():
    master, slave = pty.openpty()
    process = subprocess.Popen([ROOST, "-S", "-M", "pc", "-m", "32", "-nographic"], stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    text = b""

    def until(end):
        nonlocal text
        while end not in text:
            text += os.read(master, 4096)
        text = text.split(end, 1)[1]
    time.sleep(0.3)
    os.write(master, b"\x01c")
    until(b"(qemu) ")
    os.write(master, b"info status\r")
    until(b"prelaunch")
    os.write(master, b"\x01c\x01c")
    until(b"(qemu) ")
    os.write(master, b"quit\r")
    check(process.wait(PATIENCE) == 0, "status")
    os.close(master)


main()
