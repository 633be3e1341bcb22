#include "fs/commands/status/status_table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "fs/commands/status/status_judge.h"
#include "fs/commands/status/status_time.h"
#include "kmsapi/iso_time.h"

enum { COLUMNS = 7, CELL_SIZE = 640, GAP = 2, SHORT_ID = 13, LEAST_ERROR = 20 };
enum { NAME, STATE, KEY_ID, EXPIRES_IN, IN_USE_UNTIL, NEXT_ROTATION, LAST_ERROR };

struct row {
    char cells[COLUMNS][CELL_SIZE];
};

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "-";
}

/* Everything but printable ASCII could move the cursor, or the table. */
static void make_harmless(char *text)
{
    for (; *text; text++)
        if (*text < ' ' || *text > '~')
            *text = '?';
}

static void __attribute__((format(printf, 2, 3))) fill(char cell[static CELL_SIZE], const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(cell, CELL_SIZE, format, arguments);
    va_end(arguments);
    make_harmless(cell);
}

static void fill_time(char cell[static CELL_SIZE], int64_t time, int64_t now,
                      void (*say)(int64_t seconds, char text[static STATUS_TIME_SIZE]))
{
    char text[STATUS_TIME_SIZE] = "-";
    if (time)
        say(time - now, text);
    fill(cell, "%s", text);
}

static void fill_error(char cell[static CELL_SIZE], const json_t *error)
{
    if (json_is_object(error))
        fill(cell, "%s: %s", text_of(error, "Code"), text_of(error, "Message"));
    else
        fill(cell, "-");
}

static void fill_row(struct row *row, const json_t *aap, int64_t now)
{
    fill(row->cells[NAME], "%s", text_of(aap, "AapName"));
    fill(row->cells[STATE], "%s", text_of(aap, "State"));
    fill(row->cells[KEY_ID], "%s", text_of(aap, "ClientKeyId"));
    fill_time(row->cells[EXPIRES_IN], status_time_of(aap, "NotAfter"), now, status_time_left);
    fill_time(row->cells[IN_USE_UNTIL], status_time_of(aap, "InUseUntil"), now, status_time_relative);
    fill_time(row->cells[NEXT_ROTATION], status_time_of(aap, "NextRotation"), now, status_time_relative);
    fill_error(row->cells[LAST_ERROR], json_object_get(aap, "LastError"));
}

static void cut(char *text, unsigned int width)
{
    if (strlen(text) > width && width > 3)
        strcpy(text + width - 3, "...");
}

static unsigned int widest(const struct row rows[], size_t count, unsigned int column)
{
    size_t width = 0;
    for (size_t i = 0; i < count; i++)
        if (strlen(rows[i].cells[column]) > width)
            width = strlen(rows[i].cells[column]);
    return (unsigned int)width;
}

/* On a terminal the ids are cut when the lines would be too long with them, and so is what is left of the errors. */
static void lay_out(struct row rows[], size_t count, const struct status_style *style,
                    unsigned int widths[static COLUMNS])
{
    unsigned int sum = 0, line = style->width;
    for (unsigned int i = 0; i < COLUMNS; i++) {
        widths[i] = widest(rows, count, i);
        sum += i < LAST_ERROR ? widths[i] + GAP : 0;
    }
    if (style->terminal && sum + LEAST_ERROR > line) {
        for (size_t i = 0; i < count; i++)
            cut(rows[i].cells[KEY_ID], SHORT_ID + 3);
        sum -= widths[KEY_ID];
        widths[KEY_ID] = widest(rows, count, KEY_ID);
        sum += widths[KEY_ID];
    }
    for (size_t i = 0; i < count; i++)
        cut(rows[i].cells[LAST_ERROR], sum + LEAST_ERROR < line ? line - sum : LEAST_ERROR);
}

static const char *colour_of(const char *state)
{
    return status_is_bad(state)              ? "\033[31m"
           : strcmp(state, "expiring") == 0 ? "\033[33m"
           : strcmp(state, "active") == 0   ? "\033[32m"
                                            : "";
}

