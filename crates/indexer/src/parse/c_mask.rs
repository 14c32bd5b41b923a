//! Spaces in place of what the grammars of C and C++ stumble over, before they see it.
//!
//! They parse text that the preprocessor has not seen. Most of it they can take; what makes them lose
//! whole functions and classes is blanked out, byte by byte, so that all ranges stay what they are:
//! - branches of an `#if` that are no whole statements (see [`c_branches`](super::c_branches));
//! - macros in a definition's head, which are words in capitals where no such word can be:
//!   `class EXPORT Name {`, `API void CALL name(`, `name(int) NOEXCEPT;`, `typedef int (CALL *name)(int);`;
//! - macros alone on a line where a declaration starts: `BEGIN_NAMESPACE`.
//!
//! A head is what stands between two of `;`, `{`, `}`, `:` and lines of the preprocessor.

use std::borrow::Cow;
use std::ops::Range;

use super::c_branches::{Branches, is_capitals};
use crate::c_tokens::{Token, Tokens};

/// Longest head that is looked at, in tokens outside of parentheses.
const MAX_HEAD: usize = 64;

/// Words that a declaration starts with, and that do not follow a type.
const STARTS: [&[u8]; 26] = [
    b"namespace",
    b"class",
    b"struct",
    b"union",
    b"enum",
    b"typedef",
    b"extern",
    b"static",
    b"template",
    b"using",
    b"public",
    b"protected",
    b"private",
    b"virtual",
    b"explicit",
    b"friend",
    b"inline",
    b"void",
    b"int",
    b"char",
    b"unsigned",
    b"long",
    b"bool",
    b"float",
    b"double",
    b"constexpr",
];

/// Words before a function's name that are not its type.
const QUALIFIERS: [&[u8]; 15] = [
    b"static",
    b"extern",
    b"inline",
    b"const",
    b"volatile",
    b"register",
    b"virtual",
    b"explicit",
    b"friend",
    b"constexpr",
    b"typedef",
    b"template",
    b"__inline",
    b"__inline__",
    b"__extension__",
];

/// Words that may follow a function's parameters.
const TRAILING: [&[u8]; 8] =
    [b"const", b"noexcept", b"override", b"final", b"=", b"default", b"delete", b"__attribute__"];

/// The text with what is in the way blanked out; for C, what is there `#ifdef __cplusplus` alone as well.
pub(super) fn masked(source: &str, is_c: bool) -> Cow<'_, str> {
    let mut mask = Mask { branches: Branches::new(is_c), head: Vec::new(), depth: 0, blanks: Vec::new() };
    let mut tokens = Tokens::new(source.as_bytes()).peekable();
    while let Some(token) = tokens.next() {
        if token.is_directive() {
            mask.close_head(b"#", Some(&token));
            let mut line = Vec::new();
            while let Some(next) = tokens.next_if(|next| next.breaks == 0) {
                if line.len() < MAX_HEAD {
                    line.push(next);
                }
            }
            let end = line_end(source.as_bytes(), line.last().map_or(token.end(), Token::end));
            mask.branches.directive(token.start..end, &line, &mut mask.blanks);
        } else if !mask.branches.is_masked() {
            mask.take(token);
        }
    }
    mask.blanks.sort_by_key(|blank| blank.start);
    blanked(source, &mask.blanks)
}

fn line_end(text: &[u8], from: usize) -> usize {
    text[from..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |at| from + at)
}

/// The text with spaces in the ranges, which are in order of their starts, but for line breaks.
fn blanked<'a>(source: &'a str, blanks: &[Range<usize>]) -> Cow<'a, str> {
    if blanks.is_empty() {
        return Cow::Borrowed(source);
    }
    let mut bytes = source.as_bytes().to_vec();
    let mut done = 0;
    for blank in blanks {
        for byte in &mut bytes[blank.start.max(done)..blank.end.max(done)] {
            if !matches!(byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
        done = done.max(blank.end);
    }
    String::from_utf8(bytes).map_or(Cow::Borrowed(source), Cow::Owned)
}

/// A token of a head, or a pair of parentheses with what is in it.
#[derive(Clone, Copy)]
struct Item<'a> {
    token: Token<'a>,
    end: usize,
    is_group: bool,
    /// The first two tokens between the parentheses.
    inner: [Option<Token<'a>>; 2],
}

impl Item<'_> {
    fn text(&self) -> &[u8] {
        self.token.text
    }

    fn is_name(&self) -> bool {
        !self.is_group && self.token.is_word()
    }

    fn is_capitals(&self) -> bool {
        self.is_name() && is_capitals(self.token.text)
    }
}

