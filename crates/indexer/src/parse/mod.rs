//! Parsing: a file's text into the definitions in it.
//!
//! What always holds:
//! - no text makes it panic, recurse, or take more steps than a bound that grows with its length;
//! - what it finds is a function of the text and the language alone, however fast or busy the machine is;
//! - all ranges lie within the text, on character boundaries.
//!
//! A [`Grammar`](grammar::Grammar) says what the nodes of a language's syntax tree mean, one file a language;
//! the [`walk`] over the tree is the same for all of them.

mod c;
mod c_branches;
mod c_mask;
mod cpp;
mod declarator;
mod go;
mod grammar;
mod head;
mod java;
mod javascript;
mod js_names;
mod lead;
mod python;
mod rust;
mod typescript;
mod walk;

#[cfg(test)]
mod any_text_tests;
#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod limits_tests;

use std::borrow::Cow;
use std::cell::RefCell;
use std::ops::ControlFlow;
use std::sync::OnceLock;

use tree_sitter::{ParseOptions, ParseState, Parser, Tree};

use crate::language::Language;
use crate::node::ParsedFile;
use grammar::Grammar;

/// Looks at the parser, one every hundred or so of its steps, that any file may take.
const MIN_LOOKS: u64 = 20_000;
/// Bytes that allow one more look. 31,000 files of all languages took one in 130 bytes on the average, and the
/// densest, a table of numbers, one in 18; hopeless ones take many times longer for each.
const BYTES_PER_LOOK: u64 = 8;

/// The definitions of a file. Never fails: what cannot be understood is counted and left out.
pub fn parse(source: &str, language: Language) -> ParsedFile {
    parse_within(source, language, most_looks(source.len()))
}

/// How often the parser may be looked at before a text of so many bytes is given up.
fn most_looks(bytes: usize) -> u64 {
    MIN_LOOKS + bytes as u64 / BYTES_PER_LOOK
}

/// As [`parse`], with at most so many looks for the syntax tree.
fn parse_within(source: &str, language: Language, looks: u64) -> ParsedFile {
    let mut file =
        ParsedFile { language, docs: Vec::new(), nodes: Vec::new(), syntax_errors: 0, given_up: None };
    if u32::try_from(source.len()).is_err() {
        file.given_up = Some("is too large to parse");
        return file;
    }
    let grammar = grammar_of(language);
    let text = match language {
        Language::C => c_mask::masked(source, true),
        Language::Cpp => c_mask::masked(source, false),
        _ => Cow::Borrowed(source),
    };
    match tree_of(&text, grammar, looks) {
        Some(tree) => walk::walk(&text, &tree, grammar, &mut file),
        None => file.given_up = Some("takes too long to parse"),
    }
    file
}

/// The syntax tree of a text. `None` if it is not whole after so many looks.
///
/// tree-sitter calls back after a fixed number of its steps, counted from the beginning of each text: the same
/// text ends at the same place everywhere. A clock would make what is stored depend on what else the machine does.
fn tree_of(source: &str, grammar: &Grammar, mut looks: u64) -> Option<Tree> {
    thread_local! {
        static PARSER: RefCell<Parser> = RefCell::new(Parser::new());
    }
    let bytes = source.as_bytes();
    let mut look = |_: &ParseState| match looks.checked_sub(1) {
        Some(left) => {
            looks = left;
            ControlFlow::Continue(())
        }
        None => ControlFlow::Break(()),
    };
    PARSER.with_borrow_mut(|parser| {
        // Also forgets a text that was given up halfway.
        parser.set_language(&grammar.language).expect("a grammar that this tree-sitter can run");
        parser.parse_with_options(
            &mut |from, _| bytes.get(from..).unwrap_or_default(),
            None,
            Some(ParseOptions::new().progress_callback(&mut look)),
        )
    })
}

/// How a language is read; made once.
fn grammar_of(language: Language) -> &'static Grammar {
    static GRAMMARS: [OnceLock<Grammar>; 9] = [const { OnceLock::new() }; 9];
    let make = match language {
        Language::C => c::grammar,
        Language::Cpp => cpp::grammar,
        Language::Go => go::grammar,
        Language::Java => java::grammar,
        Language::JavaScript => javascript::grammar,
        Language::Python => python::grammar,
        Language::Rust => rust::grammar,
        Language::TypeScript => typescript::grammar,
        Language::Tsx => typescript::grammar_with_jsx,
    };
    GRAMMARS[language as usize].get_or_init(make)
}
