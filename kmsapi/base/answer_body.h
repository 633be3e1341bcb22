/*
 * The body of an answer as an object of members, whatever it was written in. KMS is asked for JSON and its gateway answers
 * some requests in XML all the same; a proxy's page is neither. Pure, any thread; all of it is hostile, and may hold a key.
 *
 * Bytes that are no UTF-8 become "?", so that one text of no use does not take the others with it; a string may hold NULs.
 * Each returns a new object or NULL; json_decref it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

/* One JSON object. TWICE: members may stand in it twice, and the last one counts, as for the SDKs; else that is no answer. */
json_t *answer_body_json(const char *body, size_t size, bool twice);

/* The elements of an XML document that hold text alone, by their names; of several of a name the first. An HTML page is none. */
json_t *answer_body_xml(const char *body, size_t size);

/*
 * What can be read of a body that is neither, broken off for instance: those of NAMES (NULL ends) that stand in it as members
 * of JSON with a string. NULL where there is none.
 */
json_t *answer_body_rest(const char *body, size_t size, const char *const *names);

/* The member NAME of OBJECT, or one that is written in other letters, as code and Code; NULL. */
const json_t *answer_body_member(const json_t *object, const char *name);

/* MEMBER as a string without NULs; NULL: it is none. */
const char *answer_body_text(const json_t *member);
