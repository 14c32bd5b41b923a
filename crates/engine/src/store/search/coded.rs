//! Rows found by their codes: the nearest by those are candidates, which are ranked anew by their vectors.

use std::borrow::Cow;

use codegraph_vector_ann::codec::{CodeScan, CodedRows, Input};
use codegraph_vector_ann::{Metric, Rows, TopK};
use codegraph_vector_base::{ErrorKind, Result, RowOrdinal, SeqNo};

use super::exact::SegmentPass;
use super::rank::{Ranking, SegmentRow};
use super::{Place, Search, SearchRequest, inexact};
use crate::compression::{CodebookId, Keep};
use crate::rows::Candidates;
use crate::segment::{CodeGroup, Segment};
use crate::store::core::Core;
use crate::version::Version;

/// The groups of codes of each segment of a version; none where codes are damaged and there are vectors to go by.
pub(super) fn groups(version: &Version) -> Result<Vec<Vec<CodeGroup<'_>>>> {
    let groups = version.segments.iter().map(|segment| match segment.groups() {
        Err(error) if error.kind() == ErrorKind::Corrupt && segment.keep() > Keep::None => Ok(Vec::new()),
        groups => groups,
    });
    groups.collect()
}

/// The requests among several that go by codes.
pub(super) struct CodedSearches<'s, 'r, 'c> {
    groups: &'c [&'c [CodeGroup<'c>]],
    /// Those without a filter first: they look at the same rows, together.
    searches: Vec<&'s mut Search<'r>>,
    /// How many those are.
    together: usize,
    /// For each search, the nearest by codes.
    candidates: Vec<TopK<Place>>,
    /// For each codec that was met, the searches made ready for it.
    prepared: Vec<(CodebookId, Prepared<'c>)>,
}

/// Searches made ready for one codec.
struct Prepared<'c> {
    /// Those without a filter.
    together: Vec<CodeScan<'c>>,
    /// The others, once one has rows to look at.
    apart: Vec<Option<CodeScan<'c>>>,
}

impl<'s, 'r, 'c> CodedSearches<'s, 'r, 'c> {
    /// Those that do not ask to be exact, over the groups of each segment.
    pub(super) fn new(
        version: &Version,
        searches: &'s mut [Search<'r>],
        groups: &'c [&'c [CodeGroup<'c>]],
    ) -> Self {
        let (searches, together) = inexact(searches);
        // Where there are no vectors to rank by, more candidates than results would be for nothing.
        let has_vectors =
            version.segments.iter().any(|segment| segment.is_coded() && segment.keep() > Keep::None);
        let count = |request: &SearchRequest| if has_vectors { request.candidates() } else { request.limit };
        let candidates = searches.iter().map(|search| TopK::new(count(search.request))).collect();
        Self { groups, searches, together, candidates, prepared: Vec::new() }
    }

    /// Finds the candidates in all segments that have codes.
    pub(super) fn scan(&mut self, core: &Core, version: &Version, seqno: SeqNo) -> Result<()> {
        for (at, (segment, &groups)) in version.segments.iter().zip(self.groups).enumerate() {
            if groups.is_empty() {
                continue;
            }
            let pass = SegmentPass { core, segment, at: at as u32, seqno };
            self.scan_together(&pass, groups)?;
            for number in self.together..self.searches.len() {
                self.scan_apart(&pass, groups, number)?;
            }
        }
        Ok(())
    }

