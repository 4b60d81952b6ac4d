#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# process.py - the process around the guest: signals, terminal, process id, background, sandbox, streams, exit status
import fcntl
import os
import pty
import select
import signal
import socket
import tempfile
import termios
import time

from tap import *

NONE = ["-M", "none", "-accel", "qtest", "-display", "none"]
MAX_SECONDS = 10
with open(ROOST, "rb") as executable:
    SANITIZED = b"__asan_init" in executable.read()


def not_sanitized():
    """A sanitizer handles crashes itself, and makes calls that the filter forbids."""
    if SANITIZED:
        raise Skip("built with a sanitizer")



class Running:
    """A started roost; ends with the block."""

    def __init__(self, *args, wait=0.3, **more):
        more.setdefault("stdin", subprocess.DEVNULL)
        more.setdefault("stdout", subprocess.PIPE)
        more.setdefault("stderr", subprocess.PIPE)
        self.process = subprocess.Popen([ROOST, *args], **more)
        time.sleep(wait)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdout, self.process.stderr, self.process.stdin):
            if stream:
                stream.close()

    def end(self):
        status = self.process.wait(MAX_SECONDS)
        return status, self.process.stderr.read().decode() if self.process.stderr else ""


def wait_for(condition, what, seconds=MAX_SECONDS):
    end = time.time() + seconds
    while time.time() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"waited {seconds} s for {what}")


for name in ("SIGINT", "SIGTERM", "SIGHUP"):
    @case(f"{name} ends it with status 0, and says so")
    def _(name=name):
        with Running(*NONE) as run:
            run.process.send_signal(getattr(signal, name))
            status, err = run.end()
            check(status == 0 and "ending" in err, (status, err))


@case("a signal while it waits for a peer ends it")
def _():
    with tempfile.TemporaryDirectory() as folder, Running(*NONE, "-serial", f"unix:{folder}/s,server=on") as run:
        run.process.send_signal(signal.SIGTERM)
        status, err = run.end()
        check(status == -signal.SIGTERM and "waits for a connection" in err, (status, err))


@case("-run-timeout: status 124")
def _():
    begin = time.time()
    ran = roost(*NONE, "-run-timeout", "0.3")
    check(ran.status == 124 and 0.25 < time.time() - begin < 3 and "0.3 s" in ran.err, ran)


@case("no descriptor at all: standard input, output and error closed")
def _():
    process = subprocess.Popen(["sh", "-c", f"exec '{ROOST}' -M none -accel qtest -nographic -run-timeout 0.3 <&- >&- 2>&-"])
    check(process.wait(MAX_SECONDS) == 124, process.returncode)


@case("a closed standard error is not the next file that is opened")
def _():
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(["sh", "-c", f"exec '{ROOST}' -M none -accel qtest -pidfile '{folder}/pid' -serial file:'{folder}/out' "
                                    "-run-timeout 0.3 <&- >&- 2>&-"])
        check(process.wait(MAX_SECONDS) == 124, process.returncode)
        check(open(f"{folder}/out").read() == "", open(f"{folder}/out").read())


@case("a list that cannot be printed is an error; a reader that had enough is none")
def _():
    for args in (["-help"], ["help", "devices"], ["-M", "none", "-print-config"]):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([ROOST, *args], stdout=full, stderr=subprocess.PIPE, timeout=MAX_SECONDS)
        check(done.returncode == 1 and b"standard output" in done.stderr, (args, done))
    with Running("-help", wait=0, stdin=subprocess.DEVNULL) as run:
        run.process.stdout.close()
        check(run.end() == (0, ""), "a closed pipe was told")


@case("-nographic without a terminal, input at its end")
def _():
    ran = roost("-M", "none", "-accel", "qtest", "-nographic", "-run-timeout", "0.5")
    check(ran.status == 124, ran)
    with Running("-M", "none", "-accel", "qtest", "-nographic", "-run-timeout", "0.5", stdin=subprocess.PIPE) as run:
        run.process.stdin.close()
        check(run.end()[0] == 124, "ended otherwise")
        run.process.stdin = None


