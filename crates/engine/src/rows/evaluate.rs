//! Finds the rows of a segment that match a filter, as far as the payload index can tell.
//!
//! What always holds: for every part of a filter there is a lower bound, rows that match for certain, and
//! an upper bound, beyond which none matches. They are the same where the index knows the field; a negation
//! swaps them. Each part is asked only about the rows that are still in question (`within`), so that the
//! columns of lines are read for those rows alone if they are few.

use std::ops::{Bound, Range};

use codegraph_vector_base::{NodeId, Result, RowOrdinal};
use roaring::{MultiOps, RoaringBitmap};

use super::bytes::SectionBytes;
use super::index::{PayloadIndex, Term, put_key, term_value};
use crate::filter::{Class, Condition, Field, Filter, Node, Operand, above, below};
use crate::node::{AttributeValue, NO_LINE};

/// Rows per bitmap made from a scan of lines, a multiple of a roaring container's.
const SCAN_ROWS: usize = 1 << 20;

/// Lines are scanned, rather than looked up, unless one row in this many is in question.
const SCAN_SHARE: u64 = 16;

/// The rows that may match a filter.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Candidates {
    /// No other row matches.
    pub(crate) bitmap: RoaringBitmap,
    /// Those of them that have to be checked with [`Filter::matches`]; the others match.
    pub(crate) unsure: RoaringBitmap,
}

impl Candidates {
    /// Whether all of them match.
    #[cfg(test)]
    pub(crate) fn exact(&self) -> bool {
        self.unsure.is_empty()
    }
}

struct Bounds {
    lower: RoaringBitmap,
    /// None if it is the lower bound.
    upper: Option<RoaringBitmap>,
}

impl Bounds {
    fn exact(rows: RoaringBitmap) -> Self {
        Self { lower: rows, upper: None }
    }

    /// Nothing is known of these rows.
    fn unknown(rows: RoaringBitmap) -> Self {
        Self { lower: RoaringBitmap::new(), upper: Some(rows) }
    }

    fn within(self, rows: &RoaringBitmap) -> Self {
        Self { lower: self.lower & rows, upper: self.upper.map(|upper| upper & rows) }
    }
}

impl<B: SectionBytes> PayloadIndex<B> {
    /// The rows that may match, and which of them have to be checked. `lookup` finds an id's row.
    ///
    /// # Errors
    /// `InvalidInput` if the filter has a mistake in it; `Corrupt` if the index's bytes are bad; those of `lookup`.
    pub(crate) fn evaluate(
        &self,
        filter: &Filter,
        lookup: &dyn Fn(NodeId) -> Result<Option<RowOrdinal>>,
    ) -> Result<Candidates> {
        let all = rows_bitmap(0..self.rows());
        let Bounds { lower, upper } = self.bounds(filter.root()?, &all, lookup)?;
        Ok(match upper {
            None => Candidates { bitmap: lower, unsure: RoaringBitmap::new() },
            Some(upper) => Candidates { unsure: &upper - &lower, bitmap: upper },
        })
    }

    fn bounds(
        &self,
        node: &Node,
        within: &RoaringBitmap,
        lookup: &dyn Fn(NodeId) -> Result<Option<RowOrdinal>>,
    ) -> Result<Bounds> {
        if within.is_empty() {
            return Ok(Bounds::exact(RoaringBitmap::new()));
        }
        match node {
            Node::And(children) => self.bounds_of_all(children, within, lookup),
            Node::Or(children) => self.bounds_of_any(children, within, lookup),
            Node::Not(child) => {
                let Bounds { lower, upper } = self.bounds(child, within, lookup)?;
                Ok(match upper {
                    None => Bounds::exact(within - &lower),
                    Some(upper) => Bounds { lower: within - &upper, upper: Some(within - &lower) },
                })
            }
            Node::Ids(ids) => {
                let mut rows = RoaringBitmap::new();
                for &id in ids {
                    rows.extend(lookup(id)?);
                }
                Ok(Bounds::exact(rows & within))
            }
            Node::On(field, condition) => match field {
                Field::Path => self.paths_where(condition).map(Bounds::exact).map(|rows| rows.within(within)),
                Field::StartLine => self.lines_where(false, condition, within).map(Bounds::exact),
                Field::EndLine => self.lines_where(true, condition, within).map(Bounds::exact),
                Field::Name | Field::ContentHash => Ok(Bounds::unknown(within.clone())),
                Field::Kind | Field::Language | Field::Attribute(_) => {
                    self.terms_where(field, condition, within).map(|rows| rows.within(within))
                }
            },
        }
    }

