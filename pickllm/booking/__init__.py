"""What came of decisions: booked, learnt from, and kept in a journal that all workers read.

ledger.py     the decisions held, and what was said of them
lessons.py    a state, and the lessons that it was made of
learner.py    from what came of a decision to lessons
events.py     what a journal holds
fold.py       the state that a journal comes to
together.py   what several threads bring, written in one go
keeper.py     journal, fold and snapshot of one router
books.py      all of it, under one lock: begin here
"""

from pickllm.booking.books import Books, Verdict

__all__ = ["Books", "Verdict"]
