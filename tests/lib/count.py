"""Counts the test cases of a run from meson's JUnit file: prints "N passed, M failed" and exits accordingly.

usage: count.py testlog.junit.xml STATUS, where STATUS is meson's own exit status: if that is not 0 and no case failed (a test
that crashed or timed out between its cases), it counts as one failure. So does a run without the file: no test had the name.
"""
import os
import re
import sys
import xml.etree.ElementTree as ET


def read(path):
    """The cases. What a test printed stands in the file as it is, control characters too, which XML does not have."""
    if not os.path.exists(path):
        return ()
    with open(path, errors="replace") as f:
        return ET.fromstring(re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]", "", f.read())).iter("testcase")


def main():
    passed = failed = 0
    cases = read(sys.argv[1])
    for case in cases:
        bad = any(case.find(kind) is not None for kind in ("failure", "error", "skipped"))
        failed += bad
        passed += not bad
        if bad:
            print(f"failed: {case.get('classname')} {case.get('name')}")
    if (int(sys.argv[2]) != 0 or passed == 0) and failed == 0:
        failed = 1
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
