/* SPDX-License-Identifier: MIT */
#ifndef FAKE_HOST_H
#define FAKE_HOST_H

/* The whole program as a function, so that it can be a plug-in too. Exported. */
__attribute__((visibility("default"))) int fake_host_main(int argc, char ** argv);

#endif
