/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qtest.c - the device test protocol: a command a line, an answer a line, interrupt changes in between
 *
 * Follows  the lines that QEMU 7.2 takes and gives (outb inb ... read write memset b64read b64write clock_step clock_set
 *          irq_intercept_in irq_intercept_out endianness), so that suites written for it run unchanged
 * Hostile  a line is bounded, sizes are bounded, an unknown or short command is answered FAIL and never ends the process
 * Threads  main loop, machine lock held
 * Tests    tests/dev/qtest.py, beside QEMU where it is installed
 */
#include "monitor/qtest.h"
#include "base/error.h"
#include "base/open.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MOST = 32 << 20, TRANSFER_MOST = 16 << 20, WORDS_MOST = 5 };

typedef struct Intercept {
    Device *device;
    bool out;
    bool level[256];                       /* what was last told, by pin */
} Intercept;

struct Qtest {
    Machine *machine;
    Chardev *chardev;
    GString *line;                         /* what has come of the current line */
    GString *unsent;
    bool overlong;
    int log_fd;
    int64_t opened_at;
    Intercept intercept;
};

static Qtest *observing;                   /* irq_observer has no argument of its own */

static void log_text(Qtest *qtest, char who, const char *text, size_t length)
{
    if (qtest->log_fd < 0) {
        return;
    }
    int64_t since = (clock_now(CLOCK_STEADY) - qtest->opened_at) / NS_PER_US;
    g_autofree char *line = g_strdup_printf("[%c +%" PRId64 ".%06" PRId64 "] %.*s\n", who, since / 1000000, since % 1000000, (int)length, text);
    if (write(qtest->log_fd, line, strlen(line)) < 0) {
        close(qtest->log_fd);
        qtest->log_fd = -1;
    }
}

static void flush_out(Qtest *qtest)
{
    size_t sent = chardev_write(qtest->chardev, (const uint8_t *)qtest->unsent->str, qtest->unsent->len);

    g_string_erase(qtest->unsent, 0, (gssize)sent);
}

