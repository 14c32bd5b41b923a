//! Parsing: a file's text into the definitions in it.
//!
//! What always holds:
//! - no text makes it panic, recurse, or run for much longer than its time limit;
//! - what it finds is a function of the text and the language alone (but for the time limit);
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
use std::time::Duration;

use codegraph_vector_base::{Clock, SystemClock};
use tree_sitter::{ParseOptions, ParseState, Parser, Tree};

use crate::language::Language;
use crate::node::ParsedFile;
use grammar::Grammar;

/// How long a file may take to parse.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// The definitions of a file. Never fails: what cannot be understood is counted and left out.
pub fn parse(source: &str, language: Language) -> ParsedFile {
    parse_within(source, language, TIME_LIMIT, &SystemClock::new())
}

/// As [`parse`], with at most `limit` of `clock` for the syntax tree.
fn parse_within(source: &str, language: Language, limit: Duration, clock: &dyn Clock) -> ParsedFile {
    let language = language.refine(source);
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
    match tree_of(&text, grammar, limit, clock) {
        Some(tree) => walk::walk(&text, &tree, grammar, &mut file),
        None => file.given_up = Some("takes too long to parse"),
    }
    file
}

/// The syntax tree of a text. `None` if the time is up before it is whole.
fn tree_of(source: &str, grammar: &Grammar, limit: Duration, clock: &dyn Clock) -> Option<Tree> {
    thread_local! {
        static PARSER: RefCell<Parser> = RefCell::new(Parser::new());
    }
    let bytes = source.as_bytes();
    let end = clock.monotonic().saturating_add(limit);
    let mut in_time = |_: &ParseState| match clock.monotonic() < end {
        true => ControlFlow::Continue(()),
        false => ControlFlow::Break(()),
    };
    PARSER.with_borrow_mut(|parser| {
        // Also forgets a text that was given up halfway.
        parser.set_language(&grammar.language).expect("a grammar that this tree-sitter can run");
        parser.parse_with_options(
            &mut |from, _| bytes.get(from..).unwrap_or_default(),
            None,
            Some(ParseOptions::new().progress_callback(&mut in_time)),
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
