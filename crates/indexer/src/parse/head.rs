//! What the head of a file says about the file.

use std::ops::Range;

use tree_sitter::Node;

use super::grammar::{Comment, Grammar, Role};
use super::lead::trimmed;

/// The comments before anything else in a file, and its docstring. Left out are licences, and a comment
/// directly before a definition, which is about that.
pub(super) fn docs(source: &str, root: Node<'_>, grammar: &Grammar) -> Vec<Range<usize>> {
    let mut docs = Vec::new();
    // Comments without a blank line between them, which are a licence, or are not, as a whole.
    let mut block: Vec<Range<usize>> = Vec::new();
    let mut cursor = root.walk();
    let mut more = cursor.goto_first_child();
    while more {
        let node = cursor.node();
        let role = grammar.role(node.kind_id());
        let near = block.last().is_some_and(|last| breaks(source, last.end..node.start_byte()) < 2);
        if !matches!(role, Role::Comment) {
            if near && matches!(role, Role::Look(_) | Role::Attribute) {
                block.clear();
            }
            break;
        }
        if !near {
            close(source, &mut block, &mut docs);
        }
        let comment = trimmed(source, node.byte_range());
        if matches!((grammar.comment)(&source[comment.clone()]), Comment::Next | Comment::Remark) {
            block.push(comment);
        }
        more = cursor.goto_next_sibling();
    }
    close(source, &mut block, &mut docs);
    docs.extend((grammar.docstring)(root, source));
    docs
}

/// Moves a block to the documentation, unless it is a licence.
fn close(source: &str, block: &mut Vec<Range<usize>>, docs: &mut Vec<Range<usize>>) {
    let says_so = |comment: &Range<usize>| {
        let text = source[comment.clone()].to_ascii_lowercase();
        ["copyright", "licence", "license", "spdx"].iter().any(|word| text.contains(word))
    };
    match block.iter().any(says_so) {
        true => block.clear(),
        false => docs.append(block),
    }
}

fn breaks(source: &str, between: Range<usize>) -> usize {
    let between = source.as_bytes().get(between).unwrap_or_default();
    between.iter().filter(|byte| **byte == b'\n').count()
}
