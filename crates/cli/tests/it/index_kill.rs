//! `cgv index`, killed at random moments while the tree changes: no file is ever there in part, and the run that
//! gets through leaves what a fresh index of the same tree has.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use codegraph_vector::{CodeNode, OpenOptions, PersistentVectorStore};

use crate::kill::random_up_to;
use crate::sample::Folder;

/// Runs that have to be killed while they work.
const KILLS: usize = 20;
/// Of these, so many with some of the files stored and others not: more runs are killed if need be.
const KILLS_IN_THE_MIDST: usize = 1;
/// Runs at the most; one that ends before it is killed does not count.
const MAX_RUNS: u64 = 200;
/// Files that are made, beside the sources of this repository: more than go into one sync.
const FILES: u64 = 500;
pub(crate) const TREE: &str = "tree";

/// The rows of each path.
pub(crate) type Rows = BTreeMap<String, Vec<CodeNode>>;

/// A tree that changes.
pub(crate) struct Tree<'a> {
    folder: &'a Folder,
    /// Most files that are made.
    files: u64,
    /// The version of each file that is there.
    pub(crate) versions: BTreeMap<u64, u64>,
    edits: u64,
}

pub(crate) fn name(file: u64) -> String {
    let extension = ["rs", "py", "js", "go", "java"][file as usize % 5];
    format!("{TREE}/made/m{}/f{file}.{extension}", file % 7)
}

/// A few definitions that say which file and version they are of.
pub(crate) fn text(file: u64, version: u64) -> String {
    let one = |number: u64| {
        let name = format!("step{number}Of{file}");
        // The first part is the same in all versions, so that some nodes are reused.
        let version = if number == 0 { 0 } else { version };
        match file % 5 {
            0 => format!(
                "/// Adds {number} to {version}.\nfn {name}() -> u64 {{\n    {number} + {version}\n}}\n\n"
            ),
            1 => format!(
                "def {name}():\n    \"\"\"Adds {number} to {version}.\"\"\"\n    return {number} + {version}\n\n"
            ),
            2 => format!("// Adds {number}.\nfunction {name}() {{\n  return {number} + {version};\n}}\n\n"),
            3 => format!("// {name} adds.\nfunc {name}() int {{\n\treturn {number} + {version}\n}}\n\n"),
            _ => format!(
                "class C{number}Of{file} {{\n  int {name}() {{ return {number} + {version}; }}\n}}\n\n"
            ),
        }
    };
    let head = if file % 5 == 3 { "package made\n\n" } else { "" };
    let count = 3 + (file + version) % 9;
    head.to_owned() + &(0..count).map(one).collect::<String>()
}

/// A copy of the sources of this repository.
fn copy_own_sources(folder: &Folder) -> usize {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut folders = ["engine/src", "cli/src", "indexer/src"].map(|folder| crates.join(folder)).to_vec();
    let mut copied = 0;
    while let Some(from) = folders.pop() {
        for entry in fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                let below = path.strip_prefix(&crates).unwrap().to_str().unwrap();
                folder.source(&format!("{TREE}/own/{below}"), &text);
                copied += 1;
            }
        }
    }
    copied
}

impl<'a> Tree<'a> {
    pub(crate) fn new(folder: &'a Folder, files: u64) -> Self {
        let mut tree = Self { folder, files, versions: BTreeMap::new(), edits: 0 };
        (0..files).for_each(|file| tree.write(file));
        tree
    }

    fn write(&mut self, file: u64) {
        self.edits += 1;
        self.versions.insert(file, self.edits);
        let hidden = format!("{TREE}/.new");
        self.folder.source(&hidden, &text(file, self.edits));
        let path = self.folder.path().join(name(file));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // At once, so that whoever watches never finds half of it.
        fs::rename(self.folder.path().join(hidden), path).unwrap();
    }

    /// Rewrites, removes and makes files, each time others.
    pub(crate) fn edit(&mut self, round: u64) {
        for file in (0..self.files).filter(|file| (file * 31 + round * 17) % 5 < 2) {
            if (file + round).is_multiple_of(6) && self.versions.remove(&file).is_some() {
                fs::remove_file(self.folder.path().join(name(file))).unwrap();
            } else {
                self.write(file);
            }
        }
    }
}

