/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * aml.h - writing ACPI Machine Language, in the order in which ASL is read
 *
 * A block is opened and closed; its package length is inserted at the close. Names are ASL paths: "\\_SB.PCI0",
 * "^X", "_HID", each segment padded to four letters. (ACPI 6.4, chapter 20)
 */
#pragma once
#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

enum { AML_DEPTH = 16 };
typedef struct Aml {
    GByteArray *bytes;
    guint open[AML_DEPTH];                 /* where the package length of each open block goes */
    unsigned depth;
} Aml;

void aml_init(Aml *aml);
void aml_clear(Aml *aml);

/* Blocks; aml_end closes the innermost. A buffer or resource template writes its own size at the close. */
void aml_begin_scope(Aml *aml, const char *path);
void aml_begin_device(Aml *aml, const char *name);
void aml_begin_method(Aml *aml, const char *name, unsigned arguments, bool serialized);
void aml_begin_package(Aml *aml, uint8_t elements);
void aml_begin_field(Aml *aml, const char *region, unsigned access);      /* access: 1 byte, 2 word, 3 dword, 5 buffer; no lock, preserve (or | AML_WRITE_AS_ZEROS) */
void aml_begin_if(Aml *aml);               /* the predicate follows, then the body */
void aml_begin_else(Aml *aml);
void aml_begin_while(Aml *aml);            /* likewise */
void aml_end(Aml *aml);

/* Terms. */
void aml_name(Aml *aml, const char *name);                /* Name(name, ...): the object follows */
void aml_path(Aml *aml, const char *path);                /* a reference, or the call of a method */
void aml_integer(Aml *aml, uint64_t value);
void aml_string(Aml *aml, const char *text);
void aml_eisa_id(Aml *aml, const char *id);               /* "PNP0A03" as an integer */
void aml_region(Aml *aml, const char *name, unsigned space, uint64_t offset, uint64_t length);   /* space: 0 memory, 1 I/O, 2 PCI configuration */
void aml_field_unit(Aml *aml, const char *name, unsigned bits);          /* name NULL: skips */
void aml_return(Aml *aml);                 /* the value follows */
void aml_store(Aml *aml);                  /* source and target follow */
void aml_op(Aml *aml, uint8_t opcode);     /* any one-byte operator; operands follow */
void aml_no_target(Aml *aml);
void aml_buffer(Aml *aml, const void *data, uint8_t length);
void aml_mutex(Aml *aml, const char *name);
void aml_acquire(Aml *aml, const char *mutex);            /* waits for ever */
void aml_release(Aml *aml, const char *mutex);
enum { AML_WRITE_AS_ZEROS = 0x40 };
enum { AML_LOCAL0 = 0x60, AML_ARG0 = 0x68, AML_AND = 0x7b, AML_OR = 0x7d, AML_SHIFT_LEFT = 0x79, AML_LNOT = 0x92, AML_LEQUAL = 0x93,
       AML_NOTIFY = 0x86, AML_BYTE_FIELD = 0x8c, AML_DWORD_FIELD = 0x8a, AML_ARG1 = 0x69, AML_ARG2 = 0x6a };

/* A resource template: Buffer of descriptors (ACPI 6.4, section 6.4). */
void aml_begin_resources(Aml *aml);
void aml_end_resources(Aml *aml);
void aml_resource_io(Aml *aml, uint16_t first, uint16_t last, uint8_t align, uint8_t length);
void aml_resource_irq(Aml *aml, uint16_t mask);                           /* edge, high, exclusive */
void aml_resource_interrupts(Aml *aml, const uint32_t *gsis, uint8_t count);   /* level, high, shared */
void aml_resource_dma(Aml *aml, uint8_t channels);
void aml_resource_memory(Aml *aml, uint32_t base, uint32_t length, bool writable);
void aml_resource_bus_window(Aml *aml, uint16_t first, uint16_t last);
void aml_resource_io_window(Aml *aml, uint16_t first, uint16_t last);
void aml_resource_memory_window(Aml *aml, uint32_t first, uint32_t last, bool cacheable);
