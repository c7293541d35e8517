"""What runs inside the measured processes: one small site, whose job goes to the system named by BENCH_SITE.

A site module has `enqueue(recipient)`, and `fill(recipients)` where its package has a better way for many.
"""
