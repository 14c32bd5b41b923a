//! The walk over a syntax tree: one pass, in order of the text, without recursion.

use std::collections::HashMap;
use std::ops::Range;

use tree_sitter::{Node, Tree};

use super::grammar::{Around, Comment, Definition, Found, Grammar, Role};
use super::head;
use super::lead::{Lead, trimmed};
use crate::node::{NodeKind, ParsedFile, ParsedNode};

/// Definitions within definitions within definitions: what is deeper is left out.
pub(super) const MAX_SCOPES: usize = 256;

/// Longest qualified name, in bytes, so that names take room in proportion to the file's size.
pub(super) const MAX_NAME_BYTES: usize = 1024;

/// Puts what the tree defines into the file.
pub(super) fn walk(source: &str, tree: &Tree, grammar: &Grammar, file: &mut ParsedFile) {
    let root = tree.root_node();
    file.docs = head::docs(source, root, grammar);
    let mut walk = Walk {
        source,
        grammar,
        file,
        scopes: Vec::new(),
        prefix: String::new(),
        lead: Lead::default(),
        wrapper: None,
        itself: None,
    };
    walk.run(root);
    file.docs.sort_by_key(|docs| docs.start);
    file.syntax_errors = syntax_errors(root);
    number(&mut file.nodes);
}

/// A part of the tree whose name is a part of the names in it.
struct Scope {
    /// Where its node ends.
    end: usize,
    /// How long the prefix is outside of it.
    prefix_bytes: usize,
    kind: NodeKind,
    /// Its place in the file's nodes, unless it is no node of its own.
    node: Option<usize>,
}

/// See [`Found::Wrapper`].
struct Wrapper<'t> {
    node: Node<'t>,
    depth: usize,
    docs: Vec<Range<usize>>,
    /// How many nodes the file had before it: a broken one can hold others before its definition.
    nodes: usize,
}

struct Walk<'a, 't> {
    source: &'a str,
    grammar: &'a Grammar,
    file: &'a mut ParsedFile,
    /// From the outermost inward. Those that ended are taken off when somebody looks.
    scopes: Vec<Scope>,
    /// The qualified name of the innermost scope.
    prefix: String,
    lead: Lead,
    wrapper: Option<Wrapper<'t>>,
    /// See [`Definition::itself`]; the number of that node.
    itself: Option<usize>,
}

