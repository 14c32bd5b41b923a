//! Filters: which nodes a search, a count or a delete is about.
//!
//! What always holds:
//! - [`Filter::matches`] is what a filter means; everything quicker has to agree with it;
//! - a filter is within [`MAX_DEPTH`] and [`MAX_VALUES`], whatever it was built from;
//! - a filter with a mistake in it (an unknown field, a bad pattern) matches nothing, in whatever
//!   it is combined, and says why in [`Filter::check`]: `not(mistake)` never deletes a store.
//!
//! Meaning. A condition on a field that a node lacks is false, whatever it compares with, and so is
//! one on a value of another type; integers and other numbers compare by value; text compares by its
//! bytes. `ne` is `not eq`, so it is true of nodes without the field. `null` means that the field is
//! absent. Patterns are those of `globset`: `*` and `?` stay within a path's component, `**` does
//! not, `[…]`, `{a,b}`, and a backslash takes the next character as it is. `?` and `[…]` stand for one byte, so
//! for one ASCII character; `*` matches any.
//!
//! It leaves to `rows` how the matching rows of a segment are found.

mod condition;
mod field;
mod json;

use std::ops::{Bound, Not, RangeBounds};

use codegraph_vector_base::{Error, NodeId, Result};

pub(crate) use condition::{Class, Condition, Operand, Pattern, above, below};
pub(crate) use field::Field;

use crate::node::{AttributeValue, NodeMetadata};

/// Most levels of a filter.
pub(crate) const MAX_DEPTH: usize = 32;

/// Most values in a filter, over all of its conditions. A pattern counts for [`PATTERN_COST`].
pub(crate) const MAX_VALUES: usize = 10_000;

/// What a `glob` counts for among [`MAX_VALUES`]: it takes that much longer to prepare.
pub(crate) const PATTERN_COST: usize = 100;

/// A condition on a node's id and metadata.
///
/// ```
/// # use codegraph_vector::Filter;
/// let rust_functions = Filter::eq("language", "rust")
///     .and(Filter::any_of("kind", ["function", "method"]))
///     .and(!Filter::path_prefix("target/"));
/// rust_functions.check()?;
/// # Ok::<(), codegraph_vector::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Filter {
    node: Result<Node, Error>,
    depth: usize,
    values: usize,
}

/// Two filters are equal if they ask the same in the same order; all mistaken ones are alike.
impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.node.as_ref().ok() == other.node.as_ref().ok()
    }
}

/// The shape of a filter without mistakes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    /// All of these; none of them is everything.
    And(Vec<Node>),
    /// Any of these; none of them is nothing.
    Or(Vec<Node>),
    /// The others.
    Not(Box<Node>),
    /// One of these ids, sorted, each once.
    Ids(Vec<NodeId>),
    /// A condition on one field.
    On(Field, Condition),
}

impl Filter {
    /// Every node.
    pub fn everything() -> Self {
        Self::of(Node::And(Vec::new()), 1, 0)
    }

    /// No node.
    pub fn nothing() -> Self {
        Self::of(Node::Or(Vec::new()), 1, 0)
    }

    /// Nodes whose `field` has this value. Fields are `name`, `kind`, `language`, `path`,
    /// `content_hash`, `start_line`, `end_line`, and `attributes.NAME`.
    pub fn eq(field: &str, value: impl Into<AttributeValue>) -> Self {
        Self::on(field, Condition::equal(value.into()))
    }

    /// Nodes whose `field` has one of these values.
    pub fn any_of<V: Into<AttributeValue>>(field: &str, values: impl IntoIterator<Item = V>) -> Self {
        Self::on(field, Condition::any_of(values.into_iter().map(Into::into).collect()))
    }

    /// Nodes whose `field` is a number, or text, in this range: `Filter::range("start_line", 1..9)`.
    pub fn range<V: Into<AttributeValue> + Clone>(field: &str, range: impl RangeBounds<V>) -> Self {
        let bound = |bound: Bound<&V>| bound.map(|value| value.clone().into());
        Self::on(field, Condition::range(bound(range.start_bound()), bound(range.end_bound())))
    }

    /// Nodes whose `field` is a text that begins with this.
    pub fn prefix(field: &str, prefix: impl Into<String>) -> Self {
        Self::on(field, Ok(Condition::Prefix(prefix.into())))
    }

    /// Nodes whose `field` is a text that matches this pattern.
    pub fn glob(field: &str, pattern: &str) -> Self {
        Self::on(field, Pattern::new(pattern).map(Condition::Glob))
    }

    /// Nodes whose path is this.
    pub fn path(path: impl Into<String>) -> Self {
        Self::eq("path", path.into())
    }

    /// Nodes whose path begins with this.
    pub fn path_prefix(prefix: impl Into<String>) -> Self {
        Self::prefix("path", prefix)
    }

    /// Nodes whose path matches this pattern, such as `**/*.rs`.
    pub fn path_glob(pattern: &str) -> Self {
        Self::glob("path", pattern)
    }

