//! Filters as JSON.
//!
//! An object's keys are fields, or `and`, `or`, `not`; several keys mean and. A field's value is a
//! plain value (equal), `null` (absent), or an object of operators: `eq`, `ne`, `in`, `gt`, `gte`, `lt`,
//! `lte`, `prefix`, `glob`; several operators mean and. `node_id` takes a value, `eq`, `ne` or `in`.

use std::ops::Bound;

use codegraph_vector_base::{Error, NodeId, Result};
use serde_json::{Map, Value, json};

use super::condition::bound_value;
use super::{Condition, Field, Filter, MAX_DEPTH, MAX_VALUES, Node, Pattern};
use crate::node::{AttributeValue, json_kind, node_id_from_json, node_id_to_json};

impl Filter {
    /// The filter that a JSON object says.
    ///
    /// # Errors
    /// `InvalidInput` naming the place and what is wrong there.
    pub fn from_json(value: &Value) -> Result<Self> {
        let filter = parse(value, "filter", 1)?;
        filter.check()?;
        Ok(filter)
    }

    /// The filter as JSON, which [`from_json`](Self::from_json) reads back.
    ///
    /// # Errors
    /// `InvalidInput` if the filter has a mistake in it.
    pub fn to_json(&self) -> Result<Value> {
        self.root().map(write)
    }
}

/// Adds the place to what is wrong with a filter just made.
fn located(filter: Filter, place: &str) -> Result<Filter> {
    filter.check().map_err(|error| error.context(place))?;
    Ok(filter)
}

fn parse(value: &Value, place: &str, level: usize) -> Result<Filter> {
    if level > MAX_DEPTH {
        return Err(Error::invalid(format!("{place}: a filter has at most {MAX_DEPTH} levels")));
    }
    let Value::Object(object) = value else {
        return Err(Error::invalid(format!("{place}: expected an object, not {}", json_kind(value))));
    };
    let mut filters = Vec::with_capacity(object.len().min(64));
    for (key, value) in object {
        let shown: String = key.chars().take(80).collect();
        let place = format!("{place}.{shown}");
        let filter = match key.as_str() {
            "and" => Filter::all(parse_list(value, &place, level)?),
            "or" => Filter::any(parse_list(value, &place, level)?),
            "not" => !parse(value, &place, level + 1)?,
            "node_id" => parse_ids(value, &place)?,
            field => parse_field(field, value, &place)?,
        };
        filters.push(located(filter, &place)?);
    }
    located(Filter::all(filters), place)
}

fn parse_list(value: &Value, place: &str, level: usize) -> Result<Vec<Filter>> {
    let filters = list(value, place)?.iter().enumerate();
    filters.map(|(at, value)| parse(value, &format!("{place}[{at}]"), level + 1)).collect()
}

fn list<'a>(value: &'a Value, place: &str) -> Result<&'a [Value]> {
    match value {
        Value::Array(values) if values.len() <= MAX_VALUES => Ok(values),
        Value::Array(values) => {
            Err(Error::invalid(format!("{place}: {} values are over {MAX_VALUES}", values.len())))
        }
        other => Err(Error::invalid(format!("{place}: expected a list, not {}", json_kind(other)))),
    }
}

fn parse_ids(value: &Value, place: &str) -> Result<Filter> {
    let id =
        |value: &Value| -> Result<NodeId> { node_id_from_json(value).map_err(|error| error.context(place)) };
    let Value::Object(operators) = value else { return Ok(Filter::ids([id(value)?])) };
    let mut filters = Vec::new();
    for (operator, value) in operators {
        filters.push(match operator.as_str() {
            "eq" => Filter::ids([id(value)?]),
            "ne" => !Filter::ids([id(value)?]),
            "in" => Filter::ids(list(value, place)?.iter().map(id).collect::<Result<Vec<_>>>()?),
            _ => return Err(unknown_operator(place, operator, "eq, ne, in")),
        });
    }
    some_operator(filters, place)
}

