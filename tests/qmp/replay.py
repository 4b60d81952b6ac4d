#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What libvirt 9.0 says to an emulator when it probes it and when it starts a guest, with the replies' shapes as recorded from QEMU 7.2
(libvirt-probe.json: command, arguments, shape). Usage: replay.py ROOST"""
import json
import os

from qmp import BARE, Failed, Vm, case, check, differences, main, shape

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "libvirt-probe.json")) as file:
    RECORDED = json.load(file)
PROBE = ("-S", "-no-user-config", "-nodefaults", "-nographic", "-machine", "none,accel=kvm:tcg")
# Commands that libvirt does not send when query-commands or qom-list-types leave them out, or bears CommandNotFound for.
ABSENT = {"query-sev-capabilities", "query-sgx-capabilities"}
# Omissions from the recorded shapes, each optional in QMP's schema.
OMITTED = {"query-machines[].default-ram-id", "query-cpu-definitions[].alias-of", "query-command-line-options[].parameters[].default", "qom-list-types[].abstract",
           "device-list-properties[].default-value", "qom-list-properties[].description", "qom-list-properties[].default-value",
           "device-list-properties[].description"}
ADDED = {"qom-list-properties[].description", "qom-list-properties[].default-value"}


def answer(vm, command, args):
    try:
        return {"return": vm(command, args)}
    except Failed as failed:
        return {"error": failed.error["class"]}


def replay(accel):
    def body():
        problems = []
        with Vm(*PROBE) as vm:
            for command, args, recorded in RECORDED[accel]:
                mine = answer(vm, command, args)
                if command in ABSENT:
                    check(mine == {"error": "CommandNotFound"}, (command, mine))
                elif "error" in mine:
                    bearable = mine["error"] == "DeviceNotFound" and command == "device-list-properties" or mine["error"] == recorded.get("error") \
                        or command == "query-cpu-model-expansion" and mine["error"] == "GenericError"
                    if not bearable:
                        problems.append(f"{command} {args}: {mine}, and libvirt does not bear that")
                elif "return" in recorded:
                    for line in differences(shape(mine["return"]), recorded["return"], command):
                        if line[0] == "~" and ".default-value:" not in line or line[0] == "-" and line[1:] not in OMITTED or line[0] == "+" and line[1:] not in ADDED:
                            if command != "query-cpu-model-expansion":
                                problems.append(line)
        check(not problems, "\n".join(problems))
    return body


case("libvirt's first probe")(replay("kvm"))
case("libvirt's second probe")(replay("tcg"))


@case("what a guest's start asks for, in libvirt's order")
def _():
    with Vm(*BARE, "-smp", "1,maxcpus=2", "-device", "virtio-balloon-pci,id=balloon0", "-blockdev", '{"driver":"null-co","size":1048576,"node-name":"libvirt-1-storage"}',
            "-blockdev", '{"driver":"raw","file":"libvirt-1-storage","node-name":"libvirt-1-format"}', "-device", "virtio-blk-pci,drive=libvirt-1-format,id=virtio-disk0",
            "-chardev", "pty,id=charserial0", "-device", "isa-serial,chardev=charserial0,id=serial0") as vm:
        check(all(c["capability"] != "events" for c in vm("query-migrate-capabilities")), "then libvirt would set it")
        check([c for c in vm("query-chardev") if c["label"] == "charserial0"][0]["filename"].startswith("pty:/dev/pts/"), "pty")
        check(len(vm("query-hotpluggable-cpus")) == 2, "places")
        cpu = vm("query-cpus-fast")[0]
        listed = vm("qom-list", {"path": cpu["qom-path"]})
        for item in listed:
            if item["type"] == "bool":
                check(isinstance(vm("qom-get", {"path": cpu["qom-path"], "property": item["name"]}), bool), item)
        check(vm("qom-get", {"path": cpu["qom-path"], "property": "unavailable-features"}) == [], "unavailable-features")
        check(vm("query-iothreads") == [], "iothreads")
        vm("balloon", {"value": 32 << 20})
        check(vm("query-balloon") == {"actual": 32 << 20}, "balloon")
        vm("query-named-block-nodes", {"flat": True})
        vm("set-action", {"panic": "pause"})
        names = {p["name"] for p in vm("qom-list", {"path": "/machine/peripheral"})}
        check({"balloon0", "virtio-disk0", "serial0"} <= names, names)
        check([b["qdev"] for b in vm("query-block")] == ["/machine/peripheral/virtio-disk0/virtio-backend"], vm("query-block"))
        vm("cont")
        check(vm.names() == ["RESUME"], "RESUME")


main()
