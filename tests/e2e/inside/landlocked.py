"""
landlocked.py PATH FILE: may read what is PATH or below it and nothing else of the same filesystem, and reads FILE at each line
of stdin: "read", or the errno. Exit status 99: the kernel has no Landlock.
"""
import ctypes
import os
import sys

# Source: linux/landlock.h, asm-generic/unistd.h, linux/prctl.h
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
READ_FILE, PATH_BENEATH, PR_SET_NO_NEW_PRIVS = 1 << 2, 1, 38


class PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32)]


libc = ctypes.CDLL(None, use_errno=True)
handled = ctypes.c_uint64(READ_FILE)
ruleset = libc.syscall(CREATE_RULESET, ctypes.byref(handled), ctypes.c_size_t(8), 0)
if ruleset < 0:
    sys.exit(99)
beneath = PathBeneath(READ_FILE, os.open(sys.argv[1], os.O_PATH))
if (libc.syscall(ADD_RULE, ruleset, PATH_BENEATH, ctypes.byref(beneath), 0) < 0 or libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0
        or libc.syscall(RESTRICT_SELF, ruleset, 0) < 0):
    sys.exit(os.strerror(ctypes.get_errno()))
for _ in sys.stdin:
    try:
        os.close(os.open(sys.argv[2], os.O_RDONLY))
        print("read", flush=True)
    except OSError as error:
        print(error.errno, flush=True)
