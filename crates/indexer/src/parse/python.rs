//! Python, stubs included.

use std::ops::Range;

use tree_sitter::Node;

use super::grammar::{Around, Comment, Definition, Field, Found, Grammar, Role, Rules, wrapper};
use crate::node::NodeKind;

/// How Python is read. Definitions are statements, so that expressions and simple statements are passed by.
pub(super) fn grammar() -> Grammar {
    let rules = Rules {
        separator: ".",
        shortest: "def f():0".len(),
        comment,
        docstring,
        roles: &[
            ("comment", Role::Comment),
            ("decorated_definition", Role::Look(wrapper)),
            ("decorator", Role::Attribute),
            ("function_definition", Role::Look(function)),
            ("class_definition", Role::Look(class)),
            ("type_alias_statement", Role::Look(type_alias)),
            ("assert_statement", Role::Whole),
            ("delete_statement", Role::Whole),
            ("exec_statement", Role::Whole),
            ("expression_statement", Role::Whole),
            ("future_import_statement", Role::Whole),
            ("global_statement", Role::Whole),
            ("import_from_statement", Role::Whole),
            ("import_statement", Role::Whole),
            ("nonlocal_statement", Role::Whole),
            ("print_statement", Role::Whole),
            ("raise_statement", Role::Whole),
            ("return_statement", Role::Whole),
            ("argument_list", Role::Whole),
            ("parameters", Role::Whole),
            ("type", Role::Whole),
            ("type_parameter", Role::Whole),
            ("as_pattern", Role::Whole),
            ("attribute", Role::Whole),
            ("binary_operator", Role::Whole),
            ("boolean_operator", Role::Whole),
            ("call", Role::Whole),
            ("case_pattern", Role::Whole),
            ("comparison_operator", Role::Whole),
            ("expression_list", Role::Whole),
            ("not_operator", Role::Whole),
            ("pattern_list", Role::Whole),
            ("subscript", Role::Whole),
            ("with_item", Role::Whole),
            ("string", Role::Whole),
        ],
    };
    Grammar::new(tree_sitter_python::LANGUAGE.into(), &rules)
}

fn comment(text: &str) -> Comment {
    match text.starts_with("#!") || text.starts_with("# -*-") {
        true => Comment::Nothing,
        false => Comment::Next,
    }
}

/// The string that a block or a file opens with, comments aside.
fn docstring(block: Node<'_>, source: &str) -> Option<Range<usize>> {
    let mut cursor = block.walk();
    let mut more = cursor.goto_first_child();
    while more && cursor.node().kind() == "comment" {
        more = cursor.goto_next_sibling();
    }
    if !more || cursor.node().kind() != "expression_statement" {
        return None;
    }
    let string = cursor.node().named_child(0)?;
    let string = match string.kind() {
        "string" | "concatenated_string" => string.byte_range(),
        _ => return None,
    };
    let prefix = source.get(string.clone())?.split(['"', '\'']).next()?;
    let plain = !prefix.contains(['f', 'F', 't', 'T']);
    plain.then_some(string)
}

fn function<'a, 't>(node: Node<'t>, around: &Around<'a, 't>) -> Found<'a, 't> {
    let of_class = around.inside == Some(NodeKind::Class);
    let kind = if of_class { NodeKind::Method } else { NodeKind::Function };
    Found::Node(around.definition(kind, node))
}

fn class<'a, 't>(node: Node<'t>, around: &Around<'a, 't>) -> Found<'a, 't> {
    Found::Node(around.definition(NodeKind::Class, node))
}

/// `type Name[T] = …`. The grammar also takes `type(x).y = …` for one, whose name is no identifier then.
fn type_alias<'a, 't>(node: Node<'t>, around: &Around<'a, 't>) -> Found<'a, 't> {
    let mut found = Definition::new(NodeKind::Type, node, None, around);
    let left = around.child(node, Field::Left).map_or("", |left| around.text(left));
    let name = left.split('[').next().unwrap_or_default().trim_end();
    if !name.chars().all(|c| c.is_alphanumeric() || c == '_') {
        return Found::Skip;
    }
    found.name = name.into();
    Found::Node(found)
}
