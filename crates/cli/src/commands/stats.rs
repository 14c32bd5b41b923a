//! `cgv stats`: the store in numbers.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use codegraph_vector::{EmbedderId, StorageHeader, StoreStatistics};
use codegraph_vector_indexer::{printable, root_of};
use serde::Serialize;

use crate::args::Globals;
use crate::failure::Failure;
use crate::{location, output};

/// Print numbers about the store
#[derive(Args, Debug)]
pub(crate) struct StatsArgs {}

/// The names are kept: other programs read them.
#[derive(Serialize)]
struct Shown {
    active_vectors: u64,
    dead_rows: u64,
    dimension: usize,
    metric: &'static str,
    segments: u64,
    seqno: u64,
    content_hash: String,
    storage_bytes: u64,
    vector_bytes: u64,
    metadata_bytes: u64,
    metadata_percent: f64,
    memtable_rows: u64,
    memtable_bytes: u64,
    wal_files: u64,
    replay_bytes: u64,
    replayed_commits: u64,
    compression: Compression,
    store_id: String,
    format_version: u32,
    generation: u64,
    created_us: u64,
    embedder: Option<ShownEmbedder>,
    /// The folder that it is the index of.
    root: Option<String>,
}

/// Vectors are kept as given and every one of them is compared with a query: that there are no codes
/// (`ratio`) and that no near one is missed (`recall_at_10`) holds by construction.
#[derive(Serialize)]
struct Compression {
    #[serde(rename = "type")]
    kind: &'static str,
    /// Bytes of the raw vectors for each byte of their codes.
    ratio: f64,
    /// Bytes of the raw live vectors for each byte of the whole store; `null` without any.
    ratio_disk: Option<f64>,
    recall_at_10: f64,
}

#[derive(Serialize)]
struct ShownEmbedder {
    name: String,
    version: String,
    parameters: String,
}

pub(crate) fn run(globals: &Globals, _args: &StatsArgs) -> Result<(), Failure> {
    let store = location::open_reading(globals)?;
    let document = Shown::of(&store.stats()?, &store.storage_header(), root_of(&store)?);
    output::print(globals.json, &document, |out| document.write(out))
}

impl Shown {
    fn of(stats: &StoreStatistics, header: &StorageHeader, root: Option<PathBuf>) -> Self {
        let raw_bytes = stats.active_vectors * stats.dimension as u64 * size_of::<f32>() as u64;
        let ratio_disk = (raw_bytes > 0).then(|| raw_bytes as f64 / stats.storage_bytes as f64);
        let embedder = |EmbedderId { name, version, parameters }| ShownEmbedder { name, version, parameters };
        Self {
            active_vectors: stats.active_vectors,
            dead_rows: stats.dead_rows,
            dimension: stats.dimension,
            metric: stats.metric,
            segments: stats.segments,
            seqno: stats.seqno.0,
            content_hash: format!("{:032x}", stats.content_hash.0),
            storage_bytes: stats.storage_bytes,
            vector_bytes: stats.vector_bytes,
            metadata_bytes: stats.metadata_bytes,
            metadata_percent: stats.metadata_percent(),
            memtable_rows: stats.memtable_rows,
            memtable_bytes: stats.memtable_bytes,
            wal_files: stats.wal_files,
            replay_bytes: stats.replay_bytes,
            replayed_commits: stats.recovery.replayed_commits,
            compression: Compression { kind: "none", ratio: 1.0, ratio_disk, recall_at_10: 1.0 },
            store_id: header.store_id.to_string(),
            format_version: header.format_version,
            generation: header.generation,
            created_us: header.created_us,
            embedder: header.embedder.clone().map(embedder),
            root: root.map(|root| root.display().to_string()),
        }
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut line = |name: &str, value: String| writeln!(out, "{name:<18}{value}");
        line("vectors", format!("{} × {} ({})", self.active_vectors, self.dimension, self.metric))?;
        if let Some(ShownEmbedder { name, version, parameters }) = &self.embedder {
            line("embedder", format!("{name} {version} {parameters}").trim_end().to_owned())?;
        }
        if let Some(root) = &self.root {
            line("index of", printable(root).into_owned())?;
        }
        line("last commit", self.seqno.to_string())?;
        line("segments", format!("{} ({})", self.segments, output::count(self.dead_rows, "dead row")))?;
        line("storage", output::bytes(self.storage_bytes))?;
        line("  vectors", output::bytes(self.vector_bytes))?;
        let metadata = output::bytes(self.metadata_bytes);
        line("  per-row data", format!("{metadata} ({:.2} % of the vectors)", self.metadata_percent))?;
        let (memory, replay) = (output::bytes(self.memtable_bytes), output::bytes(self.replay_bytes));
        line("not yet flushed", format!("{}, {memory}", output::count(self.memtable_rows, "row")))?;
        line("log to replay", format!("{replay} ({})", output::count(self.wal_files, "file")))?;
        line("compression", self.compression.kind.to_owned())?;
        line("store id", self.store_id.clone())?;
        line("content hash", self.content_hash.clone())
    }
}
