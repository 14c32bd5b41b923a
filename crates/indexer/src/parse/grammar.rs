//! What the nodes of a language's syntax tree mean: the seam between the walk and the languages.
//!
//! The walk meets every node of a tree, so it looks a node's [`Role`] up by the number of its kind, in a table
//! that is made once. Only the few nodes whose role is [`Role::Look`] are looked into by the language's own
//! code. That code gets by with a node's children and fields: `Node::parent` and `Node::prev_sibling` start at
//! the tree's root each time, and `Node::child(i)` at the first child, which makes deep or wide files quadratic.

use std::borrow::Cow;
use std::ops::Range;

use tree_sitter::Node;

use crate::node::NodeKind;

/// How a language is read.
pub(super) struct Grammar {
    /// What tree-sitter parses it with.
    pub(super) language: tree_sitter::Language,
    /// What stands between the parts of a qualified name.
    pub(super) separator: &'static str,
    /// No definition is shorter, in bytes: a node below that is not walked into.
    pub(super) shortest: usize,
    /// What a comment is, by its text without white space around it.
    pub(super) comment: fn(&str) -> Comment,
    /// The documentation that the file's root, or a body, opens with.
    pub(super) docstring: for<'t> fn(Node<'t>, &str) -> Option<Range<usize>>,
    roles: Vec<Role>,
    fields: [u16; Field::ALL.len()],
}

/// What the walk does with a node.
#[derive(Clone, Copy)]
pub(super) enum Role {
    /// It walks into it: the role of nodes that a language does not mention.
    Into,
    /// It passes it by: nothing in it can be a definition or documents one. The role of all mere tokens.
    Skip,
    /// As `Skip`, unless it holds syntax errors: then anything may be in it.
    Whole,
    /// It is a comment.
    Comment,
    /// It may stand between a definition and the comments before it, as an attribute or annotation does.
    Attribute,
    /// The language says what it is.
    Look(Look),
}

/// What a language makes of a node.
pub(super) type Look = for<'a, 't> fn(Node<'t>, &Around<'a, 't>) -> Found<'a, 't>;

/// What a node turned out to be.
pub(super) enum Found<'a, 't> {
    /// Nothing of interest; what is in it is walked.
    Nothing,
    /// Nothing, and nothing in it is either.
    Skip,
    /// An attribute, with the documentation in it if there is some.
    Attribute(Option<Range<usize>>),
    /// Documentation of what it is in: of the innermost definition, or of the file.
    InnerDocs(Range<usize>),
    /// It is wrapped around a definition, which is one of its children, and shares the comments before it.
    Wrapper,
    /// No node of its own, but a part of the names of what is in it, which is as if in a node of that kind.
    Scope(NodeKind, Cow<'a, str>),
    /// A definition.
    Node(Definition<'a, 't>),
}

/// A definition, as a language finds it.
pub(super) struct Definition<'a, 't> {
    /// What it is.
    pub(super) kind: NodeKind,
    /// Its own name; a definition without one is passed over.
    pub(super) name: Cow<'a, str>,
    /// A part of the qualified name before its own: a Go receiver's type, `A::B` of C++'s `void A::B::f()`.
    pub(super) qualifier: Option<Cow<'a, str>>,
    /// The node that its span starts with.
    pub(super) first: Node<'t>,
    /// The node that its span ends with.
    pub(super) last: Node<'t>,
    /// Its body; empty if it has none.
    pub(super) body: Range<usize>,
    /// Documentation within it.
    pub(super) docstring: Option<Range<usize>>,
    /// The node in it that is the same definition once more, and not to be looked at again: the function of
    /// `const f = function g() {}`.
    pub(super) itself: Option<Node<'t>>,
}

impl<'a, 't> Definition<'a, 't> {
    /// A definition whose span is the node, named by another node (an empty name if there is none).
    pub(super) fn new(
        kind: NodeKind,
        node: Node<'t>,
        name: Option<Node<'t>>,
        around: &Around<'a, 't>,
    ) -> Self {
        Self {
            kind,
            name: name.map_or("", |name| around.text(name)).into(),
            qualifier: None,
            first: node,
            last: node,
            body: node.end_byte()..node.end_byte(),
            docstring: None,
            itself: None,
        }
    }

    /// With that body, if there is one.
    pub(super) fn body(mut self, body: Option<Node<'t>>) -> Self {
        if let Some(body) = body {
            self.body = body.byte_range();
        }
        self
    }
}

/// Where a node is.
pub(super) struct Around<'a, 't> {
    /// The file's text.
    pub(super) source: &'a str,
    /// What it is directly in, other wrapping and statements left aside. `None`: the file.
    pub(super) inside: Option<NodeKind>,
    /// The [`Found::Wrapper`] that it is a child of, if it is the first definition in it.
    pub(super) wrapper: Option<Node<'t>>,
    /// How the language is read.
    pub(super) grammar: &'a Grammar,
}

impl<'a, 't> Around<'a, 't> {
    /// The text of a node; empty for one that the parser made up.
    pub(super) fn text(&self, node: Node<'_>) -> &'a str {
        self.source.get(node.byte_range()).unwrap_or_default()
    }

    /// The child in a field, if the grammar has the field and the node the child.
    pub(super) fn child(&self, node: Node<'t>, field: Field) -> Option<Node<'t>> {
        match self.grammar.fields[field as usize] {
            0 => None,
            id => node.child_by_field_id(id),
        }
    }

    /// A definition with the fields that most languages have: `name` and `body`.
    pub(super) fn definition(&self, kind: NodeKind, node: Node<'t>) -> Definition<'a, 't> {
        let body = self.child(node, Field::Body);
        let mut found = Definition::new(kind, node, self.child(node, Field::Name), self).body(body);
        found.docstring = body.and_then(|body| (self.grammar.docstring)(body, self.source));
        found
    }
}

/// What a comment says something about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comment {
    /// The definition that follows it.
    Next,
    /// What it is in.
    Inner,
    /// No definition; the file, if it stands at its head.
    Remark,
    /// Nothing that a reader needs: orders to a tool.
    Nothing,
}

/// Names of children that languages look up. Grammars have some of them.
#[derive(Clone, Copy)]
pub(super) enum Field {
    /// `name`
    Name,
    /// `body`
    Body,
    /// `type`
    Type,
    /// `value`
    Value,
    /// `receiver`
    Receiver,
    /// `left`
    Left,
    /// `declarator`
    Declarator,
    /// `key`
    Key,
    /// `right`
    Right,
    /// `property`
    Property,
    /// `object`
    Object,
    /// `index`
    Index,
    /// `function`
    Function,
    /// `arguments`
    Arguments,
    /// `scope`
    Scope,
    /// `parameters`
    Parameters,
}

impl Field {
    const ALL: [&'static str; 16] = [
        "name",
        "body",
        "type",
        "value",
        "receiver",
        "left",
        "declarator",
        "key",
        "right",
        "property",
        "object",
        "index",
        "function",
        "arguments",
        "scope",
        "parameters",
    ];
}

/// A language's own part of a [`Grammar`].
pub(super) struct Rules<'r> {
    /// See [`Grammar`].
    pub(super) separator: &'static str,
    /// See [`Grammar`].
    pub(super) shortest: usize,
    /// See [`Grammar`].
    pub(super) comment: fn(&str) -> Comment,
    /// See [`Grammar`].
    pub(super) docstring: for<'t> fn(Node<'t>, &str) -> Option<Range<usize>>,
    /// Roles by the names of kinds; a kind is to be there once.
    pub(super) roles: &'r [(&'static str, Role)],
}

