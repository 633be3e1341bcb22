/*
 * Docker's volume plugin protocol: a request's path and body in, an answer's body out. Bodies are hostile. One thread.
 *
 * Source: docs.docker.com, "Docker volume plugins" and "Docker Plugin API": POST, JSON both ways; an error is a text in
 * Err, with status 500: podman looks at the status alone.
 */
#pragma once

#include <stddef.h>

#include <jansson.h>

#include "fs/volumes/volumes.h"

/*
 * Does what METHOD URL with BODY (SIZE bytes) asks for: the HTTP status, and *ANSWER, a new reference (NULL: memory is
 * short).
 */
unsigned int protocol_run(struct volumes *volumes, const char *method, const char *url, const char *body, size_t size,
                          json_t **answer);
