"""Counts the test cases of a run from meson's JUnit file: prints "N passed, M failed" and exits accordingly.

usage: count.py testlog.junit.xml STATUS, where STATUS is meson's own exit status: if that is not 0 and no case failed (a test
that crashed or timed out between its cases), it counts as one failure. So does a run without the file: no test had the name.
"""
import os
import sys
import xml.etree.ElementTree as ET


def main():
    passed = failed = 0
    cases = ET.parse(sys.argv[1]).getroot().iter("testcase") if os.path.exists(sys.argv[1]) else ()
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
