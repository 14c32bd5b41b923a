//! Training: some of the store's rows make a codec, others tell what it is worth.
//!
//! What always holds: what was trained is nothing to the store before it is taken on, so a training may be given up at any
//! moment; writes go on meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use codegraph_vector_ann::codec::{self, Codec, CodecError, CodecReport, CodecSpec, Input, Measure};
use codegraph_vector_ann::{Metric, norm};
use codegraph_vector_base::{Error, Result};
use parking_lot::{Mutex, MutexGuard};

use super::core::Core;
use super::sample::Draw;
use crate::compression::{CompressProgress, Compression, Keep, TrainedCodec};
use crate::options::Settings;
use crate::segment::Segment;
use crate::version::Version;

/// Fewer rows than these tell too little of the others.
const MIN_TRAINING_ROWS: u64 = 1000;
/// Real queries that are measured with.
pub(super) const REAL_QUERIES: usize = 200;
/// Rows that are handed to a measurement at once.
const BLOCK_ROWS: usize = 256;
/// What part of the work training is held to be, measuring being the rest.
const TRAINING_SHARE: f32 = 0.7;
/// Where all choices that are left to chance begin.
const SEED: u64 = u64::from_be_bytes(*b"training");

/// Trainings of a store: one at a time, those that somebody waits for first.
#[derive(Debug)]
pub(crate) struct Training {
    at_work: Mutex<()>,
    /// Calls that somebody waits for: training in the background gives way to them.
    waited_for: AtomicU64,
    /// The share that is done, as bits; a NaN while there is nothing to do.
    progress: AtomicU32,
}

impl Default for Training {
    fn default() -> Self {
        let progress = AtomicU32::new(f32::NAN.to_bits());
        Self { at_work: Mutex::default(), waited_for: AtomicU64::new(0), progress }
    }
}

/// The right to train. Given back, no training is shown as under way.
pub(super) struct Turn<'a> {
    training: &'a Training,
    waited_for: bool,
    _at_work: MutexGuard<'a, ()>,
}

impl Training {
    /// Waits for the right to train, for somebody who waits.
    pub(super) fn turn(&self) -> Turn<'_> {
        self.waited_for.fetch_add(1, Ordering::AcqRel);
        Turn { training: self, waited_for: true, _at_work: self.at_work.lock() }
    }

    /// The right to train in the background, if nobody else has it or wants it.
    pub(super) fn try_turn(&self) -> Option<Turn<'_>> {
        if self.waited_for.load(Ordering::Acquire) > 0 {
            return None;
        }
        Some(Turn { training: self, waited_for: false, _at_work: self.at_work.try_lock()? })
    }

    /// Whether training in the background would be in the way.
    fn is_waited_for(&self) -> bool {
        self.waited_for.load(Ordering::Acquire) > 0
    }

    /// The share that is done, from 0 to 1, of the training under way.
    pub(super) fn progress(&self) -> Option<f32> {
        Some(f32::from_bits(self.progress.load(Ordering::Relaxed))).filter(|share| !share.is_nan())
    }
}

impl Turn<'_> {
    fn show(&self, share: f32) {
        self.training.progress.store(share.to_bits(), Ordering::Relaxed);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.show(f32::NAN);
        if self.waited_for {
            self.training.waited_for.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// What a training is told to do and tells.
pub(super) struct Orders<'a> {
    pub(super) threads: usize,
    /// Told what is done now and then.
    pub(super) progress: &'a (dyn Fn(&CompressProgress) + Sync),
    /// Asked now and then whether to give up.
    pub(super) stop: &'a (dyn Fn() -> bool + Sync),
}

/// Trains codecs on one sample of a store, and measures them on another.
pub(super) struct Trainer<'a> {
    turn: &'a Turn<'a>,
    orders: Orders<'a>,
    metric: Metric,
    draw: Draw,
    /// The sample as codecs want it.
    sample: Option<(Input, Vec<f32>)>,
    /// Queries, the first of which are rows.
    queries: Vec<f32>,
    dimension: usize,
}

impl<'a> Trainer<'a> {
    /// Draws the samples, as of now.
    pub(super) fn new(core: &Core, turn: &'a Turn<'a>, orders: Orders<'a>, lossy: bool) -> Result<Self> {
        let (version, seqno) = core.read_point();
        let dimension = core.dimension;
        let draw = Draw::new(version, seqno, dimension, SEED, |segment| tells(segment, lossy))?;
        let mut queries = draw.vectors(&draw.held_out)?;
        for query in core.queries.snapshot().iter().take(REAL_QUERIES) {
            queries.extend_from_slice(query);
        }
        Ok(Self { turn, orders, metric: core.metric, draw, sample: None, queries, dimension })
    }

    /// Rows that there are to train and measure a codec on.
    pub(super) fn rows(&self) -> u64 {
        self.draw.rows
    }

    /// Rows that a codec is measured on.
    pub(super) fn measured_rows(&self) -> u64 {
        self.draw.searched.len() as u64
    }

