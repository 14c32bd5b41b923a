//! What a store tells of its compression.

use codegraph_vector_ann::codec::CodecReport;

use super::Keep;

/// See the fields.
#[derive(Clone, Debug, PartialEq)]
pub struct CompressionStatistics {
    /// Family of the codec: `scalar`, `product`, `binary` or `transform`.
    pub kind: &'static str,
    /// The codec, as settings say it: `transform:bytes=48`.
    pub spec: String,
    /// What is kept beside the codes.
    pub keep: Keep,
    /// Whether there is a codec to encode by; before, rows are kept raw.
    pub trained: bool,
    /// How much of the training at work is done, from 0 to 1.
    pub progress: Option<f32>,
    /// Bytes of a code; 0 before there is a codec.
    pub bytes_per_vector: usize,
    /// Bytes of a vector as given for each byte of its code; 1 before there is a codec.
    pub ratio: f64,
    /// Bytes of the vectors of all rows in segments as given, for each byte that is there in their place: codes,
    /// codebooks, vectors that are kept, their checksums, and the calibration sample.
    pub ratio_stored: f64,
    /// The recall@10 that counts: reranked where vectors are kept, else by codes alone.
    pub recall_at_10: Option<f32>,
    /// What the codec was found to be worth when it was trained.
    pub report: Option<CodecReport>,
    /// Rows in segments that have a code, dead ones included.
    pub encoded_rows: u64,
    /// Rows in segments that have none.
    pub raw_rows: u64,
    /// Segments that wait to be written anew.
    pub waiting_segments: u64,
}
