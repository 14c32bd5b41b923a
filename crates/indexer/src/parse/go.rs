//! Go.

use tree_sitter::Node;

use super::grammar::{Around, Comment, Field, Found, Grammar, Role, Rules, no_docstring};
use crate::node::NodeKind;

/// How Go is read.
pub(super) fn grammar() -> Grammar {
    let rules = Rules {
        separator: ".",
        shortest: "A B".len(),
        comment,
        docstring: no_docstring,
        roles: &[
            ("comment", Role::Comment),
            ("function_declaration", Role::Look(function)),
            ("method_declaration", Role::Look(method)),
            ("type_declaration", Role::Look(type_declaration)),
            ("type_spec", Role::Look(type_spec)),
            ("type_alias", Role::Look(type_alias)),
            ("const_declaration", Role::Whole),
            ("import_declaration", Role::Whole),
            ("package_clause", Role::Whole),
            ("parameter_list", Role::Whole),
            ("type_parameter_list", Role::Whole),
            ("type_arguments", Role::Whole),
            ("field_declaration_list", Role::Whole),
            ("qualified_type", Role::Whole),
            ("interpreted_string_literal", Role::Whole),
            ("raw_string_literal", Role::Whole),
            ("identifier", Role::Skip),
            ("field_identifier", Role::Skip),
            ("package_identifier", Role::Skip),
            ("type_identifier", Role::Skip),
        ],
    };
    Grammar::new(tree_sitter_go::LANGUAGE.into(), &rules)
}

/// Directives, such as `//go:noinline`, are for tools.
fn comment(text: &str) -> Comment {
    let directives = ["//go:", "//line ", "// +build", "//+build", "//nolint", "//export "];
    match directives.iter().any(|directive| text.starts_with(directive)) {
        true => Comment::Nothing,
        false => Comment::Next,
    }
}

fn function<'a, 't>(node: Node<'t>, around: &Around<'a, 't>) -> Found<'a, 't> {
    Found::Node(around.definition(NodeKind::Function, node))
}

fn method<'a, 't>(node: Node<'t>, around: &Around<'a, 't>) -> Found<'a, 't> {
    let mut found = around.definition(NodeKind::Method, node);
    let receiver = around.child(node, Field::Receiver).and_then(|list| receiver_type(list, around));
    found.qualifier = receiver.map(Into::into);
    Found::Node(found)
}

/// `T` of `(t *T[K])`.
fn receiver_type<'a, 't>(list: Node<'t>, around: &Around<'a, 't>) -> Option<&'a str> {
    let mut cursor = list.walk();
    let receiver = list.named_children(&mut cursor).find(|child| child.kind() == "parameter_declaration")?;
    let mut of = around.child(receiver, Field::Type)?;
    while let Some(inner) = match of.kind() {
        "pointer_type" | "parenthesized_type" => of.named_child(0),
        "generic_type" => around.child(of, Field::Type),
        _ => None,
    } {
        of = inner;
    }
    (of.kind() == "type_identifier").then(|| around.text(of))
}

/// `type A …` is wrapped around one definition; `type ( … )` holds some that stand for themselves.
fn type_declaration<'a, 't>(node: Node<'t>, around: &Around<'a, 't>) -> Found<'a, 't> {
    let rest = around.text(node).strip_prefix("type").unwrap_or_default();
    if rest.trim_start().starts_with('(') { Found::Nothing } else { Found::Wrapper }
}

fn type_spec<'a, 't>(node: Node<'t>, around: &Around<'a, 't>) -> Found<'a, 't> {
    let of = around.child(node, Field::Type);
    let kind = match of.map(|of| of.kind()) {
        Some("struct_type") => NodeKind::Struct,
        Some("interface_type") => NodeKind::Interface,
        _ => NodeKind::Type,
    };
    let mut found = around.definition(kind, node);
    found.first = around.wrapper.unwrap_or(node);
    if let Some(of) = of.filter(|_| kind != NodeKind::Type) {
        let keyword = around.text(of).find('{').unwrap_or(of.byte_range().len());
        found.body = of.start_byte() + keyword..of.end_byte();
    }
    Found::Node(found)
}

fn type_alias<'a, 't>(node: Node<'t>, around: &Around<'a, 't>) -> Found<'a, 't> {
    let mut found = around.definition(NodeKind::Type, node);
    found.first = around.wrapper.unwrap_or(node);
    Found::Node(found)
}
