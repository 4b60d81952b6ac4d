#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""define, start, create, edit, dumpxml, undefine: VMs of domain files. Usage: define.py ROOST"""
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from vms import PATIENCE, ROOST, Vm, case, check, fails, home, main, out, roost, verb, wait_for

UUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"
DOMAIN = """<domain type='qemu'>
  <name>NAME</name>MORE
  <memory unit='MiB'>16</memory>
  <vcpu>2</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices>
    <disk type='volume' device='disk'>
      <driver name='qemu' type='raw'/>
      <source pool='default' volume='disk'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <console type='pty'/>
  </devices>
</domain>
"""
POOL = ("--pool", f"default={home}")
with open(home + "/disk", "wb") as made:
    made.truncate(1 << 20)


def file(name="d", more="", text=DOMAIN):
    path = f"{home}/{re.sub('[^a-z]', '_', name)}.xml"
    with open(path, "w") as out_file:
        out_file.write(text.replace("NAME", name).replace("MORE", more))
    return path


def end(name):
    roost("destroy", name)
    roost("undefine", name)


@case("from the file to a running VM and back")
def _():
    check(verb("define", file()).out == f"Domain 'd' defined from {home}/d.xml\n\n", "define")
    uuid = out("domuuid", "d")
    try:
        check(re.fullmatch(r" Id   Name   State\n-+\n -    d      shut off\n\n", verb("list", "--all").out) and out("list", "--name") == "", verb("list", "--all"))
        check(out("list", "--inactive", "--name") == out("list", "--all", "--persistent", "--name") == out("list", "--all", "--state-shutoff", "--name") == "d", "filters")
        check(out("domstate", "d", "--reason") == "shut off (unknown)" and out("domid", "d") == "-", "state")
        info = out("dominfo", "d")
        check("Id:             -" in info and "Max memory:     16384 KiB" in info and "CPU(s):         2" in info and "Persistent:     yes" in info, info)
        for what in ("suspend", "shutdown", "destroy", "console"):
            fails(what, "d", says="domain is not running")
        fails("start", "d", says="Failed to start domain 'd'")
        check(out("start", "d", *POOL).endswith("Domain 'd' started"), "start")
        check(out("domuuid", "d") == uuid and out("domstate", "d") == "running" and "Persistent:     yes" in out("dominfo", "d"), verb("dominfo", "d"))
        fails("start", "d", *POOL, says="Domain is already active")
        check(f"vda      {home}/disk" in out("domblklist", "d"), verb("domblklist", "d"))
        live, kept = out("dumpxml", "d"), out("dumpxml", "d", "--inactive")
        check(f"<domain id='{out('domid', 'd')}' type='qemu'>" in live and f"<uuid>{uuid}</uuid>" in live and f"<source file='{home}/disk'/>" in live, live)
        check("pool='default'" in kept and f"<uuid>{uuid}</uuid>" in kept, kept)
        check(verb("undefine", "d").out == "Domain 'd' has been undefined\n\n" and "Persistent:     no" in out("dominfo", "d"), "undefine")
        fails("undefine", "d", says="not defined")
        verb("destroy", "d")
        fails("domstate", "d", says="failed to get domain 'd'")
    finally:
        end("d")


@case("create, paused, with options of the command line; dumpxml is a file that runs again")
def _():
    path = file("c", "<title>a title</title>")
    try:
        check(out("create", path, "--paused", *POOL, "--", "-m", "24").endswith(f"Domain 'c' created from {path}"), "create")
        check(out("domstate", "c") == "paused" and "24576 KiB" in out("dominfo", "c") and "Persistent:     no" in out("dominfo", "c"), verb("dominfo", "c"))
        fails("create", path, *POOL, says="already exists with uuid")
        text = verb("dumpxml", "c").out
        check("<title>a title</title>" in text and "<memory unit='KiB'>24576</memory>" in text, text)
        os.unlink(path)
        check(verb("dumpxml", "c").out == text, "the file is gone, and the domain another")
        verb("destroy", "c")
        again = file("again", text=text)
        check("Domain 'c' created" in out("create", again), "again")
        strip = lambda xml: re.sub(r" id='\d+'", "", xml)
        check(strip(verb("dumpxml", "c").out) == strip(text), verb("dumpxml", "c").out)
    finally:
        end("c")


@case("dumpxml of a VM that a command line started")
def _():
    with Vm("plain", "-drive", f"file={home}/disk,format=raw,if=virtio"):
        text = verb("dumpxml", "plain").out
        check("<name>plain</name>" in text and f"<source file='{home}/disk'/>" in text and out("domuuid", "plain") in text and "daemonize" not in text, text)


@case("definitions: again, of another uuid, of a taken name, with odd names, and what is no domain")
def _():
    try:
        verb("define", file("d", f"<uuid>{UUID}</uuid>"))
        check(out("domname", UUID) == "d", "by uuid")
        verb("define", file("d", f"<uuid>{UUID}</uuid>"))
        verb("define", file("d"))
        check(out("domuuid", "d") == UUID, "the uuid stays")
        fails("define", file("d", "<uuid>" + UUID.replace("6", "7") + "</uuid>"), says=f"domain 'd' already exists with uuid {UUID}")
        fails("define", file("other", f"<uuid>{UUID}</uuid>"), says="domain 'd' already exists")
        for name in ("ä b", "a.b", "x" * 200):
            verb("define", file(name))
            check(out("domstate", name) == "shut off", name)
            verb("undefine", name)
        fails("define", home + "/nosuch.xml", says="nosuch.xml")
        for text in ("", "<domain", "<network><name>x</name></network>", "<domain type='qemu'/>", DOMAIN.replace("<name>NAME</name>", "")):
            fails("define", file("bad", text=text), says="Failed to define domain")
        fails("define", file("v"), "--validate", says="there is no pool 'default'")
        check(out("list", "--all", "--name") == "d", verb("list", "--all"))
    finally:
        end("d")


@case("edit")
def _():
    try:
        verb("define", file("e"))
        check(out("edit", "e", env={**os.environ, "VISUAL": "true"}) == "Domain 'e' XML configuration not changed.", "unchanged")
        check(out("edit", "e", env={**os.environ, "VISUAL": "sed -i s/16/32/"}) == "Domain 'e' XML configuration edited.", "edited")
        check("32768 KiB" in out("dominfo", "e"), verb("dominfo", "e"))
        for editor, says in (("false", "nothing is changed"), ("sed -i s/domain/dom/", "is kept"), ("sed -i 's,>e<,>other<,'", "the name cannot be changed")):
            ran = fails("edit", "e", env={**os.environ, "VISUAL": editor}, says=says)
            check("32768 KiB" in out("dominfo", "e"), ran)
            for kept in re.findall(r"(/\S+\.xml) is kept", ran.err):
                os.unlink(kept)
    finally:
        end("e")


@case("two that start the same VM at once: one does")
def _():
    try:
        verb("define", file("r"))
        starters = [subprocess.Popen([ROOST, "start", "r", *POOL], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(5)]
        check(sorted(starter.wait(timeout=PATIENCE) for starter in starters) == [0, 1, 1, 1, 1], "how many")
        check(out("list", "--name") == "r", verb("list"))
    finally:
        end("r")


main()
