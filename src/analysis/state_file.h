/* SPDX-License-Identifier: MIT */
#ifndef TAT_ANALYSIS_STATE_FILE_H
#define TAT_ANALYSIS_STATE_FILE_H

/* The path of a file that tat keeps for its user from run to run: $XDG_STATE_HOME/tat/NAME, or
 * ~/.local/state/tat/NAME. The caller frees it. NULL: there is no home folder, or no memory. Makes nothing. */
char * state_file(const char * name);

/* The same of what can be made anew: in $XDG_CACHE_HOME/tat, or ~/.cache/tat. */
char * cache_file(const char * name);

/* Makes the folders above a file, for the user alone. Where that fails, creating the file says why. `path` is as before
 * when it returns. */
void state_file_folders(char * path);

#endif
