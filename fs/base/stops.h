/*
 * Places where a test has a process killed: in a build with AAPFS_WITH_STOPS, and nowhere else. Any thread.
 *
 * The file that $AAPFS_STOPS names holds one place's name, perhaps with how many more times it is passed first and
 * how many processes are to die there, and by which signal if not by SIGKILL ("publisher-first 3 2 6"). The last one that comes to it removes the file. Files of
 * the same name with ".2" behind it are looked at too.
 */
#pragma once

#ifdef AAPFS_WITH_STOPS
void stop_here(const char *place);
#else
static inline void stop_here(const char *place)
{
    (void)place;
}
#endif
