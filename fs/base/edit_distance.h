/* How far two words are from each other, for what was typed and what was meant. Pure. */
#pragma once

#include <limits.h>
#include <stddef.h>

enum { EDIT_DISTANCE_MOST = 32 };
#define EDIT_DISTANCE_FAR UINT_MAX

/*
 * The fewest edits between LEFT and RIGHT, where one is a letter too many, one too few, another one, or two neighbours
 * in the wrong order. Neither case counts, nor '_' for '-'. EDIT_DISTANCE_FAR when one has more than EDIT_DISTANCE_MOST
 * bytes.
 */
unsigned int edit_distance(const char *left, size_t left_size, const char *right, size_t right_size);

/* A byte of a word as it is compared. */
char edit_letter(char c);
