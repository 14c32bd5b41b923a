//! What a filter asks of one value.

use std::cmp::Ordering;
use std::fmt;
use std::ops::Bound;

use codegraph_vector_base::{Error, Result};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::node::AttributeValue;

/// Longest pattern, in bytes.
const MAX_PATTERN_BYTES: usize = 4096;

/// A value as a filter sees it, borrowed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operand<'a> {
    Text(&'a str),
    Integer(i64),
    Number(f64),
    Flag(bool),
}

impl<'a> From<&'a AttributeValue> for Operand<'a> {
    fn from(value: &'a AttributeValue) -> Self {
        match value {
            AttributeValue::Text(text) => Self::Text(text),
            AttributeValue::Integer(number) => Self::Integer(*number),
            AttributeValue::Number(number) => Self::Number(*number),
            AttributeValue::Flag(flag) => Self::Flag(*flag),
        }
    }
}

/// Values of different classes never match each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Class {
    Number,
    Text,
    Flag,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Number => "a number",
            Self::Text => "text",
            Self::Flag => "true or false",
        })
    }
}

impl Operand<'_> {
    pub(crate) fn class(self) -> Class {
        match self {
            Self::Text(_) => Class::Text,
            Self::Integer(_) | Self::Number(_) => Class::Number,
            Self::Flag(_) => Class::Flag,
        }
    }

    /// By class, then by value. Equal is what `eq` means. NaN, which is never stored, is after all.
    pub(crate) fn order(self, other: Operand<'_>) -> Ordering {
        match (self, other) {
            (Self::Text(a), Operand::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
            (Self::Flag(a), Operand::Flag(b)) => a.cmp(&b),
            (Self::Integer(a), Operand::Integer(b)) => a.cmp(&b),
            (Self::Number(a), Operand::Number(b)) => order_numbers(a, b),
            (Self::Integer(a), Operand::Number(b)) => order_mixed(a, b),
            (Self::Number(a), Operand::Integer(b)) => order_mixed(b, a).reverse(),
            _ => self.class().cmp(&other.class()),
        }
    }
}

fn order_numbers(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// An integer against a number, exactly: no rounding of large integers.
fn order_mixed(integer: i64, number: f64) -> Ordering {
    const TWO_63: f64 = 9_223_372_036_854_775_808.0;
    if number.is_nan() || number >= TWO_63 {
        return Ordering::Less;
    }
    if number < -TWO_63 {
        return Ordering::Greater;
    }
    // In range, so the cast is exact but for the fraction, which decides between equals.
    let whole = number.trunc();
    integer.cmp(&(whole as i64)).then(order_numbers(whole, number))
}

/// Values in order, each once.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ValueSet(Vec<AttributeValue>);

impl ValueSet {
    pub(crate) fn values(&self) -> &[AttributeValue] {
        &self.0
    }

    fn contains(&self, value: Operand<'_>) -> bool {
        self.0.binary_search_by(|own| Operand::from(own).order(value)).is_ok()
    }
}

/// A glob pattern, ready to match.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    text: String,
    matcher: GlobSet,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Pattern {
    pub(crate) fn new(text: &str) -> Result<Self> {
        if text.len() > MAX_PATTERN_BYTES {
            return Err(Error::invalid(format!("the pattern is over {MAX_PATTERN_BYTES} bytes")));
        }
        let glob = GlobBuilder::new(text)
            .literal_separator(true)
            .backslash_escape(true)
            .empty_alternates(true)
            .build()
            .map_err(bad_pattern)?;
        if has_odd_class(text) {
            return Err(Error::invalid("bad pattern: only ASCII characters can be in brackets"));
        }
        // A set of one, since a matcher of its own would panic where this is an error, such as on deep nesting.
        let matcher = GlobSetBuilder::new().add(glob).build().map_err(bad_pattern)?;
        Ok(Self { text: text.to_owned(), matcher })
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        self.matcher.is_match(text)
    }

    /// What every matching text begins with.
    pub(crate) fn literal_prefix(&self) -> &str {
        let end = self.text.find(['*', '?', '[', ']', '{', '}', ',', '!', '\\']).unwrap_or(self.text.len());
        &self.text[..end]
    }
}

fn bad_pattern(cause: globset::Error) -> Error {
    Error::invalid(format!("bad pattern: {}", cause.kind()))
}

/// Whether brackets hold more than ASCII: `globset` takes that for its bytes, and would match nothing.
fn has_odd_class(pattern: &str) -> bool {
    let (mut escaped, mut class) = (false, false);
    for character in pattern.chars() {
        match character {
            _ if escaped => escaped = false,
            '\\' if !class => escaped = true,
            '[' => class = true,
            ']' => class = false,
            _ if class && !character.is_ascii() => return true,
            _ => {}
        }
    }
    false
}

/// What is asked of a field's value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Condition {
    /// There is none.
    Missing,
    /// It is one of these.
    AnyOf(ValueSet),
    /// It is of the bounds' class, and between them.
    Range(Bound<AttributeValue>, Bound<AttributeValue>),
    /// It is a text that begins with this.
    Prefix(String),
    /// It is a text of this pattern.
    Glob(Pattern),
}