fn parse_field(field: &str, value: &Value, place: &str) -> Result<Filter> {
    Field::parse(field).map_err(|error| error.context(place))?;
    let of = |value: &Value| -> Result<AttributeValue> {
        AttributeValue::from_json(value).map_err(|error| error.context(place))
    };
    let equal = |value: &Value| match value {
        Value::Null => Ok(Filter::missing(field)),
        value => of(value).map(|value| Filter::eq(field, value)),
    };
    let Value::Object(operators) = value else { return equal(value) };
    let mut filters = Vec::new();
    let (mut lower, mut upper) = (Bound::Unbounded, Bound::Unbounded);
    for (operator, value) in operators {
        match operator.as_str() {
            "eq" => filters.push(equal(value)?),
            "ne" => filters.push(!equal(value)?),
            "in" => {
                let values = list(value, place)?.iter().map(of).collect::<Result<Vec<_>>>()?;
                filters.push(Filter::any_of(field, values));
            }
            "prefix" => filters.push(Filter::prefix(field, text(value, place)?)),
            "glob" => filters.push(Filter::glob(field, text(value, place)?)),
            "gt" => set_bound(&mut lower, Bound::Excluded(of(value)?), place)?,
            "gte" => set_bound(&mut lower, Bound::Included(of(value)?), place)?,
            "lt" => set_bound(&mut upper, Bound::Excluded(of(value)?), place)?,
            "lte" => set_bound(&mut upper, Bound::Included(of(value)?), place)?,
            _ => return Err(unknown_operator(place, operator, "eq, ne, in, gt, gte, lt, lte, prefix, glob")),
        }
    }
    if (&lower, &upper) != (&Bound::Unbounded, &Bound::Unbounded) {
        filters.push(Filter::range(field, (lower, upper)));
    }
    some_operator(filters, place)
}

fn text<'a>(value: &'a Value, place: &str) -> Result<&'a str> {
    value.as_str().ok_or_else(|| {
        Error::invalid(format!("{place}: a prefix or a pattern is text, not {}", json_kind(value)))
    })
}

fn set_bound(bound: &mut Bound<AttributeValue>, to: Bound<AttributeValue>, place: &str) -> Result<()> {
    if bound_value(bound).is_some() {
        return Err(Error::invalid(format!("{place}: two bounds on the same side")));
    }
    *bound = to;
    Ok(())
}

fn some_operator(filters: Vec<Filter>, place: &str) -> Result<Filter> {
    if filters.is_empty() {
        return Err(Error::invalid(format!("{place}: expected an operator such as {{\"in\":[…]}}")));
    }
    Ok(Filter::all(filters))
}

fn unknown_operator(place: &str, operator: &str, known: &str) -> Error {
    let shown: String = operator.chars().take(40).collect();
    Error::invalid(format!("{place}: unknown operator {shown:?}; operators are {known}"))
}

fn write(node: &Node) -> Value {
    match node {
        Node::And(children) if children.is_empty() => json!({}),
        Node::And(children) => json!({ "and": children.iter().map(write).collect::<Vec<_>>() }),
        Node::Or(children) => json!({ "or": children.iter().map(write).collect::<Vec<_>>() }),
        Node::Not(child) => json!({ "not": write(child) }),
        Node::Ids(ids) => {
            json!({ "node_id": { "in": ids.iter().copied().map(node_id_to_json).collect::<Vec<_>>() } })
        }
        Node::On(field, condition) => {
            let mut object = Map::new();
            object.insert(field.to_string(), write_condition(condition));
            Value::Object(object)
        }
    }
}

fn write_condition(condition: &Condition) -> Value {
    match condition {
        Condition::Missing => Value::Null,
        Condition::AnyOf(set) => match set.values() {
            [value] => value.to_json(),
            values => json!({ "in": values.iter().map(AttributeValue::to_json).collect::<Vec<_>>() }),
        },
        Condition::Range(lower, upper) => {
            let mut object = Map::new();
            for (bound, open, closed) in [(lower, "gt", "gte"), (upper, "lt", "lte")] {
                let key = if matches!(bound, Bound::Included(_)) { closed } else { open };
                if let Some(value) = bound_value(bound) {
                    object.insert(key.to_owned(), value.to_json());
                }
            }
            Value::Object(object)
        }
        Condition::Prefix(prefix) => json!({ "prefix": prefix }),
        Condition::Glob(pattern) => json!({ "glob": Pattern::text(pattern) }),
    }
}
