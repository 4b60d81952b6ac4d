/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xml.h - libvirt's domain XML as another spelling of the command line
 *
 * A domain becomes options, and options become a domain; what XML says and no option can (title, metadata, labels) goes
 * through the options as -domain-xml. Callable from the main thread, before or beside a machine; docs/xml.md has the
 * table of elements.
 */
#pragma once
#include "cli/options.h"

typedef struct XmlRunOptions {
    const char *const *pools;              /* "NAME=DIRECTORY"; NULL-terminated, may be NULL */
    const char *const *networks;           /* "NAME=user", "NAME=none", "NAME=bridge:INTERFACE"; likewise */
    /* To be run: what these deny is left out, with a warning. NULL: everything is translated. */
    bool (*has_model)(const char *driver);
    bool (*has_option)(const char *name);
    bool quiet;                            /* no warnings */
} XmlRunOptions;

/* The options that a domain file means, as argv without argv[0]: char *, NULL at the end (which .len does not count), freed
 * with the array. NULL and *err: "FILE:LINE: <element>: ...". Warnings go to standard error. */
GPtrArray *xml_to_argv(const char *file, const XmlRunOptions *options, GError **err);
/* The domain that these options mean (argv without argv[0]); what no element can say stands in <qemu:commandline>. The caller
 * frees the text; NULL and *err. */
char *xml_from_argv(int argc, char **argv, GError **err);
/* Name and UUID of a domain file; *uuid is NULL when there is none. The caller frees both. */
bool xml_identify(const char *file, char **name, char **uuid, GError **err);
/* Whether a word of the command line names a domain file. */
bool xml_is_domain_file(const char *word);
/* Applies a domain file to the configuration; what follows from several options together is not done yet. */
bool xml_apply(Config *config, const char *file, GError **err);

void xml_print_tables(void);               /* "help xml": element, path, option and key a line, for programs */
int xml2argv_main(int argc, char **argv);  /* roost xml2argv: argv[0] is that word */
int argv2xml_main(int argc, char **argv);
int argv2xml_main(int argc, char **argv);  /* roost argv2xml */
OptionApply opt_domain_xml, opt_pool, opt_network;
