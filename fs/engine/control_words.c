/*
 * Of what is typed wrongly only that matters which would pass for a password: it has eight characters and two kinds of
 * them. So it is a longer command with a hyphen, or a command with something behind it.
 */
#include "fs/engine/control_words.h"

#include <string.h>

#include "fs/base/edit_distance.h"

enum { LONG = 10 };

static const char *const commands[] = {
    "adopt-state", "delete", "delete-foreign", "forget",  "reload",      "reloaded",
    "retry-check", "rotate", "rotate-due",     "sync",    "upgrade",
};

/* What stands before the first hyphen of one, or of what somebody takes for one: aapfs(1)'s words, and nouns. */
static const char *const verbs[] = {
    "adopt",  "adoption", "check", "create",   "delete", "deletion", "export", "forget",
    "reload", "reloaded", "retry", "rotate", "rotation", "status",   "sync",   "upgrade",
};

static bool begins_with(const char *word, size_t size, const char *command)
{
    size_t i = 0;
    while (command[i] && i < size && edit_letter(word[i]) == command[i])
        i++;
    return !command[i];
}

/* Of one word as commands are: letters, with hyphens between them. Passwords have digits, capitals and more. */
static bool has_a_commands_shape(const char *word, size_t size)
{
    bool upper = false, lower = false;
    for (size_t i = 0; i < size; i++) {
        bool is_upper = word[i] >= 'A' && word[i] <= 'Z', is_lower = word[i] >= 'a' && word[i] <= 'z';
        if (!is_upper && !is_lower && word[i] != '-' && word[i] != '_')
            return false;
        upper = upper || (is_upper && i > 0);
        lower = lower || is_lower;
    }
    return !(upper && lower);
}

static bool has_a_verb(const char *word, size_t size)
{
    size_t end = 0;
    while (end < size && edit_letter(word[end]) != '-')
        end++;
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (edit_distance(word, end, verbs[i], strlen(verbs[i])) <= 1)
            return true;
    return false;
}

bool control_word_is_like_a_command(const char *word, size_t size)
{
    for (; size > 0 && edit_letter(*word) == '-'; size--) /* as options are written */
        word++;
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        size_t length = strlen(commands[i]);
        if (begins_with(word, size, commands[i]) ||
            edit_distance(word, size, commands[i], length) <= (length < LONG ? 1 : 2))
            return true;
    }
    return has_a_commands_shape(word, size) && has_a_verb(word, size);
}
