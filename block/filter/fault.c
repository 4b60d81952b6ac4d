/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fault.c - "blkdebug": errors, delays and torn writes by rule, for whoever wants to know what a system makes of a bad disk
 *
 * Models   QEMU's blkdebug: image, inject-error, align, max-transfer, opt-write-zero, max-write-zero, opt-discard, max-discard. Beside
 *          these, rules of our own: which requests (op, offset, length, after, times, probability), and what becomes of them (errno,
 *          delay-ns, torn)
 * Omits    the events inside of QEMU's formats, states, breakpoints and the config file: refused by name. Events are what passes here
 * Order    the delay, then what a torn write leaves on the disk, then the error; of several rules the first that gives an error counts
 * Threads  home loop
 * Tests    tests/block/fault.c
 */
#include "block/drivers.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/timer.h"
#include "base/trace.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

enum { RULES_MOST = 256, SECTOR = 512 };

typedef enum { OP_ANY, OP_READ, OP_WRITE, OP_ZEROES, OP_DISCARD, OP_FLUSH, OP_STATUS } FaultOp;
static const char *const op_names[] = { "any", "read", "write", "write-zeroes", "discard", "flush", "block-status", NULL };

enum { TRACE_FAULT };
static TracePoint fault_trace[] = { [TRACE_FAULT] = { "blkdebug_fault", "a rule of blkdebug met a request" } };
TRACE_TABLE(fault_trace)

typedef struct Rule {
    int op;                                /* FaultOp */
    uint64_t offset, length;               /* requests that touch this; length 0: all from offset on */
    bool anywhere;
    int error;                             /* a positive errno; 0: none */
    uint64_t delay_ns;
    uint64_t torn;                         /* bytes of a write that reach the disk; UINT64_MAX: the rule does not tear */
    uint64_t after, times;                 /* matches that pass first; matches that it meets, 0: all */
    double probability;
    GRand *random;
    int event;                             /* events[], 0 "none": armed from the start */
    bool armed, immediately;
    uint64_t seen, met;
    bool other_ops;                        /* of QEMU's rules without iotype: all but block-status */
} Rule;

typedef struct Fault {
    Node node;
    Value *image, *file, *inject, *given;
    uint64_t align, max_transfer, opt_zero, max_zero, opt_discard, max_discard;
    Rule *rules;
    size_t count;
} Fault;

static const Field fault_options[] = {
    PROP_VALUE("image", Fault, image, .help = "the node below: a node's name, or its options"),
    PROP_VALUE("file", Fault, file, .help = "another word for image"),
    PROP_VALUE("inject-error", Fault, inject, .help = "a list of QEMU's rules: event, iotype, errno, sector, once, immediately"),
    PROP_VALUE("rules", Fault, given, .help = "a list of rules: op, offset, length, errno, delay-ns, torn, after, times, probability, seed"),
    PROP_SIZE("align", Fault, align, 0, .help = "bytes that requests are multiples of; default: as below"),
    PROP_SIZE("max-transfer", Fault, max_transfer, 0, .help = "bytes of the longest read or write; default: as below"),
    PROP_SIZE("opt-write-zero", Fault, opt_zero, 0, .help = "bytes that zeroed ranges are multiples of; default: as below"),
    PROP_SIZE("max-write-zero", Fault, max_zero, 0, .help = "bytes of the longest write of zeroes; default: as below"),
    PROP_SIZE("opt-discard", Fault, opt_discard, 0, .help = "bytes that discarded ranges are multiples of; default: as below"),
    PROP_SIZE("max-discard", Fault, max_discard, 0, .help = "bytes of the longest discard; default: as below"),
    FIELD_END };

/* ---- events: of QEMU's some fifty those that pass here ---- */

