#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Takes the ELF kernel out of a bzImage: extract-vmlinux.py BZIMAGE VMLINUX."""
import gzip
import lzma
import struct
import subprocess
import sys

data = open(sys.argv[1], "rb").read()
setup_sectors = data[0x1F1] or 4
offset, length = struct.unpack_from("<II", data, 0x248)     # payload_offset, payload_length of the setup header
payload = data[(setup_sectors + 1) * 512 + offset:][:length]
if payload.startswith(b"\xfd7zXZ\0"):
    kernel = lzma.LZMADecompressor().decompress(payload)
elif payload.startswith(b"\x1f\x8b"):
    kernel = gzip.decompress(payload[:-4])
elif payload.startswith(b"\x02\x21\x4c\x18"):
    kernel = subprocess.run(["lz4", "-d", "-c"], input=payload[:-4], stdout=subprocess.PIPE, check=True).stdout
else:
    sys.exit("extract-vmlinux: the kernel is compressed in a way this script does not know: " + payload[:6].hex())
if not kernel.startswith(b"\x7fELF"):
    sys.exit("extract-vmlinux: the payload is no ELF file")
open(sys.argv[2], "wb").write(kernel)
