#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Drives, media, statistics, memory, keys: what verbs show and change of a VM. Usage: block.py ROOST"""
import json
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from vms import Vm, case, check, fails, home, main, out, roost, verb, wait_for

DISK, CD, OTHER = f"{home}/disk.raw", f"{home}/cd.iso", f"{home}/other.iso"
for path, size in ((DISK, 3 << 20), (CD, 2 << 20), (OTHER, 1 << 20)):
    with open(path, "wb") as made:
        made.truncate(size)
# Later words win: a PC with its IDE channels and floppy controller.
DRIVES = ("-drive", f"file={DISK},format=raw,if=virtio", "-drive", f"if=ide,index=2,media=cdrom,file={CD},format=raw", "-drive", "if=ide,index=3,media=cdrom",
          "-device", "virtio-balloon-pci")


def rows(*args):
    return [line.split() for line in out(*args).splitlines()[2:]]


@case("drives are named as libvirt names them, also those of -blockdev and -device")
def _():
    with Vm("d", *DRIVES):
        check(rows("domblklist", "d") == [["hdc", CD], ["hdd", "-"], ["vda", DISK]], verb("domblklist", "d"))
        check(rows("domblklist", "d", "--details") == [["file", "cdrom", "hdc", CD], ["file", "cdrom", "hdd", "-"], ["file", "disk", "vda", DISK]],
              verb("domblklist", "d", "--details"))
    with Vm("e", "-blockdev", f"driver=file,node-name=s,filename={DISK}", "-blockdev", "driver=raw,node-name=f,file=s", "-device",
            "virtio-blk-pci,drive=f,id=virtio-disk27"):
        check(rows("domblklist", "e") == [["vdab", DISK]], verb("domblklist", "e"))


@case("domblkinfo")
def _():
    with Vm("d", *DRIVES):
        lines = dict(line.split(":") for line in out("domblkinfo", "d", "vda").splitlines())
        check(lines["Capacity"].strip() == lines["Physical"].strip() == str(3 << 20) and int(lines["Allocation"]) <= 3 << 20, lines)
        for name in (CD, "--device=hdc"):
            check("2.000 MiB" in out("domblkinfo", "d", name, "--human"), name)
        check([row[0] for row in rows("domblkinfo", "d", "--all")] == ["hdc", "hdd", "vda"] and rows("domblkinfo", "d", "--all")[1] == ["hdd", "-", "-", "-"], "all")
        fails("domblkinfo", "d", "sdz", says="invalid path sdz not assigned to domain")
        fails("domblkinfo", "d", says="requires")


@case("media change")
def _():
    with Vm("d", *DRIVES):
        verb("resume", "d")
        media = lambda: {row[0]: row[1] for row in rows("domblklist", "d")}
        check(out("change-media", "d", "hdc", OTHER) == "Successfully updated media." and media()["hdc"] == OTHER, media())
        check(out("change-media", "d", "hdc", "--eject") == "Successfully ejected media." and media()["hdc"] == "-", media())
        fails("change-media", "d", "hdc", "--eject", says="doesn't have media")
        check(out("change-media", "d", "hdc", "--insert", CD) == "Successfully inserted media." and media()["hdc"] == CD, media())
        fails("change-media", "d", "hdc", "--insert", OTHER, says="already has media")
        check(out("change-media", "d", "--path", "hdd", "--source", os.path.relpath(OTHER)) == "Successfully updated media." and media()["hdd"] == OTHER, media())
        fails("change-media", "d", "vda", "--eject", says="is a disk")
        fails("change-media", "d", "hdc", "/nonexistent/x", says="/nonexistent/x")
        fails("change-media", "d", "hdc", says="No disk source")
        fails("change-media", "d", says="requires <path>")
        fails("change-media", "d", "hdc", "--eject", "--insert", says="mutually exclusive")
        fails("change-media", "d", "hdc", OTHER, "--config", says="--config")
        verb("change-media", "d", "hdd", "--eject")
        check(out("attach-disk", "d", OTHER, "hdd", "--type", "cdrom", "--mode", "readonly") == "Disk attached successfully" and media()["hdd"] == OTHER, media())
        fails("attach-disk", "d", OTHER, "hdd", says="already exists")
        fails("attach-disk", "d", OTHER, "vdb", says="cannot be plugged in yet")
        check(out("detach-disk", "d", "hdd") == "Disk detached successfully" and media()["hdd"] == "-", media())
        fails("detach-disk", "d", "hdd", says="is empty")
        fails("detach-disk", "d", "vda", says="cannot be unplugged")


