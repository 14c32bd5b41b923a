//! Comments without their marks, docstrings without their quotes.

use crate::language::Language;

/// Appends what a comment or docstring says, on lines of its own.
pub(super) fn clean(comment: &str, language: Language, out: &mut String) {
    let comment = comment.trim();
    let lines: Vec<&str> = if let Some(inner) = comment.strip_prefix("/*") {
        let inner = inner.strip_suffix("*/").unwrap_or(inner);
        inner.trim_start_matches(['*', '!']).lines().map(after_star).collect()
    } else if language == Language::Python && !comment.starts_with('#') {
        return clean_docstring(comment, out);
    } else {
        comment.lines().map(|line| after_marks(line, language)).collect()
    };
    let common = common_indentation(&lines);
    append(lines.into_iter().map(|line| without(line, common)), out);
}

/// A line of a `/** … */` without the star that leads it.
fn after_star(line: &str) -> &str {
    let bare = line.trim_start();
    match bare.strip_prefix('*') {
        Some(rest) => rest.strip_prefix(' ').unwrap_or(rest),
        None => line,
    }
}

/// A line comment without its marks.
fn after_marks(line: &str, language: Language) -> &str {
    let bare = line.trim_start();
    let mark = if language == Language::Python { '#' } else { '/' };
    let rest = bare.trim_start_matches(mark);
    match rest.strip_prefix('!') {
        Some(inner) if rest.len() < bare.len() => inner,
        _ => rest,
    }
}

fn clean_docstring(literal: &str, out: &mut String) {
    let quoted = literal.trim_start_matches(|letter: char| letter.is_ascii_alphabetic());
    // Letters in front of something else are no prefix but text.
    let quoted = if quoted.starts_with(['"', '\'']) { quoted } else { literal };
    let inner = ["\"\"\"", "'''", "\"", "'"]
        .into_iter()
        .find_map(|quotes| Some((quoted.strip_prefix(quotes)?, quotes)))
        .map_or(quoted, |(inner, quotes)| inner.strip_suffix(quotes).unwrap_or(inner));
    let mut lines: Vec<&str> = inner.lines().collect();
    let common = common_indentation(lines.get(1..).unwrap_or_default());
    for (at, line) in lines.iter_mut().enumerate() {
        *line = if at == 0 { line.trim_start() } else { without(line, common) };
    }
    append(lines.into_iter(), out);
}

/// Bytes of blanks that all lines begin with which say anything.
fn common_indentation(lines: &[&str]) -> usize {
    let saying = lines.iter().filter(|line| !line.trim().is_empty());
    saying.map(|line| line.len() - line.trim_start_matches([' ', '\t']).len()).min().unwrap_or(0)
}

fn without(line: &str, indentation: usize) -> &str {
    line.get(indentation..).unwrap_or_default()
}

/// Appends lines, but for empty ones at the beginning and at the end.
fn append<'a>(lines: impl Iterator<Item = &'a str>, out: &mut String) {
    let mut empty = 0;
    let mut begun = false;
    for line in lines.map(str::trim_end) {
        if line.is_empty() {
            empty += 1;
            continue;
        }
        let breaks = if begun { empty + 1 } else { usize::from(!out.is_empty()) };
        out.extend(std::iter::repeat_n('\n', breaks));
        out.push_str(line);
        (begun, empty) = (true, 0);
    }
}
