# SPDX-License-Identifier: GPL-2.0-or-later
# domain.py - small domain files for the tests, and what roost makes of them
import os
import shlex
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
from tap import Skip, case, check, main, one_line, roost  # noqa: E402,F401

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDER = tempfile.TemporaryDirectory(prefix="roost-xml-")
# Nothing of the host's libvirt may leak in.
ENVIRONMENT = dict(os.environ, XDG_CONFIG_HOME=os.path.join(FOLDER.name, "config"), XDG_RUNTIME_DIR=os.path.join(FOLDER.name, "run"))


def domain(devices="", head="", os_more="", kind="qemu", features="<acpi/>", memory="<memory unit='MiB'>64</memory>", more=""):
    return (f"<domain type='{kind}' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>\n<name>d</name>\n{memory}\n{head}\n"
            f"<os><type arch='x86_64' machine='pc'>hvm</type>{os_more}</os>\n<features>{features}</features>\n"
            f"<devices>\n<memballoon model='none'/>\n{devices}\n</devices>\n{more}\n</domain>\n")


def write(text, name="d.xml"):
    path = os.path.join(FOLDER.name, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(text if isinstance(text, bytes) else text.encode())
    return path


def argv_of(path, *more):
    """The options of a domain file: a list of words."""
    ran = roost("xml2argv", path, *more, env=ENVIRONMENT)
    check(ran.status == 0, ran)
    return shlex.split(ran.out.replace("\\\n", " ")), ran


def holds(argv, expected):
    """The words of expected follow each other somewhere in argv."""
    words = shlex.split(expected)
    return any(argv[i:i + len(words)] == words for i in range(len(argv)))
