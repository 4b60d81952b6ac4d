#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The runtime folder and the verbs that need no guest: names, ids, races, violent ends, hostile folders, clients that hang. Usage: verbs.py ROOST"""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from vms import FOLDER, PATIENCE, ROOST, STILL, Vm, case, check, fails, home, main, out, roost, verb, wait_for

UUID = "6695eb01-f6a4-8304-79aa-97f2502e193f"


def entries():
    return sorted(name for name in os.listdir(FOLDER) if name.isdigit()) if os.path.isdir(FOLDER) else []


@case("nothing runs: an empty table, and no folder is made")
def _():
    check(verb("list").out == " Id   Name   State\n--------------------\n\n", verb("list"))
    check(out("list", "--name") == "" and not os.path.exists(FOLDER), "a folder")
    fails("domstate", "x", says="failed to get domain 'x'")


@case("a VM is found by id, name and uuid, and its entry goes with it")
def _():
    with Vm("a", "-uuid", UUID) as vm:
        check(os.stat(FOLDER).st_mode & 0o777 == 0o700, oct(os.stat(FOLDER).st_mode))
        for who in ("a", vm.id, UUID, UUID.upper()):
            check(out("domname", who) == "a" and out("domid", who) == vm.id and out("domuuid", who) == UUID, who)
        check(out("domid", "--domain", "a") == vm.id, "--domain")
        check(out("domstate", "a") == "paused" and out("domstate", "--reason", "a") == "paused (starting up)", verb("domstate", "a", "--reason"))
        check(out("list", "--uuid", "--name", "--id") == f"{vm.id} {UUID} a", verb("list", "--uuid", "--name", "--id"))
        info = dict(line.split(":", 1) for line in out("dominfo", "a").splitlines())
        check({k: v.strip() for k, v in info.items() if k != "CPU time"} ==
              {"Id": vm.id, "Name": "a", "UUID": UUID, "OS Type": "hvm", "State": "paused", "CPU(s)": "1", "Max memory": "16384 KiB", "Used memory": "16384 KiB",
               "Persistent": "no", "Autostart": "disable", "Managed save": "no", "Security model": "none", "Security DOI": "0"}, info)
        check(verb("destroy", "a").out == "Domain 'a' destroyed\n\n", "destroy")
        check(vm.ended() == 0, vm.said())
    check(entries() == [], entries())


@case("suspend, resume, reset, and what is refused")
def _():
    with Vm("a") as vm:
        check(verb("resume", "a").out == "Domain 'a' resumed\n\n" and out("domstate", "a", "--reason") == "running (booted)", "resume")
        fails("resume", "a", says="not paused")
        check(verb("suspend", "a").out == "Domain 'a' suspended\n\n" and out("domstate", "a", "--reason") == "paused (user)", "suspend")
        check(out("resume", vm.id) == f"Domain '{vm.id}' resumed" and out("domstate", "a", "--reason") == "running (unpaused)", "again")
        check(out("reset", "a") == "Domain 'a' was reset" and out("domstate", "a") == "running", "reset")
        check(out("shutdown", "a") == "Domain 'a' is being shutdown" and out("reboot", "a", "--mode", "acpi") == "Domain 'a' is being rebooted", "buttons")
        fails("shutdown", "a", "--mode", "agent", says="agent")
        fails("suspend", says="requires <domain>")
        fails("suspend", "a", "b", says="unexpected data 'b'")
        fails("suspend", "a", "--nonsense", says="--nonsense")
        for seconds in ("0", "x", "-1", "nan", ""):
            fails("suspend", "a", "--timeout", seconds, says="--timeout")


@case("list filters by state")
def _():
    with Vm("a"), Vm("b") as b:
        verb("resume", "b")
        check(out("list", "--name").split() == ["a", "b"] and out("list", "--all", "--name").split() == ["a", "b"], "all")
        check(out("list", "--name", "--state-running") == "b" and out("list", "--name", "--state-paused") == "a", "by state")
        check(out("list", "--name", "--state-running", "--state-paused").split() == ["a", "b"], "both")
        for flag in ("--inactive", "--state-shutoff", "--state-other", "--persistent", "--autostart", "--with-snapshot", "--with-managed-save"):
            check(out("list", "--name", flag) == "", flag)
        for flag in ("--transient", "--no-autostart", "--without-snapshot", "--all"):
            check(out("list", "--name", flag).split() == ["a", "b"], flag)
        check(re.fullmatch(rf" Id +Name   State\n-+\n \d+ +a      paused\n {b.id} +b      running\n\n", verb("list").out), verb("list"))
        fails("list", "--table", "--name", says="Only one argument")


