//! Death files: which rows of a segment died, and when.
//!
//! What always holds: ordinals rise strictly and are below the segment's row count; a file is written once, whole,
//! and named by the manifest that brought it, whose reference pins every byte.
//!
//! After the envelope (`envelope.rs`; segment id and generation set):
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 128 | 8 | count n |
//! | 136 | 4 n | row ordinals, u32 |
//! | 136 + 4 n | 8 n | SeqNo of each one's death, u64 |

use std::path::Path;

use codegraph_vector_base::vfs::{OpenMode, Vfs};
use codegraph_vector_base::{Error, Generation, Result, RowOrdinal, SegmentId, SeqNo, StoreId};
use wincode::{SchemaRead, SchemaWrite};

use crate::envelope::{ENVELOPE_BYTES, Envelope, FileKind, read_file, u32_at, u64_at, write_file};

const KIND: FileKind = FileKind { magic: *b"CGVDED\r\n", name: "death file", version: 1, features: 0 };
const COUNT_BYTES: usize = 8;
const ORDINAL_BYTES: usize = 4;
const SEQNO_BYTES: usize = 8;
const ENTRY_BYTES: usize = ORDINAL_BYTES + SEQNO_BYTES;

/// What a manifest says of a death file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SchemaRead, SchemaWrite)]
pub struct DeathFileRef {
    /// The generation in its name: that of the manifest which brought it.
    pub generation: Generation,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// The checksum in its header, which covers the whole file by way of the body's.
    pub crc: u32,
    /// Deaths in it.
    pub count: u32,
}

/// Lets the deaths of `segment` appear at `path`, complete and durable. Memory: 12 bytes a death.
///
/// # Errors
/// `InvalidInput`, with nothing written, unless ordinals rise strictly; what the file system says.
pub fn write_deaths(
    vfs: &dyn Vfs,
    path: &Path,
    store: StoreId,
    segment: SegmentId,
    generation: Generation,
    deaths: &[(RowOrdinal, SeqNo)],
) -> Result<DeathFileRef> {
    if !deaths.is_sorted_by(|before, after| before.0 < after.0) {
        return Err(Error::invalid("deaths must come in strictly rising row order").at(path));
    }
    let count = u32::try_from(deaths.len()).map_err(|_| Error::invalid("more deaths than rows").at(path))?;
    let mut body = Vec::with_capacity(COUNT_BYTES + deaths.len() * ENTRY_BYTES);
    body.extend_from_slice(&(deaths.len() as u64).to_le_bytes());
    deaths.iter().for_each(|(ordinal, _)| body.extend_from_slice(&ordinal.to_le_bytes()));
    deaths.iter().for_each(|(_, seqno)| body.extend_from_slice(&seqno.0.to_le_bytes()));
    let envelope = Envelope::around(&KIND, store, segment, generation, &body);
    let crc = write_file(vfs, path, &KIND, &envelope, &body)?;
    Ok(DeathFileRef { generation, file_bytes: ENVELOPE_BYTES as u64 + envelope.body_bytes, crc, count })
}

/// The deaths of `segment`, which has `rows` rows, as the manifest knows them; in rising row order.
///
/// # Errors
/// `NotFound`; `Corrupt` unless every byte is what the reference pins; `Unsupported` for a newer format.
pub fn read_deaths(
    vfs: &dyn Vfs,
    path: &Path,
    store: StoreId,
    segment: SegmentId,
    rows: u32,
    expected: &DeathFileRef,
) -> Result<Vec<(RowOrdinal, SeqNo)>> {
    let file = vfs.open(path, OpenMode::Read)?;
    let len = file.len()?;
    if len != expected.file_bytes {
        let what =
            format!("the death file has {len} bytes, not {} as the manifest says", expected.file_bytes);
        return Err(Error::corrupt(path, len.min(expected.file_bytes), what));
    }
    let (envelope, crc, body) = read_file(&*file, path, &KIND)?;
    envelope.check_identity(store, segment, expected.generation, path)?;
    if crc != expected.crc {
        return Err(Error::corrupt(path, 0, "this is not the death file that the manifest means"));
    }
    let count = expected.count as usize;
    let sized = count.checked_mul(ENTRY_BYTES).and_then(|bytes| bytes.checked_add(COUNT_BYTES));
    if sized != Some(body.len()) || u64_at(&body, 0) != count as u64 {
        let what = format!("the death file does not hold the {count} deaths of the manifest");
        return Err(Error::corrupt(path, ENVELOPE_BYTES as u64, what));
    }
    let (ordinals, seqnos) = body[COUNT_BYTES..].split_at(count * ORDINAL_BYTES);
    let ordinals = ordinals.chunks_exact(ORDINAL_BYTES).map(|bytes| u32_at(bytes, 0));
    let seqnos = seqnos.chunks_exact(SEQNO_BYTES).map(|bytes| SeqNo(u64_at(bytes, 0)));
    let deaths: Vec<_> = ordinals.zip(seqnos).collect();
    let misplaced = |index: usize| {
        let at = ENVELOPE_BYTES + COUNT_BYTES + index * ORDINAL_BYTES;
        Error::corrupt(path, at as u64, "row ordinals do not rise, or are beyond the segment's rows")
    };
    let mut next = 0;
    for (index, (ordinal, _)) in deaths.iter().enumerate() {
        if *ordinal < next || *ordinal >= rows {
            return Err(misplaced(index));
        }
        next = ordinal + 1;
    }
    Ok(deaths)
}

#[cfg(test)]
#[path = "deaths_tests.rs"]
mod tests;
