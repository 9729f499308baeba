"""Tests that need no component: `.venv/bin/python -m unittest`."""

import unittest

from oast_sdk.testing import Tried
from plugin import {{type}}


class Test(unittest.TestCase):
    def test_any_split_gives_the_same(self):
        tried = Tried({{type}}, {}, "value: float64?")
        for splits in ([], [1], [1, 2]):
            self.assertEqual(tried.fold([[2.0], [None], [7.5]], splits), [2, 7.5])
