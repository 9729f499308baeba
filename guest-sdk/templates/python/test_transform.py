"""Tests that need no component: `.venv/bin/python -m unittest`."""

import unittest

from oast_sdk.testing import Tried
from plugin import Input, Output, Settings, {{ident}}


class Test(unittest.TestCase):
    def test_rows(self):
        tried = Tried({{ident}}, {"tolerance": 5.0}, "delay: float64?")
        self.assertEqual(tried.apply([[20.0], [5.0], [None]]), [[15.0], "drop", {"reject": "no_delay"}])

    def test_the_plugin_is_an_ordinary_function(self):
        self.assertEqual({{ident}}(Input(20.0), Settings(15.0)), Output(5.0))
