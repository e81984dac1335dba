"""The preview page in headless Chromium: what a person sees on a phone, and that the page runs and loads nothing."""
import html
import os
import re
import socket
import subprocess
import tempfile
import unittest

from relay import Relay, new_id

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--ignore-certificate-errors", "--hide-scrollbars", "--window-size=390,844"]
SECRET = "c2VjcmV0LWluLXRoZS1mcmFnbWVudA"


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.relay = Relay().__enter__()
        cls.addClassCleanup(cls.relay.stop)

    def chromium(self, url, *options):
        with tempfile.TemporaryDirectory() as profile:
            return subprocess.run(["chromium", *FLAGS, "--user-data-dir=" + profile, *options, url], capture_output=True, timeout=60)

    def shown(self, **fields):
        """The text of the page as the browser has it after loading it with a secret in the fragment."""
        path = self.relay.box(new_id(), **fields)
        dom = self.chromium(f"{self.relay.url}{path}?v=c#{SECRET}", "--dump-dom").stdout.decode()
        self.assertNotIn(SECRET, dom)
        body = re.sub(r"<style>.*?</style>", "", dom, flags=re.S)
        return dom, html.unescape(re.sub(r"<[^>]+>", " ", body))

    def test_R31_A10_shows_title_description_time_left_and_what_to_do(self):
        _, text = self.shown(title="Key to the summer house", description="Yours for the weekend \u2600")
        text = " ".join(text.split())
        for words in ("Key to the summer house", "Yours for the weekend \u2600", "What to do next", "gage accept",
                      "has not been sent to this relay"):
            self.assertIn(words, text)
        # The mailbox has the relay's 30 days, of which the page may be loaded in the first second or later.
        self.assertRegex(text, "for another (29|30) days")

    def test_A10_markup_in_the_fields_is_shown_as_text_and_does_nothing(self):
        evil = "<b>bold</b><script>document.title='run'</script>"
        dom, text = self.shown(title=evil, description=evil)
        self.assertIn(evil, text)
        self.assertNotIn("<title>run", dom)
        self.assertNotIn("<script", dom)

    def test_A10_it_fits_a_phone_and_is_not_blank(self):
        path = self.relay.box(new_id(), title="W" * 400, description="word " * 200)
        out = os.environ.get("GAGE_PAGE_PNG") or os.path.join(self.relay.folder, "page.png")
        self.chromium(self.relay.url + path, "--screenshot=" + out)
        picture = open(out, "rb").read()
        self.assertTrue(picture.startswith(b"\x89PNG") and len(picture) > 5000)
        page = self.relay.request("GET", path).body.decode()
        self.assertIn('<meta name="viewport" content="width=device-width, initial-scale=1">', page)
        self.assertIn("prefers-color-scheme:dark", page)


if __name__ == "__main__":
    unittest.main()
