#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""QMP round trips per second, one request at a time and 64 in flight, and the time from exec to the first answer; QEMU beside Roost where it is
installed: qmp.py ROOST. Prints tables.
Runs alternate; the best of several counts, for the machine may be shared."""
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

roost, qemu = os.path.abspath(sys.argv[1]), shutil.which("qemu-system-x86_64")
runs, seconds = int(os.environ.get("RUNS", "5")), 0.6
folder = tempfile.mkdtemp()


class Client:
    def __init__(self, name, program):
        self.path = f"{folder}/{name}"
        self.process = subprocess.Popen([program, "-S", "-M", "pc", "-m", "32", "-nodefaults", "-display", "none", "-accel", "tcg", "-qmp",
                                         f"unix:{self.path},server=on,wait=off"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while True:
            try:
                self.socket = socket.socket(socket.AF_UNIX)
                self.socket.connect(self.path)
                break
            except OSError:
                time.sleep(0.0005)
        self.file = self.socket.makefile("rb")
        self.file.readline()
        self.rate("qmp_capabilities", 1, 0)

    def rate(self, command, flight, lasts):
        request, done, begin = b'{"execute":"%s"}\r\n' % command.encode() * flight, 0, time.perf_counter()
        while True:
            self.socket.sendall(request)
            for _ in range(flight):
                self.file.readline()
            done += flight
            if time.perf_counter() - begin >= lasts:
                return done / (time.perf_counter() - begin)


clients = {"roost": Client("roost", roost)} | ({"qemu": Client("qemu", qemu)} if qemu else {})
print("| command | in flight | " + " | ".join(f"{name} per s" for name in clients) + " | ratio |\n|---|---|" + "---|" * (len(clients) + 1))
for command in ("query-status", "query-pci", "query-version"):
    for flight in (1, 64):
        best = {name: max(client.rate(command, flight, seconds) for _ in range(runs)) for name, client in clients.items()}
        ratio = f"{best['roost'] / best['qemu']:.2f}" if qemu else "-"
        print(f"| {command} | {flight} | " + " | ".join(f"{rate:.0f}" for rate in best.values()) + f" | {ratio} |", flush=True)
for client in clients.values():
    client.process.terminate()
    client.process.wait()


def first_answer(name, program):
    begin = time.perf_counter()
    client = Client(name, program)
    took = (time.perf_counter() - begin) * 1000
    client.process.kill()
    client.process.wait()
    os.unlink(client.path)
    return took


programs = {"roost": roost} | ({"qemu": qemu} if qemu else {})
times = {name: [] for name in programs}
for _ in range(3 * runs):
    for name, program in programs.items():
        times[name].append(first_answer(f"{name}-start", program))
print("\n| from exec to the first answer | " + " | ".join(f"{name} ms" for name in programs) + " |\n|---|" + "---|" * len(programs))
for label, choose in (("best", min), ("median", statistics.median)):
    print(f"| {label} | " + " | ".join(f"{choose(found):.1f}" for found in times.values()) + " |")
shutil.rmtree(folder)
