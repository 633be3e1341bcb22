/*
 * Status as people read it: a line about the mount and a table of the AAPs, or all of one AAP. What comes from outside
 * is made harmless for terminals.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

struct status_style {
    unsigned int width; /* columns that a line should take */
    bool terminal;      /* else whoever reads it may want whole ids */
    bool colours;
    int64_t now; /* KMS's time, seconds since 1970 */
};

void status_print_mount(FILE *out, const json_t *mount, const struct status_style *style);
void status_print_aaps(FILE *out, const json_t *aaps, const struct status_style *style);
/* What somebody should do about WHO. */
void status_print_advice(FILE *out, const char *who, const char *advice);
void status_print_aap(FILE *out, const json_t *aap, const struct status_style *style);
