//! Which files are found: what git ignores, links, hidden files, stores, folders that cannot be looked into.

use std::fs;

use crate::harness::{Fake, Tree, files, open, problems, rows};

#[test]
fn what_git_ignores_is_left_out_negations_and_nested_files_included() {
    let tree = Tree::of(&[
        (".gitignore", "build/\n*.gen.rs\n!kept.gen.rs\n/top.rs\n"),
        ("build/out.rs", "fn no() {}"),
        ("a.gen.rs", "fn no() {}"),
        ("kept.gen.rs", "fn yes() {}"),
        ("top.rs", "fn no() {}"),
        ("sub/top.rs", "fn yes() {}"),
        ("sub/.gitignore", "*.rs\n!top.rs\n!deep/\n"),
        ("sub/no.rs", "fn no() {}"),
        ("sub/deep/no.rs", "fn no() {}"),
        ("sub/deep/.gitignore", "!yes.rs\n"),
        ("sub/deep/yes.rs", "fn yes() {}"),
        (".ignore", "other/\n"),
        ("other/no.rs", "fn no() {}"),
        (".hidden.rs", "fn no() {}"),
        (".hidden/no.rs", "fn no() {}"),
        ("notes.txt", "no source"),
    ]);
    let store = tree.store("s");
    let summary = tree.index(&store);
    assert_eq!(files(&store), ["kept.gen.rs", "sub/deep/yes.rs", "sub/top.rs"]);
    assert_eq!(summary.files, 3);
    tree.write(".gitignore", "");
    tree.index(&store);
    assert_eq!(files(&store).len(), 6, "what is not ignored any more is there");
    tree.write(".gitignore", "*\n");
    assert_eq!(tree.index(&store).files_removed, 6);
    assert_eq!(rows(&store), []);
}

#[test]
fn a_repository_without_source_is_no_error() {
    let tree = Tree::of(&[("README.md", "# Words"), ("data/table.csv", "a,b")]);
    let summary = tree.index(&tree.store("s"));
    assert_eq!((summary.files, summary.nodes, summary.problems.len()), (0, 0, 0));
}

#[test]
fn stores_are_not_looked_into() {
    let tree = Tree::of(&[("a.rs", "fn a() {}"), (".ignore", "!.cgv\n!stores/\n")]);
    let own = open(&tree.path("stores/own"), &Fake::default());
    let other = open(&tree.path("stores/other"), &Fake::default());
    let hidden = open(&tree.path(".cgv"), &Fake::default());
    for store in ["stores/own", "stores/other", ".cgv"] {
        tree.write(&format!("{store}/inside.rs"), "fn no() {}");
    }
    tree.write("stores/beside.rs", "fn yes() {}");
    for store in [own, other, hidden] {
        tree.index(&store);
        assert_eq!(files(&store), ["a.rs", "stores/beside.rs"]);
    }
}

#[cfg(unix)]
mod unix {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_not_followed() {
        let tree = Tree::of(&[("real/a.rs", "fn a() {}")]);
        symlink(&tree.root, tree.path("real/loop")).unwrap();
        symlink(tree.path("real"), tree.path("again")).unwrap();
        symlink(tree.path("real/a.rs"), tree.path("link.rs")).unwrap();
        symlink("nowhere.rs", tree.path("dangling.rs")).unwrap();
        let store = tree.store("s");
        let summary = tree.index(&store);
        assert_eq!((files(&store), summary.problems.len()), (vec!["real/a.rs".to_owned()], 0));
    }

    #[test]
    fn what_has_the_name_of_a_source_file_and_is_none_is_passed_over() {
        let tree = Tree::of(&[("a.rs", "fn a() {}"), ("folder.rs/b.rs", "fn b() {}")]);
        let _socket = std::os::unix::net::UnixListener::bind(tree.path("socket.rs")).unwrap();
        let store = tree.store("s");
        let summary = tree.index(&store);
        assert_eq!((files(&store), summary.files), (vec!["a.rs".to_owned(), "folder.rs/b.rs".to_owned()], 2));
        // A file that becomes a folder.
        tree.remove("a.rs");
        fs::create_dir(tree.path("a.rs")).unwrap();
        assert_eq!(tree.index(&store).files_removed, 1);
        assert_eq!(files(&store), ["folder.rs/b.rs"]);
    }

    #[test]
    fn paths_that_no_node_can_have_are_reported() {
        let tree = Tree::of(&[("a.rs", "fn a() {}")]);
        fs::write(tree.root.join("back\\slash.rs"), "fn b() {}").unwrap();
        let odd = tree.root.join(OsStr::from_bytes(b"odd\xff.rs"));
        let odd = fs::write(odd, "fn c() {}").is_ok(); // Some file systems refuse it.
        let store = tree.store("s");
        let summary = tree.index(&store);
        let problems = problems(&summary);
        assert!(problems[0].starts_with("back\\slash.rs: cannot be stored: "), "{problems:?}");
        assert!(problems[0].contains("holds a backslash"), "{problems:?}");
        assert_eq!(
            problems.get(1).is_some_and(|problem| problem.ends_with("has a path that is not UTF-8")),
            odd
        );
        assert_eq!((summary.files, summary.files_skipped), (2 + u64::from(odd), 1 + u64::from(odd)));
        assert_eq!(files(&store), ["a.rs"]);
    }

    #[test]
    fn a_name_that_is_shown_like_another_does_not_take_its_rows() {
        let tree = Tree::of(&[("odd\u{fffd}.rs", "fn a() {}")]);
        if fs::write(tree.root.join(OsStr::from_bytes(b"odd\xff.rs")), "fn b() {}").is_err() {
            return; // Some file systems refuse such names.
        }
        let store = tree.store("s");
        for _ in 0..3 {
            let summary = tree.index(&store);
            assert_eq!(problems(&summary), ["odd\u{fffd}.rs: has a path that is not UTF-8"]);
            assert_eq!((summary.files, summary.files_skipped), (2, 1));
            assert_eq!(files(&store), ["odd\u{fffd}.rs"]);
        }
    }

    /// Longer than any path that can be named in one piece, so that nobody can look into it, not even root.
    #[test]
    fn what_lies_below_a_folder_that_cannot_be_looked_into_is_kept() {
        let tree =
            Tree::of(&[("a.rs", "fn a() {}"), ("top/below/b.rs", "fn b() {}"), ("top/c.rs", "fn c() {}")]);
        let store = tree.store("s");
        tree.index(&store);
        let before = rows(&store);
        // `top/below` becomes a chain of folders: one chain, hung below another by a short name.
        let chain = |start: &str| {
            let mut path = tree.path(start);
            while path.as_os_str().len() < 3000 {
                path.push("d".repeat(200));
            }
            fs::create_dir_all(&path).unwrap();
            path
        };
        let end = chain("top/below");
        chain("other");
        fs::rename(tree.path("other"), end.join("x")).unwrap();
        tree.remove("a.rs");
        tree.remove("top/c.rs");
        let summary = tree.index(&store);
        assert_eq!(summary.problems.len(), 1, "{:?}", summary.problems);
        let problem = &summary.problems[0];
        assert!(problem.path.starts_with("top/below/ddd"), "{problem:?}");
        assert!(problem.reason.starts_with("cannot be looked at: "), "{problem:?}");
        assert_eq!(summary.files_removed, 2, "what was looked at and is gone is removed");
        let kept: Vec<_> =
            before.into_iter().filter(|row| row.path.as_deref() == Some("top/below/b.rs")).collect();
        assert_eq!(rows(&store), kept);
    }
}
