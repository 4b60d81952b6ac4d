/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Integer code: no system calls, little memory.  Built without SSE. */
#include "gb.h"
#include <string.h>

/* --- core: list walking, matrix, state machine and CRC, the usual embedded mix --- */
struct node { struct node *next; int16_t key, idx; };
static struct node nodes[256];
static int16_t ma[24][24], mb[24][24];
static int32_t mc[24][24];

static uint16_t crc16(uint16_t crc, uint16_t v)
{
    for (int i = 0; i < 16; i++) {
        int bit = (v ^ crc) & 1;
        v >>= 1;
        crc >>= 1;
        if (bit)
            crc ^= 0xA001;
    }
    return crc;
}

static NOINLINE struct node *list_reverse(struct node *l)
{
    struct node *r = NULL;
    while (l) {
        struct node *n = l->next;
        l->next = r;
        r = l;
        l = n;
    }
    return r;
}

static NOINLINE struct node *list_find(struct node *l, int key)
{
    while (l && l->key != key)
        l = l->next;
    return l;
}

static NOINLINE unsigned scan(const char *s)
{
    enum { START, INT, FLOAT, EXP, BAD } st = START;
    unsigned count[5] = { 0 };
    for (; *s; s++) {
        char c = *s;
        if (c == ',') {
            count[st]++;
            st = START;
            continue;
        }
        switch (st) {
        case START: st = (c >= '0' && c <= '9') || c == '-' ? INT : BAD; break;
        case INT: st = c >= '0' && c <= '9' ? INT : c == '.' ? FLOAT : c == 'e' ? EXP : BAD; break;
        case FLOAT: st = c >= '0' && c <= '9' ? FLOAT : c == 'e' ? EXP : BAD; break;
        case EXP: st = (c >= '0' && c <= '9') || c == '-' ? EXP : BAD; break;
        default: break;
        }
    }
    return count[0] + 3 * count[1] + 7 * count[2] + 11 * count[3] + 13 * count[4];
}

static uint64_t core(uint64_t n)
{
    static const char text[] = "1,22,-333,4.5,6e7,x9,1.2e-3,12a,-,77,3.14159,2e2e,,5,";
    uint64_t h = 0;
    while (n--) {
        uint16_t crc = 0xFFFF;
        h = 0;
        for (int i = 0; i < 256; i++) {
            nodes[i].key = (int16_t)(i * 37 % 256);
            nodes[i].idx = (int16_t)i;
            nodes[i].next = i < 255 ? &nodes[i + 1] : NULL;
        }
        struct node *l = nodes;
        for (int i = 0; i < 16; i++) {
            struct node *f = list_find(l, i * 13 & 255);
            crc = crc16(crc, (uint16_t)(f ? f->idx : -1));
            l = list_reverse(l);
        }
        for (int i = 0; i < 24; i++)
            for (int j = 0; j < 24; j++)
                ma[i][j] = (int16_t)(i * 7 + j * 3), mb[i][j] = (int16_t)(i * 5 - j);
        for (int i = 0; i < 24; i++)
            for (int j = 0; j < 24; j++) {
                int32_t s = 0;
                for (int k = 0; k < 24; k++)
                    s += ma[i][k] * mb[k][j];
                mc[i][j] = s;
                crc = crc16(crc, (uint16_t)s);
            }
        for (int i = 0; i < 8; i++)
            crc = crc16(crc, (uint16_t)scan(text + i));
        MIX(h, crc);
    }
    return h;
}

/* --- sieve of Eratosthenes, byte array of 64 KiB --- */
static uint8_t flags[65536];
static uint64_t sieve(uint64_t n)
{
    unsigned count = 0;
    while (n--) {
        count = 0;
        memset(flags, 1, sizeof flags);
        for (unsigned i = 2; i < sizeof flags; i++)
            if (flags[i]) {
                count++;
                for (unsigned j = i + i; j < sizeof flags; j += i)
                    flags[j] = 0;
            }
    }
    return count;
}

