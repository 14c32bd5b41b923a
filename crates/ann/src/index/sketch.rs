//! Sketches: directions along their principal axes, the most telling of them, a byte each.
//!
//! A sketch estimates products well enough to tell which rows are worth a look at their vectors, and a whole one is two
//! or three cache lines. Component *j* is `128 + round(axis_j · (x - mean) / step)`.

use crate::codec::{CodecError, TrainControl};

/// Makes sketches.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sketcher {
    mean: Vec<f32>,
    /// The axes that are kept, row-major; a multiple of 32 of them, zeros if need be.
    axes: Vec<f32>,
    step: f32,
}

/// A query made ready to be held against sketches.
#[derive(Clone, Debug)]
pub(super) struct SketchQuery {
    /// Along the axes.
    pub(super) rotated: Vec<f32>,
    /// The same in whole numbers.
    bytes: Vec<i8>,
    /// `dot = offset + factor × Σ bytes × sketch`.
    factor: f32,
    offset: f32,
}

impl Sketcher {
    /// Trains on directions, row-major.
    pub(super) fn train(sample: &[f32], dim: usize, control: &TrainControl<'_>) -> Result<Self, CodecError> {
        unimplemented!()
    }

    /// Bytes of a sketch: the number of axes.
    pub(super) fn bytes(&self) -> usize {
        self.axes.len() / self.mean.len()
    }

    /// Rows less their mean along the axes: `rows × bytes()` floats, row-major.
    pub(super) fn rotate(&self, directions: &[f32], rotated: &mut [f32]) {
        unimplemented!()
    }

    /// Sketches of rows that were rotated.
    pub(super) fn sketch(&self, rotated: &[f32], sketches: &mut [u8]) {
        unimplemented!()
    }

    /// A query's direction; it is rotated without the mean being taken off, whose part is in the offset.
    pub(super) fn prepare(&self, direction: &[f32]) -> SketchQuery {
        unimplemented!()
    }

    /// All that [`Sketcher::read`] needs.
    pub(super) fn write(&self) -> Vec<u8> {
        unimplemented!()
    }

    /// Reads what [`Sketcher::write`] wrote for vectors of `dim` components. The bytes may be anything.
    pub(super) fn read(bytes: &[u8], dim: usize) -> Result<Self, CodecError> {
        unimplemented!()
    }
}

impl SketchQuery {
    /// About the product of the query's direction and the row's.
    pub(super) fn dot(&self, sketch: &[u8]) -> f32 {
        unimplemented!()
    }
}
