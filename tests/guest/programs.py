#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's compiler, perl, python, compressors and openssl in a guest: programs.py ROOST GUESTS-FOLDER CASE... (no case: their names).

tests/guests FOLDER programs makes a tree of files and an initial ram disk of it. programs.sh runs in that tree on the host (needs root, for
chroot) and in the guest; the lines must be the same. The host's are made once in a run."""
import functools
import os
import shutil
import subprocess
import sys
import tempfile

import archive
import console

roost, guests = (os.path.abspath(path) for path in sys.argv[1:3])
here = os.path.dirname(os.path.abspath(__file__))
CASES = {"one": [], "smp2": ["-smp", "2"], "smp4": ["-smp", "4"]}
SECONDS = 1800


@functools.cache
def host_lines():
    tree = f"{guests}/programs"
    shutil.copy(f"{here}/programs.sh", f"{tree}/job")
    out = subprocess.run(["chroot", tree, "/bin/sh", "/job"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True).stdout.decode()
    shutil.rmtree(f"{tree}/tmp/job")
    return out.splitlines()


def run(name):
    if not os.path.exists(f"{guests}/programs.cpio"):
        raise console.Skip("programs.cpio missing: run tests/guests FOLDER programs")
    if os.geteuid():
        raise console.Skip("only root may chroot")
    expected = host_lines()
    with tempfile.TemporaryDirectory() as folder:
        archive.with_tool(f"{folder}/initrd", f"{guests}/programs.cpio", "job", f"{here}/programs.sh")
        command = [roost, "-accel", os.environ.get("ROOST_TEST_ACCEL", "tcg"), "-m", "2048", "-nographic", "-no-reboot", "-nodefaults", "-serial", "stdio",
                   "-kernel", f"{guests}/vmlinuz-cloud", "-initrd", f"{folder}/initrd", "-append", "console=ttyS0 panic=-1 quiet", *CASES[name]]
        outcome = console.follow(command, [(r"\njob ended with [0-9]+\r", None)], SECONDS)
    lines = [line for line in outcome.console.splitlines() if line.startswith("sum of ") or line == "all done"]
    differing = [f"host: {a}\nguest: {b}" for a, b in zip(expected, lines) if a != b]
    assert not outcome.failure and not differing and len(lines) == len(expected), f"{outcome.failure}\n" + "\n".join(differing) + "\n" + outcome.tail()
    return f"{len(lines)} lines, {outcome.took:.1f} s"


names = sys.argv[3:]
if not names:
    print("\n".join(CASES))
    sys.exit(0)
console.report([(f"Debian's programs, {name}", lambda name=name: run(name)) for name in names])
