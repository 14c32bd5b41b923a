//! The tokens of C and C++, as far as it takes to look at code without a grammar: words, `::`, and single
//! bytes; comments, strings and `[[attributes]]` are left out.

/// Longest `[[attribute]]`, in bytes, that is taken for one.
const MAX_ATTRIBUTE_BYTES: usize = 256;

/// A token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    /// What it says.
    pub(crate) text: &'a [u8],
    /// Where it starts.
    pub(crate) start: usize,
    /// How many line breaks come between it and the token before; those after a backslash do not count.
    pub(crate) breaks: usize,
}

impl Token<'_> {
    /// Where it ends.
    pub(crate) fn end(&self) -> usize {
        self.start + self.text.len()
    }

    /// Whether it is a name, a keyword or a number.
    pub(crate) fn is_word(&self) -> bool {
        self.text.first().is_some_and(|&byte| is_word_byte(byte))
    }

    /// Whether it starts a line of the preprocessor.
    pub(crate) fn is_directive(&self) -> bool {
        self.text == b"#" && (self.breaks > 0 || self.start == 0)
    }
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Goes over the tokens of a text.
pub(crate) struct Tokens<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Tokens<'a> {
    /// From the text's start.
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        // What comes before the first token is as good as a line break.
        let mut breaks = usize::from(self.at == 0);
        loop {
            let rest = &self.text[self.at..];
            let (length, is_token) = match rest {
                [] => return None,
                [b'\n', ..] => {
                    breaks += 1;
                    (1, false)
                }
                [b'\\', b'\n', ..] => (2, false),
                [b'\\', b'\r', b'\n', ..] => (3, false),
                [b'/', b'/', ..] => (line_length(rest), false),
                [b'/', b'*', ..] => {
                    let length = through(rest, b"*/");
                    breaks += rest[..length].iter().filter(|byte| **byte == b'\n').count();
                    (length, false)
                }
                [b'[', b'[', ..] => (attribute_length(rest), false),
                [quote @ (b'"' | b'\''), ..] => (string_length(rest, *quote), false),
                [b':', b':', ..] => (2, true),
                [byte, ..] if byte.is_ascii_whitespace() => (1, false),
                [byte, ..] if is_word_byte(*byte) => (word_length(rest), true),
                _ => (1, true),
            };
            let start = self.at;
            self.at += length;
            if is_token {
                return Some(Token { text: &rest[..length], start, breaks });
            }
        }
    }
}

/// A word's length; a number's, with the quotes that C++ and C23 allow between digits.
fn word_length(text: &[u8]) -> usize {
    let quotes = text[0].is_ascii_digit();
    let goes_on = |byte| is_word_byte(byte) || (quotes && byte == b'\'');
    text.iter().position(|&byte| !goes_on(byte)).unwrap_or(text.len())
}

fn line_length(text: &[u8]) -> usize {
    text.iter().position(|&byte| byte == b'\n').unwrap_or(text.len())
}

/// The length through the first `end` after the two bytes that open it.
fn through(text: &[u8], end: &[u8; 2]) -> usize {
    text[2..].windows(2).position(|bytes| bytes == end).map_or(text.len(), |at| at + 4)
}

/// The length through `]]`; of the brackets that open it if that is far, for then it is none.
fn attribute_length(text: &[u8]) -> usize {
    let near = &text[..text.len().min(MAX_ATTRIBUTE_BYTES)];
    near[2..].windows(2).position(|bytes| bytes == b"]]").map_or(2, |at| at + 4)
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