static const struct { const char *name; FaultOp op; } events[] = {
    { "none", OP_ANY }, { "read_aio", OP_READ }, { "write_aio", OP_WRITE }, { "pwritev", OP_WRITE }, { "pwritev_zero", OP_ZEROES },
    { "flush_to_os", OP_FLUSH }, { "flush_to_disk", OP_FLUSH },
};

static bool event_find(const char *name, const char *who, int *out, GError **err)
{
    for (size_t i = 0; i < G_N_ELEMENTS(events); i++) {
        if (strcmp(events[i].name, name) == 0) {
            *out = (int)i;
            return true;
        }
    }
    return fail(err, ENOTSUP, "%s: event=%s: such a moment inside of a format is not seen here; there are none, read_aio, write_aio, "
                "pwritev, pwritev_zero, flush_to_os and flush_to_disk", who, name);
}

/* ---- rules from options ---- */

static const struct { const char *name; int number; } errors[] = {
    { "EIO", EIO }, { "ENOSPC", ENOSPC }, { "EPERM", EPERM }, { "EACCES", EACCES }, { "EINVAL", EINVAL }, { "ENOMEM", ENOMEM },
    { "EAGAIN", EAGAIN }, { "EBUSY", EBUSY }, { "EROFS", EROFS }, { "ENOTSUP", ENOTSUP }, { "ETIMEDOUT", ETIMEDOUT },
    { "ENOMEDIUM", ENOMEDIUM }, { "EDQUOT", EDQUOT }, { "EFBIG", EFBIG }, { "ENODEV", ENODEV }, { "ESTALE", ESTALE },
};

static bool error_number(const char *text, const char *who, int *out, GError **err)
{
    uint64_t number;

    for (size_t i = 0; i < G_N_ELEMENTS(errors); i++) {
        if (strcmp(errors[i].name, text) == 0) {
            *out = errors[i].number;
            return true;
        }
    }
    if (!parse_uint(text, &number) || number > 4095) {
        return fail(err, EINVAL, "%s: errno=%s: it takes a name as EIO or ENOSPC, or a number below 4096", who, text);
    }
    *out = (int)number;
    return true;
}

static bool chance(const Value *value, const char *who, double *out, GError **err)
{
    const char *text = value_string(value);
    char *end = NULL;

    *out = 1;
    if (value && !value_to_double(value, out)) {
        *out = text ? g_ascii_strtod(text, &end) : -1;
        *out = text && (end == text || *end) ? -1 : *out;
    }
    return (*out >= 0 && *out <= 1) || fail(err, EINVAL, "%s: probability: it takes a number from 0 to 1", who);
}

typedef struct Given {
    int op;
    uint64_t offset, length, delay_ns, torn, after, times, seed;
    char *error;
    Value *probability;
    /* QEMU's */
    char *event;
    int64_t sector;
    bool once, immediately;
    uint64_t state;
} Given;

static const Field rule_keys[] = {
    PROP_ENUM("op", Given, op, op_names, OP_ANY),
    PROP_SIZE("offset", Given, offset, 0, .max = INT64_MAX),  PROP_SIZE("length", Given, length, 0, .max = INT64_MAX),
    PROP_STR("errno", Given, error),  PROP_U64("delay-ns", Given, delay_ns, 0, .max = 3600 * NS_PER_SECOND),
    PROP_SIZE("torn", Given, torn, UINT64_MAX),  PROP_U64("after", Given, after, 0),  PROP_U64("times", Given, times, 0),
    PROP_VALUE("probability", Given, probability),  PROP_U64("seed", Given, seed, 1),
    FIELD_END };

static const Field inject_keys[] = {
    PROP_STR("event", Given, event, .required = true),  PROP_ENUM("iotype", Given, op, op_names, OP_ANY),
    PROP_STR("errno", Given, error),  PROP_I64("sector", Given, sector, -1),  PROP_BOOL("once", Given, once, false),
    PROP_BOOL("immediately", Given, immediately, false),  PROP_U64("state", Given, state, 0),
    FIELD_END };

