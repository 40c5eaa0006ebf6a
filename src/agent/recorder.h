/* SPDX-License-Identifier: MIT
 *
 * The observer that writes the trace.
 */
#ifndef TAT_AGENT_RECORDER_H
#define TAT_AGENT_RECORDER_H

#include "agent/observer.h"

extern const struct observer recorder;

#endif
