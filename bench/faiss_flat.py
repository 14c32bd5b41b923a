"""Searches of faiss IndexFlatIP, one query a call on one thread: a line on stdin is a round, its answer is the median
seconds of a query. Arguments: base.f32 (raw), dimension, queries.f32 (raw), queries a round."""
import sys
import time

import faiss
import numpy as np

base, dimension, queries, count = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
faiss.omp_set_num_threads(1)
x = np.fromfile(base, dtype=np.float32).reshape(-1, dimension)
q = np.fromfile(queries, dtype=np.float32).reshape(-1, dimension)
index = faiss.IndexFlatIP(dimension)
index.add(x)
index.search(q[:1], 10)
print("ready", flush=True)
for _ in sys.stdin:
    taken = []
    for at in range(count):
        one = q[at % len(q)][None, :]
        start = time.perf_counter()
        index.search(one, 10)
        taken.append(time.perf_counter() - start)
    print(sorted(taken)[len(taken) // 2], flush=True)
