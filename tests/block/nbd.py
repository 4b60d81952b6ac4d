#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""nbd.py - the NBD client against qemu-nbd and qemu-storage-daemon, and against servers that lie, stall or go away"""
import os
import random
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
from tap import Skip, case, check, main, roost            # noqa: E402

SIZE = 4 << 20


def content(seed, size=SIZE):
    chance, data = random.Random(seed), bytearray(size)
    for _ in range(20):
        at, length = chance.randrange(0, size - 300000), chance.choice([100, 4096, 65536, 300000])
        data[at:at + length] = chance.randbytes(length)
    return bytes(data)


class Server:
    """qemu-nbd on a UNIX socket or on loopback, ended by its pid."""
    def __init__(self, folder, path, *args, tcp=False, form="raw"):
        if not shutil.which("qemu-nbd"):
            raise Skip("no qemu-nbd")
        self.socket = f"{folder}/nbd.sock"
        if tcp:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
            where = ["-b", "127.0.0.1", "-p", str(self.port)]
        else:
            where = ["-k", self.socket]
        self.process = subprocess.Popen(["qemu-nbd", "-t", "-e", "4", "-f", form, *where, *args, path], stderr=subprocess.DEVNULL)
        for _ in range(100):
            try:
                if tcp:
                    socket.create_connection(("127.0.0.1", self.port)).close()
                    return
                if os.path.exists(self.socket):
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise AssertionError("qemu-nbd does not start")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        if os.path.exists(self.socket):
            os.unlink(self.socket)


def good(*args, **more):
    ran = roost(*args, **more)
    check(ran.status == 0, ran)
    return ran.out


@case("every spelling reaches the export")
def _():
    with tempfile.TemporaryDirectory() as top:
        data = content(1)
        open(f"{top}/a.raw", "wb").write(data)
        with Server(top, f"{top}/a.raw", "-x", "disk"):
            sock = f"{top}/nbd.sock"
            for name in (f"nbd+unix:///disk?socket={sock}", f"nbd:unix:{sock}:exportname=disk",
                         'json:{"driver":"nbd","server":{"type":"unix","path":"%s"},"export":"disk"}' % sock,
                         'json:{"driver":"raw","file":{"driver":"nbd","path":"%s","export":"disk"}}' % sock):
                good("img", "convert", "-f", "raw", "-O", "raw", name, f"{top}/b.raw")
                check(open(f"{top}/b.raw", "rb").read() == data, name)
        with Server(top, f"{top}/a.raw", tcp=True) as server:
            for name in (f"nbd://127.0.0.1:{server.port}", f"nbd:127.0.0.1:{server.port}", f"nbd+tcp://localhost:{server.port}/"):
                good("img", "convert", "-f", "raw", "-O", "raw", name, f"{top}/b.raw")
                check(open(f"{top}/b.raw", "rb").read() == data, name)


@case("writes, zeroes, discards, flushes; what QEMU reads afterwards")
def _():
    with tempfile.TemporaryDirectory() as top:
        open(f"{top}/a.raw", "wb").write(content(2))
        with Server(top, f"{top}/a.raw"):
            name = f"nbd+unix://?socket={top}/nbd.sock"
            good("io", "-f", "raw", "-c", "write -P 1 0 1M", "-c", "write -z 1M 64k", "-c", "write -f -P 2 100 5000", "-c", "discard 2M 64k", "-c", "flush",
                 "-c", "aio_write -P 3 3M 256k", "-c", "aio_read -P 1 8k 64k", "-c", "aio_flush", "-c", "write -P 4 3999999 1", "-c", "flush", name)
        data = open(f"{top}/a.raw", "rb").read()
        check(data[:100] == b"\1" * 100 and data[100:5100] == b"\2" * 5000 and data[5100:1 << 20] == b"\1" * ((1 << 20) - 5100), "what was written")
        check(data[1 << 20:(1 << 20) + 65536] == bytes(65536) and data[3 << 20:(3 << 20) + 262144] == b"\3" * 262144, "zeroes, and what came behind")
        check(data[3999999] == 4, "a byte at the end")


