#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the machine says of itself, its replies compared in shape with QEMU's. Usage: machine.py ROOST"""
from qmp import BARE, Vm, case, check, differences, main, qemu, shape

ARGS = (*BARE, "-smp", "2,maxcpus=3", "-name", "g1", "-uuid", "11111111-2222-3333-4444-555555555555", "-object", "iothread,id=io0", "-serial", "null",
        "-device", "virtio-rng-pci,id=rng0")
QUERIES = ["query-name", "query-uuid", "query-kvm", "query-target", "query-current-machine", "query-cpus-fast", "query-hotpluggable-cpus",
           "query-memory-size-summary", "query-memory-devices", "query-iothreads", "query-chardev", "query-chardev-backends", "query-pci", "query-mice",
           "query-tpm-models", "query-tpm-types", "query-migrate-capabilities", "query-stats-schemas", "query-machines", "query-cpu-definitions",
           "query-command-line-options", "query-version", "query-commands", "query-fdsets"]
# Where shapes may differ, and why.
EXPLAINED = {
    "-query-machines[].default-ram-id",            # there is no memory-backend object yet
    "-query-cpu-definitions[].alias-of",           # models have no versions
    "-query-command-line-options[].parameters[].default",
}


@case("replies have QEMU's shape")
def _():
    with Vm(*ARGS) as ours, qemu(*ARGS) as theirs:
        for command in QUERIES:
            for line in differences(shape(ours(command)), shape(theirs(command)), command):
                check(line in EXPLAINED, line)


@case("the values that must be the same are")
def _():
    with Vm(*ARGS) as ours, qemu(*ARGS) as theirs:
        for command in ("query-name", "query-uuid", "query-target", "query-current-machine", "query-memory-size-summary"):
            check(ours(command) == theirs(command), f"{command}: {ours(command)}, not {theirs(command)}")
        for mine, other in zip(ours("query-cpus-fast"), theirs("query-cpus-fast")):
            check(mine["props"] == other["props"] and mine["cpu-index"] == other["cpu-index"], (mine, other))
        mine, other = ({(d["slot"], d["function"]): (d["class_info"], d["id"], d["irq_pin"]) for d in vm("query-pci")[0]["devices"]} for vm in (ours, theirs))
        check(mine == other, (mine, other))


@case("the threads that are told are there")
def _():
    with Vm(*ARGS, "-accel", "tcg") as vm:
        for item in vm("query-cpus-fast") + vm("query-iothreads"):
            check(open(f"/proc/{vm.process.pid}/task/{item['thread-id']}/comm").read(), item)


@case("the translator tells what it did")
def _():
    with Vm(*ARGS, "-accel", "tcg") as vm:
        check(vm("x-query-jit")["human-readable-text"].count("CPU ") == 2, vm("x-query-jit"))
        check("KiB" in vm("human-monitor-command", {"command-line": "info jit"}), "info jit")
    with Vm(*ARGS, "-accel", "tcg,interp=on") as vm:
        check("interprets" in vm("x-query-jit")["human-readable-text"], vm("x-query-jit"))


@case("models expand to their features")
def _():
    with Vm(*ARGS, "-accel", "tcg") as vm:
        def props(name, kind="static", **given):
            return vm("query-cpu-model-expansion", {"type": kind, "model": {"name": name, "props": given}})["model"]["props"]
        check(props("qemu64")["sse3" if "sse3" in props("qemu64") else "pni"] is True and props("qemu64")["avx2"] is False, "qemu64")
        check(props("max", migratable=False)["hypervisor"] is True, "max")
        check(props("qemu64", "full", pni=False)["pni"] is False, "a property was not applied")
        check(vm.error("query-cpu-model-expansion", {"type": "full", "model": {"name": "qemu64", "props": {"nosuch": True}}})
              == ("GenericError", "Property 'qemu64-x86_64-cpu.nosuch' not found"), "nosuch")
        check(vm.error("query-cpu-model-expansion", {"type": "sideways", "model": {"name": "qemu64"}})[0] == "GenericError", "sideways")


@case("one option of the command line can be asked for")
def _():
    with Vm(*BARE) as vm:
        one = vm("query-command-line-options", {"option": "smp"})
        check([o["option"] for o in one] == ["smp"] and {"cpus", "cores"} <= {p["name"] for p in one[0]["parameters"]}, one)
        check(vm.error("query-command-line-options", {"option": "nosuch"})[0] == "GenericError", "nosuch")


@case("an empty machine answers as QEMU's")
def _():
    none = ("-S", "-M", "none", "-nodefaults", "-display", "none")
    with Vm(*none) as ours, qemu(*none) as theirs:
        for command in ("query-cpus-fast", "query-pci", "query-memory-devices", "query-iothreads"):
            check(ours(command) == theirs(command) == [], command)
        check(ours.error("query-hotpluggable-cpus") == theirs.error("query-hotpluggable-cpus"), "query-hotpluggable-cpus")


main()
