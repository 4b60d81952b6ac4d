#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Linux in the user network: net.py ROOST GUESTS-FOLDER CASE... (no case: their names).

DHCP, a name, a ping to the gateway, a megabyte each way with checksums over IPv4 and IPv6, and a connection in through hostfwd."""
import hashlib
import http.server
import os
import re
import shutil
import socket
import socketserver
import sys
import tempfile
import threading
import time
import urllib.request

import console

roost, guests = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
CASES = {"virtio": ("virtio_pci,virtio_net", "virtio-net-pci"), "virtio-legacy": ("virtio_pci,virtio_net", "virtio-net-pci,disable-modern=on,mrg_rxbuf=off"),
         "virtio-plain": ("virtio_pci,virtio_net", "virtio-net-pci,csum=off,guest_csum=off,event_idx=off,indirect_desc=off")}
PROMPT = r"/ # "
NAME, ADDRESS = "here.roost.test", "192.0.2.7"
CONTENT = hashlib.shake_128(b"roost").digest(8 << 20)
SUM = hashlib.md5(CONTENT).hexdigest()
LEASE = ('printf \'#!/bin/sh\\n[ "$1" = bound ] && { ip addr add $ip/$mask dev $interface; ip route add default via $router; '
         'echo nameserver $dns > /etc/resolv.conf; echo lease $ip $router $dns $domain $hostname; }\\n\' > /lease; chmod +x /lease\n')


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def __init__(self, family, address):
        self.address_family = family
        super().__init__((address, 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT)

    def log_message(self, *_):
        pass


class Sink(threading.Thread):
    """Takes what one connection sends."""

    def __init__(self):
        super().__init__(daemon=True)
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port, self.sum = self.server.getsockname()[1], None
        self.start()

    def run(self):
        with self.server.accept()[0].makefile("rb") as stream:
            self.sum = hashlib.md5(stream.read()).hexdigest()


def names(server):
    """A name server that knows one name."""
    while True:
        question, peer = server.recvfrom(512)
        wire = b"".join(bytes([len(part)]) + part.encode() for part in NAME.split(".")) + b"\0"
        known = question[12:].lower().startswith(wire) and question[12 + len(wire):][:2] == b"\0\1"
        answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton(ADDRESS) if known else b""
        server.sendto(question[:2] + b"\x81\x80\0\1" + (b"\0\1" if known else b"\0\0") + b"\0\0\0\0" + question[12:] .split(b"\0\0\x29")[0] + answer, peer)


def name_server(folder):
    """What to put before the command so that Roost asks ours; nothing where we may not."""
    try:
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        server.bind(("127.0.0.211", 53))
    except OSError:
        return []
    threading.Thread(target=names, args=[server], daemon=True).start()
    with open(f"{folder}/resolv.conf", "w", encoding="utf-8") as file:
        file.write("nameserver 127.0.0.211\n")
    return ["unshare", "--mount", "sh", "-c", f'mount --bind {folder}/resolv.conf "$(readlink -f /etc/resolv.conf)" && exec "$@"', "sh"]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def visit(port, result):
    """Comes in through the forward, as soon as the guest's server is there."""
    for _ in range(300):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/content", timeout=30) as reply:
                result.append(hashlib.md5(reply.read()).hexdigest())
            return
        except OSError:
            time.sleep(0.1)


