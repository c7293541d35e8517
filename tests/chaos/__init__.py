"""Nothing is lost, proved by killing: real clients load a real service while its processes die in random order.

`make chaos`, or `python -m tests.chaos --database sqlite --seed 7 --seconds 60`. A run that fails prints its seed;
the same seed brings the same faults in the same order, at about the same times.
"""
