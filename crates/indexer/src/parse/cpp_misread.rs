//! Classes and namespaces that the C++ grammar takes for functions, because of a macro in their head.
//!
//! - `class EXPORT Name : public Base {…}` looks to it like a function `Name` that returns a `class EXPORT`;
//! - `BEGIN_NAMESPACE namespace name {…}` like a function `namespace` that returns a `BEGIN_NAMESPACE`.
//!
//! Either has a body and a declarator that is a mere name, which no function has.

use tree_sitter::Node;

use super::grammar::{Around, Definition, Field};
use crate::node::NodeKind;

/// The class or namespace that a function definition really is.
pub(super) fn misread<'a, 't>(node: Node<'t>, around: &Around<'a, 't>) -> Option<Definition<'a, 't>> {
    let declarator = around.child(node, Field::Declarator).filter(|it| it.kind() == "identifier")?;
    let body = around.child(node, Field::Body)?;
    let (of, name) = match around.child(node, Field::Type)? {
        of if around.child(of, Field::Body).is_some() => return None,
        of if kind_of(of.kind().strip_suffix("_specifier")?).is_some() => (of.kind(), declarator),
        _ => (around.text(declarator), name_after(declarator, node)?),
    };
    let kind = kind_of(of.strip_suffix("_specifier").unwrap_or(of))?;
    let mut found = Definition::new(kind, node, Some(name), around).body(Some(body));
    if kind_of(around.text(declarator)).is_some() {
        found.first = declarator;
    }
    Some(found)
}

fn kind_of(keyword: &str) -> Option<NodeKind> {
    Some(match keyword {
        "class" => NodeKind::Class,
        "struct" => NodeKind::Struct,
        "union" => NodeKind::Union,
        "enum" => NodeKind::Enum,
        "namespace" => NodeKind::Module,
        _ => return None,
    })
}

/// The first name in the error that follows a keyword which was taken for a name.
fn name_after<'t>(declarator: Node<'t>, node: Node<'t>) -> Option<Node<'t>> {
    let mut cursor = node.walk();
    let error =
        node.children(&mut cursor).find(|it| it.is_error() && it.start_byte() >= declarator.end_byte())?;
    let mut cursor = error.walk();
    error.named_children(&mut cursor).find(|it| it.kind() == "identifier")
}
