//! Rust.

use std::borrow::Cow;
use std::ops::Range;

use tree_sitter::Node;

use super::grammar::{Around, Comment, Definition, Field, Found, Grammar, Role, Rules, no_docstring};
use crate::node::NodeKind;

/// How Rust is read.
pub(super) fn grammar() -> Grammar {
    let rules = Rules {
        separator: "::",
        shortest: "mod a{}".len(),
        comment,
        docstring: no_docstring,
        roles: &[
            ("line_comment", Role::Comment),
            ("block_comment", Role::Comment),
            ("shebang", Role::Comment),
            ("attribute_item", Role::Look(attribute)),
            ("inner_attribute_item", Role::Look(inner_attribute)),
            ("function_item", Role::Look(function)),
            ("function_signature_item", Role::Look(function)),
            ("struct_item", Role::Look(|node, around| item(NodeKind::Struct, node, around))),
            ("enum_item", Role::Look(|node, around| item(NodeKind::Enum, node, around))),
            ("union_item", Role::Look(|node, around| item(NodeKind::Union, node, around))),
            ("trait_item", Role::Look(|node, around| item(NodeKind::Trait, node, around))),
            ("mod_item", Role::Look(module)),
            ("type_item", Role::Look(type_alias)),
            ("macro_definition", Role::Look(macro_rules)),
            ("impl_item", Role::Look(implementation)),
            ("use_declaration", Role::Whole),
            ("token_tree", Role::Whole),
            ("parameters", Role::Whole),
            ("type_parameters", Role::Whole),
            ("type_arguments", Role::Whole),
            ("where_clause", Role::Whole),
            ("string_literal", Role::Whole),
            ("raw_string_literal", Role::Whole),
            ("identifier", Role::Skip),
            ("type_identifier", Role::Skip),
            ("field_identifier", Role::Skip),
            ("scoped_identifier", Role::Whole),
            ("scoped_type_identifier", Role::Whole),
        ],
    };
    Grammar::new(tree_sitter_rust::LANGUAGE.into(), &rules)
}

fn comment(text: &str) -> Comment {
    if text.starts_with("#!") {
        return Comment::Nothing;
    }
    if text.starts_with("//!") || text.starts_with("/*!") {
        return Comment::Inner;
    }
    let line = text.starts_with("///") && !text.starts_with("////");
    let block = text.starts_with("/**") && !text.starts_with("/***") && text != "/**/";
    if line || block { Comment::Next } else { Comment::Remark }
}

/// The string of `doc = "…"`.
fn doc(item: Node<'_>, around: &Around<'_, '_>) -> Option<Range<usize>> {
    let attribute = item.named_child(0).filter(|child| child.kind() == "attribute")?;
    let is_doc = around.text(attribute.named_child(0)?) == "doc";
    let value = around.child(attribute, Field::Value).filter(|_| is_doc)?;
    matches!(value.kind(), "string_literal" | "raw_string_literal").then(|| value.byte_range())
}

fn attribute<'a, 't>(node: Node<'t>, around: &Around<'a, 't>) -> Found<'a, 't> {
    Found::Attribute(doc(node, around))
}

fn inner_attribute<'a, 't>(node: Node<'t>, around: &Around<'a, 't>) -> Found<'a, 't> {
    doc(node, around).map_or(Found::Skip, Found::InnerDocs)
}

fn item<'a, 't>(kind: NodeKind, node: Node<'t>, around: &Around<'a, 't>) -> Found<'a, 't> {
    Found::Node(around.definition(kind, node))
}

fn function<'a, 't>(node: Node<'t>, around: &Around<'a, 't>) -> Found<'a, 't> {
    let of_type = matches!(around.inside, Some(NodeKind::Struct | NodeKind::Trait));
    item(if of_type { NodeKind::Method } else { NodeKind::Function }, node, around)
}

/// `mod x;` is a file of its own.
fn module<'a, 't>(node: Node<'t>, around: &Around<'a, 't>) -> Found<'a, 't> {
    match around.child(node, Field::Body) {
        Some(_) => item(NodeKind::Module, node, around),
        None => Found::Skip,
    }
}

/// The types that an `impl` gives to a trait's names are details of it.
fn type_alias<'a, 't>(node: Node<'t>, around: &Around<'a, 't>) -> Found<'a, 't> {
    match around.inside {
        Some(NodeKind::Struct | NodeKind::Trait) => Found::Skip,
        _ => item(NodeKind::Type, node, around),
    }
}

/// The body is all that comes after the name.
fn macro_rules<'a, 't>(node: Node<'t>, around: &Around<'a, 't>) -> Found<'a, 't> {
    let name = around.child(node, Field::Name);
    let mut found = Definition::new(NodeKind::Macro, node, name, around);
    if let Some(name) = name {
        let rest = around.source.get(name.end_byte()..node.end_byte()).unwrap_or_default();
        found.body = node.end_byte() - rest.trim_start().len()..node.end_byte();
    }
    Found::Node(found)
}

/// What is in it belongs to the type, whichever trait it is for.
fn implementation<'a, 't>(node: Node<'t>, around: &Around<'a, 't>) -> Found<'a, 't> {
    match around.child(node, Field::Type) {
        Some(of) => Found::Scope(NodeKind::Struct, type_name(of, around)),
        None => Found::Nothing,
    }
}

/// A type's name without its path, generics and references; of types that have none, how they are written.
fn type_name<'a>(of: Node<'_>, around: &Around<'a, '_>) -> Cow<'a, str> {
    let mut of = of;
    loop {
        let inner = match of.kind() {
            "generic_type" | "reference_type" | "pointer_type" => of.child_by_field_name("type"),
            "scoped_type_identifier" => of.child_by_field_name("name"),
            "dynamic_type" => of.child_by_field_name("trait"),
            _ => None,
        };
        match inner {
            Some(inner) => of = inner,
            None => break,
        }
    }
    let text = around.text(of);
    match text.contains(char::is_whitespace) {
        true => text.split_whitespace().collect::<Vec<_>>().join(" ").into(),
        false => text.into(),
    }
}
