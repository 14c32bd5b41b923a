//! What a compression came to, for people and for programs.

use std::io::{self, Write};

use codegraph_vector::{Candidate, CompressReport, CompressRequest, Keep};
use serde::Serialize;

use crate::measured::Measured;
use crate::output;

/// The names are kept: other programs read them.
#[derive(Serialize)]
pub(super) struct Outcome {
    #[serde(rename = "type")]
    kind: &'static str,
    /// The codec and its parameters; `null` for none.
    codec: Option<String>,
    keep: &'static str,
    /// `null` before the codec is trained, which takes rows enough.
    bytes_per_vector: Option<usize>,
    /// Bytes of a vector for each byte of its code.
    ratio: f64,
    /// `null` for no codec, and for one that is trained once there are rows enough.
    measured: Option<Measured>,
    /// All that were tried, smallest first.
    candidates: Vec<Tried>,
    segments_rewritten: u64,
    /// Bytes of all files of the store, everything flushed.
    storage_bytes_before: u64,
    storage_bytes: u64,
    seconds: f64,
}

/// A codec that was tried.
#[derive(Serialize)]
struct Tried {
    codec: String,
    bytes_per_vector: usize,
    ratio: f64,
    accepted: bool,
    measured: Measured,
}

impl Outcome {
    pub(super) fn of(
        request: &CompressRequest,
        report: &CompressReport,
        dimension: usize,
        seconds: f64,
    ) -> Self {
        let tried = |candidate: &Candidate| Tried {
            codec: candidate.spec.to_string(),
            bytes_per_vector: candidate.bytes_per_vector,
            ratio: (dimension * size_of::<f32>()) as f64 / candidate.bytes_per_vector as f64,
            accepted: candidate.accepted,
            measured: Measured::of(&candidate.report, request.keep),
        };
        let candidates: Vec<Tried> = report.candidates.iter().map(tried).collect();
        let compression = report.compression.as_ref();
        let codec = compression.map(|compression| compression.spec.to_string());
        let keep = compression.map_or(Keep::Full, |compression| compression.keep);
        let chosen = candidates.iter().find(|tried| Some(&tried.codec) == codec.as_ref());
        Self {
            kind: compression.map_or("none", |compression| compression.spec.family()),
            keep: keep.name(),
            bytes_per_vector: chosen.map(|tried| tried.bytes_per_vector),
            ratio: chosen.map_or(1.0, |tried| tried.ratio),
            measured: report.report.as_ref().map(|found| Measured::of(found, keep)),
            codec,
            candidates,
            segments_rewritten: report.segments_rewritten,
            storage_bytes_before: report.bytes_before,
            storage_bytes: report.bytes_after,
            seconds,
        }
    }

    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.candidates.len() > 1 {
            self.write_candidates(out)?;
        }
        let mut line = |name: &str, value: String| writeln!(out, "{name:<18}{value}");
        match &self.codec {
            None => line("compression", "none".to_owned())?,
            Some(codec) => line("compression", format!("{codec}, keep {}", self.keep))?,
        }
        if let Some(bytes) = self.bytes_per_vector {
            line("code", format!("{bytes} bytes a vector, {:.1} times smaller", self.ratio))?;
        }
        match &self.measured {
            Some(measured) => {
                line("recall@10", measured.recall())?;
                line("squared error", format!("{:.6} in the mean", measured.mean_squared_error))?;
                line("measured on", measured.sample())?;
            }
            None if self.codec.is_some() => {
                line(
                    "trained",
                    "once there are rows enough; vectors stay as they are until then".to_owned(),
                )?;
            }
            None => {}
        }
        let (before, after) = (output::bytes(self.storage_bytes_before), output::bytes(self.storage_bytes));
        line("storage", format!("{before} before, {after} now"))?;
        let segments = output::count(self.segments_rewritten, "segment");
        line("took", format!("{:.1} s, {segments} written anew", self.seconds))
    }

    fn write_candidates(&self, out: &mut dyn Write) -> io::Result<()> {
        let width = self.candidates.iter().map(|tried| tried.codec.len()).max().unwrap_or(0);
        writeln!(out, "{:width$}  bytes  ratio  recall@10  reranked  squared error", "codec")?;
        for Tried { codec, bytes_per_vector, ratio, accepted, measured } in &self.candidates {
            let Measured { recall_at_10_codes, recall_at_10_reranked, mean_squared_error, .. } = measured;
            let verdict = if *accepted { "" } else { "  falls short" };
            writeln!(
                out,
                "{codec:width$}  {bytes_per_vector:>5}  {ratio:>5.1}  {recall_at_10_codes:>9.4}  \
                 {recall_at_10_reranked:>8.4}  {mean_squared_error:>13.6}{verdict}"
            )?;
        }
        writeln!(out)
    }
}
