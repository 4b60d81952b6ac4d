#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Screens beside QEMU's, pixel by pixel: screen.py ROOST GUESTS-FOLDER CASE... (no case: their names).

Both machines run the same firmware and system; each is typed at until its screen stands still, and then the pictures must be equal, but for the cursor,
which blinks: either of its two phases will do."""
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import console

roost, guests = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
QEMU = shutil.which("qemu-system-x86_64")
LINUX = ["-m", "512", "-kernel", f"{guests}/vmlinuz-generic", "-initrd", f"{guests}/initrd-generic.gz"]
SHELL = [["c", "l", "e", "a", "r", "ret"], ["u", "n", "a", "m", "e", "ret"]]
# name: (files, arguments, what is typed once the screen stands still, the picture's size)
CASES = {
    "seabios": ([], ["-m", "32", "-drive", "if=ide,format=raw,file={folder}/empty"], [], (720, 400)),
    "grub": (["grub.iso"], ["-m", "128", "-cdrom", f"{guests}/grub.iso", "-boot", "d"], [["down"]], (720, 400)),
    "linux": (["initrd-generic.gz"], [*LINUX, "-append", "quiet console=tty0"], SHELL, (720, 400)),
    "linux-vesa": (["initrd-generic.gz"], [*LINUX, "-append", "quiet console=tty0 vga=791"], SHELL, (1024, 768)),
    "linux-bochs": (["initrd-generic.gz"], [*LINUX, "-append", "quiet console=tty0 roost.modules=bochs"], SHELL, (1280, 800)),
}
PATIENCE, CALM, CURSOR = 120, 2.0, 16 * 16


class Machine:
    def __init__(self, program, arguments, folder, name):
        path = f"{folder}/{name}"
        self.picture = f"{folder}/{name}.ppm"
        self.process = subprocess.Popen([program, "-accel", "tcg", "-nodefaults", "-vga", "std", *([] if "-display" in arguments else ["-display", "none"]), *arguments, "-qmp", f"unix:{path},server=on,wait=off"],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + PATIENCE
        while True:
            self.socket = socket.socket(socket.AF_UNIX)
            try:
                self.socket.connect(path)
                break
            except OSError:
                assert self.process.poll() is None and time.monotonic() < end, f"{program} does not listen"
                time.sleep(0.05)
        self.stream = self.socket.makefile("rw")
        self.stream.readline()
        self("qmp_capabilities")

    def __call__(self, command, **arguments):
        self.stream.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.stream.flush()
        while True:
            reply = json.loads(self.stream.readline())
            if "error" in reply:
                raise AssertionError(f"{command}: {reply['error']['desc']}")
            if "return" in reply:
                return reply["return"]

    def shot(self):
        self("screendump", filename=self.picture)
        with open(self.picture, "rb") as file:
            _, size, _, pixels = file.read().split(b"\n", 3)
        return tuple(map(int, size.split())), pixels

    def calm(self):
        """Waits until nothing but a cursor changes, and something is shown."""
        end, since, last = time.monotonic() + PATIENCE, time.monotonic(), self.shot()
        while time.monotonic() - since < CALM:
            assert time.monotonic() < end, "the screen does not come to rest"
            time.sleep(0.2)
            now = self.shot()
            if now[0] != last[0] or differ(now[1], last[1]) > CURSOR or now[1].count(0) == len(now[1]):
                since = time.monotonic()
            last = now

    def type(self, keys):
        for key in keys:
            self("send-key", keys=[{"type": "qcode", "data": key}])
            time.sleep(0.15)

    def end(self):
        self.process.kill()
        self.process.wait()


def differ(one, other):
    """Bytes; slices first, since most of a screen is equal."""
    step = 4096
    return sum(sum(a != b for a, b in zip(one[i:i + step], other[i:i + step])) for i in range(0, max(len(one), len(other)), step) if one[i:i + step] != other[i:i + step])


def run(name):
    files, arguments, typed, size = CASES[name]
    if not QEMU:
        raise console.Skip("no qemu-system-x86_64 to compare with")
    missing = [f for f in files if not os.path.exists(f"{guests}/{f}")]
    if missing:
        raise console.Skip(f"{', '.join(missing)} missing: run tests/guests")
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/empty", "wb") as file:
            file.truncate(1 << 20)
        machines = [Machine(program, [a.format(folder=folder) for a in arguments] + (["-snapshot"] if "empty" in arguments[-1] else []), folder, tag)
                    for program, tag in ((roost, "ours"), (QEMU, "theirs"))]
        try:
            for keys in [[]] + typed:
                for machine in machines:
                    machine.calm()
                    machine.type(keys)
            for machine in machines:
                machine.calm()
            shots = [[], []]
            for _ in range(8):             # both phases of both cursors
                for seen, machine in zip(shots, machines):
                    seen.append(machine.shot())
                time.sleep(0.12)
        finally:
            for machine in machines:
                machine.end()
    assert shots[0][0][0] == shots[1][0][0] == size, f"{shots[0][0][0]} and {shots[1][0][0]}, not {size}"
    least = min(differ(ours[1], theirs[1]) for ours in shots[0] for theirs in shots[1])
    assert least == 0, f"at best {least} bytes of the pictures differ"


if __name__ == "__main__":
    if not sys.argv[3:]:
        print("\n".join(CASES))
        sys.exit(0)
    console.report([(name, lambda name=name: run(name)) for name in sys.argv[3:]])
