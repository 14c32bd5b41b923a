//! What the store can tell of itself in numbers. Every one of them is counted or measured.

use std::sync::atomic::Ordering;

use codegraph_vector_base::{Lsn, Result, RowChecksumSum, SeqNo};
use codegraph_vector_storage::wal::{LogStatistics, wal_files};

use super::changes::ChangeStatistics;
use super::core::Core;
use super::indexing::IndexStatistics;
use super::maintenance::{Background, MaintenanceStatistics};
use super::open::RecoveryReport;
use crate::backup::ArchiveStatistics;
use crate::compression::CompressionStatistics;

/// What the caches hold now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStatistics {
    /// Bytes of decompressed blocks.
    pub block_bytes: u64,
    /// Open files.
    pub open_files: u64,
}

/// See the fields.
#[derive(Clone, Debug, PartialEq)]
pub struct StoreStatistics {
    /// Nodes that a search at this moment can find.
    pub active_vectors: u64,
    /// Rows that died but still take room in segments.
    pub dead_rows: u64,
    /// Dimension of the vectors.
    pub dimension: usize,
    /// How vectors are compared.
    pub metric: &'static str,
    /// Segment files.
    pub segments: u64,
    /// The last visible commit.
    pub seqno: SeqNo,
    /// Sum of the row checksums: equal contents have equal sums, however they came about.
    pub content_hash: RowChecksumSum,
    /// Bytes of all files of the store.
    pub storage_bytes: u64,
    /// Bytes of vectors in segments, as floats or half floats.
    pub vector_bytes: u64,
    /// Bytes of vectors' codes in segments.
    pub code_bytes: u64,
    /// Bytes of codebooks in segments, and of the samples that codecs are measured by.
    pub codebook_bytes: u64,
    /// Bytes of what text search goes by in segments.
    pub text_bytes: u64,
    /// Bytes in segments and death files that a row costs beside its vector and its payload: ids, index,
    /// filter, times, norms, checksums, deaths.
    pub metadata_bytes: u64,
    /// Rows in segments, dead ones included: what the two sums above are over.
    pub segment_rows: u64,
    /// Rows in memory, not yet flushed.
    pub memtable_rows: u64,
    /// Memory that they take, about.
    pub memtable_bytes: u64,
    /// Log files.
    pub wal_files: u64,
    /// Bytes of the log that a recovery would replay.
    pub replay_bytes: u64,
    /// Everything before this position is durable.
    pub synced_lsn: Lsn,
    /// What the log did since the store was opened.
    pub log: LogStatistics,
    /// Flushes since the store was opened.
    pub flushes: u64,
    /// Merges since the store was opened.
    pub merges: u64,
    /// Searches since the store was opened.
    pub searches: u64,
    /// Blocks found damaged since the store was opened.
    pub quarantined_blocks: u64,
    /// Segments in quarantine: while there are any, searches are degraded.
    pub quarantined_segments: u64,
    /// Prepared transactions that wait for their decision.
    pub in_doubt: u64,
    /// What is due in the background, at work and done.
    pub maintenance: MaintenanceStatistics,
    /// Caches.
    pub cache: CacheStatistics,
    /// How rows are indexed.
    pub index: IndexStatistics,
    /// How vectors are compressed, if they are to be.
    pub compression: Option<CompressionStatistics>,
    /// The change feed: how far back the log reaches, and who keeps it.
    pub changes: ChangeStatistics,
    /// The archive of the log.
    pub archive: ArchiveStatistics,
    /// What opening the store found and did.
    pub recovery: RecoveryReport,
    /// The last failure of work in the background, if the last work failed.
    pub background_error: Option<String>,
    /// Why the store takes no writes, if so.
    pub write_error: Option<String>,
}

impl StoreStatistics {
    /// Bytes beside vector and payload for each byte of the vectors as given, in percent.
    pub fn metadata_percent(&self) -> f64 {
        let raw_bytes = self.dimension as f64 * size_of::<f32>() as f64 * self.segment_rows as f64;
        if raw_bytes == 0.0 { 0.0 } else { self.metadata_bytes as f64 * 100.0 / raw_bytes }
    }
}

