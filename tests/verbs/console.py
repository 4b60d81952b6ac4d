#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""console and wait on a guest of a few bytes, which writes a text and answers each letter in its other case; and the end with the parent. Usage: console.py ROOST"""
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from vms import FOLDER, PATIENCE, ROOST, STILL, Vm, case, check, fails, home, main, out, rom, roost, verb, wait_for

TEXT = "first line\r\nsecond line\r\nguest login: "
PLAIN = ("-M", "pc", "-m", "16", "-accel", "tcg", "-nodefaults", "-display", "none", "-serial", "null")


def guest(name="g", text=TEXT, serial=None):
    args = PLAIN[:-2] + tuple(serial) if serial else PLAIN
    return Vm(name, *args, "-bios", rom(home, text), still=False)


class Watcher:
    """roost console on pipes."""

    def __init__(self, *args):
        self.process = subprocess.Popen([ROOST, "console", *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.got = b""

    def expect(self, text):
        begin = time.monotonic()
        while text not in self.got:
            left = begin + PATIENCE - time.monotonic()
            check(left > 0 and select.select([self.process.stdout], [], [], left)[0], f"{text!r} did not come: {self.got!r}")
            data = os.read(self.process.stdout.fileno(), 65536)
            check(data, f"ended before {text!r}: {self.got!r}")
            self.got += data

    def type(self, text):
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.process.kill()
        self.process.communicate()


@case("what was written before is shown, keys arrive, and several watchers see the same")
def _():
    with guest(), Watcher("g") as one:
        one.expect(b"guest login: ")
        check(one.got == TEXT.encode(), one.got)
        one.type(b"hello")
        one.expect(b"login: HELLO")
        with Watcher("g", "--replay", "1") as two:
            two.expect(b"guest login: HELLO")
            check(two.got == b"guest login: HELLO", two.got)
            two.type(b"abc")
            one.expect(b"HELLOABC")
        with Watcher("g", "--replay", "0") as three:
            while not select.select([three.process.stdout], [], [], 0.02)[0]:
                one.type(b"x")
            three.expect(b"X")
            check(set(three.got) == set(b"X"), three.got)


@case("the console ends with the VM; standard input that ends does not end it")
def _():
    with guest(), Watcher("g") as one:
        one.expect(b"login: ")
        one.process.stdin.close()
        one.process.stdin = None
        verb("destroy", "g")
        check(one.process.wait(timeout=PATIENCE) == 0, "status")


@case("it listens beside wherever the guest's stream goes")
def _():
    for serial in (("-serial", "mon:stdio"), ("-serial", f"file:{home}/out"), ("-serial", "pty"), ("-serial", f"unix:{home}/s,server=on,wait=off"),
                   ("-chardev", "ringbuf,id=r", "-serial", "chardev:r")):
        with guest(serial=serial), Watcher("g") as one:
            one.expect(b"guest login: ")
            one.type(b"k")
            one.expect(b"login: K")


@case("a real terminal: raw, Ctrl-C is the guest's, Ctrl-] ends it and the terminal is as before")
def _():
    with guest():
        child, fd = pty.fork()
        if child == 0:
            os.execv(ROOST, [ROOST, "console", "g"])
        before, got = termios.tcgetattr(fd), b""

        def expect(text):
            nonlocal got
            while text not in got:
                check(select.select([fd], [], [], PATIENCE)[0], f"{text!r} did not come: {got!r}")
                got += os.read(fd, 65536)
        expect(b"Connected to domain 'g'\r\nEscape character is ^] (Ctrl + ])\r\n")
        expect(b"guest login: ")
        wait_for("raw mode", lambda: not termios.tcgetattr(fd)[3] & (termios.ICANON | termios.ISIG | termios.ECHO))
        os.write(fd, b"ab\x03\x1a")
        expect(b"login: AB\x23\x3a")
        os.write(fd, b"c\x1dnot for the guest")
        expect(b"C")
        check(os.waitpid(child, 0)[1] == 0, "status")
        check(termios.tcgetattr(fd)[:4] == before[:4], "the terminal's mode")
        os.close(fd)
        check(out("domstate", "g") == "running", "it runs on")


@case("the terminal is given back when a signal ends the console, or the VM")
def _():
    for way in ("signal", "destroy"):
        with guest():
            child, fd = pty.fork()
            if child == 0:
                os.execv(ROOST, [ROOST, "console", "g"])
            before = termios.tcgetattr(fd)
            wait_for("raw mode", lambda: not termios.tcgetattr(fd)[3] & termios.ICANON)
            if way == "signal":
                os.kill(child, signal.SIGTERM)
            else:
                verb("destroy", "g")
            os.waitpid(child, 0)
            check(termios.tcgetattr(fd)[:4] == before[:4], way)
            os.close(fd)


@case("watchers that do not read, vanish or talk without end hold nobody up")
def _():
    with guest() as vm, Watcher("g") as one:
        deaf = []
        for _ in range(20):
            client = socket.socket(socket.AF_UNIX)
            client.connect(f"{FOLDER}/{vm.id}/console")
            deaf.append(client)
        talker = socket.socket(socket.AF_UNIX)
        talker.connect(f"{FOLDER}/{vm.id}/console")
        talker.setblocking(False)
        sent = 0
        try:
            while sent < 1 << 22:
                sent += talker.send(b"z" * 4096)
        except BlockingIOError:
            pass
        check(sent > 10000, sent)
        one.expect(b"ZZZZ" * 100)
        for client in deaf[::2]:
            client.close()
        check(out("qmp", "g", "query-status").startswith('{"return"'), "qmp")
        talker.close()
        for client in deaf:
            client.close()


@case("a VM without a console says so")
def _():
    with Vm("none"):
        fails("console", "none", says="has no console")
        fails("wait", "none", "--for", "console:x", says="has no console")
    with guest():
        fails("console", "g", "--devname", "serial7", says="serial7")
        fails("console", "g", "--replay", "x", says="--replay")
    fails("console", "nosuch", says="failed to get domain 'nosuch'")


@case("wait for the console, before and after it came")
def _():
    with guest():
        verb("wait", "g", "--for", "console:login: $", "--timeout", str(PATIENCE))
        verb("wait", "g", "--for", "console:^second.line$", "--timeout", str(PATIENCE))
        late = verb("wait", "g", "--for", "console:never", "--timeout", "0.5", status=124)
        check("console:never has not come within 0.5 s" in late.lines[0] and late.lines[-2:] == ["  second line", "  guest login:"], late)
        verb("wait", "g", "--for", "console:login", "--new", "--timeout", "0.5", status=124)
        with Watcher("g") as one:
            waiting = subprocess.Popen([ROOST, "wait", "g", "--for", "console:XYZ", "--new"])
            one.expect(b"login: ")
            while waiting.poll() is None:
                one.type(b"xyz")
                time.sleep(0.05)
            check(waiting.returncode == 0, waiting.returncode)
        waiting = subprocess.Popen([ROOST, "wait", "g", "--for", "console:never"], stderr=subprocess.PIPE)
        time.sleep(0.1)
        verb("destroy", "g")
        check(waiting.wait(timeout=PATIENCE) == 1 and waiting.stderr.read().startswith(b"error: "), "after the end")
        waiting.stderr.close()


@case("wait for an event, the end, a port; and what is no such thing")
def _():
    with Vm("e") as vm:
        waiting = subprocess.Popen([ROOST, "wait", "e", "--for", "event:resume"])
        while waiting.poll() is None:
            roost("resume", "e")
            roost("suspend", "e")
        check(waiting.returncode == 0, waiting.returncode)
        verb("wait", "e", "--for", "event:RESET", "--timeout", "0.3", status=124)
        verb("wait", "e", "--for", "stopped", "--timeout", "0.3", status=124)
        server = socket.socket()
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        verb("wait", "e", "--for", f"port:{port}", "--timeout", "0.3", status=124)
        server.listen()
        waiting = subprocess.Popen([ROOST, "wait", "e", "--for", f"port:{port}", "--timeout", str(PATIENCE)])
        for _ in range(3):                  # a forwarder whose guest refuses
            server.accept()[0].close()
        peer = server.accept()[0]
        peer.sendall(b"SSH-2.0-x\r\n")
        check(waiting.wait(timeout=PATIENCE) == 0, "port")
        peer.close()
        server.close()
        for what in ("", "console:(", "port:0", "port:65536", "port:x", "event:", "nonsense"):
            fails("wait", "e", "--for", what, says="--for")
        fails("wait", "e", says="--for")
        fails("wait", "e", "--for", "stopped", "--timeout", "-1", says="--timeout")
        for how in (lambda: verb("destroy", "e"), None):
            waiting = subprocess.Popen([ROOST, "wait", "e", "--for", "stopped"])
            if how:
                how()
            check(waiting.wait(timeout=PATIENCE) == 0, "stopped")


@case("-run-with exit-with-parent=on: the VM ends when its parent has been killed")
def _():
    script = "import subprocess, sys, time\nsubprocess.Popen(sys.argv[1:])\ntime.sleep(1000)"
    parent = subprocess.Popen([sys.executable, "-c", script, ROOST, *STILL, "-name", "child", "-run-with", "exit-with-parent=on"], stderr=subprocess.DEVNULL)
    try:
        wait_for("listed", lambda: out("list", "--name") == "child")
        check(out("domstate", "child") == "paused", "it runs")
    finally:
        parent.kill()
        parent.wait()
    verb("wait", "child", "--for", "stopped", "--timeout", str(PATIENCE))
    check("has ended" in out("log", "child"), out("log", "child"))
    ran = roost(*STILL, "-run-with", "exit-with-parent=on", "-daemonize")
    check(ran.status == 1 and "-daemonize" in ran.err, ran)


main()
