use super::*;

fn corpus(files: &[(&str, Language, &str)]) -> Documents {
    let source = |&(path, language, text): &(&str, Language, &str)| Source {
        path: path.to_owned(),
        language,
        text: text.to_owned(),
    };
    Documents::of(files.iter().map(source).collect())
}

const RUST: &str = "\
//! What the file is for.

/// Opens the store at a path. Then more.
pub fn open(path: &Path) -> Store {
    // A comment stays.
    inner(path)
}

/// Closes what is open, at last.
fn close() {}

impl Store {
    /// Closes what is open, at last!
    fn end(&self) {}

    /// Length in rows.
    fn len(&self) -> usize {
        0
    }
}
";

#[test]
fn documentation_is_gone_and_nothing_else_has_moved() {
    let corpus = corpus(&[("a.rs", Language::Rust, RUST)]);
    let text = &corpus.sources[0].text;
    assert_eq!(text.len(), RUST.len());
    assert_eq!(text.lines().count(), RUST.lines().count());
    assert!(!text.contains("///") && !text.contains("//!"), "{text}");
    assert!(text.contains("// A comment stays."));
    let open = corpus.documents.iter().find(|document| document.name == "open").expect("parsed");
    assert_eq!(open.start_line, 4);
    assert_eq!(open.signature, "pub fn open(path: &Path) -> Store");
    assert_eq!(open.sentence.as_deref(), Some("Opens the store at a path."));
    assert!(open.text().docs.is_empty());
}

#[test]
fn a_question_has_one_answer_and_enough_words() {
    let corpus = corpus(&[("a.rs", Language::Rust, RUST)]);
    let asked: Vec<&str> = corpus.queries.iter().map(|query| query.text.as_str()).collect();
    // Two definitions close what is open; three words are too few.
    assert_eq!(asked, ["Opens the store at a path."]);
    assert_eq!(corpus.documents[corpus.queries[0].target].name, "open");
    assert_eq!(corpus.leaks(), 0);
}

#[test]
fn a_comment_that_says_it_again_is_a_leak() {
    let rust = "/// Opens the store at a path.\nfn open() {\n    // opens the store at a path, again\n}\n";
    let corpus = corpus(&[("a.rs", Language::Rust, rust)]);
    assert_eq!((corpus.queries.len(), corpus.leaks()), (1, 1));
}

#[test]
fn a_docstring_leaves_a_statement_where_there_is_no_other() {
    let python = "\
def read(path):
    \"\"\"Reads all of a file.\"\"\"


def write(path):
    '''Writes all of a file.

    Twice.
    '''
    return path


class Closed(Exception):
    \"\"\"It is closed already, sorry.\"\"\"
";
    let corpus = corpus(&[("a.py", Language::Python, python)]);
    let text = &corpus.sources[0].text;
    assert_eq!(text.len(), python.len());
    assert!(!text.contains("\"\"\"") && !text.contains("'''"), "{text}");
    assert_eq!(parse(text, Language::Python).syntax_errors, 0, "{text}");
    let bodies: Vec<&str> = corpus.documents.iter().map(|document| document.body.trim()).collect();
    assert_eq!(bodies, ["pass", "return path", "pass"]);
    let asked: Vec<&str> = corpus.queries.iter().map(|query| query.text.as_str()).collect();
    assert_eq!(asked, ["Reads all of a file.", "Writes all of a file."]);
}