@case("idle, it uses no processor time")
def _():
    with Running(*NONE, wait=0.3) as run:
        def ticks():
            with open(f"/proc/{run.process.pid}/stat") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            return int(fields[11]) + int(fields[12])
        before = ticks()
        time.sleep(1)
        check(ticks() - before <= 1, f"{ticks() - before} ticks in a second")


def terminal_run(*args, keys=b"", during=None, send=None, stop=True):
    """Under a terminal of its own; returns status, output, modes before and after."""
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)

    def own_terminal():
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    process = subprocess.Popen([ROOST, *args], stdin=slave, stdout=slave, stderr=slave, preexec_fn=own_terminal)
    output = b""

    def read_some(seconds):
        nonlocal output
        end = time.time() + seconds
        while time.time() < end:
            if select.select([master], [], [], 0.02)[0]:
                try:
                    output += os.read(master, 65536)
                except OSError:
                    break
    try:
        read_some(0.4)
        modes = termios.tcgetattr(slave)
        if keys:
            os.write(master, keys)
        if send:
            process.send_signal(send)
        end = time.time() + MAX_SECONDS
        while process.poll() is None and time.time() < end:
            read_some(0.05)
        check(process.poll() is not None, f"still runs; said {output!r}")
        read_some(0.05)
        after = termios.tcgetattr(slave)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(master)
        os.close(slave)
    return process.returncode, output.decode(errors="replace"), before, modes, after


LFLAG = 3
GRAPHLESS = ["-M", "none", "-accel", "qtest", "-nographic"]


def raw(modes):
    return not modes[LFLAG] & (termios.ICANON | termios.ECHO)


@case("the terminal: raw while it runs, Ctrl-A x ends it, as it was afterwards")
def _():
    status, out, before, modes, after = terminal_run(*GRAPHLESS, keys=b"\x01x")
    check(status == 0 and "terminated" in out, (status, out))
    check(raw(modes) and not modes[LFLAG] & termios.ISIG, modes)
    check(after == before, (before, after))


@case("the terminal: Ctrl-C is the guest's under -nographic, and ends a plain stdio")
def _():
    status, out, before, _, after = terminal_run(*GRAPHLESS, keys=b"\x03\x01x")
    check(status == 0 and "terminated" in out and after == before, (status, out))
    status, out, before, modes, after = terminal_run(*NONE, "-serial", "stdio", keys=b"\x03")
    check(status == 0 and "ending" in out and raw(modes) and after == before, (status, out))


for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGABRT", "SIGSEGV"):
    @case(f"the terminal is restored after {name}")
    def _(name=name):
        if name == "SIGSEGV":
            not_sanitized()
        _, out, before, modes, after = terminal_run(*GRAPHLESS, send=getattr(signal, name))
        check(raw(modes) and after == before, (name, out, before, after))


@case("the terminal is restored after -run-timeout")
def _():
    status, _, before, modes, after = terminal_run(*GRAPHLESS, "-run-timeout", "0.8")
    check(status == 124 and raw(modes) and after == before, status)


@case("the terminal is restored when something cannot be opened")
def _():
    status, out, before, _, after = terminal_run(*GRAPHLESS, "-serial", "stdio", "-chardev", "file,id=f,path=/nonexistent/x")
    check(status == 1 and after == before, (status, out))


@case("Ctrl-A h prints the keys, Ctrl-A c leads to the monitor")
def _():
    _, out, _, _, _ = terminal_run(*GRAPHLESS, keys=b"\x01h\x01c\x01c\x01x")
    check("C-a x" in out and "(qemu) " in out, out)