/* --- SHA-256 compression function over 16 KiB --- */
static const uint32_t K[64] = {
    0x428a2f98,0x71374491,0xb5c0fbcf,0xe9b5dba5,0x3956c25b,0x59f111f1,0x923f82a4,0xab1c5ed5,
    0xd807aa98,0x12835b01,0x243185be,0x550c7dc3,0x72be5d74,0x80deb1fe,0x9bdc06a7,0xc19bf174,
    0xe49b69c1,0xefbe4786,0x0fc19dc6,0x240ca1cc,0x2de92c6f,0x4a7484aa,0x5cb0a9dc,0x76f988da,
    0x983e5152,0xa831c66d,0xb00327c8,0xbf597fc7,0xc6e00bf3,0xd5a79147,0x06ca6351,0x14292967,
    0x27b70a85,0x2e1b2138,0x4d2c6dfc,0x53380d13,0x650a7354,0x766a0abb,0x81c2c92e,0x92722c85,
    0xa2bfe8a1,0xa81a664b,0xc24b8b70,0xc76c51a3,0xd192e819,0xd6990624,0xf40e3585,0x106aa070,
    0x19a4c116,0x1e376c08,0x2748774c,0x34b0bcb5,0x391c0cb3,0x4ed8aa4a,0x5b9cca4f,0x682e6ff3,
    0x748f82ee,0x78a5636f,0x84c87814,0x8cc70208,0x90befffa,0xa4506ceb,0xbef9a3f7,0xc67178f2,
};
#define ROR(x, r) (((x) >> (r)) | ((x) << (32 - (r))))
static NOINLINE void sha_block(uint32_t s[8], const uint8_t *p)
{
    uint32_t w[64], v[8];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)p[4*i] << 24 | p[4*i+1] << 16 | p[4*i+2] << 8 | p[4*i+3];
    for (int i = 16; i < 64; i++) {
        uint32_t a = w[i-15], b = w[i-2];
        w[i] = w[i-16] + w[i-7] + (ROR(a, 7) ^ ROR(a, 18) ^ a >> 3) + (ROR(b, 17) ^ ROR(b, 19) ^ b >> 10);
    }
    memcpy(v, s, sizeof v);
    for (int i = 0; i < 64; i++) {
        uint32_t e = v[4], a = v[0];
        uint32_t t1 = v[7] + (ROR(e, 6) ^ ROR(e, 11) ^ ROR(e, 25)) + ((e & v[5]) ^ (~e & v[6])) + K[i] + w[i];
        uint32_t t2 = (ROR(a, 2) ^ ROR(a, 13) ^ ROR(a, 22)) + ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));
        v[7] = v[6]; v[6] = v[5]; v[5] = e; v[4] = v[3] + t1;
        v[3] = v[2]; v[2] = v[1]; v[1] = a; v[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++)
        s[i] += v[i];
}
static uint64_t sha256(uint64_t n)
{
    static uint8_t buf[16384];
    uint64_t h = 0;
    for (unsigned i = 0; i < sizeof buf; i++)
        buf[i] = (uint8_t)(i * 31 >> 3);
    while (n--) {
        uint32_t s[8] = { 0x6a09e667,0xbb67ae85,0x3c6ef372,0xa54ff53a,0x510e527f,0x9b05688c,0x1f83d9ab,0x5be0cd19 };
        for (unsigned i = 0; i < sizeof buf; i += 64)
            sha_block(s, buf + i);
        h = (uint64_t)s[0] << 32 | s[7];
    }
    return h;
}

/* --- calls and returns: recursive Fibonacci --- */
static NOINLINE unsigned fib_rec(unsigned n) { return n < 2 ? n : fib_rec(n - 1) + fib_rec(n - 2); }
static uint64_t calls(uint64_t n)
{
    uint64_t r = 0;
    volatile unsigned k = 20;
    while (n--)
        r = fib_rec(k);
    return r;
}

/* --- indirect branches: a small bytecode machine with a function table --- */
static uint64_t acc, stk[16];
static unsigned sp;
static NOINLINE void op_push(int a) { stk[sp++ & 15] = (uint64_t)a; }
static NOINLINE void op_add(int a) { sp--; stk[(sp - 1) & 15] += stk[sp & 15] + (uint64_t)a; }
static NOINLINE void op_xor(int a) { acc ^= stk[(sp - 1) & 15] * (uint64_t)(a | 1); }
static NOINLINE void op_rot(int a) { acc = acc << (a & 31) | acc >> (63 - (a & 31)); }
static NOINLINE void op_pop(int a) { sp--; acc += stk[sp & 15] ^ (uint64_t)a; }
static void (*const ops[])(int) = { op_push, op_add, op_xor, op_rot, op_pop };
static uint64_t indirect(uint64_t n)
{
    static const uint8_t prog[] = { 0,5, 0,9, 1,3, 2,7, 3,11, 0,4, 1,1, 3,6, 2,2, 4,8, 0,13, 2,3, 4,1, 3,29, 2,0 };
    volatile const uint8_t *p = prog;
    while (n--) {
        acc = 1;
        sp = 1;
        memset(stk, 0, sizeof stk);
        for (int r = 0; r < 100; r++)
            for (unsigned i = 0; i < sizeof prog; i += 2)
                ops[p[i]](p[i + 1]);
    }
    return acc;
}

const struct bench int_benches[] = {
    { "core", "iteration", core, 0 },
    { "sieve", "64K sieve", sieve, 6542 },
    { "sha256", "16 KiB", sha256, 0 },
    { "calls", "fib(20)", calls, 6765 },
    { "indirect", "1500 dispatches", indirect, 0 },
    { 0 }
};
