#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Many kinds of load at once inside Linux, each checked: stress.py ROOST GUESTS-FOLDER TOOL CASE... (no case: their names).

SECONDS (10) of the environment says how long; tests/nightly takes an hour."""
import os
import re
import sys
import tempfile

import archive
import console

roost, guests, tool = (os.path.abspath(path) for path in sys.argv[1:4])
SECONDS = int(os.environ.get("SECONDS", 10))
CASES = {"one": ("tcg", []), "smp2": ("tcg", ["-smp", "2"]), "smp4": ("tcg", ["-smp", "4"]), "checked": ("tcg,check=all", [])}


def run(name):
    accel, more = CASES[name]
    if not os.path.exists(f"{guests}/initrd.gz"):
        raise console.Skip("initrd.gz missing: run tests/guests")
    with tempfile.TemporaryDirectory() as folder:
        archive.with_tool(f"{folder}/initrd", f"{guests}/initrd.gz", "stress", tool)
        command = [roost, "-accel", accel, "-m", "512", "-nographic", "-no-reboot", "-nodefaults", "-serial", "stdio", "-kernel", f"{guests}/vmlinuz-cloud",
                   "-initrd", f"{folder}/initrd", "-append", "console=ttyS0 panic=-1", *more]
        script = [(r"/ # ", f"/stress {SECONDS}\n"), (r"\nstress: [0-9]+ rounds in all, 0 mistakes\r", "poweroff -f\n")]
        outcome = console.follow(command, script, SECONDS * 3 + 300)
    assert not outcome.failure and "differs:" not in outcome.console, f"{outcome.failure}\n{outcome.tail()}"
    return re.search(r"stress: ([0-9]+ rounds) in all", outcome.console)[1]


names = sys.argv[4:]
if not names:
    print("\n".join(CASES))
    sys.exit(0)
console.report([("stress, " + name, lambda name=name: run(name)) for name in names])
