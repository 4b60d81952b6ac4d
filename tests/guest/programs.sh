#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Compilers, interpreters, compressors and ciphers of Debian at work: the same lines on every machine. programs.py runs it on the host and in
# a guest, in the same tree of files. /key.pem comes with the tree.
set -eu
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp PYTHONHASHSEED=0
rm -rf /tmp/job
mkdir -p /tmp/job
cd /tmp/job

say() { printf 'sum of %s: %s\n' "$1" "$(md5sum | cut -d ' ' -f 1)"; }

cat > numbers.c <<'C'
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
struct odd { unsigned a : 3, b : 13, c : 16; char name[5]; } __attribute__((packed));
static uint32_t state = 12345;
static uint32_t r(void) { return state = state * 1103515245 + 12345; }
static int by_value(const void *a, const void *b) { double x = *(const double *)a, y = *(const double *)b; return (x > y) - (x < y); }
static long fib(long n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
static double matrix[3][60][60];
static void multiply(void)
{
    for (int i = 0; i < 60; i++)
        for (int j = 0; j < 60; j++) {
            double sum = 0;
            for (int k = 0; k < 60; k++) sum += matrix[0][i][k] * matrix[1][k][j];
            matrix[2][i][j] = sum;
        }
}
int main(void)
{
    static double values[20000];
    static struct odd odds[1000];
    long double series = 0;
    float small = 1;
    unsigned char bytes[4096];
    for (int i = 0; i < 20000; i++) values[i] = (double)(int32_t)r() / 1000.0 + sqrt((double)r());
    qsort(values, 20000, sizeof *values, by_value);
    for (int i = 0; i < 20000; i += 777) printf("%.17g %a\n", values[i], values[i]);
    for (int i = 1; i < 5000; i++) { series += 1.0L / ((long double)i * i); small = small * 1.0001f + (float)i / 7; }
    printf("%.20Lg %.9g %ld\n", series, (double)small, fib(24));
    for (int i = 0; i < 2 * 60 * 60; i++) ((double *)matrix)[i] = (double)(r() % 1000) / 8;
    multiply();
    printf("%.17g %.17g\n", matrix[2][3][4], matrix[2][59][58]);
    for (int i = 0; i < 1000; i++) { odds[i].a = r(), odds[i].b = r(), odds[i].c = r() >> 16; snprintf(odds[i].name, 5, "%u", r() % 9999); }
    for (unsigned i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)(r() >> 9);
    uint64_t h = 1469598103934665603u;
    for (size_t i = 0; i < sizeof odds; i++) h = (h ^ ((unsigned char *)odds)[i]) * 1099511628211u;
    for (int n = 1; n < 4000; n += 13) { memmove(bytes + n % 50, bytes, 4000 - n); h ^= (uint64_t)(strlen(odds[n % 1000].name) + memcmp(bytes, bytes + n, 96) > 0) << n % 60; h = h << 7 | h >> 57; }
    printf("%016llx %lld %lld %llu\n", (unsigned long long)h, (long long)(int64_t)h / 12347, (long long)(int64_t)h % 977, (unsigned long long)(h / 3));
    printf("%.15g %.15g %.15g %.15g %g\n", sin(1e6), exp(12.34), log(9.87), pow(1.5, 33.3), fmod(1e17, 7));
    return 0;
}
C
for options in "-O0" "-O2" "-O3 -mavx2" "-O2 -mfma -ffp-contract=fast" "-O2 -mfpmath=387" "-O1 -ftrapv"; do
    # shellcheck disable=SC2086
    gcc $options -S numbers.c -o numbers.s
    say "the code of gcc $options" < numbers.s
    gcc numbers.s -o numbers -lm
    ./numbers | say "the program of gcc $options"
done

cat > work.pl <<'P'
use strict; use warnings; use Digest::MD5 qw(md5_hex); use Math::BigInt; use List::Util qw(sum);
my ($seed, @words) = (42);
sub r { $seed = ($seed * 1103515245 + 12345) & 0x7fffffff; return $seed }
push @words, join('', map { chr(97 + r() % 26) } 1 .. 3 + r() % 9) for 1 .. 20000;
my %count; $count{substr($_, 0, 2)}++ for @words;
print join(',', map { "$_=$count{$_}" } sort keys %count), "\n";
print scalar(grep { /^(?:[aeiou][^aeiou]){2,}/ } @words), " ", scalar(grep { /(.).*\1.*\1/ } @words), "\n";
my $text = join ' ', @words; (my $turned = $text) =~ s/(\w+) (\w+)/$2 $1/g; print md5_hex($turned), "\n";
my $big = Math::BigInt->new(1); $big *= $_ for 1 .. 300; print "$big\n";
printf "%.15g %s %d\n", sum(map { 1 / $_ } 1 .. 5000), 1e308 * 10, 2 ** 53;
print join(' ', map { sprintf '%.17g', sqrt($_) * 1.1 } 1 .. 200), "\n";
print unpack('H*', pack('NnCvVa*w', 1, 2, 3, 4, 5, 'six', 12345678)), "\n";
P
perl work.pl | say "perl"

cat > work.py <<'P'
import collections, decimal, fractions, hashlib, json, math, os, random, re, struct, threading, zlib
rng = random.Random(7)
data = bytes(rng.randrange(256) for _ in range(100000))
for name in ("md5", "sha1", "sha256", "sha512", "blake2b", "sha3_256"):
    print(name, hashlib.new(name, data).hexdigest())
print(zlib.crc32(data), zlib.adler32(data), hashlib.md5(zlib.compress(data * 3, 9)).hexdigest())
tree = {str(i): [rng.random(), rng.randrange(10**12), "x" * (i % 7), None, {"n": i / 3}] for i in range(2000)}
text = json.dumps(tree, sort_keys=True)
assert json.loads(text) == tree
print(hashlib.md5(text.encode()).hexdigest())
print(hashlib.md5(" ".join(repr(rng.gauss(0, 1)) + repr(rng.expovariate(2)) for _ in range(5000)).encode()).hexdigest())
print(3 ** 5000 % 10 ** 60, math.factorial(800) % (10 ** 31 + 57), pow(3, 10 ** 18, 2 ** 127 - 1))
decimal.getcontext().prec = 60
print(decimal.Decimal(2).sqrt(), sum(fractions.Fraction(1, n) for n in range(1, 200)))
print([math.fsum([0.1] * 10), math.gamma(5.5), math.erf(0.3), math.hypot(3, 4.5), math.remainder(7.3, 2)])
print(struct.pack("<dfqhB", 1.5, 2.25, -3, 4, 5).hex(), collections.Counter(data).most_common(5))
print(len(re.findall(r"(?:[0-9a-f]{2})+?(?=7)", data.hex())), sorted(rng.sample(range(10**6), 20)))
totals = [0] * 4
def work(which):
    for i in range(30000):
        totals[which] += i * i % (which + 3)
threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
for t in threads: t.start()
for t in threads: t.join()
print(totals)
for n in range(8):
    out, into = os.pipe()
    if os.fork() == 0:
        os.write(into, hashlib.sha256(bytes([n]) * 200000).digest())
        os._exit(0)
    os.close(into)
    print(os.read(out, 32).hex())
    os.wait()
P
python3 work.py | say "python"

i=0
while [ $i -lt 40 ]; do cat numbers.c work.py work.pl numbers.s; i=$((i + 1)); done > text
for tool in "gzip -n" "gzip -n -9" "bzip2" "xz -T1 -3"; do
    $tool -c text > packed
    say "$tool" < packed
    ${tool%% *} -dc packed | cmp - text
done

sort text | uniq -c | sort -k1,1nr -k2 | say "sort and uniq"
for digest in md5 sha256 sha512 sha3-256; do openssl dgst -$digest -r text | say "openssl $digest"; done
for cipher in aes-128-cbc aes-256-ctr chacha20 camellia-128-cbc; do
    key=000102030405060708090a0b0c0d0e0f
    case $cipher in aes-256* | chacha20) key=$key$key ;; esac
    openssl enc "-$cipher" -K "$key" -iv 0f0e0d0c0b0a09080706050403020100 -in text | say "openssl $cipher"
done
openssl dgst -sha256 -sign /key.pem text | say "openssl's signature"
openssl speed -seconds 1 sha256 aes-256-cbc rsa2048 >speed 2>&1
grep -c -E 'rsa 2048|sha256|aes-256' speed | say "openssl speed, its lines"
echo "all done"