    fn bounds_of_all(
        &self,
        children: &[Node],
        within: &RoaringBitmap,
        lookup: &dyn Fn(NodeId) -> Result<Option<RowOrdinal>>,
    ) -> Result<Bounds> {
        let mut order: Vec<&Node> = children.iter().collect();
        order.sort_by_key(|node| cost(node));
        let Some((first, others)) = order.split_first() else { return Ok(Bounds::exact(within.clone())) };
        let mut sum = self.bounds(first, within, lookup)?;
        for node in others {
            let next = self.bounds(node, sum.upper.as_ref().unwrap_or(&sum.lower), lookup)?;
            // The next bounds are within the upper one so far.
            sum = match (sum.upper, next.upper) {
                (None, upper) => Bounds { lower: next.lower, upper },
                (Some(_), None) => Bounds { lower: sum.lower & &next.lower, upper: Some(next.lower) },
                (Some(_), upper) => Bounds { lower: sum.lower & next.lower, upper },
            };
        }
        Ok(sum)
    }

    fn bounds_of_any(
        &self,
        children: &[Node],
        within: &RoaringBitmap,
        lookup: &dyn Fn(NodeId) -> Result<Option<RowOrdinal>>,
    ) -> Result<Bounds> {
        let mut rest = within.clone();
        let (mut lower, mut upper) = (RoaringBitmap::new(), None::<RoaringBitmap>);
        for child in children {
            let bounds = self.bounds(child, &rest, lookup)?;
            rest -= &bounds.lower;
            lower |= bounds.lower;
            if let Some(more) = bounds.upper {
                *upper.get_or_insert_default() |= more;
            }
        }
        Ok(Bounds { upper: upper.map(|upper| upper | &lower), lower })
    }

    /// The rows whose path meets a condition.
    fn paths_where(&self, condition: &Condition) -> Result<RoaringBitmap> {
        let (table, bytes) = (self.path_table(), self.bytes());
        let ranks = match condition {
            Condition::Missing => return Ok(rows_bitmap(self.rows_without_path()?)),
            Condition::AnyOf(set) => {
                let mut rows = RoaringBitmap::new();
                for value in set.values() {
                    if let AttributeValue::Text(path) = value {
                        rows.insert_range(self.rows_of_path(path)?);
                    }
                }
                return Ok(rows);
            }
            Condition::Glob(pattern) => {
                let mut rows = RoaringBitmap::new();
                self.each_path(pattern.literal_prefix(), |path, found| {
                    if pattern.matches(path) {
                        rows.insert_range(found);
                    }
                    Ok(())
                })?;
                return Ok(rows);
            }
            Condition::Prefix(prefix) => {
                let end = match after_prefix(prefix.as_bytes()) {
                    Some(after) => table.lower_bound(bytes, &after)?,
                    None => table.len(),
                };
                table.lower_bound(bytes, prefix.as_bytes())?..end
            }
            Condition::Range(lower, upper) => {
                let start = match lower {
                    Bound::Included(AttributeValue::Text(text)) => {
                        table.lower_bound(bytes, text.as_bytes())?
                    }
                    Bound::Excluded(AttributeValue::Text(text)) => {
                        table.upper_bound(bytes, text.as_bytes())?
                    }
                    _ => 0,
                };
                let end = match upper {
                    Bound::Included(AttributeValue::Text(text)) => {
                        table.upper_bound(bytes, text.as_bytes())?
                    }
                    Bound::Excluded(AttributeValue::Text(text)) => {
                        table.lower_bound(bytes, text.as_bytes())?
                    }
                    _ => table.len(),
                };
                start..end
            }
        };
        self.rows_of_ranks(ranks).map(rows_bitmap)
    }

