//! What is true of every manifest, and of two that follow each other; what files they keep alive. Pure functions.

use std::collections::{BTreeMap, BTreeSet};

use codegraph_vector_base::limits::{MAX_DIMENSION, MAX_SEGMENT_ROWS};
use codegraph_vector_base::{Error, Generation, Lsn, Result, SegmentId, SeqNo};

use super::{Manifest, SegmentRef, StoreSchema};

/// Files in the segments folder that manifests name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReferencedFiles {
    /// Segments.
    pub segments: BTreeSet<SegmentId>,
    /// Death files, by segment and the generation in their name.
    pub deaths: BTreeSet<(SegmentId, Generation)>,
}

/// Whether a manifest can be true.
///
/// # Errors
/// `InvalidInput` with the rule that is broken.
pub fn check(manifest: &Manifest) -> Result<()> {
    let m = manifest;
    ensure(m.generation.0 > 0 && m.generation.0 < u64::MAX, "generations run from 1")?;
    ensure(m.next_segment_id.0 < u64::MAX, "segment ids have run out")?;
    ensure(m.proven_seqno < SeqNo::MAX, "SeqNos have run out")?;
    let dimension = usize::try_from(m.schema.dimension).unwrap_or(usize::MAX);
    ensure((1..=MAX_DIMENSION).contains(&dimension), "the dimension is out of range")?;
    ensure(m.checkpoint.lsn <= m.proven_lsn, "the checkpoint is beyond the proven end of the log")?;
    ensure(m.checkpoint.seqno <= m.proven_seqno, "the checkpoint's commit is beyond the last proven one")?;
    ensure(
        m.clean_close.is_none_or(|end| end >= m.proven_lsn),
        "the store was closed before its proven end",
    )?;
    let mut ids = BTreeSet::new();
    for segment in &m.segments {
        ensure(ids.insert(segment.id), "a segment id appears twice")?;
        check_segment(m, segment).map_err(|error| error.context(format!("segment {}", segment.id)))?;
    }
    if let Some(contents) = &m.contents {
        let of = |segment: &SegmentRef| {
            u64::from(segment.rows) - segment.deaths.map_or(0, |deaths| u64::from(deaths.count))
        };
        let alive: u64 = m.segments.iter().map(of).sum();
        ensure(contents.rows == alive, "the contents do not have the number of rows that the segments have")?;
        ensure(alive > 0 || contents.checksum == 0, "no rows have a checksum that is not zero")?;
    }
    let names: BTreeSet<_> = m.settings.iter().map(|(name, _)| name).collect();
    ensure(names.len() == m.settings.len(), "a setting appears twice")
}

fn check_segment(manifest: &Manifest, segment: &SegmentRef) -> Result<()> {
    ensure(segment.id < manifest.next_segment_id, "the id is not below the next one")?;
    ensure(segment.rows > 0, "no rows")?;
    ensure(segment.rows as usize <= MAX_SEGMENT_ROWS, "too many rows")?;
    ensure(segment.min_seqno <= segment.max_seqno, "the least SeqNo is above the greatest")?;
    ensure(segment.max_seqno <= segment.base_seqno, "rows are newer than the segment's base")?;
    ensure(segment.max_seqno <= manifest.checkpoint.seqno, "rows are newer than the checkpoint")?;
    let Some(deaths) = &segment.deaths else { return Ok(()) };
    ensure(deaths.count > 0 && deaths.count <= segment.rows, "the number of deaths is out of range")?;
    ensure(deaths.generation <= manifest.generation, "the deaths are of a later generation")
}

/// Whether `next` may take the place of `previous`.
///
/// # Errors
/// `InvalidInput` with the rule that is broken.
pub fn check_successor(previous: &Manifest, next: &Manifest) -> Result<()> {
    ensure(previous.generation.0.checked_add(1) == Some(next.generation.0), "generations leave no gap")?;
    ensure(previous.store_id == next.store_id, "the store's identity is fixed")?;
    ensure(previous.created_us == next.created_us, "the store's creation time is fixed")?;
    check_schemas(&previous.schema, &next.schema)?;
    ensure(previous.timeline <= next.timeline, "timelines never go back")?;
    ensure(previous.epoch <= next.epoch, "epochs never go back")?;
    ensure(previous.next_segment_id <= next.next_segment_id, "segment ids never go back")?;
    if previous.timeline != next.timeline {
        return Ok(()); // A restore goes back, and may bring back segments that a merge had replaced.
    }
    let (before, after) = (&previous.checkpoint, &next.checkpoint);
    ensure(before.lsn <= after.lsn && before.seqno <= after.seqno, "checkpoints never go back")?;
    ensure(before.commit_time_us <= after.commit_time_us, "commit times never go back")?;
    ensure(previous.proven_lsn <= next.proven_lsn, "what is proven of the log stays proven")?;
    ensure(previous.proven_seqno <= next.proven_seqno, "what is proven to be committed stays proven")?;
    let known: BTreeMap<_, _> = previous.segments.iter().map(|segment| (segment.id, segment)).collect();
    for segment in &next.segments {
        // A new id may be below the next one: a flush and a merge that run side by side take their ids in one
        // order and may be installed in the other.
        if let Some(known) = known.get(&segment.id) {
            check_same_segment(known, segment)
                .map_err(|error| error.context(format!("segment {}", segment.id)))?;
        }
    }
    Ok(())
}

fn check_schemas(before: &StoreSchema, after: &StoreSchema) -> Result<()> {
    let vectors = |schema: &StoreSchema| (schema.dimension, schema.metric);
    ensure(vectors(before) == vectors(after), "the store's dimension and metric are fixed")?;
    let embedder = before.embedder.is_none() || before.embedder == after.embedder;
    ensure(embedder, "the store's embedder is fixed once it is known")
}

fn check_same_segment(before: &SegmentRef, after: &SegmentRef) -> Result<()> {
    let fixed = SegmentRef { deaths: before.deaths, ..after.clone() };
    ensure(fixed == *before, "segments are immutable")?;
    let count = |segment: &SegmentRef| segment.deaths.map_or(0, |deaths| deaths.count);
    ensure(count(before) <= count(after), "the dead do not rise")
}

/// The files that these manifests name: those of the two newest must stay.
pub fn referenced_files(manifests: &[&Manifest]) -> ReferencedFiles {
    let mut files = ReferencedFiles::default();
    for segment in manifests.iter().flat_map(|manifest| &manifest.segments) {
        files.segments.insert(segment.id);
        files.deaths.extend(segment.deaths.map(|deaths| (segment.id, deaths.generation)));
    }
    files
}

/// From where on the log is needed by any of these manifests: those of the two newest. All of it if there are none.
pub fn log_floor(manifests: &[&Manifest]) -> Lsn {
    manifests.iter().map(|manifest| manifest.checkpoint.lsn).min().unwrap_or_default()
}

fn ensure(holds: bool, rule: &str) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::invalid(format!("the manifest breaks a rule: {rule}"))) }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
