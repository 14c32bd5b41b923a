//! How much a training may take, and how it tells of itself.

use std::borrow::Cow;

use super::CodecError;

/// What a training goes by. The result depends on the seed alone.
#[derive(Clone, Copy)]
pub struct TrainControl<'a> {
    /// Where all choices that are left to chance begin.
    pub seed: u64,
    /// Threads to work with, at least 1.
    pub threads: usize,
    /// Told the share that is done, from 0 to 1, now and then.
    pub progress: &'a (dyn Fn(f32) + Sync),
    /// Asked now and then whether to give up.
    pub stop: &'a (dyn Fn() -> bool + Sync),
}

impl TrainControl<'_> {
    /// On this thread alone, told to nobody, to the end.
    pub const QUIET: TrainControl<'static> =
        TrainControl { seed: 0, threads: 1, progress: &|_| {}, stop: &|| false };

    /// # Errors
    /// [`CodecError::Stopped`] if whoever asked for the training wants no more of it.
    pub(crate) fn check(&self) -> Result<(), CodecError> {
        if (self.stop)() { Err(CodecError::Stopped) } else { Ok(()) }
    }
}

/// Up to `most` rows of a sample, evenly spread: for what more rows would tell no better.
pub(super) fn some_rows(sample: &[f32], dim: usize, most: usize) -> Cow<'_, [f32]> {
    let rows = sample.len() / dim;
    if rows <= most {
        return Cow::Borrowed(sample);
    }
    let row = |i: usize| &sample[i * rows / most * dim..][..dim];
    Cow::Owned((0..most).flat_map(row).copied().collect())
}