@case("qcow2 over NBD, holes seen by block status, many requests at once")
def _():
    with tempfile.TemporaryDirectory() as top:
        open(f"{top}/src.raw", "wb").write(content(3))
        subprocess.run(["truncate", "-s", "8M", f"{top}/a.raw"], check=True)
        with Server(top, f"{top}/a.raw", "--discard=unmap"):
            name = f"nbd+unix://?socket={top}/nbd.sock"
            good("img", "convert", "-m", "16", "-W", "-f", "raw", "-O", "qcow2", f"{top}/src.raw", name)
            good("img", "compare", "-f", "raw", "-F", "qcow2", f"{top}/src.raw", name)
            good("img", "check", "-f", "qcow2", name)
        with Server(top, f"{top}/a.raw", form="qcow2"):
            ours = good("img", "map", "--output=json", "-f", "raw", name)
            theirs = subprocess.run(["qemu-img", "map", "--output=json", "-f", "raw", f"nbd+unix:///?socket={top}/nbd.sock"], capture_output=True, text=True)
            check(ours == theirs.stdout, f"{ours}\n{theirs.stdout}")
            good("img", "bench", "-f", "raw", "-c", "2000", "-d", "64", name)
        if shutil.which("qemu-storage-daemon"):
            process = subprocess.Popen(["qemu-storage-daemon", "--blockdev", f"driver=file,node-name=f,filename={top}/a.raw", "--blockdev",
                                        "driver=qcow2,node-name=q,file=f", "--nbd-server", f"addr.type=unix,addr.path={top}/d.sock", "--export",
                                        "type=nbd,id=e,node-name=q,writable=on,name=q"])
            try:
                end = time.time() + 10
                while not os.path.exists(f"{top}/d.sock") and time.time() < end:
                    time.sleep(0.05)
                good("img", "compare", "-f", "raw", "-F", "raw", f"{top}/src.raw", f"nbd+unix:///q?socket={top}/d.sock")
            finally:
                process.kill()
                process.wait()


@case("sentences of what is refused")
def _():
    with tempfile.TemporaryDirectory() as top:
        open(f"{top}/a.raw", "wb").write(bytes(4096))
        with Server(top, f"{top}/a.raw", "-x", "one", "-r"):
            sock = f"{top}/nbd.sock"
            for name, words in ((f"nbd+unix:///two?socket={sock}", "no such export"), ("nbds://localhost/x", "TLS"), ("nbd://h/x?y=1", "nbd://HOST"),
                                ("nbd+unix:///x", "socket=PATH"), ("nbd:nothing", "nbd:HOST:PORT"), (f"nbd+unix:///one?socket={top}/none", "No such file"),
                                ('json:{"driver":"nbd","path":"%s","tls-creds":"t"}' % sock, "no key 'tls-creds'"),
                                ('json:{"driver":"nbd","path":"%s","x-dirty-bitmap":"t"}' % sock, "no key 'x-dirty-bitmap'"),
                                ('json:{"driver":"nbd","server":{"type":"vsock"}}', "vsock"), ('json:{"driver":"nbd"}', "server.type")):
                ran = roost("img", "info", name)
                check(ran.status == 1 and words in ran.err and len(ran.lines) == 1, ran)
            ran = roost("io", "-f", "raw", "-c", "write 0 512", f"nbd+unix:///one?socket={sock}")
            check("read-only" in ran.err + ran.out, ran)


# ---- servers of our own ----

def greeting(flags=3):
    return b"NBDMAGICIHAVEOPT" + struct.pack(">H", flags)


def reply(option, kind, data=b""):
    return struct.pack(">QIII", 0x0003e889045565a9, option, kind, len(data)) + data


def info(size, flags=0x6d):
    return reply(7, 3, struct.pack(">HQH", 0, size, flags))


STRUCTURED, CONTEXT = reply(8, 1), reply(10, 4, struct.pack(">I", 7) + b"base:allocation") + reply(10, 1)
PLAIN = greeting() + reply(8, 0x80000001)