@case("names of all kinds")
def _():
    for name in ("a/b", "..", ".", "-x", "a b", "a\nb", "\x1b[31mred", "ä€", "n" * 200, "../../etc/passwd", "none ", "7", "a,b", "%s%n", "'\""):
        with Vm(name) as vm:
            check(out("domid", "--domain", name) == vm.id, name)
            shown = out("domname", "--domain", vm.id) if name != "7" else name
            check(shown.isprintable(), ascii(shown))
            check(len(verb("list").out.splitlines()) == 4, verb("list"))
            check("starting" in out("log", "--domain", name), name)
            verb("destroy", "--domain", name)
            vm.ended()
    check(all(name.endswith((".log", ".0")) and "/" not in name for name in os.listdir(FOLDER + "/log")), os.listdir(FOLDER + "/log"))
    check(entries() == [], entries())


@case("two VMs of one name are told apart by id")
def _():
    with Vm("twin") as one, Vm("twin") as two:
        check(one.id != two.id and out("list", "--name").split() == ["twin", "twin"], verb("list"))
        fails("suspend", "twin", says=f"with the ids {min(one.id, two.id, key=int)} and {max(one.id, two.id, key=int)}")
        check(out("domname", one.id) == "twin", "by id")
        verb("destroy", one.id)
        check(out("domid", "twin") == two.id, "the other one")


@case("without a name nothing is listed; -list-as asks for it, and none refuses it")
def _():
    with Vm(None, listed=False) as vm, Vm("hidden", "-list-as", "none", listed=False) as hidden, Vm(None, "-list-as", "shown"):
        check(out("list", "--name") == "shown", verb("list"))
        check(vm.process.poll() is None and hidden.process.poll() is None, "ended")


@case("a VM that was killed leaves nothing behind for long, whoever looks first")
def _():
    for _ in range(3):
        with Vm("a") as vm, Vm("b"):
            vm.process.send_signal(signal.SIGKILL)
            vm.process.wait()
            check(entries().count(vm.id) == 1, "its entry is there")
            lookers = [subprocess.Popen([ROOST, "list", "--name"], stdout=subprocess.PIPE, text=True) for _ in range(8)]
            check([looker.communicate(timeout=PATIENCE)[0].strip() for looker in lookers] == ["b"] * 8, "they differ")
            check(vm.id not in entries(), entries())
        verb("list")


@case("many come and go at once: ids are unique, nobody is lost")
def _():
    for _ in range(3):
        vms = [Vm(f"m{i}") for i in range(12)]
        try:
            ids = [vm.__enter__().id for vm in vms]
            check(len(set(ids)) == 12 and sorted(out("list", "--name").split()) == sorted(vm.name for vm in vms), ids)
            enders = [subprocess.Popen([ROOST, "destroy", vm.name], stdout=subprocess.DEVNULL) for vm in vms]
            check([ender.wait(timeout=PATIENCE) for ender in enders] == [0] * 12, "destroy")
        finally:
            for vm in vms:
                vm.__exit__()
        check(out("list", "--name") == "" and entries() == [], entries())


@case("a VM that is stopped holds nobody up, and can be destroyed")
def _():
    with Vm("a") as vm, Vm("b"):
        vm.process.send_signal(signal.SIGSTOP)
        check(out("list", "--name").split() == ["a", "b"] and out("domstate", "a") == "paused", "list")
        check("Used memory:    16384 KiB" in out("dominfo", "a"), "dominfo")
        fails("suspend", "b", "--timeout", "x", says="--timeout")
        fails("resume", "a", "--timeout", "0.3", says="does not answer within 0.3 s")
        hanging = []
        for _ in range(200):                # fill its queue
            client = socket.socket(socket.AF_UNIX)
            client.setblocking(False)
            try:
                client.connect(f"{FOLDER}/{vm.id}/qmp")
            except BlockingIOError:
                break
            hanging.append(client)
        check(10 < len(hanging) < 200, len(hanging))
        fails("resume", "a", "--timeout", "0.3", says="does not answer")
        for client in hanging:
            client.close()
        verb("destroy", "a")
        vm.ended()
        check(out("list", "--name") == "b", verb("list"))


