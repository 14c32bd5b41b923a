//! Ids of rows, and rows of ids.
//!
//! Section *ids*: a u128 a row, in row order. Section *id index*: a u32 a row, the row ordinals in the
//! order of their ids. The index is searched by interpolation (W. W. Peterson, "Addressing for
//! Random-Access Storage", 1957), which needs few probes for numbers in sequence and for random
//! UUIDs; where guesses narrow too little a probe halves instead, so that no set of ids is slow.

use std::cmp::Ordering;

use codegraph_vector_base::{NodeId, Result, RowOrdinal};

use super::bytes::{Batch, SectionBytes, Sink, array, fixed, u32_at};

const ID_BYTES: usize = 16;
const ORDINAL_BYTES: usize = 4;

/// At this many entries left, halving finishes: their ordinals share a cache line or two.
const FEW: usize = 8;

/// Writes section *ids*.
pub(crate) fn write_ids(ids: impl IntoIterator<Item = NodeId>, sink: &mut Sink<'_>) -> Result<()> {
    let mut batch = Batch::new(sink);
    for id in ids {
        batch.put(&id.to_le_bytes())?;
    }
    batch.finish()
}

/// Writes section *id index* of rows with these ids, given in row order.
pub(crate) fn write_id_index(ids: &[NodeId], sink: &mut Sink<'_>) -> Result<()> {
    let mut ordinals: Vec<RowOrdinal> = (0..).take(ids.len()).collect();
    ordinals.sort_unstable_by_key(|&ordinal| ids.get(ordinal as usize));
    let mut batch = Batch::new(sink);
    for ordinal in ordinals {
        batch.put(&ordinal.to_le_bytes())?;
    }
    batch.finish()
}

/// How the next probe is chosen: two guesses, and a halving if they did not quarter what is left.
#[derive(Clone, Copy)]
enum Step {
    Guess,
    Bracket(Ordering),
    Halve,
}

/// Section *ids*.
#[derive(Clone, Debug)]
pub(crate) struct Ids<B>(B);

impl<B: SectionBytes> Ids<B> {
    /// # Errors
    /// `Corrupt` if the section is not that of `rows` rows.
    pub(crate) fn open(bytes: B, rows: usize) -> Result<Self> {
        check_length(&bytes, rows, ID_BYTES)?;
        Ok(Self(bytes))
    }

    /// The id of a row.
    ///
    /// # Errors
    /// `Corrupt` if there is no such row, or its bytes are bad.
    pub(crate) fn get(&self, ordinal: RowOrdinal) -> Result<NodeId> {
        fixed(&self.0, ordinal as usize * ID_BYTES).map(NodeId::from_le_bytes)
    }

    /// The bytes of a row's id, to have them fetched ahead.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub(crate) fn bytes(&self, ordinal: RowOrdinal) -> Result<&[u8]> {
        array(&self.0, ordinal as usize * ID_BYTES, ID_BYTES, 1)
    }
}

/// Section *id index*.
#[derive(Clone, Debug)]
pub(crate) struct IdIndex<B>(B);

impl<B: SectionBytes> IdIndex<B> {
    /// # Errors
    /// `Corrupt` if the section is not that of `rows` rows.
    pub(crate) fn open(bytes: B, rows: usize) -> Result<Self> {
        check_length(&bytes, rows, ORDINAL_BYTES)?;
        Ok(Self(bytes))
    }

    /// The row with the `place`-th smallest id: rows in id order, for exports and merges.
    ///
    /// # Errors
    /// `Corrupt` if there is none, or its bytes are bad.
    pub(crate) fn ordinal(&self, place: usize) -> Result<RowOrdinal> {
        u32_at(&self.0, place.saturating_mul(ORDINAL_BYTES))
    }

    /// The row of an id.
    ///
    /// # Errors
    /// `Corrupt` if the sections' bytes are bad.
    pub(crate) fn lookup<I: SectionBytes>(&self, ids: &Ids<I>, id: NodeId) -> Result<Option<RowOrdinal>> {
        let (mut low, mut high) = (0, self.0.len() / ORDINAL_BYTES);
        if high == 0 {
            return Ok(None);
        }
        // What the ids are known to lie between. The ends are probed by every lookup, so they stay in cache.
        let (mut low_id, mut high_id) = (ids.get(self.ordinal(0)?)?, ids.get(self.ordinal(high - 1)?)?);
        if id < low_id || id > high_id {
            return Ok(None);
        }
        let mut step = Step::Guess;
        let mut left_before = high;
        while low < high {
            let left = high - low;
            let guess = || (share(id - low_id, high_id - low_id) * left as f64) as usize;
            let place = match step {
                _ if left <= FEW || low_id >= high_id => left / 2,
                Step::Halve => left / 2,
                Step::Guess => guess(),
                // The guess is near the end that moved last; a little beyond it, the other end follows.
                Step::Bracket(Ordering::Less) => guess().saturating_add(left.isqrt()),
                Step::Bracket(_) => guess().saturating_sub(left.isqrt()),
            };
            let probe = low + place.min(left - 1);
            let ordinal = self.ordinal(probe)?;
            let found = ids.get(ordinal)?;
            // Even of a bad index only what narrows is believed, so that low_id <= id <= high_id.
            let order = found.cmp(&id);
            match order {
                Ordering::Equal => return Ok(Some(ordinal)),
                Ordering::Less => (low, low_id) = (probe + 1, found.max(low_id)),
                Ordering::Greater => (high, high_id) = (probe, found.min(high_id)),
            }
            step = match step {
                Step::Guess => Step::Bracket(order),
                Step::Bracket(_) if high - low > left_before / 4 => Step::Halve,
                Step::Bracket(_) | Step::Halve => {
                    left_before = high - low;
                    Step::Guess
                }
            };
        }
        Ok(None)
    }

    /// Checks that the index names every row, in the order of ids, and that no id is there twice.
    ///
    /// # Errors
    /// `Corrupt` otherwise.
    pub(crate) fn verify<I: SectionBytes>(&self, ids: &Ids<I>) -> Result<()> {
        let mut previous = None;
        for place in 0..self.0.len() / ORDINAL_BYTES {
            let id = ids.get(self.ordinal(place)?)?;
            if previous.is_some_and(|previous| previous >= id) {
                return Err(self.0.corrupt(place * ORDINAL_BYTES, "ids are out of order".to_owned()));
            }
            previous = Some(id);
        }
        Ok(())
    }
}

/// `part / whole` for a part of the whole, from the leading 64 bits.
fn share(part: u128, whole: u128) -> f64 {
    let shift = u128::BITS - whole.leading_zeros().min(u64::BITS) - u64::BITS;
    (part >> shift) as u64 as f64 / (whole >> shift) as u64 as f64
}

fn check_length<B: SectionBytes>(bytes: &B, rows: usize, size: usize) -> Result<()> {
    if rows.checked_mul(size) == Some(bytes.len()) {
        return Ok(());
    }
    Err(bytes.corrupt(0, format!("a section of {rows} rows has {} bytes", bytes.len())))
}

#[cfg(test)]
#[path = "ids_tests.rs"]
mod tests;