class Liar:
    """Says `first` to whoever comes, then answers each request by answer(command, cookie, offset, length), None for good-bye."""
    def __init__(self, folder, first, answer=None, silent=False):
        self.path, self.first, self.answer, self.silent, self.count = f"{folder}/liar.sock", first, answer, silent, 0
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(8)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            self.count += 1
            threading.Thread(target=self.talk, args=(peer,), daemon=True).start()

    def talk(self, peer):
        try:
            peer.sendall(self.first)
            if not self.answer:
                while self.silent and peer.recv(65536):
                    pass
                if not self.silent:
                    peer.shutdown(socket.SHUT_WR)
                    while peer.recv(65536):
                        pass
                return
            peer.recv(4, socket.MSG_WAITALL)               # the client's flags
            while True:
                option, length = struct.unpack(">II", peer.recv(16, socket.MSG_WAITALL)[8:])
                peer.recv(length, socket.MSG_WAITALL) if length else None
                if option == 7:
                    break
            while True:
                head = peer.recv(28, socket.MSG_WAITALL)
                if len(head) < 28:
                    return
                _, flags, command, cookie, offset, length = struct.unpack(">IHHQQI", head)
                if command == 1:
                    peer.recv(length, socket.MSG_WAITALL)
                said = self.answer(command, cookie, offset, length) if command != 2 else None
                if said is None:
                    return
                peer.sendall(said)
        except (OSError, struct.error):
            pass
        finally:
            peer.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()


def simple(cookie, error=0, data=b""):
    return struct.pack(">IIQ", 0x67446698, error, cookie) + data


def chunk(cookie, kind, data=b"", flags=1):
    return struct.pack(">IHHQI", 0x668e33ef, flags, kind, cookie, len(data)) + data


@case("greetings that make no sense")
def _():
    with tempfile.TemporaryDirectory() as top:
        for number, first in enumerate((
                b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"NBDMAGIC" + struct.pack(">QQI", 0x420281861253, 1 << 20, 0) + bytes(124), greeting(0),
                greeting() + reply(8, 1, b"x"), greeting() + reply(9, 1), greeting() + struct.pack(">QIII", 1, 8, 1, 0), PLAIN + reply(7, 1),
                greeting() + struct.pack(">QIII", 0x0003e889045565a9, 8, 1, 0xffffffff), PLAIN + info(1 << 63) + reply(7, 1),
                PLAIN + info(4096, 0) + reply(7, 1), PLAIN + info(4096) * 100, PLAIN + reply(7, 3, b"\0"), PLAIN + reply(7, 3, bytes(40000)),
                PLAIN + info(4096) + reply(7, 3, struct.pack(">HIII", 3, 3, 3, 3)) + reply(7, 1),
                PLAIN + info(4097) + reply(7, 3, struct.pack(">HIII", 3, 512, 512, 4096)) + reply(7, 1), PLAIN + reply(7, 0x80000005, b"\x1b[31m" * 1000),
                PLAIN + reply(7, 0x80000001), greeting() + STRUCTURED + reply(10, 4, b"x"), greeting() + STRUCTURED + CONTEXT * 50)):
            with Liar(top, first) as liar:
                ran = roost("img", "info", f"nbd+unix:///x?socket={liar.path}")
                check(ran.status == 1 and len(ran.lines) == 1 and "nbd server" in ran.err and "\x1b" not in ran.err, f"{number}: {ran}")


@case("answers that make no sense are errors, and only that")
def _():
    lies = {
        "another cookie": lambda c, k, o, n: simple(k + 1, 0, bytes(n)), "a simple answer to a read": lambda c, k, o, n: simple(k, 0, bytes(n)),
        "another magic": lambda c, k, o, n: b"\0" * 64, "nothing": lambda c, k, o, n: None,
        "data beside the request": lambda c, k, o, n: chunk(k, 1, struct.pack(">Q", o + n) + bytes(n)),
        "too much data": lambda c, k, o, n: chunk(k, 1, struct.pack(">Q", o) + bytes(n + 1)), "too little": lambda c, k, o, n: chunk(k, 1, struct.pack(">Q", o) + bytes(n - 1)),
        "an offset that wraps": lambda c, k, o, n: chunk(k, 2, struct.pack(">QI", (1 << 64) - 512, n)), "a hole of none": lambda c, k, o, n: chunk(k, 2, struct.pack(">QI", o, 0)),
        "a hole of 4 GiB": lambda c, k, o, n: chunk(k, 2, struct.pack(">QI", o, 0xffffffff)), "none at all": lambda c, k, o, n: chunk(k, 0),
        "none that goes on": lambda c, k, o, n: chunk(k, 0, flags=0), "none with data": lambda c, k, o, n: chunk(k, 0, b"x"),
        "the same half twice": lambda c, k, o, n: chunk(k, 2, struct.pack(">QI", o, n), 0) * 2, "status of a read": lambda c, k, o, n: chunk(k, 5, struct.pack(">III", 7, n, 0)),
        "an error of none": lambda c, k, o, n: chunk(k, 32769, struct.pack(">IH", 0, 0)), "an error with a long text": lambda c, k, o, n: chunk(k, 32769, struct.pack(">IH", 5, 60000)),
        "a chunk of 4 GiB": lambda c, k, o, n: struct.pack(">IHHQI", 0x668e33ef, 1, 1, k, 0xffffffff), "a kind unknown": lambda c, k, o, n: chunk(k, 9, b"x"),
        "an error": lambda c, k, o, n: chunk(k, 32769, struct.pack(">IH", 28, 2) + b"no"), "a later error": lambda c, k, o, n: chunk(k, 40000, b"hm"),
    }
    with tempfile.TemporaryDirectory() as top:
        for name, answer in lies.items():
            with Liar(top, greeting() + STRUCTURED + CONTEXT + info(1 << 20) + reply(7, 1), answer) as liar:
                ran = roost("io", "-r", "-f", "raw", "-c", "read 0 4096", "-c", "read 4096 8192", f"nbd+unix:///x?socket={liar.path}")
                check(ran.status in (0, 1) and "read failed" in ran.out + ran.err and ran.status == 1, f"{name}: {ran}")


