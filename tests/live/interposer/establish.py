"""gage_proxy.so in an unmodified application (python3-gssapi), with gage-proxyd and with the packaged gssproxy behind it."""
import shutil
import unittest

from kit import ACCEPT_ONLY, BOTH_ROLES, DAEMONS, PLUGIN, REALM, Between, Realm, daemon_for, first_token, pair, run_client


class Establish(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.realm = Realm()
        cls.realm.start()

    @classmethod
    def tearDownClass(cls):
        cls.realm.stop()

    def check(self, result, initiator):
        self.assertNotIn("error", result)
        for side in ("mine", "theirs"):
            self.assertEqual(result[side]["initiator"], f"{initiator}@{REALM}")
            self.assertEqual(result[side]["target"], f"host/localhost@{REALM}")

    def test_either_role_with_and_without_a_credential_and_below_spnego_through_either_daemon(self):
        for program in DAEMONS:
            with daemon_for(self.realm, BOTH_ROLES, program=program) as daemon:
                for role, who in (("accept", "alice"), ("initiate", "gage/localhost")):
                    for extra in ((), ("creds=yes",), ("mech=spnego",)):
                        with self.subTest(program=program, role=role, extra=extra):
                            self.check(pair(daemon, role, *extra, behavior="REMOTE_ONLY"), who)

    def test_the_default_credential_is_one_call_to_accept_and_one_a_leg_to_initiate(self):
        for program in DAEMONS:
            for services, role, who, procedures in ((ACCEPT_ONLY, "accept", "alice", [9]), (BOTH_ROLES, "initiate", "gage/localhost", [8, 8])):
                with self.subTest(program=program, role=role), daemon_for(self.realm, services, program=program) as daemon, Between(daemon) as between:
                    self.check(pair(daemon, role, behavior="REMOTE_ONLY", GSSPROXY_SOCKET=between.path), who)
                    self.assertEqual((between.procedures, between.connections), (procedures, 1))

    def test_every_behavior_of_an_initiator_with_and_without_ticket_and_daemon_is_the_packaged_plugins(self):
        """The local ticket is alice's, the daemon's credential gage/localhost's: who comes first shows in the name."""
        behaviors = ("LOCAL_ONLY", "LOCAL_FIRST", "REMOTE_FIRST", "REMOTE_ONLY", "NO_SUCH_WORD", None)
        local, remote = f"alice@{REALM}", f"gage/localhost@{REALM}"
        with daemon_for(self.realm, BOTH_ROLES) as daemon:
            for behavior in behaviors:
                theirs = [self.initiates_as(daemon, PLUGIN, behavior, i in (0, 1), i in (0, 2)) for i in range(4)]
                ours = [self.initiates_as(daemon, None, behavior, i in (0, 1), i in (0, 2)) for i in range(4)]
                with self.subTest(behavior=behavior):
                    self.assertEqual(ours, theirs)
                    self.assertIn(ours[0], (local, remote))
                    self.assertIsNone(ours[3])

    def initiates_as(self, daemon, plugin, behavior, ticket, up):
        plugin, daemon.plugin = daemon.plugin, plugin or daemon.plugin
        env = daemon.client_env(behavior or "")
        daemon.plugin = plugin
        if behavior is None:
            del env["GSSPROXY_BEHAVIOR"]
        if ticket:
            shutil.copy(self.realm.path("ccache"), daemon.path("ticket"))
            env["KRB5CCNAME"] = "FILE:" + daemon.path("ticket")
        if not up:
            env["GSSPROXY_SOCKET"] = daemon.path("nobody-listens")
        result = run_client("initiate", "host@localhost", env=env)
        if "error" in result:
            return None
        return run_client("accept", result["token"], env=self.realm.env)["name"]

    def test_without_gss_use_proxy_nobody_is_stood_in_for(self):
        with daemon_for(self.realm, BOTH_ROLES) as daemon:
            for value, used in (("yes", True), ("TRUE", True), ("1", True), ("on", True), ("no", False), ("", False), ("2", False)):
                with self.subTest(value=value):
                    env = daemon.client_env("REMOTE_ONLY", GSS_USE_PROXY=value)
                    self.assertEqual("error" not in run_client("initiate", "host@localhost", env=env), used)

    def test_a_service_with_krb5_principal_takes_tickets_of_every_key_as_with_the_packaged_plugin(self):
        for program in DAEMONS:
            with daemon_for(self.realm, BOTH_ROLES, program=program) as daemon:
                for target in ("gage@localhost", "HTTP@localhost"):
                    with self.subTest(program=program, target=target):
                        result = daemon.client("accept", first_token(self.realm, target), behavior="REMOTE_ONLY")
                        self.assertEqual(result.get("name"), f"alice@{REALM}", result)

    def test_with_its_own_keytab_local_first_leaves_the_daemon_alone(self):
        with daemon_for(self.realm) as daemon, Between(daemon) as between:
            result = daemon.client("accept", first_token(self.realm), behavior="LOCAL_FIRST", KRB5_KTNAME="FILE:" + self.realm.keytab,
                                   GSSPROXY_SOCKET=between.path)
            self.assertEqual(result.get("name"), f"alice@{REALM}", result)
            self.assertEqual(between.connections, 0)

    def test_the_daemons_reason_with_what_to_do_comes_from_display_status(self):
        service = ACCEPT_ONLY.replace("{keytab}", "{dir}/no-keytab")
        with daemon_for(self.realm, service) as daemon:
            for behavior in ("REMOTE_ONLY", "REMOTE_FIRST", "LOCAL_FIRST"):
                with self.subTest(behavior=behavior):
                    result = daemon.client("accept", first_token(self.realm), behavior=behavior)
                    self.assertIn("no-keytab", result["text"])
                    self.assertIn("check the service's keytab", result["text"])
            shutil.copy(self.realm.keytab, daemon.path("no-keytab"))
            self.assertTrue(daemon.client("accept", first_token(self.realm))["complete"], "a repaired keytab works at once")

    def test_no_daemon_is_said_with_its_socket_and_what_to_do(self):
        with daemon_for(self.realm) as daemon:
            path = daemon.path("nobody-listens")
            result = daemon.client("accept", first_token(self.realm), behavior="REMOTE_ONLY", GSSPROXY_SOCKET=path)
            self.assertIn(path, result["text"])
            self.assertIn("see that the daemon runs", result["text"])

    def test_a_users_ticket_survives_what_loses_it_with_the_packaged_plugin(self):
        """Row 9 of the table of defects: acquiring through the daemon with a FILE cache that holds a ticket."""
        for program in DAEMONS:
            for plugin, survives in ((PLUGIN, False), (None, True)):
                with self.subTest(program=program, plugin=plugin), daemon_for(self.realm, BOTH_ROLES, program=program) as daemon:
                    daemon.plugin = plugin or daemon.plugin
                    cache = daemon.path("users-ticket")
                    shutil.copy(self.realm.path("ccache"), cache)
                    before = open(cache, "rb").read()
                    for role in ("initiate", "accept"):
                        pair(daemon, role, "creds=yes", KRB5CCNAME="FILE:" + cache)
                    self.assertEqual(open(cache, "rb").read() == before, survives)

    def test_a_path_that_is_no_socket_and_one_too_long_are_failures_and_no_more(self):
        with daemon_for(self.realm) as daemon:
            for path in ("/", "/dev/null", "/" + "x" * 300):
                with self.subTest(path=path):
                    result = daemon.client("accept", first_token(self.realm), behavior="REMOTE_ONLY", GSSPROXY_SOCKET=path)
                    self.assertIn("proxy daemon", result["text"])



if __name__ == "__main__":
    unittest.main()
