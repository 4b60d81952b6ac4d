/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * completion.c - what bash and zsh complete, printed from the tables of verbs, options and image commands
 *
 * Names of VMs are asked of "roost list" when Tab is pressed, which asks no VM.
 *
 * Tests    tests/verbs/completion.py
 */
#include "cli/img.h"
#include "cli/options.h"
#include "cli/verb.h"
#include <stdio.h>
#include <string.h>

static const char *const plain_commands[] = { "run", "img", "io", "help", "xml2argv", "argv2xml" };
static const char *const help_topics =
    "options machines devices chardevs cpus accels drives blockdev objects smp memory boot rtc action sandbox log trace qmp verbs manual completion";

static void print_run_options(void)
{
    for (const Option *option = run_options; option->name || option->help; option++) {
        if (option->name) {
            printf(" -%s", option->name);
        }
    }
}

static void print_tool_options(const ToolOption *options)
{
    for (; options->kind != TOOL_END; options++) {
        if (options->name) {
            printf(" --%s", options->name);
        } else if (options->letter) {
            printf(" -%c", options->letter);
        }
    }
}

/* What the operands of a verb are: names of VMs, or files. */
static const char *operands_of(const VerbSpec *spec)
{
    return spec->completes ? spec->completes : spec->needs == VERB_ONE_VM ? "domain" : "";
}

/* A function of the shell that, for a command, sets options and kind. */
static void print_cases(const char *indent)
{
    for (size_t i = 0; verb_specs[i]; i++) {
        printf("%s%s) kind=%s options='", indent, verb_specs[i]->name, operands_of(verb_specs[i]));
        print_tool_options(verb_specs[i]->options);
        puts("' ;;");
    }
    printf("%shelp) kind= options='%s' ;;\n%simg) kind=file options='", indent, help_topics, indent);
    for (size_t i = 0; img_commands[i]; i++) {
        printf(" %s", img_commands[i]->name);
    }
    printf("' ;;\n%s*) kind=file options='", indent);
    print_run_options();
    puts("' ;;");
}

static void print_commands(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(plain_commands); i++) {
        printf(" %s", plain_commands[i]);
    }
    for (size_t i = 0; verb_specs[i]; i++) {
        printf(" %s", verb_specs[i]->name);
    }
}

static void print_bash(void)
{
    puts("# bash completion for roost: made by 'roost help completion bash'");
    puts("_roost_domains() {\n    roost list --name $1 2>/dev/null\n}");
    puts("_roost() {\n    local current=${COMP_WORDS[COMP_CWORD]} kind options IFS=$' \\t\\n'\n    COMPREPLY=()");
    puts("    if [ \"$COMP_CWORD\" -eq 1 ] && [ \"${current#-}\" = \"$current\" ]; then");
    printf("        COMPREPLY=($(compgen -W '");
    print_commands();
    puts("' -- \"$current\") $(compgen -f -- \"$current\"))\n        return\n    fi");
    puts("    case ${COMP_WORDS[1]} in");
    print_cases("    ");
    puts("    esac");
    puts("    case $kind:$current in\n    file:[!-]* | file:) COMPREPLY=($(compgen -f -- \"$current\")) ;;");
    puts("    domain:[!-]* | domain:) local IFS=$'\\n'; COMPREPLY=($(compgen -W \"$(_roost_domains --all)\" -- \"$current\")); return ;;");
    puts("    inactive:[!-]* | inactive:) local IFS=$'\\n'; COMPREPLY=($(compgen -W \"$(_roost_domains --inactive)\" -- \"$current\")); return ;;\n    esac");
    puts("    [ \"$kind\" = file ] && [ \"${COMP_WORDS[1]}\" != img ] && [ \"${current#-}\" = \"$current\" ] ||");
    puts("        COMPREPLY+=($(compgen -W \"$options\" -- \"$current\"))\n}");
    puts("complete -o filenames -F _roost roost");
}

/* 'name:help' for _describe; an apostrophe ends a word of the shell's, so it is left out. */
static void print_described(const char *name, const char *help)
{
    printf("    '%s:", name);
    for (const char *c = help; *c; c++) {
        if (*c == ':') {
            fputs("\\:", stdout);
        } else if (*c != '\'') {
            putchar(*c);
        }
    }
    puts("'");
}

static void print_zsh(void)
{
    puts("#compdef roost\n# zsh completion for roost: made by 'roost help completion zsh'");
    puts("local kind options\nlocal -a commands domains\nif (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then\n  commands=(");
    for (size_t i = 0; verb_specs[i]; i++) {
        print_described(verb_specs[i]->name, verb_specs[i]->help);
    }
    print_described("run", "run a VM");
    print_described("img", "disk images");
    print_described("io", "requests to a disk image");
    print_described("help", "lists of all kinds");
    print_described("xml2argv", "the options that a domain file means");
    puts("  )\n  _describe command commands\n  _files\n  return\nfi\ncase $words[2] in");
    print_cases("");
    puts("esac\nif [[ $PREFIX == -* ]]; then\n  compadd -- ${=options}\n  return\nfi\ncase $kind in");
    puts("domain) domains=(${(f)\"$(roost list --name --all 2>/dev/null)\"}); compadd -a domains ;;");
    puts("inactive) domains=(${(f)\"$(roost list --name --inactive 2>/dev/null)\"}); compadd -a domains ;;");
    puts("file) [[ $words[2] == img ]] && compadd -- ${=options}; _files ;;\n*) compadd -- ${=options} ;;\nesac");
}

bool verbs_print_completion(const char *shell)
{
    if (strcmp(shell, "bash") == 0) {
        print_bash();
        return true;
    }
    if (strcmp(shell, "zsh") == 0) {
        print_zsh();
        return true;
    }
    return false;
}