static bool own_rule(Rule *rule, const Given *given, const char *who, GError **err)
{
    bool tears = given->torn != UINT64_MAX;

    *rule = (Rule){ .op = given->op, .offset = given->offset, .length = given->length, .delay_ns = given->delay_ns, .torn = given->torn,
                    .after = given->after, .times = given->times, .armed = true, .immediately = true, .probability = 1 };
    rule->anywhere = given->offset == 0 && given->length == 0;
    if (tears && given->op != OP_WRITE) {
        return fail(err, EINVAL, "%s: torn is for op=write", who);
    }
    rule->error = tears || !given->delay_ns ? EIO : 0;
    return (!given->error || error_number(given->error, who, &rule->error, err)) && chance(given->probability, who, &rule->probability, err);
}

static bool inject_rule(Rule *rule, const Given *given, const char *who, GError **err)
{
    *rule = (Rule){ .op = given->op, .other_ops = given->op == OP_ANY, .error = EIO, .torn = UINT64_MAX, .times = given->once,
                    .immediately = given->immediately, .anywhere = given->sector < 0, .length = SECTOR, .probability = 1 };
    if (given->sector < -1 || given->sector > INT64_MAX / SECTOR) {
        return fail(err, EINVAL, "%s: sector=%" PRId64 ": there is no such sector", who, given->sector);
    }
    if (given->state) {
        return fail(err, ENOTSUP, "%s: state: states are not supported; rules.N.after counts requests", who);
    }
    rule->offset = rule->anywhere ? 0 : (uint64_t)given->sector * SECTOR;
    if (!event_find(given->event, who, &rule->event, err) || (given->error && !error_number(given->error, who, &rule->error, err))) {
        return false;
    }
    rule->armed = rule->event == 0;
    return true;
}

static Value *with_text_errno(const Value *item)
{
    Value *copy = value_copy(item);
    uint64_t number;

    if (value_to_uint(value_get(copy, "errno"), &number)) {
        g_autofree char *text = g_strdup_printf("%" PRIu64, number);
        value_set(copy, "errno", value_new_string(text));
    }
    return copy;
}

static bool take_rules(Fault *fault, const Value *list, const char *key, const Field *keys,
                       bool (*take)(Rule *, const Given *, const char *, GError **), GError **err)
{
    if (list && value_kind(list) != VALUE_LIST) {
        return fail(err, EINVAL, "blkdebug: %s: a list of rules is needed (%s.0.%s=...)", key, key, keys->name);
    }
    if (value_length(list) > RULES_MOST) {
        return fail(err, E2BIG, "blkdebug: %s: more than %d rules", key, RULES_MOST);
    }
    for (size_t i = 0; i < value_length(list); i++) {
        g_autofree char *who = g_strdup_printf("blkdebug: %s.%zu", key, i);
        Given given = { 0 };

        if (value_kind(value_at(list, i)) != VALUE_OBJECT) {
            return fail(err, EINVAL, "%s: an object is needed", who);
        }
        g_autoptr(Value) item = with_text_errno(value_at(list, i));
        fields_init(keys, &given);
        bool good = fields_set(keys, &given, who, item, NULL, err) && take(&fault->rules[fault->count], &given, who, err);
        if (good) {
            fault->rules[fault->count++].random = given.seed ? g_rand_new_with_seed((guint32)(given.seed ^ given.seed >> 32)) : g_rand_new();
        }
        fields_clear(keys, &given);
        if (!good) {
            return false;
        }
    }
    return true;
}

/* ---- limits ---- */

static bool take_limit(const char *key, uint64_t value, uint32_t unit, uint32_t *limit, GError **err)
{
    if (value % unit || value > INT32_MAX) {
        return fail(err, EINVAL, "blkdebug: %s=%" PRIu64 ": it takes a multiple of %u bytes below 2 GiB", key, value, unit);
    }
    *limit = value ? (uint32_t)value : *limit;
    return true;
}

