//! Text search: BM25 over the words of names, paths and terms (Robertson and Zaragoza, 2009; words weighed by where
//! they stand, as in BM25F).
//!
//! What always holds: a score is a function of the question and of the rows that the reader sees; it does not depend on
//! which segments and memtables these are in, nor on rows that died or on the filter. What is named exactly as asked
//! comes before all else. Ties go by id.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use codegraph_vector_ann::{Hit, TopK};
use codegraph_vector_base::{Error, NodeId, Result, RowOrdinal, SeqNo};

use super::{Match, ScoreKind, SearchResults, check};
use crate::filter::Filter;
use crate::memtable::{Chunk, MemRow};
use crate::node::NodeMetadata;
use crate::rows::{Candidates, Postings};
use crate::segment::{Segment, Text, make_text};
use crate::store::core::Core;
use crate::text::{ONCE, Question};
use crate::version::Version;

/// How fast more of the same word stops to count, and how much long texts are held against.
const K1: f32 = 1.2;
const B: f32 = 0.75;
/// Rows whose scores are summed up at once: few enough for the L2 cache.
const WINDOW: u32 = 1 << 15;

/// What to look for in names, paths and terms.
#[derive(Clone, Debug)]
pub struct TextRequest {
    /// Words or identifiers; anything else is passed over. Endings and usual spellings of words do not matter. If all of
    /// it is one identifier, nodes of that name or qualified name come first.
    pub text: String,
    /// Number of results, at most [`MAX_LIMIT`](crate::MAX_LIMIT).
    pub limit: usize,
    /// Only nodes that match.
    pub filter: Option<Filter>,
    /// Whether matches carry their metadata, which is read only if so.
    pub with_metadata: bool,
}

impl TextRequest {
    /// The `limit` nodes that fit `text` best, with metadata.
    pub fn new(text: impl Into<String>, limit: usize) -> Self {
        Self { text: text.into(), limit, filter: None, with_metadata: true }
    }

    /// The same among nodes that match `filter`.
    #[must_use]
    pub fn with_filter(mut self, filter: Filter) -> Self {
        self.filter = Some(filter);
        self
    }
}

/// What fits a text, best first.
#[derive(Debug, Default)]
pub(super) struct TextRanking {
    pub(super) hits: Vec<Hit<NodeId>>,
    /// How many of the first are named exactly as asked.
    pub(super) named: usize,
}

impl Core {
    /// The rows that fit a text best and that a reader at `seqno` sees.
    pub(crate) fn search_text(
        &self,
        version: &Version,
        seqno: SeqNo,
        request: &TextRequest,
    ) -> Result<SearchResults> {
        self.check_open()?;
        let TextRequest { text, limit, filter, with_metadata } = request;
        check(*limit, filter.as_ref())?;
        self.counters.searches.fetch_add(1, Ordering::Relaxed);
        let question = Question::new(text);
        let (matches, degraded) = self.around_damage(version, |version| {
            let ranking = self.rank_text(version, seqno, &question, *limit, filter.as_ref())?;
            let hits = ranking.hits.into_iter();
            hits.map(|hit| self.found(version, seqno, hit, (*with_metadata, false))).collect::<Result<_>>()
        })?;
        let score_kind = ScoreKind::Bm25;
        let results = SearchResults { matches, score_kind, seqno, exact: true, degraded: false };
        Ok(results.degraded_if(degraded))
    }

    /// A hit with its metadata and vector, where asked for.
    pub(super) fn found(
        &self,
        version: &Version,
        seqno: SeqNo,
        hit: Hit<NodeId>,
        (with_metadata, with_vector): (bool, bool),
    ) -> Result<Match> {
        let row = self.find_row(version, seqno, hit.key)?;
        let row = row.ok_or_else(|| Error::invalid(format!("node {} left its snapshot", hit.key)))?;
        let metadata = with_metadata.then(|| NodeMetadata::decode(&row.encoded)).transpose()?;
        let exact = row.place.as_ref().is_none_or(|(segment, _)| segment.is_exact());
        let vector = with_vector.then_some(row.vector);
        Ok(Match { node_id: hit.key, score: hit.score, seqno: row.columns.seqno, metadata, vector, exact })
    }

    /// The ids of the rows that fit best.
    pub(super) fn rank_text(
        &self,
        version: &Version,
        seqno: SeqNo,
        question: &Question,
        limit: usize,
        filter: Option<&Filter>,
    ) -> Result<TextRanking> {
        if question.terms.is_empty() {
            return Ok(TextRanking::default());
        }
        let parts = self.parts(version, seqno)?;
        let weights = Weights::of(question, &parts)?;
        let mut top = TopK::new(limit);
        for part in &parts {
            part.score(self, question, &weights, filter, &mut top)?;
        }
        let hits = top.into_sorted();
        let named = hits.iter().take_while(|hit| hit.score > weights.most_by_words()).count();
        Ok(TextRanking { hits, named })
    }