static void print_row(FILE *out, const struct row *row, const unsigned int widths[static COLUMNS], bool colours)
{
    for (unsigned int i = 0; i < COLUMNS; i++) {
        const char *colour = colours && i == STATE ? colour_of(row->cells[i]) : "";
        unsigned int size = (unsigned int)strlen(row->cells[i]);
        fprintf(out, "%s%s%s", colour, row->cells[i], *colour ? "\033[0m" : "");
        if (i + 1 < COLUMNS) /* no line ends in spaces */
            fprintf(out, "%*s", (int)(widths[i] - size) + GAP, "");
    }
    fputc('\n', out);
}

void status_print_aaps(FILE *out, const json_t *aaps, const struct status_style *style)
{
    static const struct row heads = {{"AAP", "STATE", "KEY ID", "EXPIRES IN", "IN USE UNTIL", "NEXT ROTATION",
                                      "LAST ERROR"}};
    size_t count = json_array_size(aaps) + 1, i;
    unsigned int widths[COLUMNS];
    const json_t *aap;
    struct row *rows = calloc(count, sizeof(*rows));
    if (!rows) {
        fputs("memory is short\n", out);
        return;
    }
    rows[0] = heads;
    json_array_foreach(aaps, i, aap)
        fill_row(&rows[i + 1], aap, style->now);
    lay_out(rows, count, style, widths);
    for (i = 0; i < count; i++)
        print_row(out, &rows[i], widths, style->colours && i > 0);
    free(rows);
}

void status_print_mount(FILE *out, const json_t *mount, const struct status_style *style)
{
    char cell[CELL_SIZE], sync[STATUS_TIME_SIZE] = "never";
    int64_t last_sync = status_time_of(mount, "LastSync");
    if (last_sync) /* the two clocks are read apart: nothing is to come */
        status_time_relative(last_sync < style->now ? last_sync - style->now : -1, sync);
    fill(cell, "aapfs %s, %s, account %s, last sync %s", text_of(mount, "Version"), text_of(mount, "Region"),
         text_of(mount, "Account"), sync);
    fputs(cell, out);
    double offset = (double)json_integer_value(json_object_get(mount, "ClockOffsetMilliseconds")) / 1000;
    if (offset > 1 || offset < -1)
        fprintf(out, ", KMS's clock %+.1f s from ours", offset);
    fputc('\n', out);
    const json_t *error = json_object_get(mount, "LastError");
    if (json_is_object(error)) {
        fill_error(cell, error);
        fprintf(out, "%s\n", cell);
    }
    if (!json_is_null(json_object_get(mount, "Note"))) {
        fill(cell, "%s", text_of(mount, "Note"));
        fprintf(out, "%s\n", cell);
    }
}

void status_print_advice(FILE *out, const char *who, const char *advice)
{
    char cell[CELL_SIZE];
    fill(cell, "%s: %s", who, advice);
    fprintf(out, "%s\n", cell);
}

static void print_value(FILE *out, const json_t *value, const struct status_style *style)
{
    char cell[CELL_SIZE], relative[STATUS_TIME_SIZE];
    const char *name;
    const json_t *item;
    json_t *member;
    size_t i;
    int64_t time;
    switch (json_typeof(value)) {
    case JSON_STRING:
        fill(cell, "%s", json_string_value(value));
        fputs(cell, out);
        if (iso_time_parse(json_string_value(value), strlen(json_string_value(value)), &time) == 0) {
            status_time_relative(time - style->now, relative);
            fprintf(out, " (%s)", relative);
        }
        break;
    case JSON_ARRAY:
        json_array_foreach(value, i, item) {
            fputs(i ? " " : "", out);
            print_value(out, item, style);
        }
        fputs(json_array_size(value) ? "" : "-", out);
        break;
    case JSON_OBJECT:
        i = 0;
        json_object_foreach((json_t *)(uintptr_t)value, name, member) {
            fprintf(out, "%s%s ", i++ ? ", " : "", name);
            print_value(out, member, style);
        }
        break;
    case JSON_INTEGER:
        fprintf(out, "%lld", (long long)json_integer_value(value));
        break;
    default:
        fputc('-', out);
        break;
    }
}

void status_print_aap(FILE *out, const json_t *aap, const struct status_style *style)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)aap, name, value) {
        fprintf(out, "%-13s ", name);
        print_value(out, value, style);
        fputc('\n', out);
    }
}
