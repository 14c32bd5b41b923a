//! What tells a C++ header from a C one: a few words that are C++ wherever they stand in code.

use crate::c_tokens::{Token, Tokens};

/// Whether the text has a sign of C++ in its code: outside of comments, strings, attributes, and of what is
/// there `#ifdef __cplusplus` alone.
pub(super) fn any(text: &[u8]) -> bool {
    let mut tokens = Tokens::new(text);
    let (mut before, mut token) = (None, tokens.next());
    while let Some(this) = token {
        let mut after = tokens.next();
        if this.is_directive() && after.is_some_and(|word| matches!(word.text, b"if" | b"ifdef")) {
            let (of_cpp, next) = condition(&mut tokens);
            after = if of_cpp { branch_end(next, &mut tokens) } else { next };
            token = None;
        } else if is_sign(before.as_ref(), &this, after.as_ref()) {
            return true;
        }
        (before, token) = (token, after);
    }
    false
}

/// Whether a condition is that C++ is compiled; and the first token after its line.
fn condition<'a>(tokens: &mut Tokens<'a>) -> (bool, Option<Token<'a>>) {
    let (mut of_cpp, mut negated) = (false, false);
    loop {
        match tokens.next() {
            Some(token) if token.breaks == 0 => {
                of_cpp |= token.text == b"__cplusplus";
                negated |= token.text == b"!";
            }
            next => return (of_cpp && !negated, next),
        }
    }
}

/// The `#` of the `#else` or `#endif` that ends the branch which starts with `token`.
fn branch_end<'a>(mut token: Option<Token<'a>>, tokens: &mut Tokens<'a>) -> Option<Token<'a>> {
    let mut depth = 0;
    while let Some(this) = token {
        token = tokens.next();
        if !this.is_directive() {
            continue;
        }
        match token?.text {
            b"if" | b"ifdef" | b"ifndef" => depth += 1,
            b"else" | b"elif" | b"endif" if depth == 0 => return token,
            b"endif" => depth -= 1,
            _ => {}
        }
    }
    None
}

/// Whether a token is C++ between its neighbours. `class` and the others are also fine names for C variables,
/// so it counts what is beside them: `class Name`, but not `int class;`.
fn is_sign(before: Option<&Token<'_>>, token: &Token<'_>, after: Option<&Token<'_>>) -> bool {
    let is_word = |token: Option<&Token<'_>>| token.is_some_and(Token::is_word);
    let defined = before.is_some_and(|before| before.text == b"define");
    let next = after.map_or(&b""[..], |after| after.text);
    match token.text {
        b"::" => is_word(after) || is_word(before),
        b"class" => !defined && is_word(after),
        b"namespace" => !defined && (is_word(after) || next == b"{"),
        b"template" => !defined && next == b"<",
        b"public" | b"protected" | b"private" => {
            next == b":" && before.is_none_or(|before| matches!(before.text, b"{" | b"}" | b";"))
        }
        _ => false,
    }
}
