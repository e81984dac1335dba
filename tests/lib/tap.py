"""Runs the unittest cases of a file and prints TAP: /usr/bin/python3 tests/lib/tap.py FILE [args].

A test file needs nothing but `import unittest` and cases. tests/lib is on its path. A skipped case counts as failed:
nothing skips here.
"""
import importlib.util
import os
import sys
import traceback
import unittest


class TapResult(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.number = 0
        self.bad = 0

    def line(self, good, test, detail=""):
        self.number += 1
        self.bad += not good
        for text in detail.splitlines():
            print("# " + text)
        print(f"{'ok' if good else 'not ok'} {self.number} - {test.id().split('.', 1)[-1]}", flush=True)

    def addSuccess(self, test):
        self.line(True, test)

    def addError(self, test, err):
        self.line(False, test, "".join(traceback.format_exception(*err)))

    addFailure = addError

    def addSkip(self, test, reason):
        self.line(False, test, "skipped: " + reason)

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.line(False, subtest, "".join(traceback.format_exception(*err)))


def main():
    path = os.path.abspath(sys.argv[1])
    sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)), os.path.dirname(path)]
    sys.argv = sys.argv[1:]
    spec = importlib.util.spec_from_file_location(os.path.basename(path).removesuffix(".py"), path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    result = TapResult()
    suite.run(result)
    print(f"1..{result.number}")
    sys.exit(1 if result.bad or result.number == 0 else 0)


if __name__ == "__main__":
    main()
