#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian on a qcow2 disk over each bus: debian.py ROOST GUESTS-FOLDER BUS... (no bus: their names). For tests/nightly.

Boots to the login on the serial console, writes 200 MB with checksums, reboots, finds them again, powers off; then the image is checked."""
import os
import sys
import tempfile

import console
import disk

buses = [bus for bus in disk.BUSES if bus in ("ide", "virtio", "scsi")]
MEGABYTES = int(os.environ.get("ROOST_DISK_MEGABYTES", "200"))


def run(bus):
    if not os.path.exists(f"{disk.guests}/debian.img"):
        raise console.Skip("debian.img missing: run tests/guests")
    with tempfile.TemporaryDirectory() as folder:
        image = f"{folder}/debian.qcow2"
        disk.image_tool("convert", "-f", "raw", "-O", "qcow2", f"{disk.guests}/debian.img", image)
        command = [disk.roost, "-accel", os.environ.get("ROOST_TEST_ACCEL", "tcg"), "-m", "1024", "-nographic", "-nodefaults", "-serial", "stdio",
                   "-drive", f"if=none,id=d,file={image},format=qcow2", *disk.BUSES[bus][0]]
        login = [(r"login: ", "root\n"), (r"assword: ", "roost\n"), (r":~# ", None)]
        script = [
            *login, (r"", f"dd if=/dev/urandom of=/a bs=1M count={MEGABYTES} 2>/dev/null; sha256sum /a > /sums; sync; echo wrote $?\n"),
            (r"wrote 0\r", "reboot\n"),
            *login, (r"", "sha256sum -c /sums && echo again $?\n"),
            (r"again 0\r", "poweroff\n"),
        ]
        outcome = console.follow(command, script, 3000)
        assert not outcome.failure, outcome.failure + "\n" + outcome.tail()
        disk.check(image)
        return f"{outcome.took:.1f} s"


if __name__ == "__main__":
    names = sys.argv[3:]
    if not names:
        print("\n".join(buses))
        sys.exit(0)
    console.report([("Debian on " + name, lambda name=name: run(name)) for name in names])
