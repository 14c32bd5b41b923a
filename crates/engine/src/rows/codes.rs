//! Section *codes*: the codes of all rows, in groups, one a codebook.
//!
//! Layout, all little-endian: format u32 = 1, rows u32, groups u32, zeros up to 64; for each group codebook u32 (its
//! place in section *codebooks*), rows u32, offset of its ordinals u64, offset of its codes u64, bytes of its codes
//! u64; then for each group its ordinals (u32, ascending; none, and offset 0, if there is one group, which is of all
//! rows) and its codes (`ann::codec::PackedCodes`). Table, ordinals and codes begin at multiples of 64 each, without gaps
//! but that padding. Each row is in one group.

use std::ops::Range;

use codegraph_vector_base::limits::SECTION_ALIGNMENT;
use codegraph_vector_base::{ErrorKind, Result};

use super::bytes::{Batch, SectionBytes, Sink, array, u32_at, usize_at};

const FORMAT: u32 = 1;
const HEAD_BYTES: usize = 64;
const ENTRY_BYTES: usize = 32;

/// A group in its section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupPlace {
    /// The place of its codebook among those of the segment.
    pub(crate) codebook: u32,
    pub(crate) rows: u32,
    /// Where its ordinals are, u32 each; `None` if it is of all rows.
    pub(crate) ordinals: Option<Range<usize>>,
    /// Where its codes are.
    pub(crate) codes: Range<usize>,
}

/// Where groups come to lie, given for each its codebook, rows and bytes of codes.
pub(crate) fn place_groups(groups: &[(u32, u32, usize)]) -> Vec<GroupPlace> {
    let mut at = HEAD_BYTES + (groups.len() * ENTRY_BYTES).next_multiple_of(SECTION_ALIGNMENT);
    let places = groups.iter().map(|&(codebook, rows, bytes)| {
        let ordinals = (groups.len() > 1).then(|| at..at + rows as usize * size_of::<u32>());
        let start = ordinals.as_ref().map_or(at, |range| range.end.next_multiple_of(SECTION_ALIGNMENT));
        at = (start + bytes).next_multiple_of(SECTION_ALIGNMENT);
        GroupPlace { codebook, rows, ordinals, codes: start..start + bytes }
    });
    places.collect()
}

/// Writes what comes before the first group's ordinals or codes.
///
/// # Errors
/// Those of the sink.
pub(crate) fn write_groups(places: &[GroupPlace], sink: &mut Sink<'_>) -> Result<()> {
    let mut batch = Batch::new(sink);
    let rows: u32 = places.iter().map(|place| place.rows).sum();
    for number in [FORMAT, rows, places.len() as u32] {
        batch.put(&number.to_le_bytes())?;
    }
    batch.align()?;
    for place in places {
        batch.put(&place.codebook.to_le_bytes())?;
        batch.put(&place.rows.to_le_bytes())?;
        let ordinals = place.ordinals.as_ref().map_or(0, |range| range.start);
        for number in [ordinals, place.codes.start, place.codes.len()] {
            batch.put(&(number as u64).to_le_bytes())?;
        }
    }
    batch.align()?;
    batch.finish()
}

/// The groups of a section, of `rows` rows, each row in one of them.
///
/// # Errors
/// `Corrupt` if that is not so; `Unsupported` for another format.
pub(crate) fn read_groups<B: SectionBytes>(bytes: &B, rows: usize) -> Result<Vec<GroupPlace>> {
    let format = u32_at(bytes, 0)?;
    if format != FORMAT {
        let message = format!("codes of format {format}; this version knows {FORMAT}");
        return Err(bytes.corrupt(0, message).as_kind(ErrorKind::Unsupported));
    }
    let (claimed, count) = (u32_at(bytes, 4)?, u32_at(bytes, 8)? as usize);
    if claimed as usize != rows {
        return Err(bytes.corrupt(4, format!("codes of {claimed} rows in a segment of {rows}")));
    }
    array(bytes, HEAD_BYTES, count, ENTRY_BYTES)?;
    let entry = |number: usize| -> Result<_> {
        let at = HEAD_BYTES + number * ENTRY_BYTES;
        let group = (u32_at(bytes, at)?, u32_at(bytes, at + 4)?, usize_at(bytes, at + 24)?);
        if group.2 > bytes.len() || group.1 as usize > rows {
            return Err(bytes.corrupt(at, format!("a group of {} rows and {} bytes", group.1, group.2)));
        }
        Ok((group, usize_at(bytes, at + 8)?, usize_at(bytes, at + 16)?))
    };
    let entries: Vec<_> = (0..count).map(entry).collect::<Result<_>>()?;
    let groups: Vec<_> = entries.iter().map(|(group, ..)| *group).collect();
    let in_all: u64 = groups.iter().map(|(_, rows, _)| u64::from(*rows)).sum();
    // As many bytes as there are: what lies where is then within them.
    let fits = groups.iter().try_fold(0_usize, |sum, (_, _, codes)| sum.checked_add(*codes));
    if in_all != rows as u64 || fits.is_none_or(|sum| sum > bytes.len()) {
        return Err(bytes.corrupt(8, format!("{count} groups of {in_all} rows in a segment of {rows}")));
    }
    let places = place_groups(&groups);
    for (place, (_, ordinals, codes)) in places.iter().zip(&entries) {
        if place.ordinals.as_ref().map_or(0, |range| range.start) != *ordinals || place.codes.start != *codes
        {
            return Err(bytes.corrupt(HEAD_BYTES, "a group of codes is not in its place".to_owned()));
        }
    }
    let end = places.last().map_or(HEAD_BYTES, |place| place.codes.end);
    if end.next_multiple_of(SECTION_ALIGNMENT) != bytes.len() {
        return Err(bytes.corrupt(8, format!("the codes take {end} bytes of {}", bytes.len())));
    }
    check_ordinals(bytes, &places, rows)?;
    Ok(places)
}

/// Whether ordinals ascend within each group and none is in two. As many as there are rows, they are then all rows.
fn check_ordinals<B: SectionBytes>(bytes: &B, places: &[GroupPlace], rows: usize) -> Result<()> {
    if places.len() < 2 {
        return Ok(());
    }
    let mut seen = vec![false; rows];
    for place in places {
        let Some(range) = &place.ordinals else { continue };
        let mut least = 0;
        for (at, ordinal) in bytes.get(range.clone())?.as_chunks().0.iter().enumerate() {
            let ordinal = u32::from_le_bytes(*ordinal) as usize;
            if ordinal < least || ordinal >= rows || std::mem::replace(&mut seen[ordinal], true) {
                return Err(bytes.corrupt(range.start + at * 4, format!("row {ordinal} is out of order")));
            }
            least = ordinal + 1;
        }
    }
    Ok(())
}
