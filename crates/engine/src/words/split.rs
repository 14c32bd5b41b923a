//! Text into words, identifiers taken apart: `parseHTTPHeader_v2` is `parse`, `http`, `header`, `v`, `2`.

use std::ops::Range;

/// What a character is, as far as words go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Lower,
    Upper,
    Digit,
    /// No part of a word.
    Other,
}

fn class(character: char) -> Class {
    match character {
        'a'..='z' => Class::Lower,
        'A'..='Z' => Class::Upper,
        '0'..='9' => Class::Digit,
        _ if character.is_ascii() => Class::Other,
        _ if character.is_uppercase() => Class::Upper,
        _ if character.is_numeric() => Class::Digit,
        // Scripts without case are words in one piece.
        _ if character.is_alphabetic() => Class::Lower,
        _ => Class::Other,
    }
}

/// Calls `visit` with each word of a text: where it is, and the word in lower case.
pub fn each_word(text: &str, mut visit: impl FnMut(Range<usize>, &str)) {
    let mut lower = String::new();
    let mut word = |range: Range<usize>| {
        let word = &text[range.clone()];
        if word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
            return visit(range, word);
        }
        lower.clear();
        if word.is_ascii() {
            lower.push_str(word);
            lower.make_ascii_lowercase();
        } else {
            lower.extend(word.chars().flat_map(char::to_lowercase));
        }
        visit(range, &lower);
    };
    // Where the word at hand began, where its last character did, and what that was.
    let (mut start, mut last, mut before) = (0, 0, Class::Other);
    for (at, character) in text.char_indices() {
        let now = class(character);
        let cut = match (before, now) {
            (Class::Other, _) => {
                start = at;
                None
            }
            (_, Class::Other) => Some(at),
            // The last capital of several begins the next word: `HTTPServer`.
            (Class::Upper, Class::Lower) => (last > start).then_some(last),
            (Class::Lower, Class::Upper) => Some(at),
            (Class::Digit, Class::Lower | Class::Upper) | (Class::Lower | Class::Upper, Class::Digit) => {
                Some(at)
            }
            _ => None,
        };
        if let Some(cut) = cut {
            word(start..cut);
            start = cut;
        }
        (last, before) = (at, now);
    }
    if before != Class::Other {
        word(start..text.len());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> Vec<String> {
        let mut words = Vec::new();
        each_word(text, |_, word| words.push(word.to_owned()));
        words
    }

    #[test]
    fn identifiers_are_taken_apart() {
        assert_eq!(words("parseHTTPHeader_v2"), ["parse", "http", "header", "v", "2"]);
        assert_eq!(words("__init__ MAX_LEN getURL x"), ["init", "max", "len", "get", "url", "x"]);
        assert_eq!(words("utf8 base64Encode IOError"), ["utf", "8", "base", "64", "encode", "io", "error"]);
        assert_eq!(words("größeÄndern naïve 名前"), ["größe", "ändern", "naïve", "名前"]);
        assert_eq!(words(" ( ) -> . "), [""; 0]);
    }

    proptest! {
        #[test]
        fn words_hold_what_the_text_holds(text in "\\PC*") {
            let joined: String = words(&text).concat();
            let expected: String =
                text.chars().filter(|c| class(*c) != Class::Other).flat_map(char::to_lowercase).collect();
            prop_assert_eq!(joined, expected);
        }
    }
}