static bool take_limits(Fault *fault, GError **err)
{
    NodeLimits *limits = &fault->node.limits;

    if (fault->align && (fault->align & (fault->align - 1) || fault->align > 1 << 30)) {
        return fail(err, EINVAL, "blkdebug: align=%" PRIu64 ": it takes a power of two up to 1 GiB", fault->align);
    }
    *limits = fault->node.file->limits;
    limits->request_alignment = MAX(limits->request_alignment, (uint32_t)fault->align);
    uint32_t unit = limits->request_alignment;
    return take_limit("max-transfer", fault->max_transfer, unit, &limits->max_transfer, err)
           && take_limit("opt-write-zero", fault->opt_zero, unit, &limits->zeroes_alignment, err)
           && take_limit("max-write-zero", fault->max_zero, MAX(unit, limits->zeroes_alignment), &limits->max_zeroes, err)
           && take_limit("opt-discard", fault->opt_discard, unit, &limits->discard_alignment, err)
           && take_limit("max-discard", fault->max_discard, MAX(unit, limits->discard_alignment), &limits->max_discard, err);
}

/* ---- the node ---- */

static bool open_child(Node *node, const NodeOpen *how, GError **err)
{
    Fault *fault = (Fault *)node;

    if (!fault->image == !fault->file) {
        return fail(err, EINVAL, fault->image ? "blkdebug: image and file are two words for one thing; give one" : "blkdebug: image= is missing");
    }
    if (!node_open_child(node, "file", CHILD_FILTERED, fault->image ? fault->image : fault->file, how, err)) {
        return false;
    }
    if (node->writable && !node->file->writable) {
        if (!how->auto_readonly) {
            return fail(err, EACCES, "blkdebug: '%s' is read-only", node_filename(node->file));
        }
        node->writable = false;
    }
    node->length = node->file->length;
    node->growable = node->file->growable && fault->align <= 1;
    node->zero_beyond = node->file->zero_beyond;
    node->encrypted = node->file->encrypted;
    fault->rules = g_new0(Rule, MIN(value_length(fault->inject), RULES_MOST) + MIN(value_length(fault->given), RULES_MOST) + 1);
    return take_limits(fault, err) && take_rules(fault, fault->inject, "inject-error", inject_keys, inject_rule, err)
           && take_rules(fault, fault->given, "rules", rule_keys, own_rule, err);
}

static void fault_close(Node *node)
{
    Fault *fault = (Fault *)node;

    for (size_t i = 0; i < fault->count; i++) {
        g_rand_free(fault->rules[i].random);
    }
    g_clear_pointer(&fault->rules, g_free);
    fault->count = 0;
}

static bool fault_open(Node *node, const NodeOpen *how, GError **err)
{
    return open_child(node, how, err) || (fault_close(node), false);
}

/* ---- requests ---- */

static bool concerns(const Rule *rule, FaultOp op, uint64_t offset, uint64_t bytes)
{
    if (rule->op == OP_ANY ? rule->other_ops && op == OP_STATUS : rule->op != (int)op) {
        return false;
    }
    if (rule->anywhere || op == OP_FLUSH) {
        return rule->anywhere;
    }
    return offset + bytes > rule->offset && (rule->length == 0 || offset < rule->offset + rule->length);
}

static bool meets(Rule *rule, FaultOp op, uint64_t offset, uint64_t bytes)
{
    if (rule->event && (events[rule->event].op == op)) {
        rule->armed = true;
    }
    if (!rule->armed || !concerns(rule, op, offset, bytes) || (rule->times && rule->met >= rule->times) || rule->seen++ < rule->after) {
        return false;
    }
    if (rule->probability < 1 && g_rand_double(rule->random) >= rule->probability) {
        return false;
    }
    rule->met++;
    return true;
}

typedef struct Fate { int result; uint64_t torn; } Fate;

