# SPDX-License-Identifier: GPL-2.0-or-later
# damage.py - qcow2 images with one thing broken: a table of small changes to a sound image
import os
import struct
import subprocess


def run(*command, ok=(0,), timeout=60):
    done = subprocess.run(command, capture_output=True, timeout=timeout)
    if ok is not None and done.returncode not in ok:
        raise AssertionError(f"{' '.join(command)}: status {done.returncode}: {done.stderr.decode(errors='replace')}")
    return done


class Image:
    """A qcow2 file as numbers; fields are read when asked for, written at once."""

    def __init__(self, path):
        self.path = path

    def u(self, offset, bits=64):
        with open(self.path, "rb") as file:
            file.seek(offset)
            return int.from_bytes(file.read(bits // 8), "big")

    def put(self, offset, value, bits=64):
        with open(self.path, "r+b") as file:
            file.seek(offset)
            file.write(value.to_bytes(bits // 8, "big"))

    @property
    def cluster(self):
        return 1 << self.u(20, 32)

    @property
    def size(self):
        return os.path.getsize(self.path)

    @property
    def l1(self):
        return self.u(40)

    @property
    def l1_size(self):
        return self.u(36, 32)

    def l2(self, index=0):
        return self.u(self.l1 + 8 * index) & 0x00fffffffffffe00

    @property
    def reftable(self):
        return self.u(48)

    def refblock(self, index=0):
        return self.u(self.reftable + 8 * index) & ~0x1ff

    @property
    def snapshots(self):
        return self.u(64)

    def ref_at(self, cluster):
        return self.refblock(cluster // (self.cluster // 2)) + 2 * (cluster % (self.cluster // 2))

    def ref(self, cluster):
        return self.u(self.ref_at(cluster), 16)

    def put_ref(self, cluster, count):
        self.put(self.ref_at(cluster), count, 16)

    def entry(self, n, l2=0):
        return self.u(self.l2(l2) + 8 * n)

    def put_entry(self, n, value, l2=0):
        self.put(self.l2(l2) + 8 * n, value)

    def extension(self, kind):
        at = self.u(100, 32)
        while True:
            found, length = self.u(at, 32), self.u(at + 4, 32)
            if found in (kind, 0):
                return at + 8 if found else None
            at += 8 + (length + 7) // 8 * 8


def base(path, compat="1.1", snapshot=False, bitmap=False, compressed=False, options="", cluster=65536, size="64M"):
    extra = f",{options}" if options else ""
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", f"compat={compat},cluster_size={cluster}{extra}", path, size)
    run("qemu-io", "-f", "qcow2", "-c", "write -P 1 0 256k", "-c", "write -P 2 1M 128k", "-c", "write -P 3 40M 64k", path)
    if compressed:
        run("qemu-io", "-f", "qcow2", "-c", "write -c -P 5 2M 64k", "-c", "write -c -P 6 3M 64k", path)
    if snapshot:
        run("qemu-img", "snapshot", "-c", "one", path)
        run("qemu-io", "-f", "qcow2", "-c", "write -P 4 0 64k", path)
    if bitmap:
        run("qemu-img", "bitmap", "--add", path, "b0")
        run("qemu-io", "-f", "qcow2", "-c", "write -P 7 1M 64k", path)
    return Image(path)


COPIED, COMPRESSED, OFFSET = 1 << 63, 1 << 62, 0x00fffffffffffe00
BITMAPS = 0x23852875
DAMAGE = []                                # (name, options of base, function of Image)


def damage(name, **options):
    def add(function):
        DAMAGE.append((name, options, function))
        return function
    return add


@damage("nothing")
def _(i):
    pass


@damage("nothing, with snapshot, bitmap, compressed clusters", snapshot=True, bitmap=True, compressed=True)
def _(i):
    pass


@damage("leaked cluster: refcount of a free cluster is one")
def _(i):
    i.put_ref(i.size // i.cluster + 3, 1)


@damage("leaked cluster inside the file: L2 entry cleared")
def _(i):
    i.put_entry(1, 0)


@damage("refcount too high")
def _(i):
    i.put_ref((i.entry(0) & OFFSET) // i.cluster, 2)


@damage("refcount of a data cluster is zero")
def _(i):
    i.put_ref((i.entry(0) & OFFSET) // i.cluster, 0)


@damage("refcounts of all data clusters are zero")
def _(i):
    for n in range(4):
        i.put_ref((i.entry(n) & OFFSET) // i.cluster, 0)


@damage("refcount of the L2 table is zero")
def _(i):
    i.put_ref(i.l2() // i.cluster, 0)


@damage("refcount of the L1 table is zero")
def _(i):
    i.put_ref(i.l1 // i.cluster, 0)


@damage("refcount of the header is zero")
def _(i):
    i.put_ref(0, 0)


@damage("refcount of the refcount block is zero")
def _(i):
    i.put_ref(i.refblock() // i.cluster, 0)


@damage("refcount of the refcount block is two")
def _(i):
    i.put_ref(i.refblock() // i.cluster, 2)


@damage("two L2 entries, one cluster")
def _(i):
    i.put_entry(5, i.entry(0))


@damage("two L2 entries, one cluster, no COPIED, refcount two")
def _(i):
    i.put_entry(5, i.entry(0) & ~COPIED)
    i.put_entry(0, i.entry(0) & ~COPIED)
    i.put_ref((i.entry(0) & OFFSET) // i.cluster, 2)


@damage("L2 entry without COPIED")
def _(i):
    i.put_entry(0, i.entry(0) & ~COPIED)


@damage("L1 entry without COPIED")
def _(i):
    i.put(i.l1, i.u(i.l1) & ~COPIED)


@damage("L2 entry with COPIED, refcount two", snapshot=True)
def _(i):
    i.put_entry(1, i.entry(1) | COPIED)


@damage("L2 entry not aligned")
def _(i):
    i.put_entry(0, i.entry(0) + 512)


@damage("L2 entry, zero cluster not aligned")
def _(i):
    i.put_entry(0, (i.entry(0) + 512) | 1)


@damage("L2 entry beyond the end")
def _(i):
    i.put_entry(0, 1 << 40 | COPIED)


@damage("L2 entry far beyond the end")
def _(i):
    i.put_entry(0, OFFSET & ~0xffff | COPIED)


@damage("L2 entry with reserved bits")
def _(i):
    i.put_entry(0, i.entry(0) | 1 << 58)


@damage("L2 entry with low reserved bits")
def _(i):
    i.put_entry(0, i.entry(0) | 2)


@damage("L2 entry points to the header")
def _(i):
    i.put_entry(20, COPIED)


@damage("L2 entry points to the L2 table")
def _(i):
    i.put_entry(20, i.l2() | COPIED)


@damage("L2 entry points to the L1 table")
def _(i):
    i.put_entry(20, i.l1 | COPIED)


@damage("L2 entry points to the refcount block")
def _(i):
    i.put_entry(20, i.refblock() | COPIED)


@damage("L2 entry points to the refcount table")
def _(i):
    i.put_entry(20, i.reftable | COPIED)


@damage("L1 entry not aligned")
def _(i):
    i.put(i.l1, i.u(i.l1) + 512)


@damage("L1 entry beyond the end")
def _(i):
    i.put(i.l1, 1 << 40 | COPIED)


@damage("L1 entry with reserved bits")
def _(i):
    i.put(i.l1, i.u(i.l1) | 1 << 57)


@damage("L1 entry points to the header")
def _(i):
    i.put(i.l1, 512 * 0 + i.cluster * 0 | COPIED)


@damage("L1 entry points to the refcount table")
def _(i):
    i.put(i.l1, i.reftable | COPIED)


@damage("L1 table not aligned in the header")
def _(i):
    i.put(40, i.l1 + 512)


@damage("L1 table beyond the end")
def _(i):
    i.put(40, 1 << 40)


@damage("L1 entry zero: all clusters leak")
def _(i):
    i.put(i.l1, 0)


@damage("refcount table entry zero")
def _(i):
    i.put(i.reftable, 0)


@damage("refcount table entry not aligned")
def _(i):
    i.put(i.reftable, i.u(i.reftable) + 512)


@damage("refcount table entry beyond the end")
def _(i):
    i.put(i.reftable, 1 << 40)


@damage("refcount table entry reserved bits")
def _(i):
    i.put(i.reftable, i.u(i.reftable) | 3)


@damage("refcount block at the header")
def _(i):
    i.put(i.reftable + 8, 0 | 0)
    i.put(i.reftable, i.l1)


@damage("refcount table twice the same block")
def _(i):
    i.put(i.reftable + 8, i.u(i.reftable))


@damage("second refcount block beyond the end")
def _(i):
    i.put(i.reftable + 8, 1 << 40)


@damage("second refcount block not aligned")
def _(i):
    i.put(i.reftable + 8, i.refblock() + 512)


@damage("refcount table beyond the end")
def _(i):
    i.put(48, 1 << 40)


@damage("refcount table at zero")
def _(i):
    i.put(48, 0)


@damage("refcount block overwritten by ones")
def _(i):
    with open(i.path, "r+b") as file:
        file.seek(i.refblock())
        file.write(b"\xff" * i.cluster)


@damage("refcount block overwritten by zeroes")
def _(i):
    with open(i.path, "r+b") as file:
        file.seek(i.refblock())
        file.write(b"\0" * i.cluster)


@damage("L2 table overwritten by zeroes")
def _(i):
    with open(i.path, "r+b") as file:
        file.seek(i.l2())
        file.write(b"\0" * i.cluster)


@damage("L2 table overwritten by random bytes")
def _(i):
    with open(i.path, "r+b") as file:
        file.seek(i.l2())
        file.write(bytes((n * 167 + n // 256 * 13) & 255 for n in range(i.cluster)))


@damage("file cut in the middle of the data")
def _(i):
    os.truncate(i.path, (i.entry(2) & OFFSET))


@damage("file cut by half a cluster")
def _(i):
    os.truncate(i.path, i.size - i.cluster // 2)


@damage("dirty bit")
def _(i):
    i.put(72, i.u(72) | 1)


@damage("dirty bit, refcounts zero", options="lazy_refcounts=on")
def _(i):
    i.put(72, i.u(72) | 1)
    for n in range(4):
        i.put_ref((i.entry(n) & OFFSET) // i.cluster, 0)


@damage("corrupt bit")
def _(i):
    i.put(72, i.u(72) | 2)


@damage("snapshot's L1 not aligned", snapshot=True)
def _(i):
    i.put(i.snapshots, i.u(i.snapshots) + 512)


@damage("snapshot's L1 beyond the end", snapshot=True)
def _(i):
    i.put(i.snapshots, 1 << 40)


@damage("snapshot's L1 too large", snapshot=True)
def _(i):
    i.put(i.snapshots + 8, 0x7fffffff, 32)


@damage("snapshot's extra data too large", snapshot=True)
def _(i):
    i.put(i.snapshots + 36, 5000, 32)


@damage("snapshot table runs over its end", snapshot=True)
def _(i):
    i.put(60, 3, 32)


@damage("snapshot count zero", snapshot=True)
def _(i):
    i.put(60, 0, 32)


@damage("too many snapshots", snapshot=True)
def _(i):
    i.put(60, 70000, 32)


@damage("snapshot table beyond the end", snapshot=True)
def _(i):
    i.put(64, 1 << 40)


@damage("snapshot table not aligned", snapshot=True)
def _(i):
    i.put(64, i.u(64) + 8)


@damage("snapshot's L2 entry broken", snapshot=True)
def _(i):
    l1 = i.u(i.snapshots)
    l2 = i.u(l1) & OFFSET
    i.put(l2, i.u(l2) + 512)


@damage("shared L2 table, refcount one", snapshot=True)
def _(i):
    l1 = i.u(i.snapshots)
    i.put_ref((i.u(l1) & OFFSET) // i.cluster, 3)


@damage("bitmap directory beyond the end", bitmap=True)
def _(i):
    i.put(i.extension(BITMAPS) + 16, 1 << 40)


@damage("bitmap directory not aligned", bitmap=True)
def _(i):
    i.put(i.extension(BITMAPS) + 16, i.u(i.extension(BITMAPS) + 16) + 8)


@damage("bitmap table beyond the end", bitmap=True)
def _(i):
    i.put(i.u(i.extension(BITMAPS) + 16), 1 << 40)


@damage("bitmap table entry with reserved bits", bitmap=True)
def _(i):
    i.put(i.u(i.u(i.extension(BITMAPS) + 16)), 2)


@damage("bitmap table entry points to data", bitmap=True)
def _(i):
    i.put(i.u(i.u(i.extension(BITMAPS) + 16)), i.entry(0) & OFFSET)


@damage("bitmap count too large", bitmap=True)
def _(i):
    i.put(i.extension(BITMAPS), 70000, 32)


@damage("bitmap directory entry broken", bitmap=True)
def _(i):
    i.put(i.u(i.extension(BITMAPS) + 16) + 17, 70, 8)


@damage("bitmap in use", bitmap=True)
def _(i):
    at = i.u(i.extension(BITMAPS) + 16) + 12
    i.put(at, i.u(at, 32) | 1, 32)


@damage("autoclear bit of bitmaps off", bitmap=True)
def _(i):
    i.put(88, 0)


@damage("compressed cluster beyond the end", compressed=True)
def _(i):
    i.put_entry(32, COMPRESSED | 1 << 40)


@damage("compressed cluster with COPIED", compressed=True)
def _(i):
    i.put_entry(32, i.entry(32) | COPIED)


@damage("compressed cluster, refcount zero", compressed=True)
def _(i):
    i.put_ref((i.entry(32) & 0x3fffffffffff) // i.cluster, 0)


@damage("compressed cluster, refcount too high", compressed=True)
def _(i):
    i.put_ref((i.entry(32) & 0x3fffffffffff) // i.cluster, 7)


@damage("compressed cluster in an old image", compat="0.10", compressed=True)
def _(i):
    i.put_ref((i.entry(32) & 0x3fffffffffff) // i.cluster, 7)


@damage("zero bit in an old image", compat="0.10")
def _(i):
    i.put_entry(0, i.entry(0) | 1)


@damage("old image, refcount zero", compat="0.10")
def _(i):
    i.put_ref((i.entry(0) & OFFSET) // i.cluster, 0)


@damage("extended L2: allocated and zero", options="extended_l2=on")
def _(i):
    i.put(i.l2() + 8, 0x00000001ffffffff)


@damage("extended L2: bitmap without a cluster", options="extended_l2=on")
def _(i):
    i.put(i.l2() + 16 * 100 + 8, 0x1)


@damage("extended L2: compressed with a bitmap", options="extended_l2=on", compressed=True)
def _(i):
    i.put(i.l2() + 16 * 32 + 8, 0x1)


@damage("extended L2: zero bit", options="extended_l2=on")
def _(i):
    i.put(i.l2(), i.u(i.l2()) | 1)


@damage("extended L2: not aligned", options="extended_l2=on")
def _(i):
    i.put(i.l2(), i.u(i.l2()) + 512)