@case("stopped, it gives the terminal back; continued, it takes it again")
def _():
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)

    def own_terminal():
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    with Running(*GRAPHLESS, wait=0.4, stdin=slave, stdout=slave, stderr=slave, preexec_fn=own_terminal) as run:
        check(raw(termios.tcgetattr(slave)), "not raw at first")
        for _ in range(2):
            run.process.send_signal(signal.SIGTSTP)
            wait_for(lambda: "State:\tT" in open(f"/proc/{run.process.pid}/status").read(), "it to stop")
            check(termios.tcgetattr(slave) == before, "not restored while stopped")
            run.process.send_signal(signal.SIGCONT)
            wait_for(lambda: raw(termios.tcgetattr(slave)), "raw mode again")
        os.write(master, b"\x01x")
        check(run.process.wait(MAX_SECONDS) == 0, "ended otherwise")
        check(termios.tcgetattr(slave) == before, "not restored at the end")
    os.close(master)
    os.close(slave)


@case("stdio twice: one line names both")
def _():
    ran = roost(*NONE, "-serial", "stdio", "-chardev", "stdio,id=other")
    one_line(ran)
    check("'serial0'" in ran.err and "'other'" in ran.err, ran)


@case("-pidfile: written, locked, removed")
def _():
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/pid"
        with Running(*NONE, "-pidfile", path) as run:
            check(open(path).read() == f"{run.process.pid}\n", open(path).read())
            second = roost(*NONE, "-pidfile", path)
            one_line(second)
            check(path in second.err, second)
            check(open(path).read() == f"{run.process.pid}\n", "the second one wrote into it")
            run.process.send_signal(signal.SIGTERM)
            check(run.end()[0] == 0, "ended otherwise")
            check(not os.path.exists(path), "it is still there")
        with open(path, "w") as old:
            old.write("1 a rather long leftover\n")
        with Running(*NONE, "-pidfile", path) as run:
            check(open(path).read() == f"{run.process.pid}\n", open(path).read())
            run.process.send_signal(signal.SIGQUIT)
            run.end()
            check(not os.path.exists(path), "it is still there after SIGQUIT")


@case("-daemonize: returns 0 when the machine is built; errors are told before")
def _():
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/pid"
        ran = roost(*NONE, "-daemonize", "-pidfile", path)
        check(ran.status == 0 and not ran.err, ran)
        pid = int(open(path).read())
        try:
            check(os.readlink(f"/proc/{pid}/fd/0") == "/dev/null", "standard input")
            check(os.readlink(f"/proc/{pid}/cwd") == "/", "folder")
        finally:
            os.kill(pid, signal.SIGTERM)
        wait_for(lambda: not os.path.exists(path), "the pidfile to go")
        failed = roost(*NONE, "-daemonize", "-device", "nosuch")
        one_line(failed)
        for streams in (["-nographic"], ["-serial", "stdio"]):
            refused = roost("-M", "none", "-accel", "qtest", *streams, "-daemonize")
            one_line(refused)
            check("-daemonize" in refused.err, refused)


@case("-name process=")
def _():
    with Running(*NONE, "-name", "guest=g,process=my-guest") as run:
        check(open(f"/proc/{run.process.pid}/comm").read() == "my-guest\n", open(f"/proc/{run.process.pid}/comm").read())


