"""What a daemon logs: the form of its lines, and those that several tests expect."""
import re

ENDS = re.compile(r"aapfs: [\w-]+: the client key \S+.*\n")  # a line before an end, or of one

KILLED = re.compile(r"aapfs: aapfs-(worker|publisher|runner) was killed by signal 9; it is started again.*\n")

GONE = re.compile(r"aapfs: \S+: KMS no longer has .*\n")

FREED = r"aapfs: (\S+): deleted (\S+), by max_keys \((.*)\)\n"  # AAP, key, why

UNSETTLED = ("aapfs: payments: whether KMS made a client key of a creation whose answer was lost cannot be found out, since "
             "ListClientKeys is not permitted (Forbidden.NoPermission): permit it, or look in KMS's console\n")

TIMED = re.compile(r"(?m)^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (error|warning|notice) (?=aapfs: )")
DONE = re.compile(
    r"aapfs: [\w.-]+: (?:(?:(?:created|adopted) KAAP\.\S+|adopted KAAP\.\S+ in the place of KAAP\.\S+|rotated from KAAP\.\S+ to KAAP\.\S+),"
    r" valid (?:from \d\S+Z )?until \d\S+Z|deleted KAAP\.\S+), by (?:control \(uid \d+, pid -?\d+\)|rotate_at|first_key = (?:generate|file:\S+)|its NotBefore|delete_superseded|another host of the fleet)"
    r"(?:, password_source = (?:keep|generate|file:/\S+)|, before another worker took over)?\n")


def without_what_was_done(text):
    """
    A daemon's log without times and levels, and without the notices of what was done to keys, each of which has this form:
    the rest are lines that a test must expect.
    """
    lines = []
    for line in text.splitlines(True):
        timed = TIMED.match(line)
        plain = line[timed.end():] if timed else line
        if not (timed and timed[1] == "notice" and DONE.fullmatch(plain)):
            lines.append(plain)
    return "".join(lines)
