/* SPDX-License-Identifier: MIT
 *
 * libelf checks every offset and size; read() in place of a mapping, so that a file that shrinks meanwhile is no
 * signal.
 */
#include "doctor/elf_facts.h"

#include <fcntl.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NEEDED_MAX = 512 };

static const char COMPUTE[] = "ggml_graph_compute";
static const char POOLS[] = "ggml_threadpool_new";
static const char HOOK[] = "__wrap_ggml_graph_compute";
static const char SOURCE[] = "ggml-cpu.c";        /* in ggml's assertions */
static const char AGENT_OPTION[] = "TAT_RUN_DIR"; /* in the agent */

static bool is(const char * text, const char * name) {
    return text && strcmp(text, name) == 0;
}

static void copy(char to[static PATH_MAX], const char * from) {
    const size_t length = from ? strnlen(from, PATH_MAX) : PATH_MAX;
    if (length < PATH_MAX) { memcpy(to, from, length + 1); }
}

/* ---- sections ---- */

struct section {
    Elf * elf;
    GElf_Shdr header;
    Elf_Data * data;
    size_t count; /* entries, of tables */
};

static void read_symbols(const struct section * s, struct elf_facts * facts) {
    const bool is_exported = s->header.sh_type == SHT_DYNSYM;
    for (size_t i = 0; i < s->count; i++) {
        GElf_Sym symbol;
        if (!gelf_getsym(s->data, (int) i, &symbol)) { return; }
        if (symbol.st_shndx == SHN_UNDEF) { continue; }
        const char * name = elf_strptr(s->elf, s->header.sh_link, symbol.st_name);
        if (is(name, HOOK)) { facts->has_agent = true; }
        if (is(name, POOLS)) { facts->exports_pools |= is_exported; }
        if (!is(name, COMPUTE)) { continue; }
        facts->holds_compute = true;
        facts->exports_compute |= is_exported && GELF_ST_VISIBILITY(symbol.st_other) == STV_DEFAULT;
    }
}

static void read_dynamic(const struct section * s, struct elf_facts * facts) {
    facts->is_static = false; /* unless it says that it is a program */
    for (size_t i = 0; i < s->count; i++) {
        GElf_Dyn entry;
        if (!gelf_getdyn(s->data, (int) i, &entry) || entry.d_tag == DT_NULL) { return; }
        const char * text = NULL;
        if (entry.d_tag == DT_NEEDED || entry.d_tag == DT_RPATH || entry.d_tag == DT_RUNPATH) {
            text = elf_strptr(s->elf, s->header.sh_link, entry.d_un.d_val);
        }
        if (entry.d_tag == DT_SYMBOLIC || (entry.d_tag == DT_FLAGS && (entry.d_un.d_val & DF_SYMBOLIC))) {
            facts->is_symbolic = true;
        } else if (entry.d_tag == DT_FLAGS_1 && (entry.d_un.d_val & DF_1_PIE)) {
            facts->is_static = !*facts->interpreter;
        } else if (text && entry.d_tag != DT_NEEDED) {
            copy(entry.d_tag == DT_RPATH ? facts->rpath : facts->runpath, text);
        } else if (text && facts->n_needed < NEEDED_MAX) {
            char * name = strdup(text);
            if (name) { facts->needed[facts->n_needed++] = name; }
        }
    }
}

static size_t relocated_symbol(const struct section * s, size_t i) {
    GElf_Rela with;
    GElf_Rel without;
    if (s->header.sh_type == SHT_RELA) {
        return gelf_getrela(s->data, (int) i, &with) ? GELF_R_SYM(with.r_info) : STN_UNDEF;
    }
    return gelf_getrel(s->data, (int) i, &without) ? GELF_R_SYM(without.r_info) : STN_UNDEF;
}

/* A relocation by name is a call, or a pointer to call through, that the dynamic linker fills in. */
static void read_relocations(const struct section * s, struct elf_facts * facts) {
    GElf_Shdr table;
    Elf_Scn * scn = elf_getscn(s->elf, s->header.sh_link);
    Elf_Data * symbols =
        scn && gelf_getshdr(scn, &table) && table.sh_type == SHT_DYNSYM ? elf_getdata(scn, NULL) : NULL;
    for (size_t i = 0; symbols && !facts->asks_compute && i < s->count; i++) {
        const size_t which = relocated_symbol(s, i);
        GElf_Sym symbol;
        if (which == STN_UNDEF || which > INT_MAX || !gelf_getsym(symbols, (int) which, &symbol)) { continue; }
        facts->asks_compute = is(elf_strptr(s->elf, table.sh_link, symbol.st_name), COMPUTE);
    }
}

struct text_found {
    bool source, agent;
};

