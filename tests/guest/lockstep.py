#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Linux boots while each translated block is compared with the interpreter: lockstep.py ROOST GUESTS-FOLDER CASE... (no case: their names).

It ends after INSTRUCTIONS (10000000; the nightly suite takes 1000000000) of the environment, or when the guest has powered itself off."""
import json
import os
import re
import subprocess
import sys
import time

import console

roost, guests = (os.path.abspath(path) for path in sys.argv[1:3])
CASES = {"cloud": ("vmlinuz-cloud", "initrd.gz"), "686": ("vmlinuz-686", "initrd-686.gz")}
WANTED = int(os.environ.get("INSTRUCTIONS", 10_000_000))
SECONDS = 120 + WANTED // 1_000_000        # a slow host does 3 million a second


def count(text, what):
    return int(re.search(rf"([0-9]+) {what}", text)[1])


class Monitor:
    def __init__(self, process):
        self.process = process
        self.process.stdout.readline()
        self.ask("qmp_capabilities")

    def ask(self, command):
        self.process.stdin.write(json.dumps({"execute": command}).encode() + b"\n")
        self.process.stdin.flush()
        while True:
            reply = json.loads(self.process.stdout.readline() or '{"error": "it ended"}')
            if "event" not in reply:
                return reply

    def figures(self):
        return self.ask("x-query-jit")["return"]["human-readable-text"]


def watch(monitor):
    end = time.monotonic() + SECONDS
    text = monitor.figures()
    if "interprets" in text:
        raise console.Skip("no translator on this host")
    while count(text, "instructions, [0-9]+ pages") < WANTED:
        assert time.monotonic() < end, f"not done after {SECONDS} s: {text}"
        time.sleep(0.2)
        text = monitor.figures()
    return text


def run(name):
    kernel, initrd = CASES[name]
    for file in (kernel, initrd):
        if not os.path.exists(f"{guests}/{file}"):
            raise console.Skip(f"{file} missing: run tests/guests")
    command = [roost, "-accel", "tcg,check=all", "-m", "512", "-nodefaults", "-display", "none", "-qmp", "stdio", "-kernel", f"{guests}/{kernel}",
               "-initrd", f"{guests}/{initrd}", "-append", "quiet"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            monitor = Monitor(process)
            text = watch(monitor)
            monitor.ask("quit")
            reports = process.stderr.read().decode()
        finally:
            process.kill()
    assert count(text, "differences in") == 0 and count(text, "differences, ") == 0, f"{text}\n{reports}"
    return f"{count(text, 'instructions, [0-9]+ pages')} instructions"


names = sys.argv[3:]
if not names:
    print("\n".join(CASES))
    sys.exit(0)
console.report([(f"{name} in lockstep", lambda name=name: run(name)) for name in names])
