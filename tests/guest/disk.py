#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A system on a qcow2 disk, booted through SeaBIOS and GRUB over each bus: disk.py ROOST GUESTS-FOLDER CASE... (no case: their names).

It writes files with checksums, reboots, finds them again, powers off; then the image is checked by roost img and, where it is installed,
by qemu-img."""
import os
import shutil
import subprocess
import sys
import tempfile

import console

roost, guests = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
MEGABYTES = int(os.environ.get("ROOST_DISK_MEGABYTES", "8"))
# bus: arguments that put the drive "d" there, what the guest calls it
BUSES = {
    "ide": (["-device", "ide-hd,drive=d,bootindex=0"], "sda"),
    "virtio": (["-device", "virtio-blk-pci,drive=d,bootindex=0"], "vda"),
    "virtio-legacy": (["-device", "virtio-blk-pci,drive=d,bootindex=0,disable-modern=on"], "vda"),
    "virtio-iothread": (["-object", "iothread,id=io", "-device", "virtio-blk-pci,drive=d,bootindex=0,iothread=io"], "vda"),
    "scsi": (["-device", "virtio-scsi-pci,id=s", "-device", "scsi-hd,bus=s.0,drive=d,bootindex=0"], "sda"),
    "scsi-iothread": (["-object", "iothread,id=io", "-device", "virtio-scsi-pci,id=s,iothread=io", "-device", "scsi-hd,bus=s.0,drive=d,bootindex=0"], "sda"),
}
PROMPT = r"/ # "


def image_tool(*arguments):
    result = subprocess.run([roost, "img", *arguments], capture_output=True, text=True)
    assert result.returncode == 0, f"roost img {' '.join(arguments)}: status {result.returncode}\n{result.stdout}{result.stderr}"


def check(image):
    image_tool("check", image)
    if shutil.which("qemu-img"):
        result = subprocess.run(["qemu-img", "check", image], capture_output=True, text=True)
        assert result.returncode == 0, f"qemu-img check: status {result.returncode}\n{result.stdout}{result.stderr}"


def run(bus):
    if not os.path.exists(f"{guests}/disk.img"):
        raise console.Skip("disk.img missing: run tests/guests")
    arguments, device = BUSES[bus]
    with tempfile.TemporaryDirectory() as folder:
        image = f"{folder}/disk.qcow2"
        image_tool("convert", "-f", "raw", "-O", "qcow2", f"{guests}/disk.img", image)
        command = [roost, "-accel", os.environ.get("ROOST_TEST_ACCEL", "tcg"), "-m", "256", "-nographic", "-nodefaults", "-serial", "stdio",
                   "-drive", f"if=none,id=d,file={image},format=qcow2", *arguments]
        script = [
            (rf"ROOST-GUEST root: /dev/{device}1", None),
            (PROMPT, f"dd if=/dev/urandom of=/a bs=64k count={16 * MEGABYTES} 2>/dev/null; sha256sum /a > /sums; sync; echo wrote $?\n"),
            (r"\nwrote 0\r", "reboot\n"),
            (rf"ROOST-GUEST root: /dev/{device}1", None),
            (PROMPT, "sha256sum -c /sums; cp /a /b; rm /a; mv /b /a; sync; echo 3 > /proc/sys/vm/drop_caches; sha256sum -c /sums && echo again $?\n"),
            (r"\nagain 0\r", "poweroff\n"),
        ]
        outcome = console.follow(command, script, 400)
        assert not outcome.failure, outcome.failure + "\n" + outcome.tail()
        check(image)
        return f"{outcome.took:.1f} s"


if __name__ == "__main__":
    names = sys.argv[3:]
    if not names:
        print("\n".join(BUSES))
        sys.exit(0)
    console.report([("disk on " + name, lambda name=name: run(name)) for name in names])