impl<'t> Walk<'_, 't> {
    fn run(&mut self, root: Node<'t>) {
        let mut cursor = root.walk();
        let mut depth = 0;
        loop {
            if self.enter(cursor.node(), depth) && cursor.goto_first_child() {
                depth += 1;
                continue;
            }
            while !cursor.goto_next_sibling() {
                if !cursor.goto_parent() {
                    return;
                }
                depth -= 1;
            }
        }
    }

    /// Takes a node in. Whether there may be something in it.
    fn enter(&mut self, node: Node<'t>, depth: usize) -> bool {
        match self.grammar.role(node.kind_id()) {
            Role::Into => node.end_byte() - node.start_byte() >= self.grammar.shortest,
            Role::Skip => false,
            Role::Whole => node.has_error(),
            Role::Comment => {
                self.comment(node);
                false
            }
            Role::Attribute => {
                self.lead.attribute(self.source, node.byte_range(), None);
                false
            }
            Role::Look(_) if self.itself == Some(node.id()) => true,
            Role::Look(look) => {
                self.leave_scopes(node.start_byte());
                let nodes = self.file.nodes.len();
                let wrapper = self.wrapper.as_ref().filter(|wrapper| wrapper.holds(node, depth, nodes));
                let around = Around {
                    source: self.source,
                    inside: self.scopes.last().map(|scope| scope.kind),
                    wrapper: wrapper.map(|wrapper| wrapper.node),
                    grammar: self.grammar,
                };
                self.found(look(node, &around), node, depth)
            }
        }
    }

    fn found(&mut self, found: Found<'_, 't>, node: Node<'t>, depth: usize) -> bool {
        match found {
            Found::Nothing => true,
            Found::Skip => false,
            Found::Attribute(docs) => {
                self.lead.attribute(self.source, node.byte_range(), docs);
                false
            }
            Found::InnerDocs(docs) => {
                self.inner_docs(docs);
                false
            }
            Found::Wrapper => {
                let docs = self.docs_before(node, depth);
                let nodes = self.file.nodes.len();
                self.wrapper = Some(Wrapper { node, depth, docs, nodes });
                true
            }
            Found::Scope(kind, name) => {
                let opens = name.is_empty() || self.opens(None, &name);
                if opens {
                    self.open(Scope { end: node.end_byte(), prefix_bytes: 0, kind, node: None }, None, &name);
                }
                opens
            }
            Found::Node(definition) if definition.name.is_empty() => true,
            Found::Node(definition) => self.define(definition, node, depth),
        }
    }

    /// Adds a definition, and walks into it unless it is beyond a bound.
    fn define(&mut self, found: Definition<'_, 't>, node: Node<'t>, depth: usize) -> bool {
        let mut docs = self.docs_before(node, depth);
        let span = trimmed(self.source, found.first.start_byte()..found.last.end_byte());
        let parent = self.scopes.iter().rev().find_map(|scope| scope.node);
        let around = parent.map_or(0..self.source.len(), |parent| self.file.nodes[parent].span.clone());
        // A broken definition can hold others where its attributes are, before its span.
        let within = around.start <= span.start && span.end <= around.end;
        if !within || !self.opens(found.qualifier.as_deref(), &found.name) {
            return false;
        }
        docs.extend(found.docstring);
        let cut = self.source.as_bytes().get(span.end..found.last.end_byte()).unwrap_or_default();
        let cut_lines = cut.iter().filter(|byte| **byte == b'\n').count();
        let scope = Scope {
            end: node.end_byte(),
            prefix_bytes: 0,
            kind: found.kind,
            node: Some(self.file.nodes.len()),
        };
        self.open(scope, found.qualifier.as_deref(), &found.name);
        self.itself = found.itself.map(|itself| itself.id());
        self.file.nodes.push(ParsedNode {
            kind: found.kind,
            name: found.name.into_owned(),
            qualified_name: self.prefix.clone(),
            ordinal: 0,
            body: found.body.start.clamp(span.start, span.end)..found.body.end.clamp(span.start, span.end),
            docs,
            start_line: line(found.first.start_position().row),
            end_line: line(found.last.end_position().row - cut_lines),
            parent,
            span,
        });
        true
    }

    fn comment(&mut self, node: Node<'t>) {
        let comment = trimmed(self.source, node.byte_range());
        match (self.grammar.comment)(&self.source[comment.clone()]) {
            Comment::Inner => {
                self.leave_scopes(node.start_byte());
                self.inner_docs(comment);
            }
            about => self.lead.comment(self.source, comment, about == Comment::Next),
        }
    }

    fn inner_docs(&mut self, docs: Range<usize>) {
        match self.scopes.last() {
            None => self.file.docs.push(docs),
            Some(Scope { node: Some(node), .. }) => self.file.nodes[*node].docs.push(docs),
            Some(Scope { node: None, .. }) => {}
        }
    }

    /// The documentation directly before a node, or before the wrapper that it is the definition of.
    fn docs_before(&mut self, node: Node<'t>, depth: usize) -> Vec<Range<usize>> {
        let nodes = self.file.nodes.len();
        let wrapper = self.wrapper.take_if(|wrapper| wrapper.holds(node, depth, nodes));
        let mut docs = wrapper.map(|wrapper| wrapper.docs).unwrap_or_default();
        let near = self.lead.reaches(self.source, node.start_byte());
        let before = self.lead.take();
        if near {
            docs.extend(before);
        }
        docs
    }

    /// Takes off what ended before a node that starts there.
    fn leave_scopes(&mut self, start: usize) {
        while let Some(scope) = self.scopes.pop_if(|scope| scope.end <= start) {
            self.prefix.truncate(scope.prefix_bytes);
        }
    }

    /// Whether a scope of that name is within the bounds. If not, the file says so.
    fn opens(&mut self, qualifier: Option<&str>, name: &str) -> bool {
        let separators = 2 * self.grammar.separator.len();
        let bytes = self.prefix.len() + qualifier.map_or(0, str::len) + name.len() + separators;
        if self.scopes.len() >= MAX_SCOPES {
            self.file.given_up = Some("nests too deeply");
        } else if bytes > MAX_NAME_BYTES {
            self.file.given_up = Some("has names that are too long");
        } else {
            return true;
        }
        false
    }

    fn open(&mut self, mut scope: Scope, qualifier: Option<&str>, name: &str) {
        scope.prefix_bytes = self.prefix.len();
        for part in qualifier.into_iter().chain([name]).filter(|part| !part.is_empty()) {
            if !self.prefix.is_empty() {
                self.prefix.push_str(self.grammar.separator);
            }
            self.prefix.push_str(part);
        }
        self.scopes.push(scope);
    }
}

impl Wrapper<'_> {
    /// Whether a node of that depth is a child of it, and no definition came before in it.
    fn holds(&self, node: Node<'_>, depth: usize, nodes: usize) -> bool {
        self.depth + 1 == depth && self.nodes == nodes && node.start_byte() < self.node.end_byte()
    }
}

/// From a row, counted from 0, to a line, counted from 1.
fn line(row: usize) -> u32 {
    u32::try_from(row + 1).unwrap_or(u32::MAX)
}

/// How many places of a tree are errors, or were made up to go on. Only nodes that hold some are looked into.
fn syntax_errors(root: Node<'_>) -> usize {
    let mut cursor = root.walk();
    let mut errors = 0;
    loop {
        let node = cursor.node();
        let is_error = node.is_error() || node.is_missing();
        errors += usize::from(is_error);
        if !is_error && node.has_error() && cursor.goto_first_child() {
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                return errors;
            }
        }
    }
}

/// Tells nodes of the same kind and qualified name apart.
fn number(nodes: &mut [ParsedNode]) {
    let mut seen: HashMap<(NodeKind, &str), u32> = HashMap::with_capacity(nodes.len());
    let ordinals: Vec<u32> = nodes
        .iter()
        .map(|node| {
            let next = seen.entry((node.kind, &node.qualified_name)).or_default();
            *next += 1;
            *next - 1
        })
        .collect();
    for (node, ordinal) in nodes.iter_mut().zip(ordinals) {
        node.ordinal = ordinal;
    }
}
