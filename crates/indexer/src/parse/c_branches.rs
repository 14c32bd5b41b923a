//! The branches of `#if`s: which of them are no whole statements, and so make no sense beside each other.
//!
//! ```c
//! #ifdef A
//!   if (a) {
//! #else
//!   if (b) {
//! #endif
//! ```
//!
//! Of such, the first branch stays, as if the preprocessor had taken it.

use std::ops::Range;

use crate::c_tokens::Token;

/// Longest branch, in bytes, that is taken for part of a statement though its braces are in order.
const MAX_PART_BYTES: usize = 512;

/// The `#if`s that a place is in.
pub(super) struct Branches {
    /// Whether C is read, which has no use for what is there for C++.
    is_c: bool,
    open: Vec<Group>,
    /// How many of them are in a branch for C++ alone.
    of_cpp: usize,
    /// Braces open, less braces closed, in branches that stay.
    braces: i64,
    /// The lowest that it was since the current branch started.
    lowest: i64,
    /// Whether the last token may end a statement.
    at_end: bool,
}

/// An `#if` with its branches.
struct Group {
    /// The lines of the preprocessor so far.
    lines: Vec<Range<usize>>,
    /// The branches after the first, as far as they ended.
    others: Vec<Range<usize>>,
    /// Braces open at its start, and the lowest that it was in the branch around it.
    before: i64,
    lowest_before: i64,
    /// Braces open at the end of the first branch, once there is one.
    after: Option<i64>,
    /// Where the current branch starts.
    branch: usize,
    /// Whether it is there for C++ alone, in C.
    of_cpp: bool,
    /// Whether each branch closes what braces it opens, so far.
    in_order: bool,
    /// Whether a branch starts or ends within a statement, so far.
    ragged: bool,
    /// The longest branch so far, in bytes.
    longest: usize,
    /// Whether the group starts where a statement may.
    from_start: bool,
}

impl Branches {
    pub(super) fn new(is_c: bool) -> Self {
        Self { is_c, open: Vec::new(), of_cpp: 0, braces: 0, lowest: 0, at_end: true }
    }

    /// Whether it is in a branch that is not to be seen.
    pub(super) fn is_masked(&self) -> bool {
        self.of_cpp > 0
    }

    /// Takes in a token that is on no line of the preprocessor.
    pub(super) fn token(&mut self, token: &Token<'_>) {
        match token.text {
            b"{" => self.braces += 1,
            b"}" => {
                self.braces -= 1;
                self.lowest = self.lowest.min(self.braces);
            }
            _ => {}
        }
        self.at_end =
            matches!(token.text, b"{" | b"}" | b";" | b":") || (token.breaks > 0 && is_capitals(token.text));
    }

    /// Takes in a line of the preprocessor; `words` are what comes after its `#`.
    pub(super) fn directive(
        &mut self,
        line: Range<usize>,
        words: &[Token<'_>],
        blanks: &mut Vec<Range<usize>>,
    ) {
        let word = words.first().map_or(&b""[..], |word| word.text);
        let has = |text: &[u8]| words.iter().any(|word| word.text == text);
        match word {
            b"if" | b"ifdef" | b"ifndef" => {
                let is_cpp = word != b"ifndef" && has(b"__cplusplus") && !has(b"!");
                self.of_cpp += usize::from(self.is_c && is_cpp);
                self.open.push(Group {
                    branch: line.end,
                    lines: vec![line],
                    others: Vec::new(),
                    before: self.braces,
                    lowest_before: self.lowest,
                    after: None,
                    of_cpp: self.is_c && is_cpp,
                    in_order: true,
                    ragged: false,
                    longest: 0,
                    from_start: self.at_end,
                });
                self.lowest = self.braces;
            }
            b"else" | b"elif" | b"elifdef" | b"elifndef" => {
                self.close_branch(line.start, blanks);
                if let Some(group) = self.open.last_mut() {
                    group.branch = line.end;
                    group.lines.push(line);
                    self.braces = group.before;
                    self.lowest = self.braces;
                    self.at_end = group.from_start;
                }
            }
            b"endif" => {
                self.close_branch(line.start, blanks);
                let Some(group) = self.open.pop() else { return };
                self.braces = group.after.unwrap_or(self.braces);
                self.lowest = group.lowest_before.min(self.braces);
                if !group.in_order || (group.ragged && group.longest <= MAX_PART_BYTES) {
                    blanks.extend(group.lines);
                    blanks.push(line);
                    blanks.extend(group.others);
                }
            }
            _ => {}
        }
    }

    fn close_branch(&mut self, end: usize, blanks: &mut Vec<Range<usize>>) {
        let Some(group) = self.open.last_mut() else { return };
        let branch = group.branch..end;
        if group.of_cpp {
            self.of_cpp -= 1;
            group.of_cpp = false;
            blanks.push(branch);
            return;
        }
        group.in_order &= self.braces == group.before && self.lowest >= group.before;
        group.ragged |= !self.at_end || !group.from_start;
        group.longest = group.longest.max(branch.len());
        match group.after {
            None => group.after = Some(self.braces),
            Some(_) => group.others.push(branch),
        }
    }
}

/// Whether a word is written as macros are: two capitals and more, and nothing in lower case.
pub(super) fn is_capitals(word: &[u8]) -> bool {
    let is_sign = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'_';
    word.iter().filter(|byte| byte.is_ascii_uppercase()).count() >= 2 && word.iter().all(is_sign)
}