@case("clients that hang, vanish or talk nonsense disturb neither verbs nor -qmp")
def _():
    with tempfile.TemporaryDirectory() as folder, Vm("a", "-qmp", f"unix:{folder}/q,server=on,wait=off") as vm:
        own = socket.socket(socket.AF_UNIX)
        own.connect(f"{folder}/q")
        lines = own.makefile("rb")
        lines.readline()
        own.sendall(b'{"execute":"qmp_capabilities"}')
        lines.readline()
        clients = []
        for i in range(100):
            client = socket.socket(socket.AF_UNIX)
            client.connect(f"{FOLDER}/{vm.id}/qmp")
            client.sendall((b"", b'{"execute":"qmp_cap', b"[" * 5000, b"\xff\x00", b'{"execute":"qmp_capabilities"}{"execute":"query-qmp-schema"}' * 8)[i % 5])
            clients.append(client)
        check(out("qmp", "a", "query-status").startswith('{"return"'), "query-status")
        for client in clients[::2]:
            client.close()
        verb("resume", "a")
        check(json.loads(lines.readline())["event"] == "RESUME", "the event")
        labels = json.loads(out("qmp", "a", "query-chardev"))["return"]
        check({entry["label"] for entry in labels} == {"compat_monitor0"}, labels)
        for client in clients:
            client.close()
        wait_for("they are gone", lambda: len(os.listdir(f"/proc/{vm.process.pid}/fd")) < 60)


@case("many clients in turn leak nothing")
def _():
    with Vm("a") as vm:
        def resident():
            return int(open(f"/proc/{vm.process.pid}/statm").read().split()[1]) * 4

        def visit(count):
            for _ in range(count):
                client = socket.socket(socket.AF_UNIX)
                client.connect(f"{FOLDER}/{vm.id}/qmp")
                lines = client.makefile("rb")
                lines.readline()
                client.sendall(b'{"execute":"qmp_capabilities"}{"execute":"query-status"}')
                lines.readline()
                lines.readline()
                client.close()
        visit(200)
        before, fds = resident(), len(os.listdir(f"/proc/{vm.process.pid}/fd"))
        visit(1000)
        with open(ROOST, "rb") as program:  # the address sanitizer keeps what is freed for a while
            most = 65536 if b"__asan_init" in program.read() else 4096
        check(resident() < before + most, f"{before} KiB, then {resident()}")
        wait_for("descriptors are closed", lambda: len(os.listdir(f"/proc/{vm.process.pid}/fd")) <= fds + 1)


@case("qmp and hmp")
def _():
    with Vm("a"):
        check(json.loads(out("qmp", "a", "query-name")) == {"return": {"name": "a"}}, "query-name")
        check(json.loads(out("qmp", "a", '{"execute":"query-name","id":7}')) == {"return": {"name": "a"}, "id": 7}, "a request")
        check("\n    " in out("qmp", "a", "--pretty", "query-status"), "pretty")
        check(json.loads(out("qmp", "a", "qom-get", "path=/machine", "property=type"))["return"], "arguments")
        check(json.loads(verb("qmp", "a", "nosuch", status=1).out)["error"]["class"] == "CommandNotFound", "an error")
        check(json.loads(out("qmp", "a", "stop", status=0)) == {"return": {}}, "stop")
        fails("qmp", "a", "qom-get", "nonsense", says="KEY=VALUE")
        fails("qmp", "a", "{", says="JSON")
        fails("qmp", "a", says="requires COMMAND")
        check(out("hmp", "a", "info", "status") == "VM status: paused (prelaunch)", verb("hmp", "a", "info", "status"))
        check("unknown command" in out("hmp", "a", "nosuch"), verb("hmp", "a", "nosuch"))