    fn scan_together(&mut self, pass: &SegmentPass<'_>, groups: &'c [CodeGroup<'c>]) -> Result<()> {
        let (together, _) = self.searches.split_at_mut(self.together);
        if together.is_empty() {
            return Ok(());
        }
        together.iter_mut().for_each(|search| search.exact &= pass.segment.is_exact());
        let sees = pass.sight();
        let mut failed = None;
        for group in groups {
            let norms = norms(pass.segment, group, pass.core.metric)?;
            let rows = CodedRows { codes: group.codes, norms: &norms };
            let prepared = prepare(&mut self.prepared, group, &self.searches, self.together);
            let admit = |_, place| pass.admit(ordinal(group, place), &sees, &mut failed);
            CodeScan::scan_batch(&prepared.together, rows, admit, &mut self.candidates[..self.together]);
        }
        failed.map_or(Ok(()), Err)
    }

    fn scan_apart(
        &mut self,
        pass: &SegmentPass<'_>,
        groups: &'c [CodeGroup<'c>],
        number: usize,
    ) -> Result<()> {
        let search = &mut *self.searches[number];
        let Some(filter) = &search.request.filter else { return Ok(()) };
        let matching = pass.segment.candidates(filter)?;
        let all_would_be_ranked = matching.bitmap.len() <= search.request.candidates() as u64;
        if matching.bitmap.is_empty() || (all_would_be_ranked && pass.segment.keep() > Keep::None) {
            return pass.scan_matching(search, filter, &matching);
        }
        search.exact &= pass.segment.is_exact();
        let sees = |ordinal| pass.sees(ordinal, filter, &matching);
        let few = pass.are_few(&matching);
        let mut failed = None;
        for group in groups {
            let norms = norms(pass.segment, group, pass.core.metric)?;
            let rows = CodedRows { codes: group.codes, norms: &norms };
            let prepared = prepare(&mut self.prepared, group, &self.searches, self.together);
            let query = &self.searches[number].request.vector;
            let scan = prepared.apart[number - self.together]
                .get_or_insert_with(|| CodeScan::new(pass.core.metric, query, &*group.trained.codec));
            let listed = few.then(|| places(group, &matching));
            let selection = listed.as_deref().map_or(Rows::All, Rows::Listed);
            let admit = |place| pass.admit(ordinal(group, place), &sees, &mut failed);
            scan.scan(rows, selection, admit, &mut self.candidates[number]);
        }
        failed.map_or(Ok(()), Err)
    }

    /// Ranks the candidates anew, among what was found without codes.
    pub(super) fn rank_anew(self, ranking: &Ranking<'_>) -> Result<()> {
        for (search, candidates) in self.searches.into_iter().zip(self.candidates) {
            // Where there is room left, nothing was kept out.
            search.exact &= candidates.len() < candidates.k();
            let found = candidates.into_sorted();
            let rows: Vec<SegmentRow> = found.iter().filter_map(|hit| hit.key.segment_row()).collect();
            ranking.rank(search, &rows)?;
        }
        Ok(())
    }
}

/// The searches made ready for the codec of a group.
fn prepare<'p, 'c>(
    prepared: &'p mut Vec<(CodebookId, Prepared<'c>)>,
    group: &'c CodeGroup<'c>,
    searches: &[&mut Search<'_>],
    together: usize,
) -> &'p mut Prepared<'c> {
    let found = prepared.iter().position(|(id, _)| *id == group.trained.id);
    let at = found.unwrap_or_else(|| {
        let ready = |search: &&mut Search<'_>| {
            CodeScan::new(search.scan.metric(), &search.request.vector, &*group.trained.codec)
        };
        let apart = std::iter::repeat_with(|| None).take(searches.len() - together).collect();
        let together = searches[..together].iter().map(ready).collect();
        prepared.push((group.trained.id, Prepared { together, apart }));
        prepared.len() - 1
    });
    &mut prepared[at].1
}

/// The row at a place of a group.
fn ordinal(group: &CodeGroup<'_>, place: u32) -> RowOrdinal {
    group.ordinals.map_or(place, |ordinals| ordinals[place as usize])
}

/// The places of rows that may match.
fn places(group: &CodeGroup<'_>, matching: &Candidates) -> Vec<u32> {
    match group.ordinals {
        None => matching.bitmap.iter().collect(),
        Some(ordinals) => {
            let matching = |(_, ordinal): &(u32, &RowOrdinal)| matching.bitmap.contains(**ordinal);
            (0..).zip(ordinals).filter(matching).map(|(place, _)| place).collect()
        }
    }
}

/// The norms of the rows of a group; none where scores do without.
pub(super) fn norms<'a>(
    segment: &'a Segment,
    group: &CodeGroup<'_>,
    metric: Metric,
) -> Result<Cow<'a, [f32]>> {
    if metric == Metric::Cosine && group.trained.codec.input() == Input::Direction {
        return Ok(Cow::Borrowed(&[]));
    }
    let all = segment.norms()?;
    Ok(match group.ordinals {
        None => all,
        Some(ordinals) => ordinals.iter().map(|ordinal| all[*ordinal as usize]).collect(),
    })
}