struct Mask<'a> {
    branches: Branches,
    head: Vec<Item<'a>>,
    /// How many parentheses are open.
    depth: usize,
    blanks: Vec<Range<usize>>,
}

impl<'a> Mask<'a> {
    fn take(&mut self, token: Token<'a>) {
        self.branches.token(&token);
        // Parentheses that some branch left open do not go on beyond a definition's end.
        if token.text == b"}" && token.breaks > 0 {
            self.depth = 0;
        }
        match token.text {
            b"(" => {
                self.depth += 1;
                if self.depth == 1 {
                    self.push(token, true);
                }
            }
            b")" => {
                self.depth = self.depth.saturating_sub(1);
                if let Some(group) = self.head.last_mut().filter(|last| last.is_group) {
                    group.end = token.end();
                }
            }
            _ if self.depth > 0 => {
                if let Some(group) = self.head.last_mut().filter(|last| last.is_group)
                    && let Some(free) = group.inner.iter_mut().find(|inner| inner.is_none())
                {
                    *free = Some(token);
                }
            }
            b";" | b"{" | b"}" | b":" => self.close_head(token.text, Some(&token)),
            _ => self.push(token, false),
        }
    }

    fn push(&mut self, token: Token<'a>, is_group: bool) {
        if self.head.len() <= MAX_HEAD {
            self.head.push(Item { token, end: token.end(), is_group, inner: [None; 2] });
        }
    }

    /// Looks at a head that ends before `next`.
    fn close_head(&mut self, terminator: &[u8], next: Option<&Token<'_>>) {
        let mut head = std::mem::take(&mut self.head);
        if head.len() <= MAX_HEAD {
            let from = self.leading(&head, next);
            let rest = &head[from..];
            match terminator {
                b"{" | b":" => {
                    self.after_class(rest);
                    self.function(rest);
                }
                b";" => {
                    self.function_type(rest);
                    self.function(rest);
                }
                _ => {}
            }
        }
        head.clear();
        self.head = head;
    }

