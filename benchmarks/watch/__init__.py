"""Parts of `bench_watch.py`: many triggers waiting at an endpoint that follows a plan, and the soak."""
