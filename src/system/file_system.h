/* SPDX-License-Identifier: MIT */
#ifndef TAT_SYSTEM_FILE_SYSTEM_H
#define TAT_SYSTEM_FILE_SYSTEM_H

enum file_system_kind {
    FILE_SYSTEM_UNKNOWN,
    FILE_SYSTEM_ON_DISK,   /* its addresses are those of its disk */
    FILE_SYSTEM_OWN_SPACE, /* its addresses are its own */
    FILE_SYSTEM_IN_MEMORY,
    FILE_SYSTEM_LAYERED, /* of others */
    FILE_SYSTEM_REMOTE,  /* another machine's, or another program's */
};

struct file_system {
    const char * name; /* as mount(8) has it; NULL: it is unknown */
    enum file_system_kind kind;
    long magic;
};

/* That an open file is on. Where the kernel does not say, all is 0. */
struct file_system file_system_of(int fd);

#endif
