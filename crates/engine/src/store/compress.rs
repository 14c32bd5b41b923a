//! Compression on demand: a codec is trained, measured, taken or refused, and every segment is encoded by it.
//!
//! What always holds: until the one switch of manifests that takes a codec on, nothing has changed; after it, what is left
//! to do is what any later opening would do too.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use codegraph_vector_ann::codec::{Codec, CodecReport, CodecSpec};
use codegraph_vector_base::{Error, ErrorKind, Result};

use super::core::Core;
use super::maintenance::Mode;
use super::rewrite::codec_in;
use super::train::{Orders, Trainer, Turn};
use crate::compression::{
    Candidate, CompressProgress, CompressReport, CompressRequest, Compression, Keep, Target, TrainedCodec,
    candidates,
};
use crate::options::Settings;

/// A codec that was measured on less than one in so many of the rows that there are now is trained anew.
const OUTGROWN: u64 = 2;

/// What was decided for a request.
#[derive(Default)]
struct Choice {
    compression: Option<Compression>,
    /// `None` if it is to be trained later.
    trained: Option<Arc<TrainedCodec>>,
    candidates: Vec<Candidate>,
}

impl Core {
    pub(crate) fn compress(
        self: &Arc<Self>,
        request: &CompressRequest,
        progress: &(dyn Fn(&CompressProgress) + Sync),
    ) -> Result<CompressReport> {
        let writer = self.writer()?;
        self.check_request(request)?;
        self.flush()?;
        let bytes_before = self.storage_bytes()?;
        let rewritten_before = self.counters.rewrites.load(Ordering::Relaxed);
        let choice = {
            let turn = writer.training.turn();
            let choice = self.choose(request, &turn, progress);
            choice.and_then(|choice| self.take_on(choice, request.lossy))
        };
        self.schedule_compression(); // Which may have given way to this.
        let choice = choice?;
        self.rewrite_where_due(Mode::ByHand, &mut |done, waiting| {
            progress(&CompressProgress::Rewriting { done, waiting });
        })?;
        self.let_go()?;
        Ok(CompressReport {
            compression: choice.compression,
            report: choice.trained.map(|trained| trained.report),
            candidates: choice.candidates,
            segments_rewritten: self.counters.rewrites.load(Ordering::Relaxed) - rewritten_before,
            bytes_before,
            bytes_after: self.storage_bytes()?,
        })
    }

    /// From here on the store is compressed so.
    fn take_on(self: &Arc<Self>, choice: Choice, lossy: bool) -> Result<Choice> {
        self.configure(|settings| {
            settings.compression.clone_from(&choice.compression);
            settings.compression_lossy = lossy;
        })?;
        if choice.trained.is_some() {
            self.codec.store(choice.trained.clone());
        }
        Ok(choice)
    }

    /// Refuses what can be told to fail before anything is done.
    fn check_request(&self, request: &CompressRequest) -> Result<()> {
        let least = match request.target {
            Target::Auto { min_recall, .. } => Some(min_recall),
            Target::Codec(_) | Target::None => request.min_recall,
        };
        if let Some(recall) = least.filter(|recall| !(0.0..=1.0).contains(recall)) {
            return Err(Error::invalid(format!("the least recall is {recall}, and must be from 0 to 1")));
        }
        let compression = match &request.target {
            Target::Codec(spec) => Some(Compression { spec: spec.clone(), keep: request.keep }),
            // What is going to be chosen is most likely not what rows are codes of by now.
            Target::None | Target::Auto { .. } => None,
        };
        let compression_lossy = request.lossy;
        let settings = Settings { compression, compression_lossy, ..(*self.settings()).clone() };
        settings.check_dimension(self.dimension)?;
        self.check_loss(&settings)
    }

    fn choose(
        &self,
        request: &CompressRequest,
        turn: &Turn<'_>,
        progress: &(dyn Fn(&CompressProgress) + Sync),
    ) -> Result<Choice> {
        let threads = match request.threads {
            0 => self.settings().compression_threads,
            threads => threads,
        };
        let stop = || self.is_closing();
        let orders = Orders { threads, progress, stop: &stop };
        match &request.target {
            Target::None => Ok(Choice::default()),
            Target::Codec(spec) => {
                let mut trainer = Trainer::new(self, turn, orders, request.lossy)?;
                self.choose_codec(request, spec, &mut trainer)
            }
            Target::Auto { min_recall, max_bytes } => {
                let mut trainer = Trainer::new(self, turn, orders, request.lossy)?;
                self.choose_smallest(request.keep, *min_recall, *max_bytes, &mut trainer)
            }
        }
    }

