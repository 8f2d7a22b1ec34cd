"""Rankers: who answers this prompt best, learnt from preferences before anything is paid."""
