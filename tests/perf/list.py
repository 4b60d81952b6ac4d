#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How long roost list takes with 50 VMs, how long a verb that asks one, and what being listed adds to a start: list.py ROOST. Prints a table; best and median of RUNS."""
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

roost = os.path.abspath(sys.argv[1])
runs, count = int(os.environ.get("RUNS", "20")), int(os.environ.get("VMS", "50"))
home = tempfile.mkdtemp()
os.environ["XDG_RUNTIME_DIR"] = os.environ["XDG_CONFIG_HOME"] = home
STILL = ["-S", "-M", "pc", "-m", "16", "-accel", "tcg", "-nodefaults", "-display", "none"]


def run(*args):
    return subprocess.run([roost, *args], check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout


def row(what, *args):
    run(*args)
    times = []
    for _ in range(runs):
        begin = time.perf_counter()
        run(*args)
        times.append((time.perf_counter() - begin) * 1000)
    print(f"| {what} | {min(times):.1f} | {statistics.median(times):.1f} |", flush=True)


try:
    for i in range(count):
        run(*STILL, "-name", f"vm{i}", "-daemonize")
    print("| what | best, ms | median, ms |\n|---|---|---|")
    row(f"list of {count} VMs", "list")
    row(f"domstats of {count} VMs, which asks each", "domstats", "--block", "--vcpu")
    row("domstate", "domstate", "vm7")
    row("qmp query-status", "qmp", "vm7", "query-status")
    for name in run("list", "--name").split()[1:]:
        run("destroy", name)
    stop = ["-run-timeout", "0.001"]
    for what, more in (("start and end without a name", []), ("start and end with one", ["-name", "x"])):
        times = []
        for _ in range(runs):
            begin = time.perf_counter()
            subprocess.run([roost, *STILL, *more, *stop], capture_output=True, stdin=subprocess.DEVNULL)
            times.append((time.perf_counter() - begin) * 1000)
        print(f"| {what} | {min(times):.1f} | {statistics.median(times):.1f} |", flush=True)
finally:
    for name in run("list", "--name").split():
        run("destroy", name)
    shutil.rmtree(home, ignore_errors=True)