def run(case):
    if not os.path.exists(f"{guests}/initrd-generic.gz"):
        raise console.Skip("initrd-generic.gz missing: run tests/guests with generic")
    modules, card = CASES[case]
    with tempfile.TemporaryDirectory() as folder:
        asks = name_server(folder) if os.geteuid() == 0 and shutil.which("unshare") else []
        four = Server(socket.AF_INET, "127.0.0.1")
        try:
            six = Server(socket.AF_INET6, "::1")
        except OSError:
            six = None
        port, inside, sink = free_port(), [], Sink()
        command = [*asks, roost, "-accel", os.environ.get("ROOST_TEST_ACCEL", "tcg"), "-m", "256", "-nographic", "-nodefaults", "-serial", "stdio", "-no-reboot",
                   "-kernel", f"{guests}/vmlinuz-generic", "-initrd", f"{guests}/initrd-generic.gz", "-append", f"console=ttyS0 quiet panic=-1 roost.modules={modules}",
                   "-netdev", f"user,id=n0,hostfwd=tcp:127.0.0.1:{port}-:80,hostname=guest,domainname=roost.test", "-device", f"{card},netdev=n0,mac=52:54:00:ab:cd:ef"]
        url = f"http://10.0.2.2:{four.server_port}/x"
        script = [
            (PROMPT, "ip link set eth0 up; cat /sys/class/net/eth0/address\n"), (r"52:54:00:ab:cd:ef.*" + PROMPT, LEASE), (PROMPT, "udhcpc -i eth0 -q -n -s /lease\n"),
            (r"lease 10\.0\.2\.15 10\.0\.2\.2 10\.0\.2\.3 roost\.test guest\r.*" + PROMPT, "ping -c 2 -i 0.2 10.0.2.2\n"),
            (r" 2 packets received.*" + PROMPT, f"nslookup {NAME}\n" if asks else f"echo {ADDRESS}\n"), (re.escape(ADDRESS) + r"\r.*" + PROMPT, f"wget -q -O /content {url}; md5sum /content\n"),
            (SUM + r".*" + PROMPT, f"nc 10.0.2.2 {sink.port} < /content; echo sent\n"), (r"\nsent\r.*" + PROMPT, "httpd -p 80 -h /; echo serving\n"),
            (r"\nserving\r.*" + PROMPT, "for i in 1 2 3 4 5 6 7 8 9; do ping6 -c 1 fec0::2 && break; sleep 1; done\n"), (r" 1 packets received.*" + PROMPT,
             f"wget -q -O - 'http://[fec0::2]:{six.server_port}/x' | md5sum\n" if six else f"echo {SUM}\n"),
            (SUM + r".*" + PROMPT, "while ! [ -e /tmp/over ]; do sleep 0.1; netstat -tn | grep -q ':80 .*TIME_WAIT' && touch /tmp/over; done; poweroff -f\n")]
        threading.Thread(target=visit, args=[port, inside], daemon=True).start()
        outcome = console.follow(command, script, 120)
        assert not outcome.failure, outcome.failure + "\n" + outcome.tail()
        sink.join(20)
        assert sink.sum == SUM, f"what was sent has the sum {sink.sum}, not {SUM}"
        assert inside == [SUM], f"through the forward came {inside}, not {SUM}"
        return f"{outcome.took:.1f} s" + ("" if asks else ", without names: needs root") + ("" if six else ", without ::1")


def two_guests(_):
    """On one wire between them: the second sends zeros, the first tells their sum."""
    if not os.path.exists(f"{guests}/initrd-generic.gz"):
        raise console.Skip("initrd-generic.gz missing: run tests/guests with generic")
    port, total = free_port(), hashlib.md5(bytes(16 << 20)).hexdigest()

    def guest(where, script):
        command = [roost, "-accel", os.environ.get("ROOST_TEST_ACCEL", "tcg"), "-m", "256", "-nographic", "-nodefaults", "-serial", "stdio", "-no-reboot",
                   "-kernel", f"{guests}/vmlinuz-generic", "-initrd", f"{guests}/initrd-generic.gz", "-append", "console=ttyS0 quiet panic=-1 roost.modules=virtio_pci,virtio_net",
                   "-netdev", f"socket,id=n0,{where}=127.0.0.1:{port}", "-device", "virtio-net-pci,netdev=n0"]
        return console.follow(command, script, 60)
    outcomes = {}
    listens = threading.Thread(target=lambda: outcomes.update(one=guest("listen", [
        (PROMPT, "ip link set eth0 up; ip addr add 10.9.9.1/24 dev eth0; nc -l -p 5000 | md5sum\n"), (total + r".*" + PROMPT, "poweroff -f\n")])))
    listens.start()
    time.sleep(1)
    outcomes["other"] = guest("connect", [
        (PROMPT, "ip link set eth0 address 52:54:00:12:34:57; ip link set eth0 up; ip addr add 10.9.9.2/24 dev eth0; until ping -c 1 -W 1 10.9.9.1; do sleep 0.2; done\n"),
        (r" 1 packets received.*" + PROMPT, "sleep 1; until dd if=/dev/zero bs=1M count=16 2>/dev/null | nc -w 5 10.9.9.1 5000; do sleep 0.2; done; "
         "while netstat -tn | grep 5000 | grep -qv TIME_WAIT; do sleep 0.2; done; echo sent\n"),
        (r"\nsent\r.*" + PROMPT, "poweroff -f\n")])
    listens.join()
    assert not any(outcome.failure for outcome in outcomes.values()), "\n".join(f"{outcome.failure}\n{outcome.tail()}" for outcome in outcomes.values())


CASES["two-guests"] = None
names_of_cases = sys.argv[3:]
if not names_of_cases:
    print("\n".join(CASES))
    sys.exit(0)
console.report([(name, lambda name=name: two_guests(name) if name == "two-guests" else run(name)) for name in names_of_cases])
