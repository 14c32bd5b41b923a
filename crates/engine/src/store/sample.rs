//! Rows that are drawn from segments by chance: to train a codec on, to query it with, and to search.
//!
//! What always holds: each live row is drawn with the same chance; rows to query with are neither trained on nor
//! searched; the same store and seed draw the same rows.

use std::sync::Arc;

use codegraph_vector_base::{Result, RowOrdinal, SeqNo};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::segment::Segment;
use crate::version::Version;

/// Rows to train on.
const TRAINED: u64 = 1 << 16;
/// Most bytes that the vectors of these may take.
const TRAINED_BYTES: u64 = 256 << 20;
/// Rows to query with, if that is not more than one in [`HELD_OUT_SHARE`].
const HELD_OUT: u64 = 200;
const HELD_OUT_SHARE: u64 = 10;
/// Rows to search.
const SEARCHED: u64 = 200_000;

/// A row of a segment, by its place in the version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    segment: u32,
    row: RowOrdinal,
}

/// What was drawn, in the order of segments and rows.
#[derive(Debug)]
pub(super) struct Draw {
    version: Arc<Version>,
    /// Rows that there were to draw from.
    pub(super) rows: u64,
    pub(super) trained: Vec<Place>,
    pub(super) held_out: Vec<Place>,
    pub(super) searched: Vec<Place>,
}

impl Draw {
    /// Draws among the rows that a reader at `seqno` sees, in segments that `from` admits.
    pub(super) fn new(
        version: Arc<Version>,
        seqno: SeqNo,
        dimension: usize,
        seed: u64,
        from: impl Fn(&Segment) -> bool,
    ) -> Result<Self> {
        let mut rows = 0;
        each_visible(&version, seqno, &from, |_| rows += 1)?;
        let held_out = HELD_OUT.min(rows / HELD_OUT_SHARE);
        let rest = rows - held_out;
        let trained = TRAINED.min(TRAINED_BYTES / (dimension as u64 * 4));
        let mut hold_out = Choice { left: rows, wanted: held_out, seed };
        let mut train = Choice { left: rest, wanted: rest.min(trained), seed: seed ^ 1 };
        let mut search = Choice { left: rest, wanted: rest.min(SEARCHED), seed: seed ^ 2 };
        let mut draw = Self {
            version: version.clone(),
            rows,
            trained: Vec::new(),
            held_out: Vec::new(),
            searched: Vec::new(),
        };
        each_visible(&version, seqno, &from, |place| {
            if hold_out.takes() {
                draw.held_out.push(place);
                return;
            }
            if train.takes() {
                draw.trained.push(place);
            }
            if search.takes() {
                draw.searched.push(place);
            }
        })?;
        Ok(draw)
    }

    /// Hands the vectors of such rows to `read`, each held against its checksum.
    pub(super) fn each_vector(
        &self,
        places: &[Place],
        mut read: impl FnMut(&[f32]) -> Result<()>,
    ) -> Result<()> {
        for place in places {
            read(&self.version.segments[place.segment as usize].vector(place.row)?)?;
        }
        Ok(())
    }

    /// The vectors of such rows, row-major.
    pub(super) fn vectors(&self, places: &[Place]) -> Result<Vec<f32>> {
        let mut vectors = Vec::new();
        self.each_vector(places, |vector| {
            vectors.extend_from_slice(vector);
            Ok(())
        })?;
        Ok(vectors)
    }
}

fn each_visible(
    version: &Version,
    seqno: SeqNo,
    from: &impl Fn(&Segment) -> bool,
    mut visit: impl FnMut(Place),
) -> Result<()> {
    for (at, segment) in version.segments.iter().enumerate().filter(|(_, segment)| from(segment)) {
        for row in 0..segment.rows() {
            if segment.visible_at(row, seqno)? {
                visit(Place { segment: at as u32, row });
            }
        }
    }
    Ok(())
}

/// Chooses so many of the things that come one after the other, each with the same chance (Knuth 1969, algorithm S).
struct Choice {
    left: u64,
    wanted: u64,
    seed: u64,
}

impl Choice {
    /// Whether the next one is chosen.
    fn takes(&mut self) -> bool {
        let chance = u128::from(xxh3_64_with_seed(&self.left.to_le_bytes(), self.seed));
        let takes = (chance * u128::from(self.left)) >> 64 < u128::from(self.wanted);
        self.left -= 1;
        self.wanted -= u64::from(takes);
        takes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_chosen_as_are_wanted_and_from_everywhere() {
        for (of, wanted) in [(10, 10), (10, 0), (1000, 100), (5, 1), (0, 0)] {
            for seed in 0..20 {
                let mut choice = Choice { left: of, wanted, seed };
                let chosen: Vec<u64> = (0..of).filter(|_| choice.takes()).collect();
                assert_eq!(chosen.len() as u64, wanted, "{wanted} of {of}");
                let late = chosen.iter().filter(|place| **place >= 500).count();
                assert!(wanted != 100 || (20..80).contains(&late), "{late} of 100 in the second half");
            }
        }
    }
}