@case("a read in parts, out of order, with a hole; an extent that is longer than what was asked")
def _():
    def answer(command, cookie, offset, length):
        if command == 7:
            return chunk(cookie, 5, struct.pack(">III", 7, 0xffffffff, 3) + struct.pack(">II", 512, 0) * 3)
        half = length // 2
        return chunk(cookie, 2, struct.pack(">QI", offset + half, length - half), 0) + chunk(cookie, 1, struct.pack(">Q", offset) + b"\5" * half, 0) + chunk(cookie, 0)
    with tempfile.TemporaryDirectory() as top:
        with Liar(top, greeting() + STRUCTURED + CONTEXT + info(1 << 20) + reply(7, 1), answer) as liar:
            name = f"nbd+unix:///x?socket={liar.path}"
            ran = roost("io", "-r", "-f", "raw", "-c", "read -P 5 -l 4096 0 8192", "-c", "read -P 0 -s 4096 -l 4096 0 8192", name)
            check(ran.status == 0, ran)
            check('"zero": true' in good("img", "map", "--output=json", "-f", "raw", name), "the extent")


@case("a server that is silent")
def _():
    with tempfile.TemporaryDirectory() as top:
        first = PLAIN + info(1 << 20) + reply(7, 1)
        with Liar(top, first, lambda *_: b"") as liar:
            began = time.time()
            ran = roost("io", "-r", "-c", "read 0 512", 'json:{"driver":"raw","file":{"driver":"nbd","path":"%s","request-timeout":1}}' % liar.path)
            check("read failed" in ran.out + ran.err and time.time() - began < 10, ran)


@case("a lost server: -EIO, then a new connection; with reconnect-delay requests wait for it")
def _():
    with tempfile.TemporaryDirectory() as top:
        first, turns = PLAIN + info(1 << 20) + reply(7, 1), [0]

        def answer(command, cookie, offset, length):
            turns[0] += 1
            return simple(cookie, 0, bytes(length) if command == 0 else b"") if turns[0] % 2 == 0 else None
        with Liar(top, first, answer) as liar:
            ran = roost("io", "-r", "-c", "read 0 512", "-c", "read -P 0 0 512", 'json:{"driver":"raw","file":{"driver":"nbd","path":"%s"}}' % liar.path)
            check((ran.out + ran.err).count("read failed") == 1 and "read 512/512" in ran.out, ran)
            turns[0] = 0
            ran = roost("io", "-r", "-c", "read -P 0 0 512", 'json:{"driver":"raw","file":{"driver":"nbd","path":"%s","reconnect-delay":5}}' % liar.path)
            check(ran.status == 0 and "read 512/512" in ran.out, ran)


@case("open-timeout waits for a server that comes later")
def _():
    with tempfile.TemporaryDirectory() as top:
        open(f"{top}/a.raw", "wb").write(bytes(4096))
        process = subprocess.Popen([os.path.abspath(sys.argv[1]), "img", "info", 'json:{"driver":"raw","file":{"driver":"nbd","path":"%s/nbd.sock","open-timeout":15}}' % top],
                                   stdout=subprocess.DEVNULL)
        time.sleep(0.3)
        with Server(top, f"{top}/a.raw"):
            check(process.wait(timeout=20) == 0, "it came, and was not waited for")


main()