    /// A trained codec; `None` if the training was given up.
    ///
    /// # Errors
    /// `InvalidInput` for what cannot be trained; `Corrupt` if a row of the sample is damaged.
    pub(super) fn train(&mut self, spec: &CodecSpec) -> Result<Option<Arc<dyn Codec>>> {
        let input = spec.input();
        if self.sample.as_ref().is_none_or(|(known, _)| *known != input) {
            self.sample = None; // There is not to be room for both at once.
            self.sample = Some((input, self.read_sample(input)?));
        }
        let sample = self.sample.as_ref().map_or(&[][..], |(_, sample)| sample);
        let progress = |share: f32| {
            self.turn.show(share * TRAINING_SHARE);
            (self.orders.progress)(&CompressProgress::Training { spec: spec.clone(), share });
        };
        let control = codec::TrainControl {
            seed: SEED,
            threads: self.orders.threads,
            progress: &progress,
            stop: self.orders.stop,
        };
        match codec::train(spec, self.dimension, sample, &control) {
            Ok(codec) => Ok(Some(codec)),
            Err(CodecError::Stopped) => Ok(None),
            Err(error) => Err(Error::invalid(format!("{spec} cannot be trained: {error}"))),
        }
    }

    fn read_sample(&self, input: Input) -> Result<Vec<f32>> {
        let mut sample = Vec::with_capacity(self.draw.trained.len() * self.dimension);
        self.draw.each_vector(&self.draw.trained, |vector| {
            let start = sample.len();
            sample.extend_from_slice(vector);
            if input == Input::Direction {
                codec::directions(vector, &[norm(vector)], &mut sample[start..]);
            }
            Ok(())
        })?;
        Ok(sample)
    }

    /// What a codec is worth; `None` if the measurement was given up.
    ///
    /// # Errors
    /// `Corrupt` if a row is damaged.
    pub(super) fn measure(&self, codec: &dyn Codec) -> Result<Option<CodecReport>> {
        let mut measure = Measure::new(codec, self.metric, self.queries.clone(), self.draw.held_out.len())
            .threads(self.orders.threads);
        let searched = &self.draw.searched;
        let (mut rows, mut norms, mut done) = (Vec::new(), Vec::new(), 0);
        for places in searched.chunks(BLOCK_ROWS) {
            if (self.orders.stop)() {
                return Ok(None);
            }
            rows.clear();
            norms.clear();
            self.draw.each_vector(places, |vector| {
                rows.extend_from_slice(vector);
                norms.push(norm(vector));
                Ok(())
            })?;
            measure.push(&rows, &norms);
            done += places.len();
            let share = done as f32 / searched.len() as f32;
            self.turn.show(TRAINING_SHARE + share * (1.0 - TRAINING_SHARE));
            (self.orders.progress)(&CompressProgress::Measuring { share });
        }
        Ok(Some(measure.finish()))
    }
}

/// Whether rows of a segment tell of vectors as they were given; with `lossy`, what codes stand for will do.
fn tells(segment: &Segment, lossy: bool) -> bool {
    segment.damage().is_none() && (lossy || segment.keep() > Keep::None)
}

impl Core {
    /// Rows that a codec is trained on at the least.
    pub(super) fn min_training_rows(&self) -> u64 {
        self.switches.min_training_rows.unwrap_or(MIN_TRAINING_ROWS)
    }

    /// Whether a codec is wanted, there is none, and there are rows enough to train it.
    pub(super) fn is_training_due(&self, version: &Version, settings: &Settings) -> bool {
        settings.compression.is_some()
            && self.codec_for(settings).is_none()
            && self.rows_to_train_on(version, settings.compression_lossy) >= self.min_training_rows()
    }

    /// Live rows in segments that a codec could be trained on.
    pub(super) fn rows_to_train_on(&self, version: &Version, lossy: bool) -> u64 {
        let segments = version.segments.iter().filter(|segment| tells(segment, lossy));
        segments.map(|segment| segment.live_rows()).sum()
    }

    /// Trains the codec that the settings ask for, if that is due; in the background.
    pub(super) fn train_where_due(&self) -> Result<()> {
        let (writer, settings) = (self.writer()?, self.settings());
        let Some(Compression { spec, .. }) = &settings.compression else { return Ok(()) };
        if !self.is_training_due(&self.version.load(), &settings) {
            return Ok(());
        }
        let Some(turn) = writer.training.try_turn() else { return Ok(()) };
        let unwanted = || self.settings.load().compression.as_ref().is_none_or(|now| now.spec != *spec);
        let stop = || self.is_closing() || writer.training.is_waited_for() || unwanted();
        let orders = Orders { threads: settings.compression_threads, progress: &|_| {}, stop: &stop };
        let mut trainer = Trainer::new(self, &turn, orders, settings.compression_lossy)?;
        let Some(codec) = trainer.train(spec)? else { return Ok(()) };
        let Some(report) = trainer.measure(&*codec)? else { return Ok(()) };
        self.codec.store(Some(TrainedCodec::new(codec, report)));
        Ok(())
    }
}
