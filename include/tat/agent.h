/* SPDX-License-Identifier: MIT
 *
 * What a program may ask of the agent that was loaded into it. Find the functions with dlsym(RTLD_DEFAULT, ...):
 * without the agent they do not exist.
 */
#ifndef TAT_AGENT_API_H
#define TAT_AGENT_API_H

#ifdef __cplusplus
extern "C" {
#endif

enum tat_agent_mode {
    TAT_AGENT_RECORD = 0, /* the mode at the start */
    TAT_AGENT_PAUSE = 1,  /* graphs are not touched, and count as filtered */
    TAT_AGENT_EMPTY = 2,  /* the callback does nothing: this measures what the hook alone costs */
};

/* Takes effect with the next graph. Any thread may call it. Returns the previous mode. */
enum tat_agent_mode tat_agent_set_mode(enum tat_agent_mode mode);

#ifdef __cplusplus
}
#endif
#endif
