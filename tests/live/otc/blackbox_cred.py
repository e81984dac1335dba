"""Credentials: every key of the credential store, the password, secret files, what is refused and with which sentence; and that no secret
shows in an error. Section 12 of doc/otc.md.
"""
import base64
import os
import tempfile
import time
import unittest

import gss

gss.use_otc()

import otc_pair  # noqa: E402
from otc_pair import Pair, link, secret  # noqa: E402


class Base(otc_pair.Case):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def file(self, text=None, side=None, name="secret", **more):
        return otc_pair.write_file(os.path.join(self.folder, name), text or secret(), side, **more)

    def raw_file(self, data, name="raw", mode=0o600):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as f:
            f.write(data)
        os.chmod(path, mode)
        return path

    def acquire_file(self, path, usage=gss.INITIATE, *more):
        return gss.acquire(store=[("otc_secret_file", path), *more], usage=usage)


class Links(Base):
    def test_a_password_is_the_links_text(self):
        text = secret()
        Pair(creds=(gss.acquire(password=text.encode()).ok().cred, gss.acquire(password=text.encode(), usage=gss.ACCEPT).ok().cred))

    def test_password_and_store_make_the_same_credential(self):
        text = secret()
        Pair(creds=(gss.acquire(password=text.encode()).ok().cred, link(text, gss.ACCEPT)))

    def test_every_form_of_the_text_is_the_same_secret(self):
        text = secret()
        standard = text.replace("-", "+").replace("_", "/")
        for form in (text, text + "=", text + "%3D", text + "%3d", text + "==", standard, standard[:20] + text[20:]):
            Pair(creds=(link(form), link(text, gss.ACCEPT)))

    def test_other_texts_are_no_secret_and_do_not_show(self):
        text = secret()
        spare = text[:-1] + {"A": "B", "E": "F", "I": "J", "M": "N", "Q": "R", "U": "V", "Y": "Z", "c": "d", "g": "h", "k": "l", "o": "p",
                             "s": "t", "w": "x", "0": "1", "4": "5", "8": "9"}[text[-1]]  # the bits that encode nothing
        for bad in ("", spare, text + "===", text[:-1], text + "AAAA", text[:20] + " " + text[21:], text + "\n", " " + text, text[:-1] + "!", "=" + text[1:], text * 2,
                    "password"):
            results = [gss.acquire(store=[("otc_secret", bad)])]
            if bad:
                results.append(gss.acquire(password=bad.encode()))
            for result in results:
                self.refused("BAD_SECRET", result)
                self.assertNotIn(text[:8], gss.text_of(result.minor))

    def test_both_roles_of_one_link_are_refused(self):
        self.refused("BOTH_ROLES", gss.acquire(store=[("otc_secret", secret())], usage=gss.BOTH))
        self.refused("BOTH_ROLES", gss.acquire(password=secret().encode(), usage=gss.BOTH))

    def test_inquire_tells_usage_mechanism_and_time_left(self):
        for usage in (gss.INITIATE, gss.ACCEPT):
            cred = link(secret(), usage)
            seen = gss.inquire_cred(cred).ok()
            self.assertEqual((seen.usage, seen.mechs), (usage, [gss.OTC]))
            by_mech = gss.inquire_cred_by_mech(cred).ok()
            self.assertEqual(by_mech.usage, usage)
            self.assertEqual([by_mech.initiate > 0, by_mech.accept > 0], [usage == gss.INITIATE, usage == gss.ACCEPT])


class Store(Base):
    def test_unknown_and_repeated_keys_of_the_mechanism_are_refused(self):
        good = ("otc_secret", secret())
        for extra in (("otc_colour", "red"), ("otc_", "x"), ("otc_secrets", "x"), good, ("otc_secret_file", "/x")):
            self.refused("BAD_KEY", gss.acquire(store=[good, extra]))
        self.refused("BAD_KEY", gss.acquire(store=[good, ("otc_label", "a"), ("otc_label", "b")]))

    def test_keys_of_other_mechanisms_are_ignored(self):
        gss.acquire(store=[("otc_secret", secret()), ("ccache", "FILE:/nonexistent"), ("keytab", "/nonexistent"), ("rcache", "none:")]).ok()

    def test_values_are_checked(self):
        for key, values in {"not_after": ("tomorrow", "", "-1h", "1y", "2030-13-01T00:00:00Z", "2030-01-31", "1h ", "99999999999999999999s"),
                            "lifetime": ("", "0s", "-1h", "1y", "forever", "1.5h", "99999999999999999999w"),
                            "label": ("x" * 256, "a\nb"), "title": ("x" * 1025,)}.items():
            for value in values:
                with self.subTest(key=key, value=value[:30]):
                    self.refused("BAD_VALUE", gss.acquire(store=[("otc_secret", secret()), ("otc_" + key, value)]))

    def test_durations_have_five_units(self):
        for text, seconds in (("100s", 100), ("10m", 600), ("24h", 86400), ("3d", 3 * 86400), ("2w", 14 * 86400)):
            left = gss.inquire_cred(link(secret(), not_after=text)).ok().left
            self.assertTrue(seconds - 30 <= left <= seconds, (text, left))

    def test_a_used_store_that_cannot_be_written_accepts_nothing(self):
        text = secret()
        token = gss.init(link(text)).ok().token
        for path in ("/nonexistent/folder/used", self.folder, "/dev/full"):
            cred = gss.acquire(store=[("otc_secret", text), ("otc_used", path)], usage=gss.ACCEPT)
            result = cred if cred.failed else gss.accept(cred.cred, token)
            self.refused("USED_STORE", result)

    def test_a_credential_of_the_mechanism_is_not_stored(self):
        result = gss.call("store_cred", link(secret()), gss.c_int(gss.INITIATE), gss.oid(gss.OTC), gss.c_int(0), gss.c_int(0), None, None)
        self.assertEqual(hex(result.major), hex(gss.UNAVAILABLE))


