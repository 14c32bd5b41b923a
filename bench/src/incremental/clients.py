"""Durable commits of several clients of a peer at once, each with a connection of its own, by the harness' classes.

Arguments: the harness' folder, the peer, an empty folder, the vectors, rows of a commit, clients, seconds.
Prints the vectors a second of all clients together.
"""
import copy
import sys
import threading
import time

sys.path.insert(0, sys.argv[1])
from peers import load_vectors, make  # noqa: E402

name, home, base = sys.argv[2:5]
batch, clients, seconds = int(sys.argv[5]), int(sys.argv[6]), float(sys.argv[7])
base = load_vectors(base)
store = make(name).setup(home, *base.shape, 10, 2)
store.open(create=True)
store.upsert(range(batch), base[:batch])
start_together, committed, failures = threading.Barrier(clients + 1), [0] * clients, []


def work(client):
    try:
        own = copy.copy(store)
        if hasattr(own, "connect"):
            own.connect(store.home / "pg")
        else:
            own.open()
        start_together.wait()
        end, turn = time.perf_counter() + seconds, 0
        while time.perf_counter() < end:
            first = ((turn + 1) * clients + client) * batch
            at = first % (len(base) - batch + 1)
            own.upsert(range(first, first + batch), base[at:at + batch])
            committed[client] += batch
            turn += 1
        own.db.close()
    except Exception as failure:
        failures.append(failure)
        start_together.abort()


threads = [threading.Thread(target=work, args=(client,)) for client in range(clients)]
for thread in threads:
    thread.start()
try:
    start_together.wait()
except threading.BrokenBarrierError:
    pass
start = time.perf_counter()
for thread in threads:
    thread.join()
took = time.perf_counter() - start
there = store.count()
store.close()
if failures:
    sys.exit(f"a client failed: {failures[0]!r}")
if there != sum(committed) + batch:
    sys.exit(f"{sum(committed) + batch} rows were committed, {there} are there")
print(sum(committed) / took)