impl Condition {
    pub(crate) fn equal(value: AttributeValue) -> Result<Self> {
        Self::any_of(vec![value])
    }

    pub(crate) fn any_of(mut values: Vec<AttributeValue>) -> Result<Self> {
        values.iter().try_for_each(finite)?;
        values.sort_by(|a, b| Operand::from(a).order(Operand::from(b)));
        values.dedup_by(|a, b| Operand::from(&*a).order(Operand::from(&*b)).is_eq());
        Ok(Self::AnyOf(ValueSet(values)))
    }

    pub(crate) fn range(lower: Bound<AttributeValue>, upper: Bound<AttributeValue>) -> Result<Self> {
        let classes =
            [&lower, &upper].map(|bound| bound_value(bound).map(|value| Operand::from(value).class()));
        for value in [&lower, &upper].into_iter().filter_map(bound_value) {
            finite(value)?;
        }
        match classes {
            [None, None] => Err(Error::invalid("a range needs a bound")),
            [Some(Class::Flag), _] | [_, Some(Class::Flag)] => {
                Err(Error::invalid("a range is of numbers or text, not of true and false"))
            }
            [Some(a), Some(b)] if a != b => Err(Error::invalid(format!("a range from {a} to {b} is empty"))),
            _ => Ok(Self::Range(lower, upper)),
        }
    }

    pub(crate) fn matches(&self, value: Option<Operand<'_>>) -> bool {
        let Some(value) = value else { return matches!(self, Self::Missing) };
        match (self, value) {
            (Self::AnyOf(set), value) => set.contains(value),
            (Self::Range(lower, upper), value) => above(lower, value) && below(upper, value),
            (Self::Prefix(prefix), Operand::Text(text)) => text.starts_with(prefix.as_str()),
            (Self::Glob(pattern), Operand::Text(text)) => pattern.matches(text),
            _ => false,
        }
    }

    /// The classes of the values that it compares with.
    pub(crate) fn classes(&self) -> impl Iterator<Item = Class> + '_ {
        let (values, bounds, text): (&[AttributeValue], _, _) = match self {
            Self::Missing => (&[], [None, None], None),
            Self::AnyOf(set) => (set.values(), [None, None], None),
            Self::Range(lower, upper) => (&[], [bound_value(lower), bound_value(upper)], None),
            Self::Prefix(_) | Self::Glob(_) => (&[], [None, None], Some(Class::Text)),
        };
        let all = values.iter().chain(bounds.into_iter().flatten());
        all.map(|value| Operand::from(value).class()).chain(text)
    }

    /// What it counts for among a filter's values.
    pub(crate) fn cost(&self) -> usize {
        match self {
            Self::AnyOf(set) => set.values().len(),
            Self::Glob(_) => super::PATTERN_COST,
            _ => 1,
        }
    }
}

fn finite(value: &AttributeValue) -> Result<()> {
    match value {
        AttributeValue::Number(number) if !number.is_finite() => {
            Err(Error::invalid(format!("{number} is not a finite number")))
        }
        _ => Ok(()),
    }
}

pub(crate) fn bound_value(bound: &Bound<AttributeValue>) -> Option<&AttributeValue> {
    match bound {
        Bound::Included(value) | Bound::Excluded(value) => Some(value),
        Bound::Unbounded => None,
    }
}

/// Whether `value` is above a lower bound, and of its class.
pub(crate) fn above(lower: &Bound<AttributeValue>, value: Operand<'_>) -> bool {
    bounded(lower, value, |order, inclusive| order.is_gt() || inclusive && order.is_eq())
}

/// Whether `value` is below an upper bound, and of its class.
pub(crate) fn below(upper: &Bound<AttributeValue>, value: Operand<'_>) -> bool {
    bounded(upper, value, |order, inclusive| order.is_lt() || inclusive && order.is_eq())
}

fn bounded(
    bound: &Bound<AttributeValue>,
    value: Operand<'_>,
    accept: impl Fn(Ordering, bool) -> bool,
) -> bool {
    let (limit, inclusive) = match bound {
        Bound::Unbounded => return true,
        Bound::Included(limit) => (Operand::from(limit), true),
        Bound::Excluded(limit) => (Operand::from(limit), false),
    };
    limit.class() == value.class() && accept(value.order(limit), inclusive)
}
