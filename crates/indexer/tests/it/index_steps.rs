//! Any sequence of edits, renames, deletions and reverts: an index brought up to date after each step is the index
//! that is made from nothing.

use proptest::prelude::*;

use crate::harness::{Fake, Tree, rows};

const PATHS: [&str; 6] = ["a.rs", "b.rs", "d/a.rs", "d/c.rs", "d/e/f.rs", "g.rs"];
const PARTS: [&str; 6] = [
    "fn one() { 1 }\n",
    "/// Two.\nfn two() { 2 }\n",
    "struct Point { x: f32 }\nimpl Point { fn x(&self) -> f32 { self.x } }\n",
    "mod inner { fn one() { 1 } }\n",
    "fn one() { 1 }\nfn broken( {\n",
    "\0",
];

#[derive(Clone, Debug)]
enum Step {
    Write(usize, Vec<usize>),
    Touch(usize),
    Remove(usize),
    Rename(usize, usize),
    Ignore(Option<usize>),
    /// A run that the embedder ends.
    Fail(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let path = 0..PATHS.len();
    let parts = prop::collection::vec(0..PARTS.len(), 0..4);
    prop_oneof![
        5 => (path.clone(), parts).prop_map(|(path, parts)| Step::Write(path, parts)),
        1 => path.clone().prop_map(Step::Touch),
        2 => path.clone().prop_map(Step::Remove),
        3 => (path.clone(), path.clone()).prop_map(|(from, to)| Step::Rename(from, to)),
        1 => prop::option::of(path).prop_map(Step::Ignore),
        1 => (1..4u64).prop_map(Step::Fail),
    ]
}

fn take(tree: &Tree, step: &Step) {
    let there = |path: usize| tree.path(PATHS[path]).exists();
    match step {
        Step::Write(path, parts) => {
            let text: String = parts.iter().map(|part| PARTS[*part]).collect();
            tree.write(PATHS[*path], text);
        }
        Step::Touch(path) if there(*path) => tree.age(PATHS[*path]),
        Step::Remove(path) if there(*path) => tree.remove(PATHS[*path]),
        Step::Rename(from, to) if there(*from) && from != to => tree.rename(PATHS[*from], PATHS[*to]),
        Step::Ignore(path) => {
            tree.write(".gitignore", path.map_or(String::new(), |path| format!("/{}", PATHS[path])))
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_index_kept_up_to_date_is_the_index_made_anew(
        steps in prop::collection::vec(step(), 1..10),
        batched in any::<bool>(),
    ) {
        let tree = Tree::default();
        let store = tree.store("kept");
        for step in &steps {
            take(&tree, step);
            let mut embedder = if batched { Fake::slow(3, 2) } else { Fake::default() };
            if let Step::Fail(call) = step {
                embedder.fails_at = Some(*call);
                let _ = tree.index_by(&store, &embedder);
                continue;
            }
            tree.index_by(&store, &embedder).unwrap();
            prop_assert_eq!(rows(&store), tree.fresh());
        }
    }
}