    /// Nodes without this field.
    pub fn missing(field: &str) -> Self {
        Self::on(field, Ok(Condition::Missing))
    }

    /// These nodes.
    pub fn ids(ids: impl IntoIterator<Item = NodeId>) -> Self {
        let mut ids: Vec<_> = ids.into_iter().collect();
        ids.sort_unstable();
        ids.dedup();
        let values = ids.len();
        Self::of(Node::Ids(ids), 1, values)
    }

    /// Nodes that match all of these.
    pub fn all(filters: impl IntoIterator<Item = Filter>) -> Self {
        Self::combine(filters, true)
    }

    /// Nodes that match any of these.
    pub fn any(filters: impl IntoIterator<Item = Filter>) -> Self {
        Self::combine(filters, false)
    }

    /// Nodes that match both.
    #[must_use]
    pub fn and(self, other: Filter) -> Self {
        Self::all([self, other])
    }

    /// Nodes that match either.
    #[must_use]
    pub fn or(self, other: Filter) -> Self {
        Self::any([self, other])
    }

    /// Whether this filter can be used.
    ///
    /// # Errors
    /// `InvalidInput` that says what is wrong with it.
    pub fn check(&self) -> Result<()> {
        self.root().map(|_| ())
    }

    /// Whether every node matches for want of a condition.
    pub fn is_everything(&self) -> bool {
        matches!(&self.node, Ok(Node::And(children)) if children.is_empty())
    }

    /// Whether a node matches. A filter with a mistake in it matches none.
    pub fn matches(&self, id: NodeId, metadata: &NodeMetadata) -> bool {
        self.node.as_ref().is_ok_and(|node| node.matches(id, metadata))
    }

    /// The filter's shape.
    pub(crate) fn root(&self) -> Result<&Node> {
        self.node.as_ref().map_err(Error::clone)
    }

    fn on(field: &str, condition: Result<Condition>) -> Self {
        let made = Field::parse(field).and_then(|field| {
            let condition = condition.map_err(|error| error.context(&field))?;
            field.check(&condition)?;
            Ok((field, condition))
        });
        match made {
            Ok((field, condition)) => {
                let values = condition.cost();
                Self::of(Node::On(field, condition), 1, values)
            }
            Err(error) => Self::mistaken(error),
        }
    }

    fn of(node: Node, depth: usize, values: usize) -> Self {
        if depth > MAX_DEPTH {
            return Self::mistaken(Error::invalid(format!("a filter has at most {MAX_DEPTH} levels")));
        }
        if values > MAX_VALUES {
            return Self::mistaken(Error::invalid(format!(
                "a filter has at most {MAX_VALUES} values, a glob counting for {PATTERN_COST}; this has {values}"
            )));
        }
        Self { node: Ok(node), depth, values: values.max(1) }
    }

    fn mistaken(error: Error) -> Self {
        Self { node: Err(error), depth: 1, values: 0 }
    }

    /// Ands or ors, those of the same sort flattened, a single one as it is.
    fn combine(filters: impl IntoIterator<Item = Filter>, all: bool) -> Self {
        let (mut nodes, mut depth, mut values) = (Vec::new(), 0, 0usize);
        for filter in filters {
            let node = match filter.node {
                Ok(node) => node,
                Err(error) => return Self::mistaken(error),
            };
            values = values.saturating_add(filter.values);
            match node {
                Node::And(children) if all => {
                    depth = depth.max(filter.depth - 1);
                    nodes.extend(children);
                }
                Node::Or(children) if !all => {
                    depth = depth.max(filter.depth - 1);
                    nodes.extend(children);
                }
                node => {
                    depth = depth.max(filter.depth);
                    nodes.push(node);
                }
            }
        }
        match nodes.len() {
            1 => Self::of(nodes.swap_remove(0), depth.max(1), values),
            _ if all => Self::of(Node::And(nodes), depth + 1, values),
            _ => Self::of(Node::Or(nodes), depth + 1, values),
        }
    }
}

impl Not for Filter {
    type Output = Self;

    /// The nodes that do not match.
    fn not(self) -> Self {
        match self.node {
            Err(error) => Self::mistaken(error),
            Ok(Node::Not(inner)) => Self::of(*inner, self.depth - 1, self.values),
            Ok(node) => Self::of(Node::Not(Box::new(node)), self.depth + 1, self.values),
        }
    }
}

impl Node {
    fn matches(&self, id: NodeId, metadata: &NodeMetadata) -> bool {
        match self {
            Node::And(children) => children.iter().all(|child| child.matches(id, metadata)),
            Node::Or(children) => children.iter().any(|child| child.matches(id, metadata)),
            Node::Not(child) => !child.matches(id, metadata),
            Node::Ids(ids) => ids.binary_search(&id).is_ok(),
            Node::On(field, condition) => condition.matches(field.of(metadata)),
        }
    }
}

#[cfg(test)]
#[path = "filter/sample.rs"]
pub(crate) mod sample;

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
