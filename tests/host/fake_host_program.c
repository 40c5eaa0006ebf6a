/* SPDX-License-Identifier: MIT */
#include "fake_host.h"

int main(int argc, char ** argv) {
    return fake_host_main(argc, argv);
}