@case("the log outlives the VM and has its command line, warnings and end")
def _():
    with Vm("chatty", "-global", "nosuch.x=y") as vm:
        said = out("log", "chatty")
        check("starting" in said and "-global nosuch.x=y" in said and "warning: -global nosuch.x" in said, said)
        verb("destroy", "chatty")
        vm.ended()
    check("ended with status 0" in out("log", "chatty"), "the end")
    ran = roost("-name", "broken", "-display", "none", "-drive", "file=/nonexistent,format=raw")
    check(ran.status == 1 and "/nonexistent" in out("log", "broken") and "status 1" in out("log", "broken"), out("log", "broken"))
    fails("log", "nobody", says="failed to get domain 'nobody'")
    with open(f"{FOLDER}/log/big.log", "w") as file:
        file.write("x" * (2 << 20))
    with Vm("big"):
        check(len(out("log", "big")) < 2000 and os.path.getsize(f"{FOLDER}/log/big.log.0") == 2 << 20, "it was not put aside")


@case("a folder with a path longer than a socket's name may be")
def _():
    deep = home + "/" + "/".join("d" * 60 for _ in range(5))
    os.makedirs(deep, mode=0o700)
    env = {**os.environ, "XDG_RUNTIME_DIR": deep}
    with Vm("deep", env=env, listed=False) as vm:
        wait_for("it is listed", lambda: roost("list", "--name", env=env).out.strip() == "deep")
        wait_for("it answers", lambda: roost("qmp", "deep", "query-name", env=env).status == 0)
        check(roost("destroy", "deep", env=env).status == 0 and vm.ended() == 0, vm.said())


@case("a folder that others could write to, that is no folder or cannot be made: a warning, and the VM runs")
def _():
    def attempt(prepare, says):
        with tempfile.TemporaryDirectory(dir=home) as folder:
            os.chmod(folder, 0o700)
            prepare(folder)
            env = {**os.environ, "XDG_RUNTIME_DIR": folder}
            with Vm("x", "-run-timeout", "60", env=env, listed=False) as vm:
                wait_for(says, lambda: says in vm.said())
                check("'x' will not be listed" in vm.said() and vm.process.poll() is None, vm.said())
            ran = roost("list", env=env)
            check(ran.status == 1 and says in ran.err, ran)

    def wide(folder):
        os.mkdir(folder + "/roost")
        os.chmod(folder + "/roost", 0o777)

    attempt(wide, "mode 0777")
    attempt(lambda folder: open(folder + "/roost", "w").close(), "it is no folder")
    attempt(lambda folder: os.symlink("/tmp", folder + "/roost"), "it is no folder")


@case("links and other things in place of files are not followed")
def _():
    with tempfile.TemporaryDirectory(dir=home) as folder, tempfile.NamedTemporaryFile() as victim:
        os.chmod(folder, 0o700)
        os.makedirs(folder + "/roost/log", mode=0o700)
        os.chmod(folder + "/roost", 0o700)
        env = {**os.environ, "XDG_RUNTIME_DIR": folder}
        os.symlink(victim.name, folder + "/roost/log/x.log")
        os.symlink("/etc", folder + "/roost/1")
        os.mkdir(folder + "/roost/2")
        os.mkfifo(folder + "/roost/2/pid")
        os.mkdir(folder + "/roost/3")
        os.symlink("/proc/self/stat", folder + "/roost/3/pid")
        check(roost("list", "--name", env=env).out.strip() == "", "something is listed")
        with Vm("x", env=env, listed=False) as vm:
            wait_for("it is listed", lambda: roost("list", "--name", env=env).out.strip() == "x")
            check(vm.process.poll() is None, vm.said())
        check(os.path.getsize(victim.name) == 0, "written through a link")


@case("without -daemonize's parent the VM is listed as well")
def _():
    verb("-name", "daemon", *STILL, "-daemonize")
    try:
        wait_for("listed", lambda: out("list", "--name") == "daemon")
        check(json.loads(out("qmp", "daemon", "query-name"))["return"]["name"] == "daemon", "qmp")
    finally:
        verb("destroy", "daemon")


@case("an option of QEMU's that names the guest and more; a sandboxed VM is controlled as well")
def _():
    with Vm(None, "-name", "guest=g1,process=p,debug-threads=on", "-sandbox", "on"):
        check(out("list", "--name") == "g1", verb("list"))
        verb("resume", "g1")
        verb("destroy", "g1", "--remove-logs")
    check(not os.path.exists(FOLDER + "/log/g1.log"), "the log is there")


main()
