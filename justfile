# Every habit as a command. Each line runs without just, too.

# What there is.
default:
    @just --list

# All tests, as CI runs them.
test:
    cargo test --workspace --locked

# Clippy, warnings refused.
lint:
    cargo clippy --workspace --all-targets --locked -- -D warnings

# Formats the sources.
fmt:
    cargo fmt --all

# The documentation, warnings refused.
docs:
    RUSTDOCFLAGS=-Dwarnings cargo doc --no-deps --workspace --locked

# Licences, sources and advisories of the dependencies.
deny:
    cargo deny check --hide-inclusion-graph

# Layers, file sizes, links, leftovers.
tidy:
    cargo test -p codegraph-vector-testkit --test it tidy

# A crash at every file-system call of so many random workloads. CGV_SIM_SEED=n replays one, step by step.
crash-sim SEEDS="1000":
    CGV_SIM_SEEDS={{SEEDS}} cargo test -p codegraph-vector --test it crash_sim -- --nocapture

# So many random histories of concurrent transactions, judged. CGV_HISTORY=n replays one and prints it.
histories COUNT="10000":
    CGV_HISTORIES={{COUNT}} cargo test -p codegraph-vector --test it histories -- --nocapture

# Sixty-four threads move money between accounts for so many seconds, once for each way with deadlocks.
stress SECONDS="60":
    CGV_STRESS_SECONDS={{SECONDS}} cargo test -p codegraph-vector --test it transactions_stress -- --nocapture --test-threads 1

# Each fuzz target for so many seconds; or only those named.
fuzz SECONDS="60" *TARGETS:
    fuzz/run {{SECONDS}} {{TARGETS}}

# The store's speed beside that of the disk, a table. Give --data FILE.npy for real vectors.
bench-store *ARGS:
    cargo run --release -p codegraph-vector-bench -- store {{ARGS}}

# The exact scan beside the memory's bandwidth. Give --python PYTHON to compare with faiss.
bench-scan *ARGS:
    cargo run --release -p codegraph-vector-bench -- scan {{ARGS}}

# Memory and start of a store of a million rows.
bench-memory *ARGS:
    cargo run --release -p codegraph-vector-bench -- memory {{ARGS}}

# Transactions beside SQLite, redb and fjall, and what levels cost. Give --rows N for another size than a million.
bench-txn *ARGS:
    cargo run --release -p codegraph-vector-bench -- txn {{ARGS}}

# Two thousand small stores in one process: memory, files, first touch. Give --rows N for fewer stores.
bench-many *ARGS:
    cargo run --release -p codegraph-vector-bench -- many {{ARGS}}

# Small durable batches: beside the bare disk while merges run, and beside other stores. Give --seconds N for the first part;
# --python PYTHON --peers-dir DIR for the second.
bench-incremental *ARGS:
    cargo run --release -p codegraph-vector-bench -- incremental {{ARGS}}

# MRR and recall of the default embedder beside BM25. Give --minilm DIR for vectors to compare with, --show N for misses.
bench-retrieval *ARGS:
    cargo run --release -p codegraph-vector-bench -- retrieval {{ARGS}}

# Speed and memory of indexing. Give --corpus PATH for another folder than Python's standard library.
bench-index *ARGS:
    cargo run --release -p codegraph-vector-bench -- index {{ARGS}}

# Versions of a tree as commits, one after the other into one store. Give --repo PATH --revisions A,B,… or --folders A,B,…
bench-history *ARGS:
    cargo run --release -p codegraph-vector-bench -- history {{ARGS}}

# Codecs at equal bytes. Give --base, --queries and --gt; --peers-dir and --python for other libraries; --into BENCHMARKS.md.
bench-compress *ARGS:
    cargo run --release -p codegraph-vector-bench -- compress {{ARGS}}

# Searches beside other libraries' at equal recall. Give --base, --queries, --gt; --python PYTHON --peers-dir DIR for the
# peers; --svg FILE and --into BENCHMARKS.md for the picture and the tables.
bench-search *ARGS:
    cargo build --release -p codegraph-vector-cli
    cargo run --release -p codegraph-vector-bench -- search {{ARGS}}

# Searches while a writer commits and merges run. Give --base, --queries; --seconds N.
bench-live *ARGS:
    cargo run --release -p codegraph-vector-bench -- live {{ARGS}}

# Filtered searches: recall and time by selectivity. Give --base, --queries.
bench-filtered *ARGS:
    cargo run --release -p codegraph-vector-bench -- filtered {{ARGS}}

# Recall after all rows were replaced, and merges beside a rebuild. Give --base, --queries.
bench-churn *ARGS:
    cargo run --release -p codegraph-vector-bench -- churn {{ARGS}}

# Backups, restores and the archive beside the disk's own speed. Give --base, --queries; --seconds N of the archive.
bench-backup *ARGS:
    cargo run --release -p codegraph-vector-bench -- backup {{ARGS}}

# Millions of updates: room, memory, stalls. Give --updates N, --nodes N, --dimension D; --into BENCHMARKS.md for the table.
bench-endurance *ARGS:
    cargo run --release -p codegraph-vector-bench -- endurance {{ARGS}}

# Searches of a store beside the same index in plain memory, without checks. Give --base, --queries; --index ivf or hnsw.
bench-overhead *ARGS:
    cargo run --release -p codegraph-vector-bench -- overhead {{ARGS}}

# Searches with less memory than data, in a cgroup. Give --base, --queries; --cgroup DIR where groups may be made.
bench-memory-limit *ARGS:
    cargo run --release -p codegraph-vector-bench -- memory-limit {{ARGS}}

# cgv mcp, by the Python package `mcp` (pip install 'mcp>=2.3,<3').
test-mcp PYTHON="python3":
    cargo build -p codegraph-vector-cli --locked
    {{PYTHON}} scripts/test-mcp.py "${CARGO_TARGET_DIR:-target}/debug/cgv"

# All that has to hold before a change goes in.
ci:
    .ci/run