class Files(Base):
    def test_a_pair_of_files_makes_many_contexts_in_both_directions(self):
        text = secret()
        a, b = (self.acquire_file(self.file(text, side, side), gss.BOTH).ok().cred for side in "ab")
        for creds in ((a, b), (b, a)) * 3:
            Pair(creds=creds)

    def test_a_file_without_side_holds_a_link(self):
        text = secret()
        path = self.file(text)
        Pair(creds=(self.acquire_file(path).ok().cred, self.acquire_file(path, gss.ACCEPT).ok().cred))
        self.refused("BOTH_ROLES", self.acquire_file(path, gss.BOTH))

    def test_comments_empty_lines_and_times_are_read(self):
        text = secret()
        data = f"gage-otc-secret 1\n\n# of the laptop\nside=a\nsecret={text}\nnot-after=2099-01-01T00:00:00Z\nlabel=laptop\npurpose=backup\n"
        i = self.acquire_file(self.raw_file(data.encode(), "a")).ok().cred
        pair = Pair(creds=(i, self.acquire_file(self.file(text, "b"), gss.ACCEPT).ok().cred))
        name = gss.inquire_context(pair.a).ok().source
        self.assertEqual([gss.get_name_attribute(name, b"otc:" + key).ok().value for key in (b"label", b"purpose")], [b"laptop", b"backup"])

    def test_the_stores_label_goes_before_the_files(self):
        text = secret()
        i = self.acquire_file(self.file(text, "a", label="old"), gss.INITIATE, ("otc_label", "new")).ok().cred
        pair = Pair(creds=(i, self.acquire_file(self.file(text, "b", "b"), gss.ACCEPT).ok().cred))
        self.assertEqual(gss.get_name_attribute(gss.inquire_context(pair.a).ok().source, b"otc:label").ok().value, b"new")

    def test_files_of_another_form_are_refused(self):
        text = secret()
        good = f"gage-otc-secret 1\nside=a\nsecret={text}\n".encode()
        self.acquire_file(self.raw_file(good)).ok()
        self.acquire_file(self.raw_file(good.replace(b"\n", b"\r\n"))).ok()
        for what, bad in {"empty": b"", "first line": b"gage-otc-secret 2\n" + good[18:], "no secret": b"gage-otc-secret 1\nside=a\n",
                          "side": good.replace(b"side=a", b"side=c"), "unknown key": good + b"colour=red\n", "repeated": good + b"side=a\n",
                          "no equals": good + b"label\n", "time": good + b"not-after=soon\n", "label": good + b"label=" + b"x" * 256 + b"\n",
                          "control character": good + b"label=a\x1b[1m\n", "NUL": good + b"label=a\0b\n", "too long": good + b"#" * 8192 + b"\n",
                          "space": good.replace(b"side=", b"side =")}.items():
            with self.subTest(what):
                self.refused("SECRET_FILE_FORMAT", self.acquire_file(self.raw_file(bad)))

    def test_a_bad_secret_in_a_file_is_refused_without_showing(self):
        result = self.acquire_file(self.raw_file(b"gage-otc-secret 1\nside=a\nsecret=hunter2\n"))
        self.assertEqual(result.major, gss.DEFECTIVE_CREDENTIAL)
        self.assertNotIn("hunter2", gss.text_of(result.minor))

    def test_files_that_others_may_touch_are_refused(self):
        path = self.file(side="a")
        for mode, good in ((0o600, True), (0o400, True), (0o640, True), (0o620, False), (0o602, False), (0o604, False), (0o666, False)):
            os.chmod(path, mode)
            result = self.acquire_file(path)
            if good:
                result.ok()
            else:
                self.refused("SECRET_FILE_OPEN", result)

    def test_files_that_are_not_there_or_not_files_are_refused(self):
        os.mkfifo(os.path.join(self.folder, "fifo"), 0o600)
        for path in ("/nonexistent", self.folder, os.path.join(self.folder, "fifo"), "/dev/null", "", "relative/none"):
            result = self.acquire_file(path)
            self.assertIn(otc_pair.NAME_OF.get(result.minor), ("SECRET_FILE", "SECRET_FILE_FORMAT", "SECRET_FILE_OPEN", "BAD_VALUE"), path)
            self.assertTrue(result.failed)

    def test_an_expired_file_is_refused(self):
        self.refused("EXPIRED", self.acquire_file(self.file(side="a", not_after="2001-01-01T00:00:00Z")))
        self.refused("EXPIRED", self.acquire_file(self.file(side="b", name="b", not_after="2001-01-01T00:00:00Z"), gss.ACCEPT))

    def test_one_expired_file_of_several_is_enough(self):
        good, old = self.file(side="b"), self.file(side="b", name="old", not_after="2001-01-01T00:00:00Z")
        self.refused("EXPIRED", gss.acquire(store=[("otc_secret_file", good), ("otc_secret_file", old)], usage=gss.ACCEPT))

    def test_several_files_are_for_accepting_only(self):
        store = [("otc_secret_file", self.file(side="b")), ("otc_secret_file", self.file(side="b", name="other"))]
        for usage in (gss.INITIATE, gss.BOTH):
            self.refused("BAD_KEY", gss.acquire(store=store, usage=usage))

    def test_sixty_five_files_are_too_many(self):
        path = self.file(side="b")
        self.assertTrue(gss.acquire(store=[("otc_secret_file", path)] * 65, usage=gss.ACCEPT).failed)

    def test_the_holder_of_both_files_is_served_by_the_fitting_one(self):
        text = secret()
        a, b = (self.file(text, side, side) for side in "ab")
        both = gss.acquire(store=[("otc_secret_file", a), ("otc_secret_file", b)], usage=gss.ACCEPT).ok().cred
        for path in (a, b):
            Pair(creds=(self.acquire_file(path).ok().cred, both))


