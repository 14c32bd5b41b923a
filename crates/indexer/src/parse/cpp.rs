//! C++: what [`c`](super::c) says of C, and classes, namespaces and templates.
//!
//! - A function is a method if it is in a class, or defined outside of it: `void A::b() {}` (which might as
//!   well be a namespace's; that cannot be seen). In a class, only what has a body counts. Friends are
//!   functions.
//! - Names have no template arguments; what is special to some is told apart by its ordinal.
//! - A span takes its `template <…>` in.
//! - `TEST(Suite, Name) {…}`, a definition without a type whose name is all capitals, is called
//!   `Suite.Name`.

use std::borrow::Cow;

use tree_sitter::Node;

use super::c;
use super::declarator::{Declared, declared};
use super::grammar::{Around, Definition, Field, Found, Grammar, Role, Rules, no_docstring, wrapper};
use crate::node::NodeKind;

/// How C++ is read.
pub(super) fn grammar() -> Grammar {
    let rules = Rules {
        separator: "::",
        shortest: "f(){}".len(),
        comment: c::comment,
        docstring: no_docstring,
        roles: &[
            ("comment", Role::Comment),
            ("attribute_declaration", Role::Attribute),
            ("function_definition", Role::Look(function)),
            ("declaration", Role::Look(prototype)),
            ("class_specifier", Role::Look(|node, around| tagged(NodeKind::Class, node, around))),
            ("struct_specifier", Role::Look(|node, around| tagged(NodeKind::Struct, node, around))),
            ("union_specifier", Role::Look(|node, around| tagged(NodeKind::Union, node, around))),
            ("enum_specifier", Role::Look(|node, around| tagged(NodeKind::Enum, node, around))),
            ("type_definition", Role::Look(c::type_definition)),
            ("alias_declaration", Role::Look(alias)),
            ("concept_definition", Role::Look(concept)),
            ("namespace_definition", Role::Look(namespace)),
            ("preproc_function_def", Role::Look(c::function_macro)),
            ("template_declaration", Role::Look(wrapper)),
            ("friend_declaration", Role::Look(wrapper)),
            ("linkage_specification", Role::Look(wrapper)),
            ("preproc_include", Role::Whole),
            ("preproc_def", Role::Skip),
            ("preproc_call", Role::Skip),
            ("parameter_list", Role::Whole),
            ("template_parameter_list", Role::Whole),
            ("template_argument_list", Role::Whole),
            ("base_class_clause", Role::Whole),
            ("enumerator_list", Role::Whole),
            ("string_literal", Role::Whole),
            ("raw_string_literal", Role::Whole),
            ("char_literal", Role::Skip),
            ("identifier", Role::Skip),
            ("field_identifier", Role::Skip),
            ("type_identifier", Role::Skip),
            ("namespace_identifier", Role::Skip),
            ("qualified_identifier", Role::Whole),
        ],
    };
    Grammar::new(tree_sitter_cpp::LANGUAGE.into(), &rules)
}

/// With the `template <…>` that it is in as the start of its span.
fn with_template<'a, 't>(mut found: Definition<'a, 't>, around: &Around<'a, 't>) -> Definition<'a, 't> {
    if let Some(wrapper) = around.wrapper.filter(|wrapper| wrapper.kind() == "template_declaration") {
        found.first = wrapper;
    }
    found
}

fn in_class(around: &Around<'_, '_>) -> bool {
    matches!(around.inside, Some(NodeKind::Class | NodeKind::Struct | NodeKind::Union))
}

fn function<'a, 't>(node: Node<'t>, around: &Around<'a, 't>) -> Found<'a, 't> {
    let Some(mut declared) = around.child(node, Field::Declarator).and_then(|it| declared(it, around)) else {
        return Found::Nothing;
    };
    let is_bare = around.child(node, Field::Body).is_none();
    if !declared.is_function || (is_bare && in_class(around)) {
        return Found::Nothing;
    }
    if around.child(node, Field::Type).is_none()
        && let Some(name) = macro_arguments(&declared, around)
    {
        declared.name = name;
    }
    callable(declared, node, around)
}

/// The names in `TEST(Suite, Name)`, joined by dots.
fn macro_arguments<'a>(declared: &Declared<'a, '_>, around: &Around<'a, '_>) -> Option<Cow<'a, str>> {
    let is_sign = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    if !declared.name.bytes().all(is_sign) || declared.qualifier.is_some() || in_class(around) {
        return None;
    }
    let parameters = declared.parameters?;
    let mut cursor = parameters.walk();
    let mut names = Vec::new();
    for parameter in parameters.named_children(&mut cursor).filter(|it| it.kind() != "comment") {
        let text = around.text(parameter);
        if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return None;
        }
        names.push(text);
    }
    (!names.is_empty() && names != ["void"]).then(|| names.join(".").into())
}

fn callable<'a, 't>(declared: Declared<'a, 't>, node: Node<'t>, around: &Around<'a, 't>) -> Found<'a, 't> {
    let is_friend = around.wrapper.is_some_and(|wrapper| wrapper.kind() == "friend_declaration");
    let is_method = declared.qualifier.is_some() || (in_class(around) && !is_friend);
    let kind = if is_method { NodeKind::Method } else { NodeKind::Function };
    Found::Node(with_template(c::defined(kind, declared, node, around), around))
}

fn prototype<'a, 't>(node: Node<'t>, around: &Around<'a, 't>) -> Found<'a, 't> {
    match c::prototype(node, around) {
        Found::Node(found) => Found::Node(with_template(found, around)),
        found => found,
    }
}

fn tagged<'a, 't>(kind: NodeKind, node: Node<'t>, around: &Around<'a, 't>) -> Found<'a, 't> {
    match c::tagged(kind, node, around) {
        Found::Node(found) => Found::Node(with_template(found, around)),
        found => found,
    }
}

/// `using Name = …`; within a function it is a detail of that.
fn alias<'a, 't>(node: Node<'t>, around: &Around<'a, 't>) -> Found<'a, 't> {
    match around.inside {
        Some(NodeKind::Function | NodeKind::Method) => Found::Skip,
        _ => Found::Node(with_template(around.definition(NodeKind::Type, node), around)),
    }
}

/// Its body is what comes after the name.
fn concept<'a, 't>(node: Node<'t>, around: &Around<'a, 't>) -> Found<'a, 't> {
    let mut found = around.definition(NodeKind::Type, node);
    if let Some(condition) = node.named_child(1) {
        found = found.body(Some(condition));
    }
    Found::Node(with_template(found, around))
}

/// A namespace without a name is as if it were not there.
fn namespace<'a, 't>(node: Node<'t>, around: &Around<'a, 't>) -> Found<'a, 't> {
    let mut found = around.definition(NodeKind::Module, node);
    if found.name.contains("::") {
        let words = found.name.split("::").map(|part| part.trim().trim_start_matches("inline").trim());
        let mut parts: Vec<String> = words.map(str::to_owned).collect();
        found.name = parts.pop().unwrap_or_default().into();
        found.qualifier = Some(parts.join("::").into());
    }
    Found::Node(found)
}