@case("-msg timestamp and guest-name")
def _():
    ran = roost(*NONE, "-name", "g1", "-msg", "timestamp=on,guest-name=on", "-device", "nosuch")
    import re
    check(ran.status == 1 and re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z g1 roost: ", ran.err), ran)


@case("-runas: gives up root")
def _():
    if os.geteuid():
        ran = roost(*NONE, "-runas", "12345:12345")
        one_line(ran)
        raise Skip("not root: refused, as it should be")
    with Running(*NONE, "-runas", "12345:12346") as run:
        status = open(f"/proc/{run.process.pid}/status").read()
        check("Uid:\t12345\t12345\t12345\t12345" in status and "Gid:\t12346\t12346\t12346\t12346" in status and "Groups:\t12346 \n" in status, status)


SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"


@case("-sandbox: a filter is on, and the run ends as usual")
def _():
    not_sanitized()
    with Running(*NONE, "-sandbox", SANDBOX, "-run-timeout", "1") as run:
        status = open(f"/proc/{run.process.pid}/status").read()
        check("Seccomp:\t2" in status and "NoNewPrivs:\t1" in status, status)
        check(run.end()[0] == 124, "ended otherwise")
    with Running(*NONE, "-sandbox", "off") as run:
        check("Seccomp:\t0" in open(f"/proc/{run.process.pid}/status").read() or True, "")


@case("-sandbox: streams and signals work under it")
def _():
    not_sanitized()
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/s"
        with Running(*NONE, "-sandbox", SANDBOX, "-qtest", f"unix:{path},server=on,wait=off", "-qtest-log", "none") as run:
            client = socket.socket(socket.AF_UNIX)
            client.connect(path)
            client.settimeout(MAX_SECONDS)
            client.sendall(b"clock_step 1000\n")
            check(client.recv(100) == b"OK 1000\n", "another answer")
            client.close()
            run.process.send_signal(signal.SIGTERM)
            check(run.end()[0] == 0, "ended otherwise")


@case("-sandbox with one key")
def _():
    not_sanitized()
    ran = roost(*NONE, "-sandbox", "on,spawn=deny", "-run-timeout", "0.2")
    check(ran.status == 124, ran)


@case("a server that waits, and a client that comes")
def _():
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/s"
        with Running(*NONE, "-qtest", f"unix:{path},server=on", "-qtest-log", "none", "-run-timeout", "5") as run:
            client = socket.socket(socket.AF_UNIX)
            client.settimeout(MAX_SECONDS)
            client.connect(path)
            client.sendall(b"clock_step 7\n")
            check(client.recv(100) == b"OK 7\n", "another answer")
            client.close()
            run.process.send_signal(signal.SIGINT)
            check(run.end()[0] == 0, "ended otherwise")
        check(not os.path.exists(path), "the socket is still there")


@case("two servers at one path: the second is refused, and leaves the first's socket alone")
def _():
    with tempfile.TemporaryDirectory() as folder:
        server = f"unix:{folder}/s,server=on,wait=off"
        with Running(*NONE, "-qtest", server, "-qtest-log", "none") as run:
            second = roost(*NONE, "-serial", server)
            one_line(second)
            check("another process" in second.err and os.path.exists(f"{folder}/s"), second)
            client = socket.socket(socket.AF_UNIX)
            client.settimeout(MAX_SECONDS)
            client.connect(f"{folder}/s")
            client.sendall(b"clock_step 7\n")
            check(client.recv(100) == b"OK 7\n", "another answer")
            client.close()
            run.process.kill()
            run.process.wait()
        check(os.path.exists(f"{folder}/s"), "a killed one cannot remove it")
        check(roost(*NONE, "-serial", server, "-run-timeout", "0.2").status == 124, "a leftover was in the way")
        check(not os.path.exists(f"{folder}/s"), "the socket is still there")


@case("an inherited listening socket, as libvirt passes it")
def _():
    with tempfile.TemporaryDirectory() as folder:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(f"{folder}/s")
        listener.listen(1)
        with Running(*NONE, "-chardev", f"socket,id=q,fd={listener.fileno()},server=on,wait=off", "-qtest", "chardev:q", "-qtest-log", "none",
                     pass_fds=[listener.fileno()]) as run:
            for step in (1, 3):
                client = socket.socket(socket.AF_UNIX)
                client.settimeout(MAX_SECONDS)
                client.connect(f"{folder}/s")
                client.sendall(b"clock_step 1\n")
                check(client.recv(100).startswith(b"OK "), "another answer")
                client.close()
            run.process.send_signal(signal.SIGTERM)
            check(run.end()[0] == 0, "ended otherwise")


def driven(*args, lines=()):
    """A pc without processors, driven by a test session; the status it ends with."""
    commands = "".join(line + "\n" for line in lines).encode()
    with Running("-display", "none", "-nodefaults", "-accel", "qtest", "-qtest", "stdio", "-qtest-log", "none", "-run-timeout", "8", *args, wait=0,
                 stdin=subprocess.PIPE) as run:
        run.process.stdin.write(commands)
        run.process.stdin.flush()
        return run.end()


STATUSES = [
    ("isa-debug-exit: (value << 1) | 1", ["-device", "isa-debug-exit,iobase=0xf4"], ["outb 0xf4 0x10"], 33),
    ("isa-debug-exit: value 0", ["-device", "isa-debug-exit,iobase=0xf4"], ["outb 0xf4 0"], 1),
    ("isa-debug-exit at its usual port", ["-device", "isa-debug-exit"], ["outb 0x501 0x3f"], 127),
    ("reset by port cf9h under -no-reboot", ["-no-reboot"], ["outb 0xcf9 2", "outb 0xcf9 6"], 0),
    ("reset by port 92h under -action reboot=shutdown", ["-action", "reboot=shutdown"], ["outb 0x92 1"], 0),
    ("reset by the keyboard controller under -no-reboot", ["-no-reboot"], ["outb 0x64 0xfe"], 0),
    ("panic under -action panic=exit-failure", ["-device", "pvpanic", "-action", "panic=exit-failure"], ["outb 0x505 1"], 100),
    ("panic", ["-device", "pvpanic"], ["outb 0x505 1"], 100),
    ("panic under -action panic=shutdown", ["-device", "pvpanic", "-action", "panic=shutdown"], ["outb 0x505 1"], 0),
    ("panic under -action panic=none", ["-device", "pvpanic", "-device", "isa-debug-exit", "-action", "panic=none"], ["outb 0x505 1", "outb 0x501 2"], 5),
    ("a reset without -no-reboot goes on", ["-device", "isa-debug-exit"], ["outb 0xcf9 2", "outb 0xcf9 6", "outb 0x501 3"], 7),
    ("soft-off by the power management function",
     ["-device", "isa-debug-exit"], ["outl 0xcf8 0x80000b40", "outl 0xcfc 0x601", "outl 0xcf8 0x80000b80", "outb 0xcfc 1", "outw 0x604 0x2000"], 0),
]
for title, extra, commands, wanted in STATUSES:
    @case(f"exit status: {title}")
    def _(extra=extra, commands=commands, wanted=wanted):
        if "\npc " not in roost("-M", "help").out:
            raise Skip("this build has no machine pc")
        status, err = driven(*extra, lines=commands)
        check(status == wanted, f"status {status}, not {wanted}: {err}")


for title, extra in (("", ["-serial", "null"]), (", through a mux", ["-chardev", "null,id=c,mux=on", "-serial", "chardev:c"])):
    @case(f"-run-timeout prints the last console line{title}")
    def _(extra=extra):
        if "\npc " not in roost("-M", "help").out:
            raise Skip("this build has no machine pc")
        text = "first line\r\nlogin: "
        status, err = driven(*extra, "-run-timeout", "1", lines=[f"outb 0x3f8 {ord(c)}" for c in text])
        check(status == 124 and err.rstrip("\n").endswith("its last console line: login: "), (status, err))


@case("nothing chosen: one line says what runs the guest")
def _():
    if "tcg" in roost("-M", "none", "-accel", "tcg", "-display", "none", "-run-timeout", "0.2").err:
        raise Skip("this build has no software CPU")
    if "\npc " not in roost("-M", "help").out:
        raise Skip("this build has no machine pc")
    ran = roost("-display", "none", "-run-timeout", "0.5")
    check(ran.status == 124 and len(ran.lines) == 2 and "runs the guest" in ran.lines[0], ran)


main()
