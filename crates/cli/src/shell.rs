//! Commands that are proposed: written so that a shell takes them as they stand.

use std::borrow::Cow;
use std::path::Path;

use codegraph_vector_indexer::printable;

/// This program as it was called: whoever runs it out of a build folder has no `cgv` on the `PATH`.
pub(crate) fn program() -> String {
    let called = std::env::args_os().next().filter(|name| !name.is_empty());
    called.map_or_else(|| "cgv".to_owned(), |name| word(&printable(&name.to_string_lossy())).into_owned())
}

/// A path as one word of a command line, where it cannot be taken for an option.
pub(crate) fn path(path: &Path) -> String {
    let shown = path.display().to_string();
    let plain = if shown.starts_with('-') { format!("./{shown}") } else { shown };
    word(&printable(&plain)).into_owned()
}

/// A text as one word of a command line: as it is if a shell finds nothing in it, else in quotes.
fn word(text: &str) -> Cow<'_, str> {
    let is_plain =
        |char: char| char.is_alphanumeric() || "/._-+:,@%=".contains(char) || cfg!(windows) && char == '\\';
    if !text.is_empty() && text.chars().all(is_plain) {
        Cow::Borrowed(text)
    } else if cfg!(windows) {
        Cow::Owned(format!("\"{text}\""))
    } else {
        Cow::Owned(format!("'{}'", text.replace('\'', r"'\''")))
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word() {
        for (name, word) in [
            ("api.cgv", "api.cgv"),
            ("/srv/tea/.cgv", "/srv/tea/.cgv"),
            ("ünï", "ünï"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("$HOME", "'$HOME'"),
            ("~", "'~'"),
            ("-s", "./-s"),
        ] {
            assert_eq!(path(Path::new(name)), word);
        }
    }
}
