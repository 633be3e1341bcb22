#include "kmsapi/iso_time.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

static const char form[] = "dddd-dd-ddTdd:dd:ddZ";
static const int64_t end_of_9999 = INT64_C(253402300800);

static int number(const char *digits, int count)
{
    int value = 0;
    for (int i = 0; i < count; i++)
        value = value * 10 + (digits[i] - '0');
    return value;
}

int iso_time_parse(const char *text, size_t size, int64_t *seconds)
{
    if (size != sizeof(form) - 1)
        return -EINVAL;
    for (size_t i = 0; i < size; i++)
        if (form[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != form[i])
            return -EINVAL;
    struct tm fields = {
        .tm_year = number(text, 4) - 1900,
        .tm_mon = number(text + 5, 2) - 1,
        .tm_mday = number(text + 8, 2),
        .tm_hour = number(text + 11, 2),
        .tm_min = number(text + 14, 2),
        .tm_sec = number(text + 17, 2),
    };
    time_t time = timegm(&fields);

    /* timegm puts February 30th right: what does not come back as it was does not exist */
    char back[ISO_TIME_SIZE];
    if (iso_time_format(time, back) < 0 || memcmp(back, text, size) != 0)
        return -EINVAL;
    *seconds = time;
    return 0;
}

/* What an offset at the end of a time is, east of Greenwich. 0 or -EINVAL. */
static int parse_offset(const char *text, int64_t *seconds)
{
    static const char *const forms[] = {"sdd:dd", "sdddd", "sdd"};
    char digits[5] = "0000";
    *seconds = 0;
    if (strcmp(text, "Z") == 0 || strcmp(text, "z") == 0)
        return 0;
    for (size_t f = 0; f < sizeof(forms) / sizeof(forms[0]); f++) {
        size_t i = 0, count = 0;
        for (; text[i] && forms[f][i]; i++) {
            bool digit = text[i] >= '0' && text[i] <= '9', sign = text[i] == '+' || text[i] == '-';
            if (forms[f][i] == 'd' ? !digit : forms[f][i] == 's' ? !sign : text[i] != forms[f][i])
                break;
            if (digit)
                digits[count++] = text[i];
        }
        if (text[i] || forms[f][i] || number(digits, 2) > 23 || number(digits + 2, 2) > 59)
            continue;
        *seconds = (text[0] == '-' ? -1 : 1) * (number(digits, 2) * 3600 + number(digits + 2, 2) * 60);
        return 0;
    }
    return -EINVAL;
}

int iso_time_parse_foreign(const char *text, int64_t *seconds)
{
    enum { PLAIN = sizeof(form) - 2 }; /* up to the seconds */
    char plain[sizeof(form)] = "";
    int64_t offset;
    if (strnlen(text, PLAIN) < PLAIN)
        return -EINVAL;
    memcpy(plain, text, PLAIN);
    plain[PLAIN] = 'Z';
    if (plain[10] == ' ' || plain[10] == 't')
        plain[10] = 'T';
    const char *rest = text + PLAIN;
    if (rest[0] == '.' || rest[0] == ',') {
        size_t digits = strspn(rest + 1, "0123456789");
        if (digits == 0)
            return -EINVAL;
        rest += 1 + digits;
    }
    if (iso_time_parse(plain, sizeof(form) - 1, seconds) < 0 || parse_offset(rest, &offset) < 0)
        return -EINVAL;
    *seconds -= offset;
    return 0;
}

int iso_time_format(int64_t seconds, char text[static ISO_TIME_SIZE])
{
    text[0] = '\0';
    if (seconds < 0 || seconds >= end_of_9999)
        return -EINVAL;
    time_t time = seconds;
    struct tm fields;
    if (!gmtime_r(&time, &fields))
        return -EINVAL;
    strftime(text, ISO_TIME_SIZE, "%Y-%m-%dT%H:%M:%SZ", &fields);
    return 0;
}
