//! What tells a C++ header from a C one: a few words that are C++ wherever they stand in code.

/// Whether the text has a sign of C++ in its code: outside of comments, strings and attributes.
pub(super) fn any(text: &[u8]) -> bool {
    let mut tokens = Tokens { text, at: 0 };
    let (mut before, mut token) = (None, tokens.next());
    while let Some(this) = token {
        let after = tokens.next();
        if is_sign(before, this, after) {
            return true;
        }
        (before, token) = (Some(this), after);
    }
    false
}

/// Whether a token is C++ between its neighbours. `class` and the others are also fine names for C variables,
/// so it counts what is beside them: `class Name`, but not `int class;`.
fn is_sign(before: Option<&[u8]>, token: &[u8], after: Option<&[u8]>) -> bool {
    let defined = before == Some(b"define");
    match token {
        b"::" => after.is_some_and(is_word) || before.is_some_and(is_word),
        b"class" => !defined && after.is_some_and(is_word),
        b"namespace" => !defined && after.is_some_and(|after| is_word(after) || after == b"{"),
        b"template" => !defined && after == Some(b"<"),
        b"public" | b"protected" | b"private" => {
            after == Some(b":") && before.is_none_or(|before| matches!(before, b"{" | b"}" | b";"))
        }
        _ => false,
    }
}

fn is_word(token: &[u8]) -> bool {
    token.first().is_some_and(|&byte| is_word_byte(byte))
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Words, `::`, and single other bytes.
struct Tokens<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let rest = &self.text[self.at..];
            let (length, is_token) = match rest {
                [] => return None,
                [b'/', b'/', ..] => (line_length(rest), false),
                [b'/', b'*', ..] => (through(rest, b"*/"), false),
                [b'[', b'[', ..] => (through(rest, b"]]"), false),
                [quote @ (b'"' | b'\''), ..] => (string_length(rest, *quote), false),
                [b':', b':', ..] => (2, true),
                [byte, ..] if byte.is_ascii_whitespace() => (1, false),
                [byte, ..] if is_word_byte(*byte) => (word_length(rest), true),
                _ => (1, true),
            };
            self.at += length;
            if is_token {
                return Some(&rest[..length]);
            }
        }
    }
}

/// A word's length; a number's, with the quotes that C++ and C23 allow between digits.
fn word_length(text: &[u8]) -> usize {
    let quotes = text[0].is_ascii_digit();
    text.iter().position(|&byte| !is_word_byte(byte) && !(quotes && byte == b'\'')).unwrap_or(text.len())
}

fn line_length(text: &[u8]) -> usize {
    text.iter().position(|&byte| byte == b'\n').unwrap_or(text.len())
}

/// The length through the first `end` after the two bytes that open it.
fn through(text: &[u8], end: &[u8; 2]) -> usize {
    text[2..].windows(2).position(|bytes| bytes == end).map_or(text.len(), |at| at + 4)
}

/// The length of a string; one that is not closed ends with its line, as an apostrophe in an `#error` does.
fn string_length(text: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'\\' => at += 1,
            b'\n' => return at,
            _ if byte == quote => return at + 1,
            _ => {}
        }
        at += 1;
    }
    text.len()
}
