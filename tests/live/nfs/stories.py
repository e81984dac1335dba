"""The stories that the virtual machine tells, in their order: each begins where the one before ended."""
import unittest

from registration import Registration
from server import Server
from units import Units


def load_tests(_loader, _tests, _pattern):
    return unittest.TestSuite(story(name) for story in (Registration, Server, Units) for name in vars(story) if name.startswith("test"))
