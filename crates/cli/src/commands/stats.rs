//! `cgv stats`: the store in numbers.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use codegraph_vector::{
    ChangePin, ChangeStatistics, CompressionStatistics, EmbedderId, IndexStatistics, StorageHeader,
    StoreStatistics,
};
use codegraph_vector_indexer::{commit_of, printable, root_of};
use serde::Serialize;

use crate::args::Globals;
use crate::failure::Failure;
use crate::maintained::Maintenance;
use crate::measured::Measured;
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
    text_bytes: u64,
    metadata_bytes: u64,
    metadata_percent: f64,
    memtable_rows: u64,
    memtable_bytes: u64,
    wal_files: u64,
    replay_bytes: u64,
    replayed_commits: u64,
    /// Damaged segments, which searches leave out.
    quarantined_segments: u64,
    /// Whether there are any.
    degraded: bool,
    /// Transactions that were prepared and not decided.
    in_doubt: u64,
    changes: ShownChanges,
    index: Index,
    compression: Compression,
    maintenance: Maintenance,
    store_id: String,
    format_version: u32,
    generation: u64,
    created_us: u64,
    embedder: Option<ShownEmbedder>,
    /// The folder that it is the index of.
    root: Option<String>,
    /// The commit that it is the index of, if it is that of one.
    commit: Option<String>,
}

/// How rows in segments are indexed.
#[derive(Serialize)]
struct Index {
    #[serde(rename = "type")]
    policy: String,
    ivf_rows: u64,
    hnsw_rows: u64,
    flat_rows: u64,
    bytes: u64,
    waiting_segments: u64,
}

impl From<IndexStatistics> for Index {
    fn from(stats: IndexStatistics) -> Self {
        let IndexStatistics { policy, ivf_rows, hnsw_rows, flat_rows, bytes, waiting_segments } = stats;
        Self { policy, ivf_rows, hnsw_rows, flat_rows, bytes, waiting_segments }
    }
}

/// Without codes, that there are none (`ratio`) and that no near vector is missed (`recall_at_10`) holds by
/// construction.
#[derive(Serialize)]
struct Compression {
    #[serde(rename = "type")]
    kind: &'static str,
    /// Bytes of a vector for each byte of its code.
    ratio: f64,
    /// Bytes of the raw live vectors for each byte of the whole store; `null` without any.
    ratio_disk: Option<f64>,
    /// What a search finds of the true 10 nearest, as measured when the codec was trained.
    recall_at_10: Option<f32>,
    #[serde(flatten)]
    by: Option<Codes>,
}

/// What there is to say of codes.
#[derive(Serialize)]
struct Codes {
    /// The codec and its parameters.
    codec: String,
    keep: &'static str,
    /// `false` while there are too few rows to train it on; they stay as they are until then.
    trained: bool,
    /// How much of the training at work is done, from 0 to 1.
    progress: Option<f32>,
    bytes_per_vector: usize,
    encoded_rows: u64,
    raw_rows: u64,
    /// Segments that wait to be written anew.
    waiting_segments: u64,
    measured: Option<Measured>,
}

impl Compression {
    fn of(stats: Option<&CompressionStatistics>, ratio_disk: Option<f64>) -> Self {
        let Some(stats) = stats else {
            return Self { kind: "none", ratio: 1.0, ratio_disk, recall_at_10: Some(1.0), by: None };
        };
        let by = Codes {
            codec: stats.spec.clone(),
            keep: stats.keep.name(),
            trained: stats.trained,
            progress: stats.progress,
            bytes_per_vector: stats.bytes_per_vector,
            encoded_rows: stats.encoded_rows,
            raw_rows: stats.raw_rows,
            waiting_segments: stats.waiting_segments,
            measured: stats.report.as_ref().map(|report| Measured::of(report, stats.keep)),
        };
        let recall_at_10 = if stats.trained { stats.recall_at_10 } else { Some(1.0) };
        Self { kind: stats.kind, ratio: stats.ratio, ratio_disk, recall_at_10, by: Some(by) }
    }

    fn write(&self, line: &mut dyn FnMut(&str, String) -> io::Result<()>) -> io::Result<()> {
        let Some(codes) = &self.by else { return line("compression", "none".to_owned()) };
        line("compression", format!("{}, keep {}", codes.codec, codes.keep))?;
        match (codes.trained, codes.progress) {
            (true, _) => {
                let ratio = format!("{:.1} times smaller", self.ratio);
                line("  code", format!("{} bytes a vector, {ratio}", codes.bytes_per_vector))?;
            }
            (false, Some(share)) => line("  training", format!("{:.0} % done", share * 100.0))?,
            (false, None) => line("  training", "once there are rows enough".to_owned())?,
        }
        let waiting = output::count(codes.waiting_segments, "segment");
        let rows = output::count(codes.encoded_rows, "row");
        line("  encoded", format!("{rows}; {} raw; {waiting} to be written anew", codes.raw_rows))?;
        let Some(measured) = &codes.measured else { return Ok(()) };
        line("  recall@10", measured.recall())?;
        line("  measured on", measured.sample())
    }
}

