#!/usr/bin/python3
"""mandoc's lint of a manual, down to style: man_page.py MANDOC PAGE. Only other packages' manuals may be missing."""
import re
import subprocess
import sys

done = subprocess.run([sys.argv[1], "-T", "lint", "-W", "style", sys.argv[2]], capture_output=True, text=True)
lines = [line for line in (done.stdout + done.stderr).splitlines()
         if not re.search(r"STYLE: referenced manual not found|: outdated mandoc\.db lacks ", line)]
print("\n".join(lines))
sys.exit(bool(lines) or done.returncode not in (0, 1))