    /// Everything that a reader at `seqno` may see, in pieces that have an index each.
    fn parts<'a>(&self, version: &'a Version, seqno: SeqNo) -> Result<Vec<Part<'a>>> {
        let mut parts = Vec::new();
        for table in version.memtables() {
            let of_open = |open: &Chunk| -> Vec<(NodeId, Arc<NodeMetadata>)> {
                let seen = open.rows.iter().filter(|row| row.visible_at(seqno));
                seen.map(|row| (row.id, row.metadata.clone())).collect()
            };
            let (open, full) = table.chunks_now(of_open);
            let text = make_text(|builder| open.iter().try_for_each(|(_, metadata)| builder.push(metadata)))?;
            parts.push(Part { rows: Rows::Open(open), text, seqno });
            for chunk in full {
                parts.push(Part { text: chunk.text()?, rows: Rows::Full(chunk), seqno });
            }
        }
        let caches = self.caches();
        for segment in &version.segments {
            parts.push(Part { rows: Rows::Segment(segment), text: segment.text(&caches)?, seqno });
        }
        Ok(parts)
    }
}

/// Rows with an index of their texts, as a reader at a SeqNo sees them.
struct Part<'a> {
    rows: Rows<'a>,
    text: Text,
    seqno: SeqNo,
}

enum Rows<'a> {
    /// Copied out of the chunk that a memtable is writing to; all are seen.
    Open(Vec<(NodeId, Arc<NodeMetadata>)>),
    Full(Arc<Chunk>),
    Segment(&'a Arc<Segment>),
}

impl Rows<'_> {
    fn row(chunk: &Chunk, row: RowOrdinal) -> &MemRow {
        &chunk.rows[row as usize]
    }
}

impl Part<'_> {
    fn sees(&self, row: RowOrdinal) -> Result<bool> {
        match &self.rows {
            Rows::Open(_) => Ok(true),
            Rows::Full(chunk) => Ok(Rows::row(chunk, row).visible_at(self.seqno)),
            Rows::Segment(segment) => segment.visible_at(row, self.seqno),
        }
    }

    fn sees_all(&self) -> bool {
        match &self.rows {
            Rows::Open(_) => true,
            Rows::Full(chunk) => chunk.rows.iter().all(|row| row.visible_at(self.seqno)),
            Rows::Segment(segment) => segment.all_visible_at(self.seqno),
        }
    }

    fn id(&self, row: RowOrdinal) -> Result<NodeId> {
        match &self.rows {
            Rows::Open(rows) => Ok(rows[row as usize].0),
            Rows::Full(chunk) => Ok(Rows::row(chunk, row).id),
            Rows::Segment(segment) => segment.id(row),
        }
    }

    /// Calls `visit` with each row that is not seen.
    fn each_hidden(&self, visit: &mut dyn FnMut(RowOrdinal) -> Result<()>) -> Result<()> {
        match &self.rows {
            Rows::Open(_) => Ok(()),
            Rows::Full(chunk) => {
                let hidden = (0..).zip(&chunk.rows).filter(|(_, row)| !row.visible_at(self.seqno));
                hidden.map(|(row, _)| row).try_for_each(visit)
            }
            Rows::Segment(segment) => segment.each_hidden(self.seqno, visit),
        }
    }

    /// Number of rows that are seen, and the sum of their lengths.
    fn size(&self) -> Result<(u64, u64)> {
        let lengths = self.text.lengths()?;
        let (mut rows, mut length) = (u64::from(self.text.rows()), self.text.total_length());
        self.each_hidden(&mut |row| {
            rows -= 1;
            length = length.saturating_sub(length_of(lengths, row).into());
            Ok(())
        })?;
        Ok((rows, length))
    }

    /// Number of rows that are seen and have a term.
    fn having(&self, term: &str, sees_all: bool) -> Result<u64> {
        let Some(mut postings) = self.text.find(term)? else { return Ok(0) };
        if sees_all {
            return Ok(postings.count().into());
        }
        let mut having = 0;
        while let Some((row, _)) = self.text.step(&mut postings)? {
            having += u64::from(self.sees(row)?);
        }
        Ok(having)
    }

    /// Offers the rows that fit to `top`.
    fn score(
        &self,
        core: &Core,
        question: &Question,
        weights: &Weights,
        filter: Option<&Filter>,
        top: &mut TopK<NodeId>,
    ) -> Result<()> {
        let mut cursors = Vec::new();
        for ((term, _), weight) in question.terms.iter().zip(&weights.of_terms) {
            cursors.extend(Cursor::open(&self.text, term, *weight)?);
        }
        let mut named = Vec::new();
        for term in &question.named {
            named.extend(Cursor::open(&self.text, term, 0.0)?);
        }
        if cursors.is_empty() && named.is_empty() {
            return Ok(());
        }
        let candidates = match (&self.rows, filter) {
            (Rows::Segment(segment), Some(filter)) => Some(segment.candidates(filter)?),
            _ => None,
        };
        let lengths = self.text.lengths()?;
        let mut scores = vec![0.0f32; self.text.rows().min(WINDOW) as usize];
        let mut start = 0;
        while start < self.text.rows() {
            let end = start.saturating_add(WINDOW);
            for cursor in &mut cursors {
                let weight = cursor.weight;
                cursor.until(&self.text, end, |row, count| {
                    scores[(row - start) as usize] +=
                        weight * weights.saturated(count, length_of(lengths, row));
                })?;
            }
            for cursor in &mut named {
                cursor.until(&self.text, end, |row, _| {
                    let score = &mut scores[(row - start) as usize];
                    // It may have been asked for by two of its names.
                    if *score <= weights.most_by_words() {
                        *score += weights.name;
                    }
                })?;
            }
            for (row, score) in (start..).zip(&mut scores) {
                let score = std::mem::take(score);
                if score > 0.0
                    && score >= top.threshold()
                    && self.sees(row)?
                    && self.matches(core, row, filter, candidates.as_ref())?
                {
                    top.push(score, self.id(row)?);
                }
            }
            start = end;
        }
        Ok(())
    }

    fn matches(
        &self,
        core: &Core,
        row: RowOrdinal,
        filter: Option<&Filter>,
        candidates: Option<&Candidates>,
    ) -> Result<bool> {
        let Some(filter) = filter else { return Ok(true) };
        match (&self.rows, candidates) {
            (Rows::Segment(segment), Some(candidates)) => {
                Ok(candidates.bitmap.contains(row) && core.is_match(segment, row, filter, candidates)?)
            }
            (Rows::Segment(_), None) => Ok(false),
            (Rows::Open(rows), _) => {
                let (id, metadata) = &rows[row as usize];
                Ok(filter.matches(*id, metadata))
            }
            (Rows::Full(chunk), _) => {
                let row = Rows::row(chunk, row);
                Ok(filter.matches(row.id, &row.metadata))
            }
        }
    }
}

