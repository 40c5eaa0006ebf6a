/* SPDX-License-Identifier: MIT
 *
 * A folder with a made-up /proc and cgroup hierarchy in it, for a test that reads them.
 */
#ifndef MADE_TREE_H
#define MADE_TREE_H

extern char made_root[64];

/* As cmocka's setup and teardown of a test: the folder is there, and is removed. */
int made_begin(void ** state);
int made_end(void ** state);

/* A file below the folder, with the folders above it. */
void made_file(const char * path, const char * text);

/* proc/self/cgroup with this text, and a hierarchy mounted at cg: its file system's type, which group is seen there,
 * and its options, each with a comma before it. */
void made_proc(const char * cgroup, const char * type, const char * mounted, const char * options);

#endif
