//! The names that JavaScript gives to functions: keys of members, and what is assigned to.

use std::borrow::Cow;

use tree_sitter::Node;

use super::grammar::{Around, Field};

/// The name of a member. Of computed ones, `['name']` is `name`; `[name]` and `[Symbol.iterator]` keep their
/// brackets; others have none.
pub(super) fn key<'a>(node: Node<'_>, around: &Around<'a, '_>) -> Option<Cow<'a, str>> {
    match node.kind() {
        "property_identifier" | "private_property_identifier" | "identifier" | "number" => {
            Some(around.text(node).into())
        }
        "string" => string(node, around),
        "computed_property_name" => {
            let inner = node.named_child(0)?;
            match inner.kind() {
                "string" => string(inner, around),
                "identifier" => Some(format!("[{}]", around.text(inner)).into()),
                "member_expression" => Some(format!("[{}]", path(inner, around)?.join(".")).into()),
                _ => None,
            }
        }
        _ => None,
    }
}

/// What a string says, if it is short and on one line.
pub(super) fn string<'a>(node: Node<'_>, around: &Around<'a, '_>) -> Option<Cow<'a, str>> {
    let text = around.text(node);
    let text = text.get(1..text.len().checked_sub(1)?)?;
    (!text.is_empty() && !text.contains('\n')).then(|| text.into())
}

/// What a function is assigned to.
pub(super) struct Target<'a> {
    /// Empty for `module.exports`.
    pub(super) name: Cow<'a, str>,
    /// What it is a property of.
    pub(super) qualifier: Option<Cow<'a, str>>,
    /// Whether it is of a type: `A.prototype.name`, `this.name`.
    pub(super) is_member: bool,
}

/// Reads the left side of an assignment. `None` if it is no plain path of names.
pub(super) fn target<'a, 't>(left: Node<'t>, around: &Around<'a, 't>) -> Option<Target<'a>> {
    let mut path = path(left, around)?;
    let is_own = path[0] == "this";
    match path[..] {
        ["module", "exports", ..] => path.drain(..2),
        ["exports" | "this" | "window" | "globalThis", _, ..] | ["exports"] => path.drain(..1),
        _ => path.drain(..0),
    };
    let length = path.len();
    path.retain(|part| *part != "prototype");
    let is_member = is_own || path.len() < length;
    let name = path.pop().unwrap_or_default().into();
    let qualifier = match path[..] {
        [] => None,
        [of] => Some(of.into()),
        _ => Some(path.join(".").into()),
    };
    Some(Target { name, qualifier, is_member })
}

/// The names of `a.b['c']`, from the left. `None` if anything else is in it.
fn path<'a, 't>(node: Node<'t>, around: &Around<'a, 't>) -> Option<Vec<&'a str>> {
    let mut path = Vec::new();
    let mut node = node;
    loop {
        match node.kind() {
            "identifier" | "this" => {
                path.push(around.text(node));
                path.reverse();
                return Some(path);
            }
            "member_expression" => path.push(around.text(around.child(node, Field::Property)?)),
            "subscript_expression" => {
                let index = around.child(node, Field::Index).filter(|index| index.kind() == "string")?;
                match string(index, around)? {
                    Cow::Borrowed(name) => path.push(name),
                    Cow::Owned(_) => return None,
                }
            }
            _ => return None,
        }
        node = around.child(node, Field::Object)?;
    }
}