static void read_text(const struct section * s, struct text_found * found) {
    if (!s->data->d_buf) { return; }
    found->source |= memmem(s->data->d_buf, s->data->d_size, SOURCE, sizeof SOURCE - 1) != NULL;
    found->agent |= memmem(s->data->d_buf, s->data->d_size, AGENT_OPTION, sizeof AGENT_OPTION - 1) != NULL;
}

static void read_section(struct section * s, Elf_Scn * scn, struct elf_facts * facts, struct text_found * found) {
    const GElf_Word type = s->header.sh_type;
    const bool is_text =
        type == SHT_PROGBITS && (s->header.sh_flags & (SHF_ALLOC | SHF_WRITE | SHF_EXECINSTR)) == SHF_ALLOC;
    const bool is_table =
        type == SHT_DYNSYM || type == SHT_SYMTAB || type == SHT_DYNAMIC || type == SHT_RELA || type == SHT_REL;
    if ((!is_text && (!is_table || s->header.sh_entsize == 0)) || !(s->data = elf_getdata(scn, NULL))) { return; }
    s->count = is_table ? s->data->d_size / s->header.sh_entsize : 0;
    switch (type) {
        case SHT_SYMTAB: facts->has_names = true; __attribute__((fallthrough));
        case SHT_DYNSYM: read_symbols(s, facts); break;
        case SHT_DYNAMIC: read_dynamic(s, facts); break;
        case SHT_RELA:
        case SHT_REL: read_relocations(s, facts); break;
        default: read_text(s, found);
    }
}

/* ---- files ---- */

static void read_interpreter(Elf * elf, struct elf_facts * facts) {
    size_t count = 0;
    if (elf_getphdrnum(elf, &count) != 0) { return; }
    for (size_t i = 0; i < count && i < INT_MAX; i++) {
        GElf_Phdr segment;
        if (!gelf_getphdr(elf, (int) i, &segment)) { return; }
        if (segment.p_type != PT_INTERP || segment.p_filesz >= PATH_MAX) { continue; }
        Elf_Data * data = elf_getdata_rawchunk(elf, (int64_t) segment.p_offset, segment.p_filesz, ELF_T_BYTE);
        if (data && data->d_buf) { memcpy(facts->interpreter, data->d_buf, data->d_size); }
    }
}

static bool is_foreign(const GElf_Ehdr * header) {
    GElf_Ehdr own = { 0 };
    const int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    Elf * elf = fd >= 0 ? elf_begin(fd, ELF_C_READ, NULL) : NULL;
    const bool is_other = elf && gelf_getehdr(elf, &own) &&
                          (own.e_machine != header->e_machine || own.e_ident[EI_CLASS] != header->e_ident[EI_CLASS]);
    elf_end(elf);
    if (fd >= 0) { close(fd); }
    return is_other;
}

static void read_elf(Elf * elf, const GElf_Ehdr * header, struct elf_facts * facts) {
    struct text_found found = { 0 };
    facts->is_foreign = is_foreign(header);
    read_interpreter(elf, facts);
    facts->is_static = !*facts->interpreter;
    for (Elf_Scn * scn = NULL; (scn = elf_nextscn(elf, scn));) {
        struct section section = { .elf = elf };
        if (gelf_getshdr(scn, &section.header)) { read_section(&section, scn, facts, &found); }
    }
    if (!facts->has_names) {
        facts->holds_compute |= found.source;
        facts->has_agent |= found.agent && found.source;
    }
}

int elf_facts_read(const char * path, struct elf_facts * facts, struct tat_error * error) {
    struct stat status;
    memset(facts, 0, sizeof *facts);
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) { return tat_fail_errno(error, "%s", path); }
    int result = fstat(fd, &status) == 0 && S_ISREG(status.st_mode)
                     ? 0
                     : tat_fail(error, TAT_ERROR_INPUT, "%s: not a regular file", path);
    elf_version(EV_CURRENT);
    Elf * elf = result == 0 ? elf_begin(fd, ELF_C_READ, NULL) : NULL;
    GElf_Ehdr header;
    if (result == 0 && elf_kind(elf) != ELF_K_ELF) {
        result = 1;
    } else if (result == 0 && (!gelf_getehdr(elf, &header) || (header.e_type != ET_EXEC && header.e_type != ET_DYN))) {
        result = tat_fail(error, TAT_ERROR_INPUT, "%s: not a program or a library, or damaged", path);
    } else if (result == 0 && !(facts->needed = calloc(NEEDED_MAX, sizeof *facts->needed))) {
        result = tat_fail(error, TAT_ERROR_SYSTEM, "out of memory");
    } else if (result == 0) {
        read_elf(elf, &header, facts);
    }
    elf_end(elf);
    close(fd);
    return result;
}

void elf_facts_free(struct elf_facts * facts) {
    for (size_t i = 0; i < facts->n_needed; i++) { free(facts->needed[i]); }
    free(facts->needed);
    memset(facts, 0, sizeof *facts);
}
