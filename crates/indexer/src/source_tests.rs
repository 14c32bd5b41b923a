#![allow(clippy::disallowed_methods)] // The files of a user, who is a test.

use std::path::PathBuf;

use codegraph_vector::{CodeNode, PersistentVectorStore};
use tempfile::TempDir;

use super::*;
use crate::index::{file_id, hash_text};

const TEXT: &str = "one\n/// Two.\nfn two() {\n    three\n}\nsix\n";

/// A folder with a root `r` that has `a.rs`, and a store that has it, too.
fn indexed() -> (TempDir, PathBuf, Snapshot) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("r");
    std::fs::create_dir(&root).unwrap();
    std::fs::write(root.join("a.rs"), TEXT).unwrap();
    let store = PersistentVectorStore::new(folder.path().join("s"), folder.path().join("b"), 1).unwrap();
    let hash = hash_text(xxhash_rust::xxh3::xxh3_128(TEXT.as_bytes()));
    store
        .put(CodeNode::new(file_id("a.rs"), vec![1.0]).with_path("a.rs").with_attribute(FILE_HASH, hash))
        .unwrap();
    let snapshot = store.snapshot().unwrap();
    (folder, root, snapshot)
}

fn node(path: &str) -> NodeMetadata {
    CodeNode::new(2, vec![1.0]).with_path(path).with_language("rust").with_lines(3, 5).metadata()
}

#[test]
fn the_text_is_that_of_the_file() {
    let (_folder, root, snapshot) = indexed();
    assert_eq!(files(&snapshot).unwrap(), 1);
    let text = |max_lines| source(&snapshot, &root, &node("a.rs"), max_lines).unwrap().unwrap();
    let whole =
        Source { text: TEXT[4..TEXT.len() - 4].into(), first_line: 2, lines_left_out: 0, changed: false };
    assert_eq!(text(4), whole);
    assert_eq!(text(2), Source { text: "/// Two.\nfn two() {\n".into(), lines_left_out: 2, ..whole.clone() });
    let file = NodeMetadata { path: Some("a.rs".into()), ..NodeMetadata::default() };
    assert_eq!(source(&snapshot, &root, &file, 9).unwrap().unwrap().text, TEXT);
    std::fs::write(root.join("a.rs"), "short\n\u{fffd}").unwrap();
    assert_eq!(text(4), Source { text: String::new(), first_line: 3, lines_left_out: 0, changed: true });
    std::fs::write(root.join("a.rs"), b"1\n2\n\xff\n").unwrap();
    assert_eq!(text(4).text, "\u{fffd}\n");
    std::fs::remove_file(root.join("a.rs")).unwrap();
    assert_eq!(source(&snapshot, &root, &node("a.rs"), 4).unwrap(), None);
}

#[test]
fn nothing_is_read_outside_of_the_root() {
    let (folder, root, snapshot) = indexed();
    std::fs::write(folder.path().join("secret"), "secret\n".repeat(9)).unwrap();
    for path in ["../secret", "x/../../secret", "/etc/passwd", "..", "a.rs/.."] {
        assert_eq!(read_within(&root, path).ok().flatten(), None, "{path}");
    }
    let absolute = folder.path().join("secret");
    assert_eq!(read_within(&root, absolute.to_str().unwrap()).unwrap(), None);
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        symlink(folder.path().join("secret"), root.join("link.rs")).unwrap();
        symlink(folder.path(), root.join("up")).unwrap();
        symlink("a.rs", root.join("within.rs")).unwrap();
        for path in ["link.rs", "up/secret"] {
            assert_eq!(source(&snapshot, &root, &node(path), 9).unwrap(), None, "{path}");
        }
        assert_eq!(read_within(&root, "within.rs").unwrap().unwrap(), TEXT.as_bytes());
        // A root that is itself behind a link is the root.
        symlink(&root, folder.path().join("r2")).unwrap();
        assert!(read_within(&folder.path().join("r2"), "a.rs").unwrap().is_some());
    }
    // Within a root that somebody else chose, only what could have been indexed, or is known.
    std::fs::write(root.join("id_rsa"), "secret").unwrap();
    assert!(read_within(&root, "id_rsa").unwrap().is_some());
    assert_eq!(source(&snapshot, &root, &node("id_rsa"), 9).unwrap(), None);
    assert_eq!(read_within(&root, "").unwrap(), None, "the root is no file");
    assert!(is_gone(&read_within(&root, "none.rs").unwrap_err()));
}