/// How far back the log of changes reaches, and who keeps it.
#[derive(Serialize)]
struct ShownChanges {
    /// The oldest change that `cgv changes` can print; the next one if there is none.
    oldest: Option<u64>,
    kept_bytes: u64,
    pins: Vec<ShownPin>,
}

#[derive(Serialize)]
struct ShownPin {
    name: String,
    cursor: String,
    lost: bool,
    lag_commits: u64,
    lag_bytes: u64,
}

impl From<&ChangeStatistics> for ShownChanges {
    fn from(stats: &ChangeStatistics) -> Self {
        let pin = |pin: &ChangePin| ShownPin {
            name: pin.name.clone(),
            cursor: pin.cursor.to_string(),
            lost: pin.lost,
            lag_commits: pin.lag_commits,
            lag_bytes: pin.lag_bytes,
        };
        let oldest = stats.oldest.map(|seqno| seqno.0);
        Self { oldest, kept_bytes: stats.kept_bytes, pins: stats.pins.iter().map(pin).collect() }
    }
}

#[derive(Serialize)]
struct ShownEmbedder {
    name: String,
    version: String,
    parameters: String,
}

pub(crate) fn run(globals: &Globals, _args: &StatsArgs) -> Result<(), Failure> {
    let store = location::open_reading(globals)?;
    let document = Shown::of(&store.stats()?, &store.storage_header(), root_of(&store)?, commit_of(&store)?);
    output::print(globals.json, &document, |out| document.write(out))
}

impl Shown {
    fn of(
        stats: &StoreStatistics,
        header: &StorageHeader,
        root: Option<PathBuf>,
        commit: Option<String>,
    ) -> Self {
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
            text_bytes: stats.text_bytes,
            metadata_bytes: stats.metadata_bytes,
            metadata_percent: stats.metadata_percent(),
            memtable_rows: stats.memtable_rows,
            memtable_bytes: stats.memtable_bytes,
            wal_files: stats.wal_files,
            replay_bytes: stats.replay_bytes,
            replayed_commits: stats.recovery.replayed_commits,
            quarantined_segments: stats.quarantined_segments,
            degraded: stats.quarantined_segments > 0,
            in_doubt: stats.in_doubt,
            changes: ShownChanges::from(&stats.changes),
            index: stats.index.clone().into(),
            compression: Compression::of(stats.compression.as_ref(), ratio_disk),
            maintenance: Maintenance::of(&stats.maintenance),
            store_id: header.store_id.to_string(),
            format_version: header.format_version,
            generation: header.generation,
            created_us: header.created_us,
            embedder: header.embedder.clone().map(embedder),
            root: root.map(|root| root.display().to_string()),
            commit,
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
        if let Some(commit) = &self.commit {
            line("at commit", printable(commit).into_owned())?;
        }
        line("last commit", self.seqno.to_string())?;
        line("segments", format!("{} ({})", self.segments, output::count(self.dead_rows, "dead row")))?;
        line("storage", output::bytes(self.storage_bytes))?;
        line("  vectors", output::bytes(self.vector_bytes))?;
        line("  text index", output::bytes(self.text_bytes))?;
        let metadata = output::bytes(self.metadata_bytes);
        line("  per-row data", format!("{metadata} ({:.2} % of the vectors)", self.metadata_percent))?;
        let (memory, replay) = (output::bytes(self.memtable_bytes), output::bytes(self.replay_bytes));
        line("not yet flushed", format!("{}, {memory}", output::count(self.memtable_rows, "row")))?;
        line("log to replay", format!("{replay} ({})", output::count(self.wal_files, "file")))?;
        if self.degraded {
            let damaged = output::count(self.quarantined_segments, "segment");
            line("quarantined", format!("{damaged}, left out of searches: see cgv verify --repair"))?;
        }
        if self.in_doubt > 0 {
            let prepared = output::count(self.in_doubt, "transaction");
            line("in doubt", format!("{prepared}: see cgv in-doubt"))?;
        }
        for pin in &self.changes.pins {
            let lag =
                format!("{}, {}", output::count(pin.lag_commits, "commit"), output::bytes(pin.lag_bytes));
            let state = if pin.lost { "lost".to_owned() } else { format!("{lag} behind") };
            line("pin of changes", format!("{} at {}: {state}", pin.name, pin.cursor))?;
        }
        let Index { policy, ivf_rows, hnsw_rows, flat_rows, bytes, waiting_segments } = &self.index;
        line("index", format!("{policy}, {}", output::bytes(*bytes)))?;
        let waiting = output::count(*waiting_segments, "segment");
        line(
            "  rows",
            format!("{ivf_rows} in cells, {hnsw_rows} in graphs, {flat_rows} in none; {waiting} waiting"),
        )?;
        self.compression.write(&mut line)?;
        self.maintenance.write(&mut line)?;
        line("store id", self.store_id.clone())?;
        line("content hash", self.content_hash.clone())
    }
}