    /// The rows whose field meets a condition, as far as the field's values are indexed.
    fn terms_where(&self, field: &Field, condition: &Condition, within: &RoaringBitmap) -> Result<Bounds> {
        let mut key = Vec::new();
        put_key(&mut key, field);
        let Some(present) = self.term(&mut key, Term::Present)? else {
            return Ok(match (field, condition) {
                (Field::Attribute(_), _) if !self.has_all_names() => Bounds::unknown(within.clone()),
                (_, Condition::Missing) => Bounds::exact(within.clone()),
                _ => Bounds::exact(RoaringBitmap::new()),
            });
        };
        if let Condition::Missing = condition {
            return self.bitmap(present).map(|present| Bounds::exact(within - present));
        }
        if self.term(&mut key, Term::Incomplete)?.is_some() {
            return self.bitmap(present).map(Bounds::unknown);
        }
        let mut ranks = Vec::new();
        match condition {
            Condition::Missing => {}
            Condition::AnyOf(set) => {
                for value in
                    set.values().iter().filter(|value| Operand::from(*value).class() != Class::Number)
                {
                    ranks.extend(self.term(&mut key, Term::from(value))?);
                }
                if condition.classes().any(|class| class == Class::Number) {
                    self.scan_terms(&key, b"d", condition, &mut ranks)?;
                    self.scan_terms(&key, b"i", condition, &mut ranks)?;
                }
            }
            Condition::Range(..) if condition.classes().any(|class| class == Class::Number) => {
                self.scan_terms(&key, b"d", condition, &mut ranks)?;
                self.scan_terms(&key, b"i", condition, &mut ranks)?;
            }
            Condition::Range(..) => self.scan_terms(&key, b"t", condition, &mut ranks)?,
            Condition::Prefix(prefix) => {
                self.scan_terms(&key, &[b"t", prefix.as_bytes()].concat(), condition, &mut ranks)?;
            }
            Condition::Glob(pattern) => {
                let prefix = [b"t", pattern.literal_prefix().as_bytes()].concat();
                self.scan_terms(&key, &prefix, condition, &mut ranks)?;
            }
        }
        let bitmaps = ranks.into_iter().map(|rank| self.bitmap(rank));
        bitmaps.union().map(Bounds::exact)
    }

    /// The rank of a field's term; `key` holds the field, before and after.
    fn term(&self, key: &mut Vec<u8>, term: Term<'_>) -> Result<Option<usize>> {
        let field = key.len();
        term.put(key);
        let rank = self.term_table().find(self.bytes(), key);
        key.truncate(field);
        rank
    }

    /// Adds the ranks of a field's terms that begin with `letters` and meet the condition.
    fn scan_terms(
        &self,
        field: &[u8],
        letters: &[u8],
        condition: &Condition,
        ranks: &mut Vec<usize>,
    ) -> Result<()> {
        let start = [field, letters].concat();
        let rank = self.term_table().lower_bound(self.bytes(), &start)?;
        let mut cursor = self.term_table().cursor(self.bytes(), rank)?;
        while let Some((rank, term)) = cursor.next()? {
            if !term.starts_with(&start) {
                break;
            }
            if condition.matches(term.get(field.len()..).and_then(term_value)) {
                ranks.push(rank);
            }
        }
        Ok(())
    }

