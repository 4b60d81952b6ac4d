#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The tree tells on us: include directions, headers that compile alone, SPDX lines, silenced warnings, sizes, places in docs/map.md,
packages. Prints TAP. Usage: style.py SOURCE-ROOT CC CFLAGS..."""
import os
import re
import subprocess
import sys

root = sys.argv[1]
compiler = sys.argv[2:]
os.chdir(root)
tracked = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], capture_output=True, text=True).stdout.split("\n")
files = [f for f in tracked if f and os.path.isfile(f)]
sources = [f for f in files if f.endswith((".c", ".h", ".S"))]
headers = [f for f in sources if f.endswith(".h")]
product = [f for f in sources if not f.startswith("tests/")]
cases = []


def case(name, complaints):
    cases.append((name, list(complaints)))


# A folder may include only what stands to its right (docs/map.md); the four in the middle never include each other.
MAY = {
    "base": {"base"},
    "accel": {"accel", "base"},
    "block": {"block", "base"},
    "net": {"net", "base"},
    "ui": {"ui", "base"},
    "hw": {"hw", "accel", "block", "net", "ui", "base"},
    "monitor": {"monitor", "hw", "accel", "block", "net", "ui", "base"},
    "cli": {"cli", "monitor", "hw", "accel", "block", "net", "ui", "base"},
}


def text(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def includes(path):
    return re.findall(r'^#\s*include\s+"([^"]+)"', text(path), re.M)


def directions():
    for path in product:
        top = path.split("/")[0]
        for name in includes(path):
            target = name.split("/")[0]
            if top not in MAY:
                yield f"{path}: the folder {top} is not one of the house's"
            elif target not in MAY[top]:
                yield f'{path} includes "{name}": {top} may include only {", ".join(sorted(MAY[top]))}'
            elif not os.path.isfile(name):
                yield f'{path} includes "{name}", which is not written from the root'


def circles():
    module = lambda path: re.sub(r"\.[chS]$", "", path)
    edges = {}
    for path in product:
        edges.setdefault(module(path), set()).update(module(i) for i in includes(path) if i.endswith(".h") and os.path.isfile(i))
    header_edges = {module(h): {module(i) for i in includes(h)} for h in headers}
    done, stack = set(), []

    def walk(node):
        if node in stack:
            yield " -> ".join(stack[stack.index(node):] + [node])
            return
        if node in done:
            return
        stack.append(node)
        for other in sorted(header_edges.get(node, ())):
            yield from walk(other)
        stack.pop()
        done.add(node)

    for node in sorted(header_edges):
        yield from walk(node)


def headers_alone():
    for path in headers:
        if not path.startswith("tests/fuzz"):
            result = subprocess.run(compiler + ["-I.", "-fsyntax-only", "-x", "c", "-"], input=f'#include "{path}"\n',
                                    capture_output=True, text=True)
            if result.returncode:
                yield f"{path}: {result.stderr.splitlines()[0] if result.stderr else 'does not compile'}"


def spdx():
    for path in files:
        if path.endswith((".c", ".h", ".S", ".py", ".sh", "meson.build")) or path in ("tests/run", "tests/demo", "tests/setup", "tests/guests"):
            if "SPDX-License-Identifier: GPL-2.0-or-later" not in "".join(text(path).splitlines(True)[:3]):
                yield f"{path}: no SPDX line at its head"


def head_comments():
    for path in product:
        head = text(path)[:600]
        if os.path.basename(path).split(".")[0] not in head.split("*/")[0] + "".join(head.split("*/")[1:2]):
            yield f"{path}: the head does not say what the file is"


def silence():
    for path in files:
        if path.endswith((".c", ".h", "meson.build")) and re.search(r"-Wno-(all|extra|error)\b|GCC diagnostic ignored", text(path)):
            yield f"{path}: silences warnings"


def marks():
    for path in files:
        if path.endswith((".c", ".h", ".py", ".md")) and path != "tests/style/style.py":
            for number, line in enumerate(text(path).splitlines(), 1):
                if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line):
                    yield f"{path}:{number}: {line.strip()}"
                if "\t" in line and path.endswith((".c", ".h")):
                    yield f"{path}:{number}: a tab"


def sizes():
    for path in product:
        lines = text(path).count("\n")
        if lines > 1000 and "optab" not in path and "/x86/" not in path:
            yield f"{path}: {lines} lines hold two ideas"


def hostile():
    for path in product:
        for number, line in enumerate(text(path).splitlines(), 1):
            if re.search(r"(?<![\w_])(assert|abort|g_assert\w*|g_error|exit)\s*\(", line) and not line.lstrip().startswith(("*", "/*")):
                if path.startswith(("cli/", "base/")) or "static_assert" in line or "_exit" in line:
                    continue
                yield f"{path}:{number}: {line.strip()}: nothing a guest or a peer can reach may end the process"


def map_names():
    if not os.path.isfile("docs/map.md"):
        yield "docs/map.md is missing"
        return
    everything = "\n".join(text(p) for p in product)
    for name in re.findall(r"^\s*-\s*`(\w+)`|`(\w+)\(\)`", text("docs/map.md"), re.M):
        word = name[0] or name[1]
        if not re.search(r"\b%s\b" % word, everything):
            yield f"docs/map.md names {word}, which the code does not have"


def tests_named():
    for path in product:
        for name in re.findall(r"\btests/[a-z]+/[\w-]+\.(?:c|py)\b", text(path)[:4000].split("*/")[1] if "*/" in text(path) else ""):
            if not os.path.isfile(name):
                yield f"{path} names {name}, which is not there"


def device_pages():
    pages = "".join(text(f) for f in files if f.startswith("docs/devices/"))
    for path in product:
        for name in re.findall(r"^const DeviceModel \w+ = \{\s*\.name = \"([^\"]+)\"", text(path), re.M):
            if f"`{name}`" not in pages:
                yield f"{path}: no page of docs/devices has `{name}`"


def packages():
    listed = set(re.findall(r"^([a-z0-9][a-z0-9.+-]*)$", text("tests/packages"), re.M))
    libraries = {"glib-2.0": "libglib2.0-dev", "zlib": "zlib1g-dev", "libseccomp": "libseccomp-dev", "liburing": "liburing-dev",
                 "libzstd": "libzstd-dev", "nettle": "nettle-dev", "slirp": "libslirp-dev", "libvncserver": "libvncserver-dev", "dl": "libc6-dev"}
    needs = {f"dependency('{name}'": package for name, package in libraries.items()} | {"find_library('aio'": "libaio-dev"}
    build = "".join(text(f) for f in files if f.endswith("meson.build"))
    for call, package in needs.items():
        if call in build and package not in listed:
            yield f"tests/packages lacks {package}"
    for found in re.findall(r"dependency\('([a-z0-9.-]+)'", build):
        if found not in libraries and found != "threads":
            yield f"meson asks for {found}: name its package in tests/packages and here"
    calls = {"lz4": "lz4", "cpio": "cpio", "busybox": "busybox-static", "grub-mkrescue": "grub-common", "qemu-system-x86_64": "qemu-system-x86"}
    scripts = "".join(text(f) for f in files if f.startswith("tests/") and not f.endswith((".c", ".h")) and "style" not in f)
    for call, package in calls.items():
        if call in scripts and package not in listed:
            yield f"tests call {call}: tests/packages lacks {package}"


def trademarks():
    secret = re.compile(r"(?<![\w$}\"])/(?:work|root)/|\bfarm-|\bhelper-\d|Claude|\bLLM\b|language model")
    for path in files:
        if path != "tests/style/style.py" and path != "LICENSE" and secret.search(text(path)):
            yield f"{path}: names a machine's path or a tool that is not the product's"


case("include directions", directions())
case("headers do not include each other in circles", circles())
case("headers compile alone", headers_alone())
case("SPDX lines", spdx())
case("files say what they are", head_comments())
case("no blanket silence of warnings", silence())
case("no marks of unfinished work, no tabs", marks())
case("sizes", sizes())
case("no way to end the process from below", hostile())
case("docs/map.md names what is there", map_names())
case("heads name tests that exist", tests_named())
case("every device model has a page", device_pages())
case("package list", packages())
case("nothing of the workplace in the tree", trademarks())

print("TAP version 13")
print(f"1..{len(cases)}")
for number, (name, complaints) in enumerate(cases, 1):
    print(f"{'not ok' if complaints else 'ok'} {number} - {name}")
    for complaint in complaints[:40]:
        print(f"# {complaint}")
sys.exit(0)
