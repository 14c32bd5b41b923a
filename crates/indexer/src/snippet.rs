//! The lines of a node that answer a question, from the file as it is now.
//!
//! What always holds: lines are shown only if the file is what it was when it was indexed; what a
//! file holds cannot do anything to a terminal; nothing is read outside of the root.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

use codegraph_vector::{AttributeValue, Error, NodeMetadata, Result, Snapshot};
use xxhash_rust::xxh3::xxh3_128;

use crate::index::{FILE_HASH, hash_text};
use crate::search::file_node;
use crate::source::{is_gone, read_within};
use crate::words::Finder;

/// Most characters of a line that are shown.
const MAX_LINE_CHARS: usize = 160;
/// Characters shown before the first match of a line that is cut.
const CHARS_BEFORE_MATCH: usize = 40;
/// What stands where a line was cut.
const CUT: char = '…';
/// What a tab is shown as.
const TAB: &str = "    ";

/// Lines of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snippet {
    /// The lines, in order; none if the file changed.
    pub lines: Vec<SnippetLine>,
    /// The file is not what it was when it was indexed.
    pub changed: bool,
}

/// A line of a snippet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnippetLine {
    /// Its number in the file, from 1.
    pub number: u32,
    /// What it says, cut if it is long, without anything that a terminal would act on.
    pub text: String,
    /// Where `text` has words of the question, in bytes.
    pub matched: Vec<Range<usize>>,
}

/// The lines of a node that have most of the terms, at most `max_lines`, the first line of the definition
/// always; without terms, its first lines. `None` if the file is gone.
///
/// # Errors
/// `Io` or `ReadOnly` if the file cannot be read; whatever the store fails with.
pub fn snippet(
    snapshot: &Snapshot,
    root: &Path,
    metadata: &NodeMetadata,
    terms: &[String],
    max_lines: usize,
) -> Result<Option<Snippet>> {
    let Some(path) = &metadata.path else { return Ok(None) };
    let file = file_node(snapshot, path)?.map(|(_, file)| file);
    let text = match read_within(root, path) {
        Ok(Some(bytes)) if file.is_some_and(|file| is_of(&bytes, &file)) => String::from_utf8(bytes).ok(),
        Ok(_) => None,
        Err(cause) if is_gone(&cause) => return Ok(None),
        Err(cause) => return Err(Error::io("read", root.join(path), cause)),
    };
    Ok(Some(match text {
        Some(text) => Snippet { lines: choose(&text, metadata, terms, max_lines), changed: false },
        None => Snippet { lines: Vec::new(), changed: true },
    }))
}

/// Whether these are the bytes that were indexed.
pub(crate) fn is_of(bytes: &[u8], file: &NodeMetadata) -> bool {
    let hash = hash_text(xxh3_128(bytes));
    file.attributes.get(FILE_HASH) == Some(&AttributeValue::Text(hash))
}

/// The lines to show.
fn choose(text: &str, metadata: &NodeMetadata, terms: &[String], max_lines: usize) -> Vec<SnippetLine> {
    let lines: Vec<&str> = text.lines().collect();
    let first = metadata.start_line.map_or(0, |line| line.saturating_sub(1) as usize);
    let end = metadata.end_line.map_or(lines.len(), |line| line as usize).min(lines.len());
    if first >= end {
        return Vec::new();
    }
    let finder = Finder::new(terms);
    let mut chosen = vec![first];
    if finder.is_empty() {
        chosen.extend((first + 1..end).filter(|at| !lines[*at].trim().is_empty()));
    } else {
        let from = comment_start(&lines, first, metadata.language.as_deref());
        let counted = (from..end).filter(|at| *at != first).map(|at| (finder.find(lines[at]).1, at));
        let mut best: Vec<_> = counted.filter(|(count, _)| *count > 0).collect();
        best.sort_by_key(|(count, at)| (std::cmp::Reverse(*count), *at));
        chosen.extend(best.into_iter().map(|(_, at)| at));
    }
    chosen.truncate(max_lines.max(1));
    chosen.sort_unstable();
    chosen.into_iter().map(|at| SnippetLine::new(at, lines[at], &finder)).collect()
}

/// The first of the lines directly before a definition that are comments or attributes.
pub(crate) fn comment_start(lines: &[&str], first: usize, language: Option<&str>) -> usize {
    let has_hash_comments = matches!(language, Some("python" | "rust"));
    let belongs = |line: &&str| {
        let line = line.trim_start();
        ["//", "/*", "*", "@"].iter().any(|mark| line.starts_with(mark))
            || has_hash_comments && line.starts_with('#')
    };
    first - lines[..first].iter().rev().take_while(|line| belongs(line)).count()
}

impl SnippetLine {
    fn new(at: usize, line: &str, finder: &Finder) -> Self {
        let shown = printable(&cut(line.trim_end(), finder)).into_owned();
        let matched = finder.find(&shown).0;
        Self { number: u32::try_from(at + 1).unwrap_or(u32::MAX), text: shown, matched }
    }
}

/// The part of a long line that has its first match.
fn cut<'a>(line: &'a str, finder: &Finder) -> Cow<'a, str> {
    // As many bytes as characters at the most.
    if line.len() <= MAX_LINE_CHARS || line.chars().count() <= MAX_LINE_CHARS {
        return Cow::Borrowed(line);
    }
    let (found, _) = finder.find(line);
    let before = line[..found.first().map_or(0, |range| range.start)].chars().count();
    let skipped = if before + CHARS_BEFORE_MATCH < MAX_LINE_CHARS { 0 } else { before - CHARS_BEFORE_MATCH };
    let mut rest = line.chars().skip(skipped);
    let mut text = String::new();
    text.extend((skipped > 0).then_some(CUT));
    text.extend(rest.by_ref().take(MAX_LINE_CHARS));
    text.extend(rest.next().map(|_| CUT));
    Cow::Owned(text)
}

/// A text of one line that does nothing to a terminal: control characters, and those that turn the
/// direction of writing, are replaced by ones that can be seen; tabs by spaces.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_active) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        match char {
            '\t' => shown.push_str(TAB),
            // Unicode has a picture of each.
            '\0'..='\x1f' => shown.extend(char::from_u32(0x2400 + char as u32)),
            '\x7f' => shown.push('\u{2421}'),
            char if is_active(char) => shown.push(char::REPLACEMENT_CHARACTER),
            char => shown.push(char),
        }
    }
    Cow::Owned(shown)
}

fn is_active(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
#[path = "snippet_tests.rs"]
mod tests;
