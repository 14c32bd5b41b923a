//! JavaScript, JSX included, and what TypeScript has in common with it.
//!
//! - A function or class that is bound to a name is called by it: by `const f = …`, `exports.f = …`,
//!   `A.prototype.f = …` (a method of `A`), a member of an object or a field of a class; by the last of
//!   several. The names of the objects that it is in are part of its qualified name; `exports`,
//!   `module.exports` and `this` are not.
//! - `memo(…)`, `forwardRef(…)` and `useCallback(…)` around a function make no difference.
//! - What is exported without a name is called `default`. Other functions without a name are part of what
//!   they are in.
//! - Members of objects are methods; a getter and a setter of one name are told apart by their ordinals.
//! - A span starts after decorators and `export`. That of `const f = …` is the statement, if it binds
//!   nothing else.

use std::borrow::Cow;

use tree_sitter::Node;

use super::grammar::{
    Around, Comment, Definition, Field, Found, Grammar, Role, Rules, first_child_but, no_docstring,
};
use super::js_names::{Target, key, target};
use crate::node::NodeKind;

/// How JavaScript is read.
pub(super) fn grammar() -> Grammar {
    let rules =
        Rules { separator: ".", shortest: "f(){}".len(), comment, docstring: no_docstring, roles: ROLES };
    Grammar::new(tree_sitter_javascript::LANGUAGE.into(), &rules)
}

/// What the nodes mean that TypeScript has too.
pub(super) const ROLES: &[(&str, Role)] = &[
    ("comment", Role::Comment),
    ("hash_bang_line", Role::Comment),
    ("decorator", Role::Attribute),
    ("export_statement", Role::Look(export)),
    ("function_declaration", Role::Look(function)),
    ("generator_function_declaration", Role::Look(function)),
    ("function_expression", Role::Look(function)),
    ("generator_function", Role::Look(function)),
    ("class_declaration", Role::Look(class)),
    ("class", Role::Look(class)),
    ("lexical_declaration", Role::Look(declaration)),
    ("variable_declaration", Role::Look(declaration)),
    ("variable_declarator", Role::Look(declarator)),
    ("assignment_expression", Role::Look(assignment)),
    ("augmented_assignment_expression", Role::Look(assignment)),
    ("method_definition", Role::Look(method)),
    ("pair", Role::Look(pair)),
    ("field_definition", Role::Look(field)),
    ("import_statement", Role::Whole),
    ("string", Role::Whole),
    ("regex", Role::Whole),
    ("identifier", Role::Skip),
    ("property_identifier", Role::Skip),
    ("private_property_identifier", Role::Skip),
    ("shorthand_property_identifier", Role::Skip),
];

/// Starts of what comments say to tools, after their signs.
const TO_TOOLS: [&str; 12] = [
    "eslint",
    "jshint",
    "jslint",
    "global ",
    "prettier-",
    "istanbul ",
    "c8 ignore",
    "v8 ignore",
    "biome-",
    "@ts-",
    "#region",
    "#endregion",
];

/// Comments are about what follows, but for orders to tools, and mere lines of dashes.
pub(super) fn comment(text: &str) -> Comment {
    let words = text.trim_start_matches(['/', '*', ' ', '\t', '!']);
    let to_tools = TO_TOOLS.iter().any(|start| words.starts_with(start)) || text.starts_with("///");
    let to_tools =
        to_tools || words.starts_with("# source") || words.starts_with("@__") || words.starts_with("#__");
    if text.starts_with("#!") || to_tools || !text.contains(char::is_alphanumeric) {
        Comment::Nothing
    } else {
        Comment::Next
    }
}

/// A definition, but for the decorators at its head.
pub(super) fn undecorated<'a, 't>(
    kind: NodeKind,
    node: Node<'t>,
    around: &Around<'a, 't>,
) -> Definition<'a, 't> {
    let mut found = around.definition(kind, node);
    found.first = first_child_but(&["decorator", "comment"], &[], node);
    if found.first == node.child(0).unwrap_or(node) {
        found.first = node;
    }
    found
}

/// A function with a name of its own.
pub(super) fn function<'a, 't>(node: Node<'t>, around: &Around<'a, 't>) -> Found<'a, 't> {
    Found::Node(around.definition(NodeKind::Function, node))
}

/// A class with a name of its own.
pub(super) fn class<'a, 't>(node: Node<'t>, around: &Around<'a, 't>) -> Found<'a, 't> {
    Found::Node(undecorated(NodeKind::Class, node, around))
}

/// Passes its comments on; what it exports without a name is called `default`.
pub(super) fn export<'a, 't>(node: Node<'t>, around: &Around<'a, 't>) -> Found<'a, 't> {
    let value = around.child(node, Field::Value).or_else(|| {
        // `export = …` of TypeScript.
        let is_assigned = node.child(1).is_some_and(|sign| sign.kind() == "=");
        is_assigned.then(|| node.child(2)).flatten()
    });
    let Some(value) = value else { return Found::Wrapper };
    match bound(value, around) {
        Bound::Object => Found::Scope(NodeKind::Class, "".into()),
        Bound::Definition(kind, value) => match around.child(value, Field::Name) {
            Some(_) => Found::Wrapper,
            None => {
                let mut found = binding(kind, "default".into(), value, value, around);
                found.first = first_child_but(&["decorator", "comment"], &[], value);
                Found::Node(found)
            }
        },
        Bound::Other => Found::Wrapper,
    }
}

/// What a name is bound to.
pub(super) enum Bound<'t> {
    /// A function or a class; the node that is one.
    Definition(NodeKind, Node<'t>),
    /// An object, whose members may be functions.
    Object,
    /// Anything else.
    Other,
}

