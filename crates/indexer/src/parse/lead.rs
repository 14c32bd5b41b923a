//! What leads up to a definition: the comments and attributes that stand directly before it.
//!
//! Whether a comment belongs to what follows is read off the text between the two, for grammars hang comments
//! into the tree in ways of their own: only white space without a blank line may be there.

use std::ops::Range;

/// The comments and attributes that were met last, without a gap.
#[derive(Default)]
pub(super) struct Lead {
    docs: Vec<Range<usize>>,
    /// Where the last of them ends. `None`: there is none.
    end: Option<usize>,
    /// How many line breaks may follow.
    breaks: usize,
}

impl Lead {
    /// Takes a comment in; `docs` if it says something about what follows. It is trimmed.
    pub(super) fn comment(&mut self, source: &str, comment: Range<usize>, docs: bool) {
        if !self.reaches(source, comment.start) {
            self.docs.clear();
            // After something else on its line, it can only be about what is on that line as well.
            self.breaks = usize::from(is_first_on_line(source, comment.start));
        }
        self.breaks = self.breaks.min(1);
        self.end = Some(comment.end);
        if docs {
            self.docs.push(comment);
        }
    }

    /// Takes an attribute in, with the documentation in it.
    pub(super) fn attribute(&mut self, source: &str, attribute: Range<usize>, docs: Option<Range<usize>>) {
        if !self.reaches(source, attribute.start) {
            self.docs.clear();
        }
        self.end = Some(attribute.end);
        self.breaks = usize::MAX;
        self.docs.extend(docs);
    }

    /// Whether what starts at `start` comes directly after it.
    pub(super) fn reaches(&self, source: &str, start: usize) -> bool {
        let Some(between) = self.end.and_then(|end| source.as_bytes().get(end..start)) else { return false };
        let mut breaks = 0;
        for byte in between {
            if *byte == b'\n' {
                breaks += 1;
            } else if !byte.is_ascii_whitespace() {
                return false;
            }
        }
        breaks <= self.breaks
    }

    /// The documentation for what comes directly after it; it is empty from then on.
    pub(super) fn take(&mut self) -> Vec<Range<usize>> {
        self.end = None;
        std::mem::take(&mut self.docs)
    }
}

/// Whether only white space, or a byte order mark, stands before it on its line.
pub(super) fn is_first_on_line(source: &str, at: usize) -> bool {
    let before = source.get(..at).unwrap_or_default();
    let gap = before.trim_end_matches([' ', '\t', '\x0c', '\u{feff}']);
    gap.is_empty() || gap.ends_with(['\n', '\r'])
}

/// The range without white space at its end.
pub(super) fn trimmed(source: &str, range: Range<usize>) -> Range<usize> {
    let text = source.get(range.clone()).unwrap_or_default();
    range.start..range.start + text.trim_end().len()
}