static void answer(Qtest *qtest, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void answer(Qtest *qtest, const char *format, ...)
{
    gsize before = qtest->unsent->len;
    va_list args;

    va_start(args, format);
    g_string_append_vprintf(qtest->unsent, format, args);
    va_end(args);
    log_text(qtest, 'S', qtest->unsent->str + before, qtest->unsent->len - before);
    g_string_append_c(qtest->unsent, '\n');
    flush_out(qtest);
}

/* Both controllers hang on the board's numbered lines (GSIs), which is what a test means by an input of either. */
static bool is_controller(const Device *device)
{
    return strcmp(device->model->name, "ioapic") == 0 || strcmp(device->model->name, "isa-i8259") == 0;
}

/* An input belongs to the device whose memory holds the line's sink; an output, when one of the device's wires is this line. */
static int pin_of(const Intercept *intercept, IrqLine line)
{
    const char *start = (const char *)intercept->device;
    int pin = 0;

    if (!intercept->out) {
        const char *sink = line.sink;
        bool inside = sink >= start && sink < start + intercept->device->model->size;
        return inside || (line.sink == intercept->device->machine->pic && is_controller(intercept->device)) ? line.pin : -1;
    }
    for (const Field *field = intercept->device->model->props; field && field->kind != FIELD_LAST; field++) {
        if (field->kind != FIELD_IRQ) {
            continue;
        }
        const IrqLine *wire = (const IrqLine *)(start + field->offset);
        if (wire->set == line.set && wire->sink == line.sink && wire->pin == line.pin) {
            return pin;
        }
        pin++;
    }
    return -1;
}

static void irq_changed(IrqLine line, bool high)
{
    Intercept *intercept = &observing->intercept;
    int pin = pin_of(intercept, line);

    if (pin >= 0 && pin < (int)G_N_ELEMENTS(intercept->level) && intercept->level[pin] != high) {
        intercept->level[pin] = high;
        answer(observing, "IRQ %s %d", high ? "raise" : "lower", pin);
    }
}

/* By path, by id, or (as test suites do) by the last part of a name: "ioapic". */
static Device *find_device(Machine *machine, const char *name)
{
    Object *object = object_find(name);

    for (guint i = 0; i < machine->devices->len; i++) {
        Device *device = machine->devices->pdata[i];
        if (&device->object == object || (!object && (g_str_has_suffix(device->model->name, name)))) {
            return device;
        }
    }
    return NULL;
}

static void intercept(Qtest *qtest, const char *name, bool out)
{
    Device *device = find_device(qtest->machine, name);

    if (!device) {
        answer(qtest, "FAIL Unknown device");
        return;
    }
    if (qtest->intercept.device) {         /* QEMU's answers: one device, and it stays as it was first asked for */
        answer(qtest, qtest->intercept.device == device ? "OK" : "FAIL IRQ intercept already enabled");
        return;
    }
    qtest->intercept = (Intercept){ .device = device, .out = out };
    observing = qtest;
    irq_observer = irq_changed;
    answer(qtest, "OK");
}

static bool number(const char *text, uint64_t *value)
{
    return text && parse_uint(text, value);
}

static void port_command(Qtest *qtest, char **words)
{
    unsigned size = words[0][strlen(words[0]) - 1] == 'b' ? 1 : words[0][strlen(words[0]) - 1] == 'w' ? 2 : 4;
    bool out = words[0][0] == 'o';
    uint64_t port, value = 0;

    if (!number(words[1], &port) || port > 0xffff || (out && !number(words[2], &value))) {
        answer(qtest, "FAIL Invalid argument");
    } else if (out) {
        space_store(qtest->machine->ports, port, size, value);
        answer(qtest, "OK");
    } else {
        space_load(qtest->machine->ports, port, size, &value);
        answer(qtest, "OK 0x%04" PRIx64, value & (UINT64_MAX >> (64 - 8 * size)));
    }
}

static void memory_command(Qtest *qtest, char **words)
{
    static const char letters[] = "bwlq";
    unsigned size = 1u << (strchr(letters, words[0][strlen(words[0]) - 1]) - letters);
    bool write = words[0][0] == 'w';
    uint64_t address, value = 0;

    if (!number(words[1], &address) || (write && !number(words[2], &value))) {
        answer(qtest, "FAIL Invalid argument");
    } else if (write) {
        space_write(qtest->machine->memory, address, &value, size);
        answer(qtest, "OK");
    } else {
        space_read(qtest->machine->memory, address, &value, size);
        answer(qtest, "OK 0x%016" PRIx64, value);
    }
}

/* The range of a bulk command; answers FAIL itself when it is not one. */
static bool range(Qtest *qtest, char **words, uint64_t *address, uint64_t *length)
{
    if (!number(words[1], address) || !number(words[2], length) || *length == 0 || *length > TRANSFER_MOST) {
        answer(qtest, "FAIL Invalid range: an address and 1 to %d bytes", TRANSFER_MOST);
        return false;
    }
    return true;
}

static void read_command(Qtest *qtest, char **words, bool base64)
{
    uint64_t address, length;

    if (!range(qtest, words, &address, &length)) {
        return;
    }
    g_autofree uint8_t *data = g_malloc0(length);
    space_read(qtest->machine->memory, address, data, length);
    if (base64) {
        g_autofree char *text = g_base64_encode(data, length);
        answer(qtest, "OK %s", text);
        return;
    }
    g_autofree char *text = g_malloc(2 * length + 1);
    for (uint64_t i = 0; i < length; i++) {
        text[2 * i] = "0123456789abcdef"[data[i] >> 4];
        text[2 * i + 1] = "0123456789abcdef"[data[i] & 15];
    }
    text[2 * length] = 0;
    answer(qtest, "OK 0x%s", text);
}

/* Missing digits are zeros, as they are in QEMU. */
static void decode_hex(const char *text, uint8_t *data, uint64_t length)
{
    for (uint64_t i = 0; i < length && text[0] && text[1]; i++, text += 2) {
        int high = g_ascii_xdigit_value(text[0]), low = g_ascii_xdigit_value(text[1]);
        data[i] = (uint8_t)((high < 0 ? 0 : high << 4) | (low < 0 ? 0 : low));
    }
}

static void write_command(Qtest *qtest, char **words, bool base64)
{
    uint64_t address, length;

    if (!words[3]) {
        answer(qtest, "FAIL Invalid argument");
        return;
    }
    if (!range(qtest, words, &address, &length)) {
        return;
    }
    g_autofree uint8_t *data = g_malloc0(length);
    if (base64) {
        gsize have;
        g_autofree uint8_t *decoded = g_base64_decode(words[3], &have);
        memcpy(data, decoded, MIN(have, length));
    } else {
        decode_hex(words[3] + (g_str_has_prefix(words[3], "0x") ? 2 : 0), data, length);
    }
    space_write(qtest->machine->memory, address, data, length);
    answer(qtest, "OK");
}

static void memset_command(Qtest *qtest, char **words)
{
    uint64_t address, length, value;

    if (!number(words[3], &value)) {
        answer(qtest, "FAIL Invalid argument");
        return;
    }
    if (number(words[2], &length) && length == 0) {
        answer(qtest, "OK");
        return;
    }
    if (!range(qtest, words, &address, &length)) {
        return;
    }
    g_autofree uint8_t *data = g_malloc(length);
    memset(data, (int)(value & 0xff), length);
    space_write(qtest->machine->memory, address, data, length);
    answer(qtest, "OK");
}

/* clock_step without a number goes to the next timer. */
static void clock_command(Qtest *qtest, char **words)
{
    bool step = strcmp(words[0], "clock_step") == 0;
    int64_t now = clock_now(CLOCK_GUEST), next = clock_next_deadline(CLOCK_GUEST);
    uint64_t ns = next > now ? (uint64_t)(next - now) : 0;

    if (accel_has_cpus(qtest->machine->accel)) {
        answer(qtest, "FAIL Unknown command '%s'", words[0]);
        return;
    }
    if ((words[1] || !step) && (!number(words[1], &ns) || ns > INT64_MAX)) {
        answer(qtest, "FAIL Invalid argument");
        return;
    }
    int64_t target;
    if (step ? __builtin_add_overflow(now, (int64_t)ns, &target) : (target = (int64_t)ns) < now) {
        answer(qtest, "FAIL Invalid argument");
        return;
    }
    guest_clock_step_to(target);
    answer(qtest, "OK %" PRId64, clock_now(CLOCK_GUEST));
}

static bool one_of(const char *word, const char *const *list)
{
    return g_strv_contains(list, word);
}

static void run_command(Qtest *qtest, char *line)
{
    static const char *const ports[] = { "outb", "outw", "outl", "inb", "inw", "inl", NULL };
    static const char *const memory[] = { "writeb", "writew", "writel", "writeq", "readb", "readw", "readl", "readq", NULL };
    char *words[WORDS_MOST] = { NULL };
    char *rest = NULL;

    words[0] = strtok_r(line, " \t\r", &rest);
    for (unsigned i = 1; i < WORDS_MOST - 1 && words[i - 1]; i++) {
        words[i] = strtok_r(NULL, " \t\r", &rest);
    }
    const char *command = words[0];
    if (!command) {
        return;
    }
    if (one_of(command, ports)) {
        port_command(qtest, words);
    } else if (one_of(command, memory)) {
        memory_command(qtest, words);
    } else if (strcmp(command, "read") == 0 || strcmp(command, "b64read") == 0) {
        read_command(qtest, words, command[0] == 'b');
    } else if (strcmp(command, "write") == 0 || strcmp(command, "b64write") == 0) {
        write_command(qtest, words, command[0] == 'b');
    } else if (strcmp(command, "memset") == 0) {
        memset_command(qtest, words);
    } else if (strcmp(command, "clock_step") == 0 || strcmp(command, "clock_set") == 0) {
        clock_command(qtest, words);
    } else if ((strcmp(command, "irq_intercept_in") == 0 || strcmp(command, "irq_intercept_out") == 0) && words[1]) {
        intercept(qtest, words[1], command[14] == 'o');
    } else if (strcmp(command, "endianness") == 0) {
        answer(qtest, "OK little");
    } else {
        answer(qtest, "FAIL Unknown command '%s'", command);
    }
}

static size_t qtest_can_read(void *opaque)
{
    const Qtest *qtest = opaque;

    return qtest->unsent->len > TRANSFER_MOST ? 0 : 4096;          /* a client that does not read its answers waits */
}

static void qtest_read(void *opaque, const uint8_t *data, size_t length)
{
    Qtest *qtest = opaque;

    for (size_t i = 0; i < length; i++) {
        if (data[i] != '\n') {
            qtest->overlong |= qtest->line->len == LINE_MOST;
            if (!qtest->overlong) {
                g_string_append_c(qtest->line, (char)data[i]);
            }
            continue;
        }
        if (qtest->overlong) {
            answer(qtest, "FAIL Line longer than %d bytes", LINE_MOST);
        } else {
            log_text(qtest, 'R', qtest->line->str, qtest->line->len);
            run_command(qtest, qtest->line->str);
        }
        g_string_truncate(qtest->line, 0);
        qtest->overlong = false;
    }
}

/* QEMU's own rule: a client that comes finds a machine that was just reset; one that goes takes its intercepts along. */
static void qtest_event(void *opaque, ChardevEvent event)
{
    Qtest *qtest = opaque;

    if (event == CHARDEV_OPENED) {
        machine_reset_now(qtest->machine, CAUSE_NONE);
        qtest->opened_at = clock_now(CLOCK_STEADY);
    } else if (event == CHARDEV_CLOSED) {
        irq_observer = NULL;
        qtest->intercept = (Intercept){ 0 };
        g_string_truncate(qtest->line, 0);
        g_string_truncate(qtest->unsent, 0);
    } else if (event == CHARDEV_WRITABLE) {
        flush_out(qtest);
        chardev_accept_input(qtest->chardev);
    }
}

static const ChardevUser qtest_user = { .can_read = qtest_can_read, .read = qtest_read, .event = qtest_event };

Qtest *qtest_start(Machine *machine, Chardev *chardev, const char *log, GError **err)
{
    Qtest *qtest = g_new0(Qtest, 1);

    qtest->machine = machine;
    qtest->chardev = chardev;
    qtest->line = g_string_new(NULL);
    qtest->unsent = g_string_new(NULL);
    qtest->log_fd = -1;
    qtest->opened_at = clock_now(CLOCK_STEADY);
    if (!log) {
        qtest->log_fd = dup(STDERR_FILENO);
    } else if (strcmp(log, "none") != 0) {
        qtest->log_fd = host_open("-qtest-log file", log, O_WRONLY | O_CREAT | O_TRUNC, 0666, err);
        if (qtest->log_fd < 0) {
            qtest_stop(qtest);
            return NULL;
        }
    }
    if (!accel_has_cpus(machine->accel)) {
        guest_clock_manual();
    }
    if (!chardev_attach(chardev, &qtest_user, qtest, err)) {
        qtest->chardev = NULL;
        qtest_stop(qtest);
        return NULL;
    }
    return qtest;
}

void qtest_stop(Qtest *qtest)
{
    if (!qtest) {
        return;
    }
    if (observing == qtest) {
        irq_observer = NULL;
        observing = NULL;
    }
    if (qtest->chardev) {
        chardev_detach(qtest->chardev);
    }
    if (qtest->log_fd >= 0) {
        close(qtest->log_fd);
    }
    g_string_free(qtest->line, TRUE);
    g_string_free(qtest->unsent, TRUE);
    g_free(qtest);
}