/// Looks through parentheses, assertions of types, and React's wrapping.
pub(super) fn bound<'t>(value: Node<'t>, around: &Around<'_, 't>) -> Bound<'t> {
    let mut value = value;
    loop {
        let inner = match value.kind() {
            "arrow_function" | "function_expression" | "generator_function" => {
                return Bound::Definition(NodeKind::Function, value);
            }
            "class" => return Bound::Definition(NodeKind::Class, value),
            "object" => return Bound::Object,
            "parenthesized_expression" | "as_expression" | "satisfies_expression" | "non_null_expression" => {
                value.named_child(0)
            }
            "call_expression" => wrapped(value, around),
            _ => None,
        };
        match inner {
            Some(inner) => value = inner,
            None => return Bound::Other,
        }
    }
}

/// The function in `memo(…)` and the like, plain or of `React`.
fn wrapped<'t>(call: Node<'t>, around: &Around<'_, 't>) -> Option<Node<'t>> {
    let mut callee = around.child(call, Field::Function)?;
    if callee.kind() == "member_expression" && around.text(around.child(callee, Field::Object)?) == "React" {
        callee = around.child(callee, Field::Property)?;
    }
    let is_known = matches!(around.text(callee), "memo" | "forwardRef" | "useCallback");
    around.child(call, Field::Arguments).filter(|_| is_known)?.named_child(0)
}

/// What a value is that a name is bound to, `node` being all of that.
fn binding<'a, 't>(
    kind: NodeKind,
    name: Cow<'a, str>,
    node: Node<'t>,
    value: Node<'t>,
    around: &Around<'a, 't>,
) -> Definition<'a, 't> {
    let mut found = Definition::new(kind, node, None, around).body(around.child(value, Field::Body));
    found.name = name;
    found.itself = Some(value);
    found
}

/// `const`, `let` or `var`: passes its comments on.
fn declaration<'a, 't>(_: Node<'t>, _: &Around<'a, 't>) -> Found<'a, 't> {
    Found::Wrapper
}

fn declarator<'a, 't>(node: Node<'t>, around: &Around<'a, 't>) -> Found<'a, 't> {
    let name = around.child(node, Field::Name).filter(|name| name.kind() == "identifier");
    let (Some(name), Some(value)) = (name, around.child(node, Field::Value)) else { return Found::Nothing };
    let name = around.text(name);
    match bound(value, around) {
        Bound::Object => Found::Scope(NodeKind::Class, name.into()),
        Bound::Definition(kind, value) => {
            let statement = around.wrapper.filter(|wrapper| wrapper.named_child_count() == 1);
            Found::Node(binding(kind, name.into(), statement.unwrap_or(node), value, around))
        }
        Bound::Other => Found::Nothing,
    }
}

fn assignment<'a, 't>(node: Node<'t>, around: &Around<'a, 't>) -> Found<'a, 't> {
    let (Some(left), Some(right)) = (around.child(node, Field::Left), around.child(node, Field::Right))
    else {
        return Found::Nothing;
    };
    let bound = bound(right, around);
    if matches!(bound, Bound::Other) {
        return Found::Nothing;
    }
    let Some(Target { name, qualifier, is_member }) = target(left, around) else { return Found::Nothing };
    match bound {
        Bound::Object => {
            let path = qualifier.into_iter().chain([name]).filter(|part| !part.is_empty());
            Found::Scope(NodeKind::Class, path.collect::<Vec<_>>().join(".").into())
        }
        Bound::Definition(kind, value) => {
            let own_name = around.child(value, Field::Name).map(|name| around.text(name).into());
            let name = if name.is_empty() { own_name.unwrap_or("default".into()) } else { name };
            let kind = if is_member && kind == NodeKind::Function { NodeKind::Method } else { kind };
            let mut found = binding(kind, name, node, value, around);
            found.qualifier = qualifier;
            Found::Node(found)
        }
        Bound::Other => Found::Nothing,
    }
}

/// A method with a body, of a class or an object.
pub(super) fn method<'a, 't>(node: Node<'t>, around: &Around<'a, 't>) -> Found<'a, 't> {
    let mut found = undecorated(NodeKind::Method, node, around);
    found.name = around.child(node, Field::Name).and_then(|name| key(name, around)).unwrap_or_default();
    Found::Node(found)
}

/// `name: value` in an object.
fn pair<'a, 't>(node: Node<'t>, around: &Around<'a, 't>) -> Found<'a, 't> {
    member(node, around.child(node, Field::Key), around)
}

/// A field of a class.
pub(super) fn field<'a, 't>(node: Node<'t>, around: &Around<'a, 't>) -> Found<'a, 't> {
    let name = around.child(node, Field::Property).or_else(|| around.child(node, Field::Name));
    member(node, name, around)
}

fn member<'a, 't>(node: Node<'t>, name: Option<Node<'t>>, around: &Around<'a, 't>) -> Found<'a, 't> {
    let (Some(name), Some(value)) =
        (name.and_then(|name| key(name, around)), around.child(node, Field::Value))
    else {
        return Found::Nothing;
    };
    match bound(value, around) {
        Bound::Object => Found::Scope(NodeKind::Class, name),
        Bound::Definition(kind, value) => {
            let kind = if kind == NodeKind::Function { NodeKind::Method } else { kind };
            let first = undecorated(kind, node, around).first;
            let mut found = binding(kind, name, node, value, around);
            found.first = first;
            Found::Node(found)
        }
        Bound::Other => Found::Nothing,
    }
}
