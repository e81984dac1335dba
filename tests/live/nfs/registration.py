"""How the kernel gets to know of the daemon: the packaged unit and configuration, the daemon's program in it."""
import os
import unittest

from world import HERE, REGISTRATION, World, active, journal, read, run, use_packaged_unit, wait_for


def loaded(module):
    return os.path.isdir("/sys/module/" + module)


class Registration(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        World.make()

    def test_a_daemon_before_auth_rpcgss_waits_and_says_so(self):
        self.assertFalse(loaded("auth_rpcgss"))
        use_packaged_unit()
        self.assertEqual(active("gssproxy"), "active")
        wait_for(lambda: "event=kernel_waits" in journal("gssproxy"), "the notice")
        self.assertFalse(os.path.exists(REGISTRATION))

    def test_the_kernel_knows_of_it_as_soon_as_auth_rpcgss_is_loaded(self):
        run("modprobe", "auth_rpcgss")
        wait_for(lambda: "event=kernel_registered" in journal("gssproxy"), "the notice")
        self.assertEqual(read(REGISTRATION), "1\n")
        self.assertEqual(journal("gssproxy").count("event=kernel_waits"), 1)

    def test_a_daemon_elsewhere_or_after_the_first_request_says_why_the_kernel_does_not_have_it(self):
        """The kernel decides for each network namespace: early.py has one of its own."""
        said = run("unshare", "--net", "--mount", "/usr/bin/python3", "-B", os.path.join(HERE, "early.py"), timeout=120).splitlines()
        self.assertRegex(said[0], r"event=kernel_failed .* nobody at /run/gssproxy\.sock, .* set socket")
        self.assertRegex(said[1], r"event=kernel_busy ")
