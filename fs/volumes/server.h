/* HTTP on a listening socket, one thread for all of it: a request is carried out before the next one is looked at. */
#pragma once

#include "fs/volumes/volumes.h"

/* Serves at LISTENER until SIGNALS (a signalfd) is readable. 0 or negative errno. */
int server_run(int listener, int signals, struct volumes *volumes);
