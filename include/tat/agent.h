/* SPDX-License-Identifier: MIT
 *
 * What a program may ask of the agent that was loaded into it. Find the functions with dlsym(RTLD_DEFAULT, ...):
 * without the agent they are not there.
 */
#ifndef TAT_AGENT_API_H
#define TAT_AGENT_API_H

#ifdef __cplusplus
extern "C" {
#endif

enum tat_agent_mode {
    TAT_AGENT_RECORD = 0, /* as at the start */
    TAT_AGENT_PAUSE = 1,  /* graphs pass by untouched, and are counted as filtered */
    TAT_AGENT_EMPTY = 2,  /* the callback is there and does nothing: for measuring what the hook alone costs */
};

/* From the next graph on; any thread. Returns the mode before. */
enum tat_agent_mode tat_agent_set_mode(enum tat_agent_mode mode);

#ifdef __cplusplus
}
#endif
#endif
