//! What the store can tell of its compression.

use super::core::Core;
use super::rewrite::codec_in;
use crate::compression::{CompressionStatistics, Keep};
use crate::version::Version;

impl Core {
    /// What the settings ask for, and how far it is done.
    pub(super) fn compression_statistics(&self, version: &Version) -> Option<CompressionStatistics> {
        let settings = self.settings();
        let policy = settings.compression.as_ref()?;
        let trained = self.codec_for(&settings).or_else(|| codec_in(version, &policy.spec));
        let raw_bytes = (self.dimension * size_of::<f32>()) as f64;
        let (mut encoded_rows, mut raw_rows, mut stored_bytes) = (0, 0, 0);
        for segment in &version.segments {
            let rows = u64::from(segment.rows());
            *(if segment.is_coded() { &mut encoded_rows } else { &mut raw_rows }) += rows;
            let checksums = if segment.keep() < Keep::Full { rows * size_of::<u32>() as u64 } else { 0 };
            stored_bytes +=
                segment.vector_bytes() + segment.code_bytes() + segment.codebook_bytes() + checksums;
        }
        let bytes_per_vector = trained.as_ref().map_or(0, |trained| trained.codec.bytes_per_vector());
        let report = trained.as_ref().map(|trained| trained.report);
        let ratio = |raw: f64, stored: f64| if stored == 0.0 { 1.0 } else { raw / stored };
        Some(CompressionStatistics {
            kind: policy.spec.family(),
            spec: policy.spec.to_string(),
            keep: policy.keep,
            trained: trained.is_some(),
            progress: self.writer.as_ref().and_then(|writer| writer.training.progress()),
            bytes_per_vector,
            ratio: ratio(raw_bytes, bytes_per_vector as f64),
            ratio_stored: ratio(raw_bytes * (encoded_rows + raw_rows) as f64, stored_bytes as f64),
            recall_at_10: report.map(|report| policy.keep.recall(&report)),
            report,
            encoded_rows,
            raw_rows,
            waiting_segments: self.waiting(version, &settings).count() as u64,
        })
    }
}