fn length_of(lengths: &[[u8; 4]], row: RowOrdinal) -> u32 {
    u32::from_le_bytes(lengths[row as usize])
}

/// The rows of a term, gone through window by window.
struct Cursor<'a> {
    postings: Postings<'a>,
    next: Option<(RowOrdinal, u32)>,
    weight: f32,
}

impl<'a> Cursor<'a> {
    fn open(text: &'a Text, term: &str, weight: f32) -> Result<Option<Self>> {
        let Some(mut postings) = text.find(term)? else { return Ok(None) };
        let next = text.step(&mut postings)?;
        Ok(Some(Self { postings, next, weight }))
    }

    /// Calls `visit` with the rows before `end`, and what the term counts there.
    fn until(&mut self, text: &Text, end: RowOrdinal, mut visit: impl FnMut(RowOrdinal, u32)) -> Result<()> {
        while let Some((row, count)) = self.next.filter(|(row, _)| *row < end) {
            visit(row, count);
            self.next = text.step(&mut self.postings)?;
        }
        Ok(())
    }
}

/// What the terms of a question weigh, over all rows that a reader sees.
struct Weights {
    of_terms: Vec<f32>,
    /// What a row has to its score that is named exactly as asked: more than all terms can give.
    name: f32,
    mean_length: f32,
}

impl Weights {
    fn of(question: &Question, parts: &[Part<'_>]) -> Result<Self> {
        let sees_all: Vec<bool> = parts.iter().map(Part::sees_all).collect();
        let (mut rows, mut length) = (0, 0);
        for part in parts {
            let (more, longer) = part.size()?;
            (rows, length) = (rows + more, length + longer);
        }
        let mut of_terms = Vec::new();
        for (term, times) in &question.terms {
            let mut having = 0;
            for (part, sees_all) in parts.iter().zip(&sees_all) {
                having += part.having(term, *sees_all)?;
            }
            of_terms.push(*times as f32 * rarity(having, rows) * (K1 + 1.0));
        }
        let mean_length = (length as f64 / rows.max(1) as f64).max(1.0) as f32;
        let name = 1.0 + 2.0 * of_terms.iter().sum::<f32>();
        Ok(Self { of_terms, name, mean_length })
    }

    /// What all terms can give together is less than this, and what a name gives is more.
    fn most_by_words(&self) -> f32 {
        0.75 * self.name
    }

    /// From 0 to 1: how much a term says that counts so much in a text of so many words.
    fn saturated(&self, count: u32, length: u32) -> f32 {
        let count = count as f32 / ONCE;
        count / (count + K1 * (1.0 - B + B * length as f32 / self.mean_length))
    }
}

/// How much is said by a term that so many rows of all have: its inverse document frequency; more than 0.
fn rarity(having: u64, rows: u64) -> f32 {
    let (having, rows) = (having as f64, rows as f64);
    (1.0 + (rows - having + 0.5) / (having + 0.5)).ln() as f32
}
