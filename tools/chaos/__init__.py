"""Chaos: kill and freeze everything at random while customers order, then check every invariant."""