    /// Macros alone on their lines before a declaration. Where that starts.
    fn leading(&mut self, head: &[Item<'_>], next: Option<&Token<'_>>) -> usize {
        let mut at = 0;
        while head.get(at).is_some_and(|item| item.is_capitals() && item.token.breaks > 0) {
            let length = if head.get(at + 1).is_some_and(|item| item.is_group) { 2 } else { 1 };
            let is_alone = match head.get(at + length) {
                Some(item) => {
                    item.token.breaks > 1 || (item.token.breaks > 0 && STARTS.contains(&item.text()))
                }
                None => next.is_some_and(|next| next.breaks > 0 && matches!(next.text, b"}" | b"#")),
            };
            if !is_alone {
                break;
            }
            self.blanks.push(head[at].token.start..head[at + length - 1].end);
            at += length;
        }
        at
    }

    /// Macros between `class` and a name.
    fn after_class(&mut self, head: &[Item<'_>]) {
        let is_key = |item: &Item<'_>| matches!(item.text(), b"class" | b"struct" | b"union" | b"enum");
        let Some(key) = head.iter().rposition(is_key) else { return };
        let mut at = key + 1;
        while head.get(at).is_some_and(Item::is_capitals) {
            let length = if head.get(at + 1).is_some_and(|item| item.is_group) { 2 } else { 1 };
            // What follows is the name, and nothing that makes a function of it.
            let rest = head.get(at + length..).unwrap_or_default();
            if !rest.first().is_some_and(Item::is_name) || rest.last().is_some_and(|last| last.is_group) {
                return;
            }
            if rest[0].text() == b"final" {
                return;
            }
            self.blanks.push(head[at].token.start..head[at + length - 1].end);
            at += length;
        }
    }

    /// A macro in the parentheses of `typedef int (CALL *name)(int)`.
    fn function_type(&mut self, head: &[Item<'_>]) {
        let is_typedef = head.first().is_some_and(|first| first.text() == b"typedef");
        let Some(group) = head.iter().find(|item| item.is_group).filter(|_| is_typedef) else { return };
        if let [Some(first), Some(second)] = group.inner
            && is_capitals(first.text)
            && (second.is_word() || second.text == b"*")
        {
            self.blanks.push(first.start..first.end());
        }
    }

    /// Macros around a function's type, name and parameters.
    fn function(&mut self, head: &[Item<'_>]) {
        let Some(group) = head.iter().position(|item| item.is_group) else { return };
        let Some(name) = group.checked_sub(1).filter(|name| head[*name].is_name()) else { return };
        if matches!(head[name].text(), b"if" | b"while" | b"for" | b"switch" | b"return") {
            return;
        }
        self.before_name(&head[..name]);
        self.after_parameters(&head[group + 1..]);
    }

    fn before_name(&mut self, head: &[Item<'_>]) {
        let mut typed = has_type(head, |_| true);
        let plainly = has_type(head, |word| !word.starts_with(b"__"));
        for (at, item) in head.iter().enumerate() {
            let before = at.checked_sub(1).map_or(&b""[..], |before| head[before].text());
            let after = head.get(at + 1).map_or(&b""[..], Item::text);
            let is_part = matches!(before, b"::" | b"<" | b"," | b"struct" | b"union" | b"enum" | b"class")
                || matches!(after, b"::" | b"<" | b">" | b"," | b"*" | b"&");
            // Words of the compiler's, such as `__init`, may be types as well.
            let is_own = plainly && item.is_name() && item.text().starts_with(b"__");
            if is_part || !(item.is_capitals() || is_own) || QUALIFIERS.contains(&item.text()) {
                continue;
            }
            if typed {
                self.blanks.push(item.token.start..item.end);
            }
            // The first of several is the type, if there is no other.
            typed = true;
        }
    }

    fn after_parameters(&mut self, head: &[Item<'_>]) {
        let mut at = 0;
        while let Some(item) = head.get(at) {
            let is_known = |item: &Item<'_>| item.is_group || TRAILING.contains(&item.text());
            let is_macro =
                |item: &Item<'_>| item.is_capitals() || (item.is_name() && item.text().starts_with(b"__"));
            if is_known(item) {
                at += 1;
                continue;
            }
            if !is_macro(item) || item.text().starts_with(b"__asm") {
                return;
            }
            let length = if head.get(at + 1).is_some_and(|next| next.is_group) { 2 } else { 1 };
            // A word that nothing of the sort follows is the type of what does.
            if head.get(at + length).is_some_and(|next| !is_known(next) && !is_macro(next)) {
                return;
            }
            self.blanks.push(item.token.start..head[at + length - 1].end);
            at += length;
        }
    }
}

/// Whether there is a type before a function's name that is not in capitals, and may be one. What is before
/// `::` or `<` is a part of another name, what is between `<` and `>` as well.
fn has_type(head: &[Item<'_>], may_be: fn(&[u8]) -> bool) -> bool {
    let mut angles = 0;
    head.iter().enumerate().any(|(at, item)| {
        match item.text() {
            b"<" => angles += 1,
            b">" => angles -= 1,
            _ => {}
        }
        let after = head.get(at + 1).map_or(&b""[..], Item::text);
        let is_plain = item.is_name() && !item.is_capitals() && !QUALIFIERS.contains(&item.text());
        let is_plain = is_plain && may_be(item.text());
        angles == 0 && is_plain && !matches!(after, b"::" | b"<")
    })
}

#[cfg(test)]
#[path = "c_mask_tests.rs"]
mod tests;
