//! What a C or C++ declarator names: `*(*f(int a))(char)` is a function called `f`.

use std::borrow::Cow;

use tree_sitter::Node;

use super::grammar::{Around, Field};

/// What a declarator names.
pub(super) struct Declared<'a, 't> {
    /// Its name, without template arguments.
    pub(super) name: Cow<'a, str>,
    /// The scope that is written before the name, as in `A<T>::B::name`: `A::B`.
    pub(super) qualifier: Option<Cow<'a, str>>,
    /// Whether it is a function, and not a pointer to one, say.
    pub(super) is_function: bool,
    /// A function's parameters, in their parentheses.
    pub(super) parameters: Option<Node<'t>>,
}

/// Reads a declarator. `None` if it names nothing.
pub(super) fn declared<'a, 't>(declarator: Node<'t>, around: &Around<'a, 't>) -> Option<Declared<'a, 't>> {
    let mut node = declarator;
    let mut parameters = None;
    loop {
        node = match node.kind() {
            "function_declarator" => {
                parameters = around.child(node, Field::Parameters);
                around.child(node, Field::Declarator)?
            }
            "parenthesized_declarator" | "attributed_declarator" => node.named_child(0)?,
            // What is named is a pointer or an array, even if to a function, unless one comes further in.
            "pointer_declarator" | "array_declarator" => {
                parameters = None;
                around.child(node, Field::Declarator)?
            }
            "reference_declarator" => {
                parameters = None;
                node.named_child(0)?
            }
            _ => break,
        };
    }
    let Qualified { qualifier, last } = qualified(node, around);
    let is_cast = last.kind() == "operator_cast";
    let name = simple_name(last, around)?;
    Some(Declared { name, qualifier, is_function: is_cast || parameters.is_some(), parameters })
}

/// A name with the scope that is written before it.
pub(super) struct Qualified<'a, 't> {
    pub(super) qualifier: Option<Cow<'a, str>>,
    /// The name itself.
    pub(super) last: Node<'t>,
}

/// Takes `A<T>::B::name` apart.
pub(super) fn qualified<'a, 't>(node: Node<'t>, around: &Around<'a, 't>) -> Qualified<'a, 't> {
    let mut qualifier: Option<Cow<'a, str>> = None;
    let mut last = node;
    while last.kind() == "qualified_identifier" {
        if let Some(scope) = around.child(last, Field::Scope).and_then(|scope| simple_name(scope, around)) {
            qualifier = Some(match qualifier {
                None => scope,
                Some(outer) => format!("{outer}::{scope}").into(),
            });
        }
        match around.child(last, Field::Name) {
            Some(name) => last = name,
            None => break,
        }
    }
    Qualified { qualifier, last }
}

/// The name that a node is: `Foo` of `Foo<T>`, `operator==` however it is spaced.
pub(super) fn simple_name<'a>(node: Node<'_>, around: &Around<'a, '_>) -> Option<Cow<'a, str>> {
    let mut node = node;
    while matches!(node.kind(), "template_type" | "template_function" | "template_method" | "dependent_name")
    {
        node = node.child_by_field_name("name").or_else(|| node.named_child(0))?;
    }
    match node.kind() {
        "identifier"
        | "field_identifier"
        | "type_identifier"
        | "namespace_identifier"
        | "destructor_name"
        | "primitive_type" => Some(around.text(node).into()),
        "operator_name" => Some(operator(around.text(node)).into()),
        "operator_cast" => {
            let text = around.text(node);
            let end = text.find('(').unwrap_or(text.len());
            Some(text[..end].split_whitespace().collect::<Vec<_>>().join(" ").into())
        }
        _ => None,
    }
}

/// `operator` and what follows: a word after a space, signs without one.
fn operator(text: &str) -> String {
    let rest = text.strip_prefix("operator").unwrap_or(text).trim_start();
    match rest.starts_with(char::is_alphabetic) {
        true => format!("operator {}", rest.split_whitespace().collect::<Vec<_>>().join(" ")),
        false => format!("operator{}", rest.split_whitespace().collect::<String>()),
    }
}