impl Grammar {
    /// Looks the names up that the rules hold.
    pub(super) fn new(language: tree_sitter::Language, rules: &Rules<'_>) -> Self {
        // A kind can have more than one number, so that each number is asked for its name.
        let kinds = u16::try_from(language.node_kind_count()).unwrap_or(u16::MAX);
        let role = |kind: u16| match language.node_kind_for_id(kind) {
            Some(name) if language.node_kind_is_named(kind) => {
                let rule = rules.roles.iter().find(|(known, _)| *known == name);
                rule.map_or(Role::Into, |(_, role)| *role)
            }
            _ => Role::Skip,
        };
        let roles = (0..kinds).map(role).collect();
        let fields = Field::ALL.map(|name| language.field_id_for_name(name).map_or(0, u16::from));
        let Rules { separator, shortest, comment, docstring, .. } = *rules;
        Self { language, separator, shortest, comment, docstring, roles, fields }
    }

    /// What to do with nodes of a kind. Errors, whose kind no grammar has, are walked into.
    pub(super) fn role(&self, kind: u16) -> Role {
        self.roles.get(usize::from(kind)).copied().unwrap_or(Role::Into)
    }
}

/// For languages without docstrings.
pub(super) fn no_docstring(_: Node<'_>, _: &str) -> Option<Range<usize>> {
    None
}

/// For nodes that are nothing but wrapped around a definition.
pub(super) fn wrapper<'a, 't>(_: Node<'t>, _: &Around<'a, 't>) -> Found<'a, 't> {
    Found::Wrapper
}

/// The first child that is of none of the kinds in `passed`. Children of the kinds in `opened` are looked into
/// instead. The node itself if there is none.
pub(super) fn first_child_but<'t>(passed: &[&str], opened: &[&str], node: Node<'t>) -> Node<'t> {
    let mut cursor = node.walk();
    let mut more = cursor.goto_first_child();
    while more {
        let child = cursor.node();
        let kind = child.kind();
        if opened.contains(&kind) && cursor.goto_first_child() {
            continue;
        }
        if !passed.contains(&kind) && !opened.contains(&kind) {
            return child;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                more = false;
                break;
            }
        }
    }
    node
}
