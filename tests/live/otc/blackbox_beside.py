"""The mechanism beside Kerberos in one process: it takes nothing away, and one acceptor serves both kinds of client."""
import os
import unittest

import gss

gss.use_otc()

import otc_pair  # noqa: E402
from realm import Realm  # noqa: E402


class Beside(otc_pair.Case):
    @classmethod
    def setUpClass(cls):
        cls.realm = Realm()
        cls.realm.__enter__()
        cls.addClassCleanup(cls.realm.__exit__)
        os.environ.update({k: v for k, v in cls.realm.env.items() if k.startswith("KRB5")})

    def establish(self, cred_i, cred_a, mech, target):
        one = gss.init(cred_i, mech=mech, target=target, flags=gss.MUTUAL | gss.REPLAY | gss.SEQUENCE).ok()
        two = gss.accept(cred_a, one.token).ok()
        three = gss.init(cred_i, two.token, one.context, mech=mech, target=target, flags=gss.MUTUAL | gss.REPLAY | gss.SEQUENCE).ok()
        if three.token:
            two = gss.accept(cred_a, three.token, two.context).ok()
        self.delivered(b"x", gss.unwrap(two.context, gss.wrap(three.context, b"x").ok().token))
        return two

    def test_default_credentials_are_kerberos_as_before(self):
        for usage in (gss.INITIATE, gss.ACCEPT):
            made = gss.acquire(usage=usage, mech=None).ok()
            self.assertIn(gss.KRB5, made.mechs)
            self.assertNotIn(gss.OTC, made.mechs)

    def test_one_credential_serves_clients_of_both_mechanisms(self):
        text = otc_pair.secret()
        store = gss.Store(2, (gss.StoreElement * 2)(gss.StoreElement(b"keytab", self.realm.keytab.encode()),
                                                    gss.StoreElement(b"otc_secret", text.encode())))
        cred, mechs = gss.c_void_p(), gss.POINTER(gss.OidSet)()
        made = gss.call("acquire_cred_from", None, gss.c_uint32(gss.INDEFINITE), gss.oid_set([gss.KRB5, gss.OTC]), gss.c_int(gss.ACCEPT),
                        gss.byref(store), gss.byref(cred), gss.byref(mechs), None, mechs=mechs).ok()
        self.assertEqual(sorted(made.mechs), sorted([gss.KRB5, gss.OTC]))
        by_otc = self.establish(otc_pair.link(text), cred, gss.OTC, gss.import_name(b"anybody").ok().name)
        host = gss.import_name(b"host@localhost", gss.NT_HOST).ok().name
        by_krb5 = self.establish(None, cred, gss.KRB5, host)
        self.assertEqual([by_otc.mech, by_krb5.mech], [gss.OTC, gss.KRB5])
        self.assertEqual(gss.display_name(by_krb5.source).ok().text, b"alice@TEST.GAGE")
        self.assertEqual(gss.compare_name(by_otc.source, by_krb5.source).ok().equal, 0)

    def test_a_kerberos_acceptor_alone_refuses_its_tokens(self):
        cred = gss.acquire(usage=gss.ACCEPT, mech=gss.KRB5).ok().cred
        token = gss.init(otc_pair.link(otc_pair.secret())).ok().token
        result = gss.accept(cred, token)
        self.assertEqual((hex(result.major), result.token), (hex(gss.NO_CRED), b""))

    def test_a_label_that_looks_like_a_principal_is_not_one(self):
        text = otc_pair.secret()
        pair = otc_pair.Pair(creds=(otc_pair.link(text, label="alice@TEST.GAGE"), otc_pair.link(text, gss.ACCEPT)))
        alice = gss.canonicalize_name(gss.import_name(b"alice").ok().name, gss.KRB5).ok().name
        name = gss.inquire_context(pair.a).ok().source
        self.assertEqual(gss.compare_name(name, alice).ok().equal, 0)
        self.assertNotEqual(gss.export_name(name).ok().data, gss.export_name(alice).ok().data)
        self.assertEqual(gss.userok(name, b"alice"), 0)


if __name__ == "__main__":
    unittest.main()
