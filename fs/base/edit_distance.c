#include "fs/base/edit_distance.h"

#include <stdbool.h>

char edit_letter(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c == '_' ? '-' : c;
}

static bool are_same(char left, char right)
{
    return edit_letter(left) == edit_letter(right);
}

static unsigned int least(unsigned int one, unsigned int other)
{
    return one < other ? one : other;
}

/* Optimal string alignment, row by row: of LEFT's first i letters and RIGHT's first j. */
unsigned int edit_distance(const char *left, size_t left_size, const char *right, size_t right_size)
{
    unsigned int rows[3][EDIT_DISTANCE_MOST + 1], *before = rows[0], *last = rows[1], *row = rows[2];
    if (left_size > EDIT_DISTANCE_MOST || right_size > EDIT_DISTANCE_MOST)
        return EDIT_DISTANCE_FAR;
    for (unsigned int j = 0; j <= right_size; j++)
        row[j] = j;
    for (unsigned int i = 1; i <= left_size; i++) {
        unsigned int *free_row = before;
        before = last;
        last = row;
        row = free_row;
        row[0] = i;
        for (size_t j = 1; j <= right_size; j++) {
            row[j] = least(least(last[j], row[j - 1]) + 1, last[j - 1] + !are_same(left[i - 1], right[j - 1]));
            if (i > 1 && j > 1 && are_same(left[i - 1], right[j - 2]) && are_same(left[i - 2], right[j - 1]))
                row[j] = least(row[j], before[j - 2] + 1);
        }
    }
    return row[right_size];
}