impl Core {
    pub(crate) fn stats(&self) -> Result<StoreStatistics> {
        self.check_open()?;
        let (head_cut, totals, in_doubt) = {
            let head = self.head.lock();
            (head.cut, head.totals, head.prepared.undecided().count() as u64)
        };
        let (version, _) = self.read_point();
        let segments = || version.segments.iter();
        let log = self.writer.as_ref().map(|writer| &writer.log);
        let checkpoint = self.manifests.lock().current.checkpoint.lsn;
        let caches = self.caches();
        let background_error = self.writer.as_ref().and_then(|writer| {
            let jobs = [
                &writer.flush_job,
                &writer.merge_job,
                &writer.compress_job,
                &writer.index_job,
                &writer.checkpoint_job,
            ];
            jobs.into_iter().find_map(Background::failure)
        });
        Ok(StoreStatistics {
            active_vectors: totals.rows,
            dead_rows: segments().map(|segment| segment.deaths.count()).sum(),
            dimension: self.dimension,
            metric: self.metric.name(),
            segments: version.segments.len() as u64,
            seqno: head_cut.seqno,
            content_hash: totals.checksum,
            storage_bytes: self.storage_bytes()?,
            vector_bytes: segments().map(|segment| segment.vector_bytes()).sum(),
            code_bytes: segments().map(|segment| segment.code_bytes()).sum(),
            codebook_bytes: segments().map(|segment| segment.codebook_bytes()).sum(),
            text_bytes: segments().map(|segment| segment.text_bytes()).sum(),
            metadata_bytes: segments().map(|segment| segment.metadata_bytes()).sum(),
            segment_rows: segments().map(|segment| u64::from(segment.rows())).sum(),
            memtable_rows: version.memtables().map(|table| table.rows() as u64).sum(),
            memtable_bytes: version.memtables().map(|table| table.bytes()).sum(),
            wal_files: wal_files(&*self.environment.vfs, &self.layout.wal_dir())?.len() as u64,
            replay_bytes: head_cut.lsn.0.saturating_sub(checkpoint.0),
            synced_lsn: log.map_or(head_cut.lsn, |log| log.appender(|appender| appender.synced())),
            log: log.map(|log| log.statistics()).unwrap_or_default(),
            flushes: self.counters.flushes.load(Ordering::Relaxed),
            merges: self.counters.merges.load(Ordering::Relaxed),
            searches: self.counters.searches.load(Ordering::Relaxed),
            quarantined_blocks: segments().map(|segment| segment.file().quarantined()).sum(),
            quarantined_segments: self.quarantined().len() as u64,
            in_doubt,
            maintenance: self.maintenance_statistics(),
            cache: CacheStatistics { block_bytes: caches.block_bytes(), open_files: caches.open_files() },
            index: self.index_statistics(&version),
            compression: self.compression_statistics(&version),
            changes: self.change_statistics()?,
            archive: self.archive_statistics(),
            recovery: self.recovery.lock().clone(),
            background_error: background_error.map(|error| error.to_string()),
            write_error: log.and_then(|log| log.failure()).map(|error| error.to_string()),
        })
    }

    pub(super) fn storage_bytes(&self) -> Result<u64> {
        let vfs = &*self.environment.vfs;
        let mut bytes = 0;
        for folder in [self.layout.root().to_owned(), self.layout.wal_dir(), self.layout.segments_dir()] {
            for name in vfs.list(&folder)? {
                let opened = vfs.open(&folder.join(name), codegraph_vector_base::vfs::OpenMode::Read);
                // Folders cannot be read as files, and what is cleared away meanwhile takes no room.
                bytes += opened.and_then(|file| file.len()).unwrap_or(0);
            }
        }
        Ok(bytes)
    }
}
