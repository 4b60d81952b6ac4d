#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""AVX2, FMA, F16C and gathers inside Linux: avx.py ROOST GUESTS-FOLDER TOOL CASE... (no case: their names).

The tool lies in a second archive behind the initial ram disk. It runs on the host and in the guest, where its four processes and their
signals go through the kernel's XSAVE and XRSTOR all the time; the lines must be the same. Without AVX the guest must not have it."""
import os
import subprocess
import sys
import tempfile

import archive
import console

roost, guests, tool = (os.path.abspath(path) for path in sys.argv[1:4])
PROMPT = r"/ # "
CASES = {"one": ([], True), "smp2": (["-smp", "2"], True), "without": (["-cpu", "max,-avx"], False)}


def run(name):
    more, there = CASES[name]
    if not os.path.exists(f"{guests}/initrd.gz"):
        raise console.Skip("initrd.gz missing: run tests/guests")
    expected = subprocess.run([tool], stdout=subprocess.PIPE, check=True).stdout.decode().strip()
    if expected == "none":
        raise console.Skip("no AVX2, FMA or F16C on this host")
    with tempfile.TemporaryDirectory() as folder:
        archive.with_tool(f"{folder}/initrd", f"{guests}/initrd.gz", "avx", tool)
        command = [roost, "-accel", os.environ.get("ROOST_TEST_ACCEL", "tcg"), "-m", "512", "-nographic", "-no-reboot", "-nodefaults", "-serial", "stdio",
                   "-kernel", f"{guests}/vmlinuz-cloud", "-initrd", f"{folder}/initrd", "-append", "console=ttyS0 panic=-1", *more]
        script = [(PROMPT, "/avx; grep -c -w avx2 /proc/cpuinfo\n"),
                  (rf"\n{expected}\r.*\n[12]\r" if there else r"\nnone\r.*\n0\r", "poweroff -f\n")]
        outcome = console.follow(command, script, 180)
    assert not outcome.failure, outcome.failure + "\n" + outcome.tail()
    return f"{outcome.took:.1f} s"


names = sys.argv[4:]
if not names:
    print("\n".join(CASES))
    sys.exit(0)
console.report([("AVX in Linux, " + name, lambda name=name: run(name)) for name in names])
