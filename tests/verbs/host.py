#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""This host, networks and pools: nodeinfo, host-validate, capabilities, domcapabilities, net-*, pool-list, vol-list. Usage: host.py ROOST"""
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as tree

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from vms import ROOST, Skip, case, check, fails, home, main, out, roost, verb

NET_UUID, POOL_UUID = "ed954729-1466-454a-b3a2-19c4f1778388", "dfe224cb-28fb-8dd0-c4b2-64eb3f0f4566"
# The loop-back interface stands for a bridge that the host has.
NETWORK = "<!--\nWARNING: THIS IS AN AUTO-GENERATED FILE.\n-->\n\n<network>\n  <name>NAME</name>\n  <uuid>UUID</uuid>\n  <forward mode='nat'/>\n  <bridge name='BRIDGE'/>\n</network>\n"
POOL = "<pool type='dir'>\n  <name>NAME</name>\n  <uuid>UUID</uuid>\n  <target>\n    <path>PATH</path>\n  </target>\n</pool>\n"
libvirt, images = home + "/config/libvirt", home + "/images"


def put(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)


put(libvirt + "/qemu/networks/here.xml", NETWORK.replace("NAME", "here").replace("UUID", NET_UUID).replace("BRIDGE", "lo"))
put(libvirt + "/qemu/networks/away.xml", NETWORK.replace("NAME", "away").replace("UUID", NET_UUID[::-1]).replace("BRIDGE", "nosuchbridge0"))
put(libvirt + "/qemu/networks/broken.xml", "<network><name>")
os.makedirs(libvirt + "/qemu/networks/autostart")
os.symlink("../here.xml", libvirt + "/qemu/networks/autostart/here.xml")
put(libvirt + "/storage/pics.xml", POOL.replace("NAME", "pics").replace("UUID", POOL_UUID).replace("PATH", images))
put(libvirt + "/storage/gone.xml", POOL.replace("NAME", "gone").replace("UUID", POOL_UUID[::-1]).replace("PATH", images + "/nosuch"))
put(images + "/plain.raw", "x" * 3072)
subprocess.run([ROOST, "img", "create", "-q", "-f", "qcow2", images + "/a.qcow2", "1G"], check=True)
KNOWN = ("here", "away", "pics", "gone")


def names(*args):
    return [name for name in out(*args, "--name").split() if name in KNOWN]      # the host may have some of its own


@case("networks")
def _():
    check(names("net-list") == ["here"] and names("net-list", "--all") == ["away", "here"] and names("net-list", "--inactive") == ["away"], "which")
    check(names("net-list", "--autostart") == ["here"] and names("net-list", "--all", "--no-autostart") == ["away"] and names("net-list", "--transient") == [], "by flag")
    check(re.search(r"^ Name +State +Autostart +Persistent\n-+\n(.*\n)*? here +active +yes +yes$", out("net-list") and verb("net-list").out, re.M), verb("net-list"))
    check(verb("net-info", "here").out == f"Name:           here\nUUID:           {NET_UUID}\nActive:         yes\nPersistent:     yes\nAutostart:      yes\n"
          "Bridge:         lo\n\n", verb("net-info", "here"))
    check("Name:           here" in out("net-info", NET_UUID) and "Active:         no" in out("net-info", "--network", "away"), "net-info")
    text = verb("net-dumpxml", "here").out
    check(text.startswith("<network>\n") and text.endswith("</network>\n\n") and NET_UUID in text, text)
    fails("net-info", "nosuch", says="failed to get network 'nosuch'")
    fails("net-dumpxml", says="requires <network>")


@case("pools and their volumes")
def _():
    check(names("pool-list") == ["pics"] and names("pool-list", "--all") == ["gone", "pics"] and names("pool-list", "--type", "logical") == [], "which")
    check(POOL_UUID in out("pool-list", "--uuid"), "uuid")
    check(re.search(r"^ pics +running +no +yes +[\d.]+ \w+ +[\d.]+ \w+ +[\d.]+ \w+$", verb("pool-list", "--details").out, re.M), verb("pool-list", "--details"))
    check(out("vol-list", "pics").splitlines()[2:] == [f" a.qcow2     {images}/a.qcow2", f" plain.raw   {images}/plain.raw"], verb("vol-list", "pics"))
    details = verb("vol-list", "pics", "--details").out
    check(re.search(r"a\.qcow2 +\S+ +file +1\.00 GiB +\d", details) and re.search(r"plain\.raw +\S+ +file +3\.00 KiB", details), details)
    check(out("vol-list", "mine", "--pool", f"mine={images}") == out("vol-list", "pics") == out("vol-list", POOL_UUID), "--pool")
    fails("vol-list", "gone", says="is not active")
    fails("vol-list", "nosuch", says="failed to get pool 'nosuch'")
    fails("vol-list", "mine", "--pool", "mine", says="NAME=DIRECTORY")
    fails("vol-list", says="requires POOL")


@case("nodeinfo")
def _():
    lines = dict(re.match(r"(.{20}) (.+)", line).groups() for line in out("nodeinfo").splitlines())
    check([key.strip() for key in lines] == ["CPU model:", "CPU(s):", "CPU frequency:", "CPU socket(s):", "Core(s) per socket:", "Thread(s) per core:", "NUMA cell(s):",
                                             "Memory size:"], lines)
    check(int(lines["CPU(s):".ljust(20)]) == os.sysconf("SC_NPROCESSORS_ONLN"), lines)


@case("host-validate says what virt-host-validate says")
def _():
    ours = roost("host-validate")
    lines = re.findall(r"^  QEMU: Checking (.{60}): (PASS|WARN|FAIL)", ours.out, re.M)
    check(len(lines) == len(ours.out.splitlines()) >= 11 and len(set(lines)) == len(lines), ours)
    check(ours.status == (1 if any(verdict == "FAIL" for _, verdict in lines) else 0), ours)
    fails("host-validate", "lxc", says="'lxc' is not validated here")
    if not shutil.which("virt-host-validate"):
        raise Skip("virt-host-validate (libvirt-clients) is not installed")
    theirs = subprocess.run(["virt-host-validate", "qemu"], capture_output=True, text=True, timeout=60, env={**os.environ, "LC_ALL": "C"})
    check([name for name, _ in re.findall(r"^  QEMU: Checking (.{60}): (PASS|WARN|FAIL)", theirs.stdout, re.M)][:2] == [name for name, _ in lines][:2], f"{theirs}\n{ours}")


@case("capabilities and domcapabilities are XML of this host and executable")
def _():
    host = tree.fromstring(out("capabilities"))
    check(host.tag == "capabilities" and host.findtext("host/cpu/arch") == "x86_64" and host.findtext("guest/arch/emulator") == os.path.realpath(ROOST), "host")
    check({"pc", "pc-i440fx-7.2"} <= {machine.text for machine in host.findall("guest/arch/machine")}, "machines")
    domain = tree.fromstring(out("domcapabilities", "--virttype", "qemu"))
    check(domain.findtext("domain") == "qemu" and domain.find("vcpu").get("max").isdigit(), "domain")
    models = {model.text: model.get("usable") for model in domain.findall("cpu/mode[@name='custom']/model")}
    check("qemu64" in models and set(models.values()) <= {"yes", "no"}, models)
    check({"ide", "virtio"} <= {bus.text for bus in domain.findall("devices/disk/enum[@name='bus']/value")}, "buses")
    for args, says in ((("--machine", "nosuch"), "nosuch"), (("--arch", "m68k"), "m68k"), (("--virttype", "xen"), "xen"), (("--machine", "none"), "none")):
        fails("domcapabilities", *args, says=says)


main()
