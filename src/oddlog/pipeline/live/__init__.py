"""How lines are judged while they come: the functions of `judging`, with state between batches."""