    /// The rows within `within` whose line meets a condition.
    fn lines_where(
        &self,
        last: bool,
        condition: &Condition,
        within: &RoaringBitmap,
    ) -> Result<RoaringBitmap> {
        let lines = self.lines(last)?;
        let accepted = accepted_lines(condition);
        if within.len() < u64::from(self.rows()) / SCAN_SHARE {
            let meets = |row: &u32| {
                lines.get(*row as usize).is_some_and(|line| {
                    let line = u32::from_le_bytes(*line);
                    match &accepted {
                        Lines::Span(first, span) => line.wrapping_sub(*first) <= *span,
                        Lines::Each => condition.matches(line_operand(line)),
                        Lines::None => false,
                    }
                })
            };
            return Ok(within.iter().filter(meets).collect());
        }
        let rows = match accepted {
            Lines::Span(first, span) => scan_lines(lines, |line| line.wrapping_sub(first) <= span),
            Lines::Each => scan_lines(lines, |line| condition.matches(line_operand(line))),
            Lines::None => RoaringBitmap::new(),
        };
        Ok(rows & within)
    }
}

/// What is asked of a line, in a form that is quick to test.
enum Lines {
    None,
    /// From the first on, at most so many more.
    Span(u32, u32),
    /// The condition has to be asked.
    Each,
}

fn accepted_lines(condition: &Condition) -> Lines {
    let span =
        |first: u32, end: u32| if first < end { Lines::Span(first, end - 1 - first) } else { Lines::None };
    match condition {
        Condition::Missing => Lines::Span(NO_LINE, 0),
        // Both bounds are monotonic in the line, so that where they turn can be found by halving.
        Condition::Range(lower, upper) => span(
            first_line(|line| above(lower, Operand::Integer(line.into()))),
            first_line(|line| !below(upper, Operand::Integer(line.into()))),
        ),
        Condition::AnyOf(set) => match set.values() {
            [] => Lines::None,
            [AttributeValue::Integer(line)] => match u32::try_from(*line) {
                Ok(line) if line != NO_LINE => Lines::Span(line, 0),
                _ => Lines::None,
            },
            _ => Lines::Each,
        },
        Condition::Prefix(_) | Condition::Glob(_) => Lines::None,
    }
}

/// The first line from which on `reached` is true, `NO_LINE` if none.
fn first_line(reached: impl Fn(u32) -> bool) -> u32 {
    let (mut low, mut high) = (0, NO_LINE);
    while low < high {
        let middle = low + (high - low) / 2;
        if reached(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

fn line_operand(line: u32) -> Option<Operand<'static>> {
    (line != NO_LINE).then(|| Operand::Integer(line.into()))
}

fn scan_lines(lines: &[[u8; 4]], meets: impl Fn(u32) -> bool) -> RoaringBitmap {
    let mut rows = RoaringBitmap::new();
    let mut bits = Vec::new();
    for (chunk, lines) in lines.chunks(SCAN_ROWS).enumerate() {
        bits.clear();
        bits.extend(lines.chunks(8).map(|lines| {
            let set = lines.iter().enumerate();
            set.fold(0u8, |byte, (bit, line)| byte | u8::from(meets(u32::from_le_bytes(*line))) << bit)
        }));
        rows |= RoaringBitmap::from_lsb0_bytes((chunk * SCAN_ROWS) as u32, &bits);
    }
    rows
}

/// What is asked first in an `and`: what the index answers at once, then compounds, then scans of lines.
fn cost(node: &Node) -> u8 {
    match node {
        Node::Ids(_) => 0,
        Node::On(Field::StartLine | Field::EndLine, _) => 3,
        Node::On(Field::Name | Field::ContentHash, _) => 4,
        Node::On(..) => 1,
        Node::And(_) | Node::Or(_) | Node::Not(_) => 2,
    }
}

/// The least string that is after all strings with this prefix.
fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte < u8::MAX)?;
    let mut after = prefix[..=last].to_vec();
    after[last] += 1;
    Some(after)
}

fn rows_bitmap(rows: Range<RowOrdinal>) -> RoaringBitmap {
    let mut bitmap = RoaringBitmap::new();
    bitmap.insert_range(rows);
    bitmap
}

#[cfg(test)]
#[path = "evaluate_tests.rs"]
mod tests;
