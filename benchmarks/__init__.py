"""Speed against peers, each figure from interleaved rounds of one run; `tsjax bench` runs them, `results/` keeps some."""
