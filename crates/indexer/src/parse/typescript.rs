//! TypeScript: what [`javascript`](super::javascript) says, and types.
//!
//! - Functions without a body are functions too: those that are declared, and each signature of an overloaded
//!   one, which its comments are often at; ordinals tell them apart. Of methods, only what has a body counts.
//! - A span starts after `export` and `declare`.

use tree_sitter::Node;

use super::grammar::{Around, Field, Found, Grammar, Role, Rules, no_docstring, wrapper};
use super::javascript::{ROLES, class, comment, field, function};
use super::js_names::string;
use crate::node::NodeKind;

const OWN_ROLES: &[(&str, Role)] = &[
    ("abstract_class_declaration", Role::Look(class)),
    ("interface_declaration", Role::Look(|node, around| named(NodeKind::Interface, node, around))),
    ("type_alias_declaration", Role::Look(|node, around| named(NodeKind::Type, node, around))),
    ("enum_declaration", Role::Look(|node, around| named(NodeKind::Enum, node, around))),
    ("internal_module", Role::Look(module)),
    ("module", Role::Look(module)),
    ("function_signature", Role::Look(function)),
    ("public_field_definition", Role::Look(field)),
    ("ambient_declaration", Role::Look(wrapper)),
    ("type_annotation", Role::Whole),
    ("type_arguments", Role::Whole),
    ("type_parameters", Role::Whole),
    ("interface_body", Role::Whole),
    ("object_type", Role::Whole),
    ("enum_body", Role::Whole),
    ("type_identifier", Role::Skip),
];

/// How TypeScript is read.
pub(super) fn grammar() -> Grammar {
    read(tree_sitter_typescript::LANGUAGE_TYPESCRIPT.into())
}

/// How TypeScript with JSX is read.
pub(super) fn grammar_with_jsx() -> Grammar {
    read(tree_sitter_typescript::LANGUAGE_TSX.into())
}

fn read(language: tree_sitter::Language) -> Grammar {
    let roles: Vec<_> = ROLES.iter().chain(OWN_ROLES).copied().collect();
    let rules =
        Rules { separator: ".", shortest: "f(){}".len(), comment, docstring: no_docstring, roles: &roles };
    Grammar::new(language, &rules)
}

fn named<'a, 't>(kind: NodeKind, node: Node<'t>, around: &Around<'a, 't>) -> Found<'a, 't> {
    let body = around.child(node, Field::Body).or_else(|| around.child(node, Field::Value));
    Found::Node(around.definition(kind, node).body(body))
}

/// `namespace A.B {…}` is `B` in `A`; `module 'name' {…}` is called what the string says.
fn module<'a, 't>(node: Node<'t>, around: &Around<'a, 't>) -> Found<'a, 't> {
    let mut found = around.definition(NodeKind::Module, node);
    let Some(name) = around.child(node, Field::Name) else { return Found::Nothing };
    if name.kind() == "string" {
        found.name = string(name, around).unwrap_or_default();
    } else if let Some((outer, own)) = around.text(name).rsplit_once('.') {
        found.name = own.trim().into();
        found.qualifier = Some(outer.trim().into());
    }
    Found::Node(found)
}