@case("domstats, of one and of all")
def _():
    with Vm("d", *DRIVES, "-smp", "2"), Vm("e"):
        verb("resume", "d")
        wait_for("it used a processor", lambda: "  cpu.time=0\n" not in verb("domstats", "d", "--cpu-total").out)
        stats = dict(line.strip().split("=", 1) for line in out("domstats", "d").splitlines()[1:])
        check(stats["state.state"] == "1" and stats["state.reason"] == "1" and stats["vcpu.current"] == "2" and stats["balloon.maximum"] == "16384", stats)
        check(stats["block.count"] == "3" and stats["block.2.name"] == "vda" and stats["block.2.path"] == DISK and stats["block.2.capacity"] == str(3 << 20), stats)
        check("block.1.path" not in stats and stats["block.0.rd.reqs"].isdigit() and int(stats["balloon.rss"]) > 1000 and int(stats["cpu.time"]) > 0, stats)
        check({"net.count", "iothread.count", "vcpu.0.state", "vcpu.1.time"} <= stats.keys(), stats)
        both = out("domstats", "--state")
        check(both == "Domain: 'd'\n  state.state=1\n  state.reason=1\n\nDomain: 'e'\n  state.state=3\n  state.reason=11", both)
        check(out("domstats", "--state", "--list-paused").startswith("Domain: 'e'") and out("domstats", "--state", "--list-inactive") == "", "filters")
        check(out("domstats", "--state", "e", "d").splitlines()[0] == "Domain: 'e'", "in their order")
        check("block" not in out("domstats", "--nowait", "d"), "nowait")
        fails("domstats", "nosuch", says="failed to get domain 'nosuch'")


@case("vcpuinfo, setmem, domiflist")
def _():
    with Vm("d", *DRIVES, "-smp", "2"), Vm("bare"):
        text = out("vcpuinfo", "d")
        check(re.fullmatch(r"(VCPU: +\d\nCPU: +\d+\nState: +running\nCPU time: +\d+\.\ds\nCPU Affinity: +[y-]+\n?\n?){2}", text), text)
        check(re.search(r"CPU Affinity: +[\d,-]+ \(out of \d+\)$", out("vcpuinfo", "d", "--pretty")), verb("vcpuinfo", "d", "--pretty"))
        for size in ("8192", "8M", "8MiB", "8388608b"):
            check(out("setmem", "d", size) == "", size)
        fails("setmem", "d", "17M", says="cannot set memory higher than max memory")
        fails("setmem", "bare", "8M", says="balloon")
        for size in ("x", "", "-1", "8Q", "99999999999999999999", "9999999999999T"):
            fails("setmem", "d", "--", size, says="size" if not size.endswith("T") else "too large")
        check(out("domiflist", "d") == "Interface   Type   Source   Model   MAC\n------------------------------------------", verb("domiflist", "d"))


@case("without a display and a keyboard, QEMU's answer")
def _():
    with Vm("d"):
        for args, what in ((("screenshot", "d", f"{home}/shot.ppm"), "could not take a screenshot of 'd'"), (("send-key", "d", "KEY_LEFTCTRL", "KEY_C"), "could not send keys to 'd'")):
            ran = roost(*args)
            check(ran.status in (0, 1) and (ran.status == 0 or what in ran.err), ran)
        fails("send-key", "d", says="requires KEY")


main()
