"""The product beside its peers: the same work, on the same machine, in one run.

    make bench                                                    everything; writes RESULTS.md and results.svg
    make bench-quick                                              one short round; writes to .bench/
    python -m benchmarks --only drain --systems product-sqlite,celery-redis

`systems/` holds one file for each system (how it is started), `sites/` what runs inside the measured
processes, `workloads/` one file for each thing that is measured. Linux only: inotify, epoll and /proc.
"""
