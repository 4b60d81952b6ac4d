#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a second processor adds, QEMU's TCG beside where it is installed: processors.py ROOST GUESTS-FOLDER. Prints a table.

A guest of one processor does a piece of work, a guest of two does two such pieces at once; the guests live together and take turns, minima of
RUNS (5) turns count. "wall" is twice the time of the first over the time of the second: right where both cores are free. "cpu" is the same from
processor time, times two: what free cores would give if neither processor sleeps while it waits for the other; right on a busy machine too."""
import atexit
import glob
import os
import re
import select
import shutil
import subprocess
import sys
import time

roost, guests = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
RUNS = int(os.environ.get("RUNS", "5"))
LIMIT = 300
WORK = {
    "shell loop": "i=0; while [ $i -lt 150000 ]; do i=$((i + 1)); done",
    "sha256sum": "for i in 1 2 3 4 5 6 7 8; do sha256sum /data; done >/dev/null",
    "gzip": "for i in 1 2; do gzip -9 -c /data; done >/dev/null",
}


class Guest:
    def __init__(self, program, processors):
        command = [program, "-accel", "tcg", "-m", "256", "-smp", str(processors), "-nographic", "-no-reboot", "-nodefaults", "-serial", "stdio",
                   "-kernel", f"{guests}/vmlinuz-cloud", "-initrd", f"{guests}/initrd.gz", "-append", "console=ttyS0 panic=-1 quiet"]
        self.processors = processors
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        atexit.register(self.end)
        self.console = b""
        self.expect(r"/ # ")
        self.type("cat /bin/busybox /bin/busybox > /data; stty -echo")

    def expect(self, pattern):
        end = time.monotonic() + LIMIT
        while not (found := re.search(pattern.encode(), self.console)):
            if not select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))[0]:
                sys.exit(f"{self.process.args[0]}: nothing like {pattern} after {LIMIT} s")
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                sys.exit(f"{self.process.args[0]}: ended early: {self.console.decode(errors='replace')[-500:]}")
            self.console += data
        self.console = self.console[found.end():]

    def type(self, line):
        self.process.stdin.write(f"{line}; echo do''ne\n".encode())
        self.process.stdin.flush()
        self.expect(r"done\r")

    def spent(self):
        total = 0
        for path in glob.glob(f"/proc/{self.process.pid}/task/*/schedstat"):
            with open(path, encoding="ascii") as file:
                total += int(file.read().split()[0])
        return total / 1e9

    def work(self, what):
        """(wall, processor time) of the work, once on each processor."""
        begin, before = time.monotonic(), self.spent()
        self.type(f"({WORK[what]}) & " * self.processors + "wait")
        return time.monotonic() - begin, self.spent() - before

    def end(self):
        self.process.kill()
        self.process.wait()


def best(runs):
    return [min(column) for column in zip(*runs)]


programs = {"roost": roost}
if qemu := shutil.which("qemu-system-x86_64"):
    programs["qemu"] = qemu
pairs = {name: (Guest(program, 1), Guest(program, 2)) for name, program in programs.items()}
print("| two processors against one (tcg) | program | one: wall s | cpu s | two at once: wall s | cpu s | wall | cpu |")
print("|---|---|---|---|---|---|---|---|")
for what in WORK:
    runs = {name: ([], []) for name in pairs}
    for turn in range(RUNS + 1):
        for name, pair in pairs.items():
            for guest, results in zip(pair, runs[name]):
                result = guest.work(what)
                if turn:                                # the first turn fills caches
                    results.append(result)
    for name, (one, two) in runs.items():
        first, second = best(one), best(two)
        times = [f"{value:.2f}" for value in first + second]
        ratios = [f"{factor * a / b:.2f}" for factor, a, b in zip((2, 4), first, second)]
        print(f"| {what} | {name} | {' | '.join(times + ratios)} |", flush=True)