/* What the rules make of a request. They are all asked before the first of them waits, so that counts follow the order of arrival. */
static Fate judge(Node *node, FaultOp op, uint64_t offset, uint64_t bytes)
{
    Fault *fault = (Fault *)node;
    Fate fate = { 0, UINT64_MAX };
    uint64_t delay_ns = 0;
    bool turn = false;

    for (size_t i = 0; i < fault->count; i++) {
        Rule *rule = &fault->rules[i];
        if (!meets(rule, op, offset, bytes)) {
            continue;
        }
        TRACE(&fault_trace[TRACE_FAULT], "node %s %s offset %" PRIu64 " bytes %" PRIu64 " rule %zu errno %d", node->name, op_names[op], offset, bytes,
              i, rule->error);
        delay_ns = MAX(delay_ns, rule->delay_ns);
        if (rule->torn != UINT64_MAX) {
            fate.torn = MIN(fate.torn, rule->torn);
        }
        if (rule->error && fate.result == 0) {
            fate.result = -rule->error;
            turn = !rule->immediately;
        }
    }
    if (delay_ns) {
        co_sleep((int64_t)delay_ns);
    } else if (turn) {
        co_yield_turn();
    }
    return fate;
}

static int fault_preadv(Node *node, uint64_t offset, Iov to, RequestFlags flags)
{
    Fate fate = judge(node, OP_READ, offset, to.bytes);

    return fate.result ? fate.result : node_preadv(node->file, offset, to, flags);
}

/* A torn write leaves its beginning behind, also where it is said to have succeeded (errno=0: a disk that lies). */
static int fault_pwritev(Node *node, uint64_t offset, Iov from, RequestFlags flags)
{
    Fate fate = judge(node, OP_WRITE, offset, from.bytes);

    if (fate.torn < from.bytes) {
        int result = fate.torn && !(flags & REQ_COMPRESSED) ? node_pwritev(node->file, offset, iov_part(from, 0, (size_t)fate.torn), flags) : 0;
        return fate.result ? fate.result : result;
    }
    return fate.result ? fate.result : node_pwritev(node->file, offset, from, flags);
}

static int fault_pwrite_zeroes(Node *node, uint64_t offset, uint64_t bytes, RequestFlags flags)
{
    Fate fate = judge(node, OP_ZEROES, offset, bytes);

    return fate.result ? fate.result : node_pwrite_zeroes(node->file, offset, bytes, flags);
}

static int fault_pdiscard(Node *node, uint64_t offset, uint64_t bytes)
{
    Fate fate = judge(node, OP_DISCARD, offset, bytes);

    return fate.result ? fate.result : node_pdiscard(node->file, offset, bytes);
}

static int fault_flush(Node *node)
{
    Fate fate = judge(node, OP_FLUSH, 0, 0);

    return fate.result ? fate.result : node_flush(node->file);
}

static int fault_block_status(Node *node, bool exact, uint64_t offset, uint64_t bytes, uint64_t *count, uint64_t *map, Node **file)
{
    Fate fate = judge(node, OP_STATUS, offset, bytes);

    (void)exact;
    *count = bytes;
    *map = offset;
    *file = node->file;
    return fate.result ? fate.result : STATUS_OFFSET | STATUS_RECURSE;
}

const NodeDriver fault_driver = {
    .name = "blkdebug",  .help = "errors, delays and torn writes by rule, before what lies below",
    .kind = NODE_FILTER,  .size = sizeof(Fault),  .options = fault_options,  .file_role = CHILD_FILTERED,
    .open = fault_open,  .close = fault_close,  .preadv = fault_preadv,  .pwritev = fault_pwritev,
    .pwrite_zeroes = fault_pwrite_zeroes,  .pdiscard = fault_pdiscard,  .flush = fault_flush,  .block_status = fault_block_status,
    .supported_write_flags = REQ_FUA | REQ_COMPRESSED,  .supported_zero_flags = REQ_FUA | REQ_MAY_UNMAP,
};
