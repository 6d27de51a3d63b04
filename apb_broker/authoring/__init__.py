"""Aids for people who write services: `apb lint`, `apb init`, and README files made from metadata. No request ever comes here."""
