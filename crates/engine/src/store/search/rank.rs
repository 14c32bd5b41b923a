//! Candidates that were found by codes or an index are ranked anew by what is kept of their vectors.
//!
//! What always holds: a vector is held against its checksum before it gives a score.

use std::borrow::Cow;

use codegraph_vector_ann::codec::{CodeScan, CodedRows};
use codegraph_vector_base::{Error, Result, RowOrdinal};

use super::coded::norms;
use super::{Place, Search, Source};
use crate::compression::{CodebookId, Keep};
use crate::segment::{CodeGroup, Segment};
use crate::version::Version;

/// Vectors that are asked for before the first of them is looked at: memory gives several at a time.
const AHEAD: usize = 8;
/// The same of what is looked at beside each, which is small.
const COLUMNS_AHEAD: usize = 32;

/// A row that may be among the nearest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SegmentRow {
    /// The segment's place in the version.
    pub(super) at: u32,
    pub(super) ordinal: RowOrdinal,
}

/// Scores rows for one search after the other.
pub(super) struct Ranking<'v> {
    version: &'v Version,
    groups: &'v [Vec<CodeGroup<'v>>],
}

impl<'v> Ranking<'v> {
    /// Over the groups of codes of each segment, as far as they are needed.
    pub(super) fn new(version: &'v Version, groups: &'v [Vec<CodeGroup<'v>>]) -> Self {
        Self { version, groups }
    }

    /// Pushes rows with their scores to the search's best: by their vectors, those of which only codes are kept by codes.
    pub(super) fn rank(&self, search: &mut Search<'_>, rows: &[SegmentRow]) -> Result<()> {
        let mut prepared = Vec::new();
        let columns = |row: &SegmentRow| self.segment(*row).prefetch_columns(row.ordinal);
        let vector = |row: &SegmentRow| self.segment(*row).prefetch_vector(row.ordinal);
        rows.iter().take(AHEAD).for_each(vector);
        rows.iter().take(COLUMNS_AHEAD).for_each(columns);
        for (number, row) in rows.iter().enumerate() {
            rows.get(number + AHEAD).map(vector);
            rows.get(number + COLUMNS_AHEAD).map(columns);
            let segment = self.segment(*row);
            let (score, source) = match segment.keep() {
                Keep::None => {
                    let score = self.score_code(search, *row, &mut prepared)?;
                    (score, Source::Segment(row.at, row.ordinal))
                }
                Keep::F16 | Keep::Full => {
                    let vector = segment.vector(row.ordinal)?;
                    let score = search.scan.score_one(&vector, segment.norm(row.ordinal)?);
                    (score, Source::Checked(row.at, row.ordinal))
                }
            };
            if score >= search.top.threshold() {
                search.top.push(score, Place { id: segment.id(row.ordinal)?, source });
            }
        }
        Ok(())
    }

    fn segment(&self, row: SegmentRow) -> &'v Segment {
        &self.version.segments[row.at as usize]
    }

    fn score_code(
        &self,
        search: &Search<'_>,
        row: SegmentRow,
        prepared: &mut Vec<Prepared<'v>>,
    ) -> Result<f32> {
        let groups = &self.groups[row.at as usize];
        let found = groups.iter().find_map(|group| Some((group, group.place(row.ordinal)?)));
        let Some((group, place)) = found else { return Err(no_code(self.segment(row), row.ordinal)) };
        let of_group = |known: &Prepared<'_>| known.at == row.at && known.codebook == group.trained.id;
        let known = prepared.iter().position(of_group);
        let number = match known {
            Some(number) => number,
            None => {
                let metric = search.scan.metric();
                let scan = CodeScan::new(metric, &search.request.vector, &*group.trained.codec);
                let norms = norms(self.segment(row), group, metric)?;
                prepared.push(Prepared { at: row.at, codebook: group.trained.id, scan, norms });
                prepared.len() - 1
            }
        };
        let Prepared { scan, norms, .. } = &prepared[number];
        Ok(scan.score(CodedRows { codes: group.codes, norms }, place as u32))
    }
}

/// A search made ready for the codes of one group.
struct Prepared<'v> {
    at: u32,
    codebook: CodebookId,
    scan: CodeScan<'v>,
    norms: Cow<'v, [f32]>,
}

fn no_code(segment: &Segment, ordinal: RowOrdinal) -> Error {
    Error::corrupt(segment.file().path(), 0, format!("row {ordinal} has neither a vector nor a code"))
}