class Exports(Base):
    def test_an_exported_credential_is_the_same_party(self):
        text = secret()
        i, a = link(text, label="laptop", lifetime="1h", not_after="2h"), link(text, gss.ACCEPT, lifetime="2h")
        i2, a2 = (gss.import_cred(gss.export_cred(c).ok().token).ok().cred for c in (i, a))
        for pair in (Pair(creds=(i2, a2)), Pair(creds=(i, a2)), Pair(creds=(i2, a))):
            self.assertTrue(3500 < pair.last_a.left <= 3600)
            name = gss.inquire_context(pair.a).ok().source
            self.assertEqual(gss.get_name_attribute(name, b"otc:label").ok().value, b"laptop")
        self.assertEqual(gss.display_name(gss.inquire_cred(i2).ok().name).ok().text, gss.display_name(gss.inquire_cred(i).ok().name).ok().text)
        self.assertTrue(7100 < gss.inquire_cred(i2).ok().left <= 7200)

    def test_a_pair_of_files_and_a_used_store_travel_too(self):
        text, used = secret(), os.path.join(self.folder, "used")
        a = self.acquire_file(self.file(text, "a", "a"), gss.BOTH).ok().cred
        b = self.acquire_file(self.file(text, "b", "b"), gss.ACCEPT, ("otc_used", used)).ok().cred
        a2, b2 = (gss.import_cred(gss.export_cred(c).ok().token).ok().cred for c in (a, b))
        token = gss.init(a2).ok().token
        gss.accept(b2, token).ok()
        self.refused("USED", gss.accept(b, token))

    def test_the_export_holds_no_link_text(self):
        text = secret()
        token = gss.export_cred(link(text)).ok().token
        self.assertNotIn(text.encode(), token)
        self.assertNotIn(base64.urlsafe_b64decode(text + "="), token)

    def test_damage_truncation_and_bytes_left_over_are_refused(self):
        token = gss.export_cred(link(secret(), label="l")).ok().token
        for n in range(len(token)):
            self.assertTrue(gss.import_cred(token[:n]).failed, n)
        self.assertTrue(gss.import_cred(token + b"\0").failed)


class Times(Base):
    def test_a_files_context_is_claimed_within_ten_minutes(self):
        text = secret()
        creds = [self.acquire_file(self.file(text, side, side), gss.BOTH).ok().cred for side in "ab"]
        name = gss.inquire_context(Pair(creds=creds).a).ok().source
        value = gss.get_name_attribute(name, b"otc:not-after").ok().value.decode()
        self.assertAlmostEqual(time.mktime(time.strptime(value, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone, time.time() + 600, delta=60)


if __name__ == "__main__":
    unittest.main()
