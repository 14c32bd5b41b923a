//! The first sentence of a documentation, and whether it asks for something.

/// Shorter than this says too little to be found by.
const MIN_WORDS: usize = 4;

/// Longer than this nobody types.
const MAX_WORDS: usize = 30;

/// Ends of words whose full stop does not end a sentence.
const ABBREVIATIONS: [&str; 6] = ["e.g.", "i.e.", "etc.", "vs.", "cf.", "approx."];

/// Beginnings of sentences that say nothing of what is documented.
const EMPTY_WORDS: [&str; 4] = ["see ", "deprecated", ">>>", "alias for "];

/// The first sentence of a documentation without comment marks: up to a full stop, or to the paragraph's end.
pub(crate) fn first_sentence(docs: &str) -> Option<String> {
    let paragraph = docs.lines().map(str::trim).skip_while(|line| line.is_empty());
    let mut sentence = String::new();
    for word in paragraph.take_while(|line| !line.is_empty()).flat_map(str::split_whitespace) {
        if !sentence.is_empty() {
            sentence.push(' ');
        }
        sentence.push_str(word);
        let ends = word.ends_with(['.', '!', '?']);
        let lower = word.to_lowercase();
        if ends && !ABBREVIATIONS.iter().any(|abbreviation| lower.ends_with(abbreviation)) {
            break;
        }
    }
    (!sentence.is_empty()).then_some(sentence)
}

/// Whether a first sentence will do as a question.
pub(crate) fn asks(sentence: &str) -> bool {
    let words = sentence.split_whitespace().filter(|word| word.contains(char::is_alphanumeric)).count();
    let lower = sentence.to_lowercase();
    (MIN_WORDS..=MAX_WORDS).contains(&words) && !EMPTY_WORDS.iter().any(|start| lower.starts_with(start))
}

/// A sentence as it is compared with others: words in lower case, with nothing but letters and digits.
pub(crate) fn normal(sentence: &str) -> String {
    let words = sentence.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_ends_at_its_full_stop_or_with_its_paragraph() {
        let first = |docs| first_sentence(docs).unwrap_or_default();
        assert_eq!(first("\n Reads a file,\n  e.g. a log. Then more."), "Reads a file, e.g. a log.");
        assert_eq!(first("Opens v1.2 of it\n\nNot this"), "Opens v1.2 of it");
        assert_eq!(first_sentence(" \n\n"), None);
    }

    #[test]
    fn what_says_nothing_is_no_question() {
        assert!(asks("Returns the length of it."));
        assert!(!asks("Returns the length."), "three words");
        assert!(!asks("See also the other function."));
        assert!(!asks("Deprecated: use the other one."));
        assert!(!asks(&"word ".repeat(31)));
    }

    #[test]
    fn marks_and_case_do_not_tell_sentences_apart() {
        assert_eq!(normal("Returns `self.len()`."), normal("returns  self len"));
    }
}