/// What is in a store, as a reader beside its writer sees it, or as whoever writes next finds it; nothing in one
/// that is not made yet.
pub(crate) fn rows(folder: &Folder, store: &str, read_only: bool) -> Rows {
    let path = folder.path().join(store);
    let options = OpenOptions { must_exist: true, read_only, ..OpenOptions::default() };
    let mut rows = Rows::new();
    let store = match PersistentVectorStore::open(&path, options) {
        Ok(store) => store,
        Err(error) => {
            // The first manifest is there once it has its name; killed before that, nothing is.
            let is_manifest = |name: &str| name.starts_with("MANIFEST-") && !name.ends_with(".tmp");
            let made = path.is_dir()
                && fs::read_dir(&path)
                    .unwrap()
                    .any(|entry| is_manifest(&entry.unwrap().file_name().to_string_lossy()));
            assert!(!made, "a store that was made can be opened: {error}");
            return rows;
        }
    };
    for node in store.snapshot().unwrap().iter().unwrap() {
        let node = node.unwrap();
        rows.entry(node.path.clone().expect("a path")).or_default().push(node);
    }
    rows
}

/// The rows of a fresh index, as the command that ends with the name of its store makes it.
pub(crate) fn fresh(folder: &Folder, index: &[&str]) -> Rows {
    let _ = fs::remove_dir_all(folder.path().join("fresh"));
    folder.here(&[index, &["fresh"]].concat());
    rows(folder, "fresh", true)
}

#[test]
fn a_killed_index_has_whole_files_only_and_the_next_run_completes_it() {
    let folder = Folder::new();
    let mut tree = Tree::new(&folder, FILES);
    assert!(copy_own_sources(&folder) > 50);
    let index = ["index", TREE, "--store"];
    let start = Instant::now();
    let mut wanted = fresh(&folder, &index);
    let mut whole_run = start.elapsed();
    let (mut before, mut wanted_before) = (Rows::new(), Rows::new());
    let (mut kills, mut in_the_midst) = (0, 0);
    for round in 1..=MAX_RUNS {
        let mut child = folder
            .cgv_anywhere(&["index", TREE, "--store", "s", "--json"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(random_up_to(whole_run));
        let ended = child.try_wait().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        match ended {
            // Earlier, so that the next is caught; later, so that its end is hit as well.
            Some(status) => {
                assert!(status.success());
                whole_run = whole_run.mul_f64(0.8);
            }
            None => {
                kills += 1;
                whole_run = whole_run.mul_f64(1.1).min(Duration::from_secs(20));
            }
        }
        let after = rows(&folder, "s", round % 2 == 0);
        let paths: BTreeSet<&String> =
            [&before, &wanted_before, &wanted, &after].iter().flat_map(|rows| rows.keys()).collect();
        let (mut new, mut old) = (0, 0);
        for path in paths {
            // A reader shows no more than what is known to be synced, so that the run before may have stored
            // more than was seen of it: what it was to store is as good as what was there.
            let whole =
                [&before, &wanted_before, &wanted].iter().any(|rows| rows.get(path) == after.get(path));
            assert!(whole, "round {round}: {path} is there in part: {:?}", after.get(path));
            if wanted.get(path) != before.get(path) {
                let done = after.get(path) == wanted.get(path);
                (new, old) = (new + usize::from(done), old + usize::from(!done));
            }
        }
        in_the_midst += usize::from(ended.is_none() && new > 0 && old > 0);
        if kills >= KILLS && in_the_midst >= KILLS_IN_THE_MIDST {
            break;
        }
        tree.edit(round);
        before = after;
        wanted_before = std::mem::replace(&mut wanted, fresh(&folder, &index));
    }
    assert!(
        kills >= KILLS && in_the_midst >= KILLS_IN_THE_MIDST,
        "{kills} kills, {in_the_midst} of them in the midst, in {MAX_RUNS} runs"
    );
    folder.here(&["index", TREE, "--store", "s"]);
    folder.here(&["index", TREE, "--store", "fresh"]);
    assert_eq!(rows(&folder, "s", true), wanted);
    let export = |store: &str| folder.here(&["export", "--store", store]).out;
    assert!(export("s") == export("fresh"), "another export than of a fresh index");
    assert!(folder.ok(&["verify"]).starts_with("ok: "));
    println!("{kills} kills, {in_the_midst} of them with some of the files stored and others not");
}
