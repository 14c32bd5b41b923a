//! C, and what C++ has in common with it.
//!
//! - Prototypes outside of functions are functions too, for a header often has nothing else; of several in
//!   one declaration, the first.
//! - `typedef struct tag {…} Name` is one struct, called `Name`. Other typedefs are types; of several names
//!   in one typedef, the first that is no pointer.
//! - `#define` is a macro where it takes parameters.
//! - Both branches of an `#if` count.

use std::borrow::Cow;

use tree_sitter::Node;

use super::declarator::{Declared, declared, qualified, simple_name};
use super::grammar::{
    Around, Comment, Definition, Field, Found, Grammar, Role, Rules, first_child_but, no_docstring, wrapper,
};
use crate::node::NodeKind;

/// Kinds of children that stand before a definition's first keyword.
const ATTRIBUTES: [&str; 5] =
    ["attribute_declaration", "attribute_specifier", "ms_declspec_modifier", "alignas_qualifier", "comment"];

/// How C is read.
pub(super) fn grammar() -> Grammar {
    let rules = Rules {
        separator: "::",
        shortest: "f(){}".len(),
        comment,
        docstring: no_docstring,
        roles: &[
            ("comment", Role::Comment),
            ("attribute_declaration", Role::Attribute),
            ("function_definition", Role::Look(function)),
            ("declaration", Role::Look(prototype)),
            ("struct_specifier", Role::Look(|node, around| tagged(NodeKind::Struct, node, around))),
            ("union_specifier", Role::Look(|node, around| tagged(NodeKind::Union, node, around))),
            ("enum_specifier", Role::Look(|node, around| tagged(NodeKind::Enum, node, around))),
            ("type_definition", Role::Look(type_definition)),
            ("preproc_function_def", Role::Look(function_macro)),
            ("linkage_specification", Role::Look(wrapper)),
            ("preproc_include", Role::Whole),
            ("preproc_def", Role::Skip),
            ("preproc_call", Role::Skip),
            ("parameter_list", Role::Whole),
            ("argument_list", Role::Whole),
            ("initializer_list", Role::Whole),
            ("enumerator_list", Role::Whole),
            ("string_literal", Role::Whole),
            ("char_literal", Role::Skip),
            ("identifier", Role::Skip),
            ("field_identifier", Role::Skip),
            ("type_identifier", Role::Skip),
        ],
    };
    Grammar::new(tree_sitter_c::LANGUAGE.into(), &rules)
}

/// Comments are about what follows, but for those that point back, and mere lines of dashes or numbers.
pub(super) fn comment(text: &str) -> Comment {
    let points_back = ["///<", "//!<", "/**<", "/*!<"].iter().any(|start| text.starts_with(start));
    if points_back {
        Comment::Remark
    } else if text.contains(char::is_alphabetic) {
        Comment::Next
    } else {
        Comment::Nothing
    }
}

fn function<'a, 't>(node: Node<'t>, around: &Around<'a, 't>) -> Found<'a, 't> {
    let declared = around.child(node, Field::Declarator).and_then(|declarator| declared(declarator, around));
    match declared {
        Some(declared) if declared.is_function => {
            Found::Node(defined(NodeKind::Function, declared, node, around))
        }
        _ => Found::Nothing,
    }
}

/// A definition of what was declared, with the node as its span, but for attributes at its head.
pub(super) fn defined<'a, 't>(
    kind: NodeKind,
    declared: Declared<'a, 't>,
    node: Node<'t>,
    around: &Around<'a, 't>,
) -> Definition<'a, 't> {
    let mut found = Definition::new(kind, node, None, around).body(around.child(node, Field::Body));
    found.first = first_child_but(&ATTRIBUTES, &[], node);
    found.name = declared.name;
    found.qualifier = declared.qualifier;
    found
}

/// A declaration, outside of functions and types, of a function.
pub(super) fn prototype<'a, 't>(node: Node<'t>, around: &Around<'a, 't>) -> Found<'a, 't> {
    if !matches!(around.inside, None | Some(NodeKind::Module)) {
        return Found::Nothing;
    }
    let declared = around.child(node, Field::Declarator).and_then(|declarator| declared(declarator, around));
    match declared {
        Some(declared) if declared.is_function => {
            Found::Node(defined(NodeKind::Function, declared, node, around))
        }
        _ => Found::Nothing,
    }
}

/// A struct, a union, an enum or a class, where it has a body.
pub(super) fn tagged<'a, 't>(kind: NodeKind, node: Node<'t>, around: &Around<'a, 't>) -> Found<'a, 't> {
    let (Some(body), Some(name)) = (around.child(node, Field::Body), around.child(node, Field::Name)) else {
        return Found::Nothing;
    };
    let name = qualified(name, around);
    let mut found = Definition::new(kind, node, None, around).body(Some(body));
    found.name = simple_name(name.last, around).unwrap_or_default();
    found.qualifier = name.qualifier;
    Found::Node(found)
}

/// The type with a body that a typedef names, with what it is.
fn tagged_in<'t>(node: Node<'t>, around: &Around<'_, 't>) -> Option<(NodeKind, Node<'t>)> {
    let specifier = around.child(node, Field::Type)?;
    let kind = match specifier.kind() {
        "struct_specifier" => NodeKind::Struct,
        "union_specifier" => NodeKind::Union,
        "enum_specifier" => NodeKind::Enum,
        "class_specifier" => NodeKind::Class,
        _ => return None,
    };
    around.child(specifier, Field::Body).map(|_| (kind, specifier))
}

pub(super) fn type_definition<'a, 't>(node: Node<'t>, around: &Around<'a, 't>) -> Found<'a, 't> {
    let tagged = tagged_in(node, around);
    let in_function = matches!(around.inside, Some(NodeKind::Function | NodeKind::Method));
    if tagged.is_none() && in_function {
        return Found::Skip;
    }
    let tag = tagged.and_then(|(_, specifier)| around.child(specifier, Field::Name));
    let name = typedef_name(node, tag.is_none(), around).or_else(|| simple_name(tag?, around));
    let (kind, specifier) = tagged.unzip();
    let mut found = Definition::new(kind.unwrap_or(NodeKind::Type), node, None, around);
    found.name = name.unwrap_or_default();
    found.itself = specifier;
    Found::Node(found.body(specifier.and_then(|specifier| around.child(specifier, Field::Body))))
}

/// The first name of a typedef that is a name as it stands; else the first of all, if asked for.
fn typedef_name<'a, 't>(node: Node<'t>, any: bool, around: &Around<'a, 't>) -> Option<Cow<'a, str>> {
    let mut cursor = node.walk();
    let mut first = None;
    for declarator in node.children_by_field_name("declarator", &mut cursor) {
        if declarator.kind() == "type_identifier" {
            return Some(around.text(declarator).into());
        }
        first = first.or_else(|| declared(declarator, around));
    }
    first.filter(|_| any).map(|declared| declared.name)
}

pub(super) fn function_macro<'a, 't>(node: Node<'t>, around: &Around<'a, 't>) -> Found<'a, 't> {
    let name = around.child(node, Field::Name);
    Found::Node(Definition::new(NodeKind::Macro, node, name, around).body(around.child(node, Field::Value)))
}
