//! Java.

use tree_sitter::Node;

use super::grammar::{Around, Comment, Field, Found, Grammar, Role, Rules, first_child_but, no_docstring};
use crate::node::NodeKind;

/// How Java is read.
pub(super) fn grammar() -> Grammar {
    let rules = Rules {
        separator: ".",
        shortest: "A(){}".len(),
        comment: |_| Comment::Next,
        docstring: no_docstring,
        roles: &[
            ("line_comment", Role::Comment),
            ("block_comment", Role::Comment),
            ("class_declaration", Role::Look(|node, around| item(NodeKind::Class, node, around))),
            ("record_declaration", Role::Look(|node, around| item(NodeKind::Class, node, around))),
            ("enum_declaration", Role::Look(|node, around| item(NodeKind::Enum, node, around))),
            ("interface_declaration", Role::Look(|node, around| item(NodeKind::Interface, node, around))),
            (
                "annotation_type_declaration",
                Role::Look(|node, around| item(NodeKind::Interface, node, around)),
            ),
            ("method_declaration", Role::Look(|node, around| item(NodeKind::Method, node, around))),
            ("constructor_declaration", Role::Look(|node, around| item(NodeKind::Method, node, around))),
            (
                "compact_constructor_declaration",
                Role::Look(|node, around| item(NodeKind::Method, node, around)),
            ),
            (
                "annotation_type_element_declaration",
                Role::Look(|node, around| item(NodeKind::Method, node, around)),
            ),
            ("enum_constant", Role::Look(enum_constant)),
            ("modifiers", Role::Whole),
            ("annotation", Role::Whole),
            ("marker_annotation", Role::Whole),
            ("package_declaration", Role::Whole),
            ("import_declaration", Role::Whole),
            ("module_declaration", Role::Whole),
            ("formal_parameters", Role::Whole),
            ("type_parameters", Role::Whole),
            ("type_arguments", Role::Whole),
            ("generic_type", Role::Whole),
            ("scoped_type_identifier", Role::Whole),
            ("scoped_identifier", Role::Whole),
            ("superclass", Role::Whole),
            ("super_interfaces", Role::Whole),
            ("throws", Role::Whole),
            ("string_literal", Role::Whole),
            ("identifier", Role::Skip),
            ("type_identifier", Role::Skip),
        ],
    };
    Grammar::new(tree_sitter_java::LANGUAGE.into(), &rules)
}

/// The grammar has annotations within the definition, among its modifiers: those before all else are passed by.
fn item<'a, 't>(kind: NodeKind, node: Node<'t>, around: &Around<'a, 't>) -> Found<'a, 't> {
    let mut found = around.definition(kind, node);
    let passed = ["annotation", "marker_annotation", "line_comment", "block_comment"];
    found.first = first_child_but(&passed, &["modifiers"], node);
    Found::Node(found)
}

/// A constant with a body is a class of its own without a name, but for the constant's.
fn enum_constant<'a, 't>(node: Node<'t>, around: &Around<'a, 't>) -> Found<'a, 't> {
    match (around.child(node, Field::Name), around.child(node, Field::Body)) {
        (Some(name), Some(_)) => Found::Scope(NodeKind::Class, around.text(name).into()),
        _ => Found::Nothing,
    }
}