    fn choose_codec(
        &self,
        request: &CompressRequest,
        spec: &CodecSpec,
        trainer: &mut Trainer<'_>,
    ) -> Result<Choice> {
        let compression = Some(Compression { spec: spec.clone(), keep: request.keep });
        let of_spec = |trained: &Arc<TrainedCodec>| trained.codec.spec() == *spec;
        let known = self.codec.load_full().filter(of_spec).or_else(|| codec_in(&self.version.load(), spec));
        let few = trainer.rows() < self.min_training_rows();
        let trained = match known {
            Some(known) if few => known,
            Some(known) if known.report.rows >= trainer.measured_rows() / OUTGROWN => {
                let report = self.finished(trainer.measure(&*known.codec)?)?;
                TrainedCodec::new(known.codec.clone(), report)
            }
            None if few && request.min_recall.is_some() => return Err(self.too_few(trainer)),
            None if few => return Ok(Choice { compression, ..Choice::default() }),
            _ => {
                let (codec, report) = self.train_and_measure(trainer, spec)?;
                TrainedCodec::new(codec, report)
            }
        };
        let tried = Candidate {
            spec: spec.clone(),
            bytes_per_vector: trained.codec.bytes_per_vector(),
            report: trained.report,
            accepted: request.min_recall.is_none_or(|least| request.keep.recall(&trained.report) >= least),
        };
        if !tried.accepted {
            return Err(refused(&[tried], request.keep, request.min_recall.unwrap_or_default()));
        }
        Ok(Choice { compression, trained: Some(trained), candidates: vec![tried] })
    }

    fn choose_smallest(
        &self,
        keep: Keep,
        min_recall: f32,
        max_bytes: Option<usize>,
        trainer: &mut Trainer<'_>,
    ) -> Result<Choice> {
        if trainer.rows() < self.min_training_rows() {
            return Err(self.too_few(trainer));
        }
        let specs = candidates(self.dimension, max_bytes)?;
        let Some((_, least)) = candidates(self.dimension, None)?.into_iter().next() else {
            return Err(Error::invalid("there is no codec to try"));
        };
        if specs.is_empty() {
            let message =
                format!("max_bytes is {max_bytes:?}, and the smallest codec takes {least} a vector");
            return Err(Error::invalid(message));
        }
        let mut tried = Vec::new();
        for (spec, bytes_per_vector) in specs {
            let (codec, report) = self.train_and_measure(trainer, &spec)?;
            let accepted = keep.recall(&report) >= min_recall;
            tried.push(Candidate { spec: spec.clone(), bytes_per_vector, report, accepted });
            if accepted {
                let trained = Some(TrainedCodec::new(codec, report));
                return Ok(Choice {
                    compression: Some(Compression { spec, keep }),
                    trained,
                    candidates: tried,
                });
            }
        }
        Err(refused(&tried, keep, min_recall))
    }

    fn train_and_measure(
        &self,
        trainer: &mut Trainer<'_>,
        spec: &CodecSpec,
    ) -> Result<(Arc<dyn Codec>, CodecReport)> {
        let codec = self.finished(trainer.train(spec)?)?;
        let report = self.finished(trainer.measure(&*codec)?)?;
        Ok((codec, report))
    }

    /// What came of work that is given up if the store stops, and for nothing else.
    fn finished<T>(&self, outcome: Option<T>) -> Result<T> {
        let why = || {
            let failure = self.writer.as_ref().and_then(|writer| writer.log.failure());
            failure.unwrap_or_else(|| Error::new(ErrorKind::Closed, "this store was closed"))
        };
        outcome.ok_or_else(why)
    }

    fn too_few(&self, trainer: &Trainer<'_>) -> Error {
        let (rows, least) = (trainer.rows(), self.min_training_rows());
        Error::invalid(format!(
            "the store has {rows} rows to train and measure a codec on, and it takes {least} to tell of a recall; \
             store more first, or name a codec and no least recall to have it trained when there are enough"
        ))
    }
}

fn refused(tried: &[Candidate], keep: Keep, min_recall: f32) -> Error {
    let counts = match keep {
        Keep::None => "by codes alone, since no vectors are to be kept",
        Keep::F16 | Keep::Full => "reranked",
    };
    let figures: Vec<String> = tried
        .iter()
        .map(|Candidate { spec, bytes_per_vector, report, .. }| {
            format!(
                "{spec} ({bytes_per_vector} bytes): {:.4} reranked, {:.4} by codes alone",
                report.recall_at_10_reranked, report.recall_at_10
            )
        })
        .collect();
    let (rows, queries) = tried.first().map_or((0, 0), |Candidate { report, .. }| {
        (report.rows, report.held_out_queries + report.real_queries)
    });
    Error::invalid(format!(
        "recall@10 is to be {min_recall} at the least ({counts}), and was found to be, on {rows} rows with {queries} \
         queries: {}. Nothing was changed",
        figures.join("; ")
    ))
}
