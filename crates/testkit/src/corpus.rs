//! The checked-in corpus of fuzz targets, for ordinary tests: replayed, damaged, and written anew.

use std::path::Path;

use codegraph_vector_base::vfs::{OpenMode, RealVfs, Vfs, read_file};

/// A fuzz target: its name, which is that of its folder in the corpus, and what it does with bytes.
pub type Target = (&'static str, fn(&[u8]));

/// Valid bytes for targets, by their names.
pub type Seeds = Vec<(&'static str, Vec<Vec<u8>>)>;

/// Cuts and changes of a seed that are tried, about.
const PLACES: usize = 300;

/// Hands each target every file of its folder in `corpus`.
///
/// # Panics
/// If a target's folder is missing or empty.
pub fn replay(corpus: &Path, targets: &[Target]) {
    for (target, run) in targets {
        let folder = corpus.join(target);
        let names = RealVfs.list(&folder).expect("a corpus");
        assert!(!names.is_empty(), "{target} has no corpus");
        for name in names {
            run(&read_file(&RealVfs, &folder.join(name)).expect("read"));
        }
    }
}

/// Hands each target its seeds, cut short and changed at many places.
///
/// # Panics
/// If there is a seed without a target.
pub fn damage(targets: &[Target], seeds: Seeds) {
    for (target, seeds) in seeds {
        let run = targets.iter().find(|(name, _)| *name == target).expect("a target").1;
        for seed in seeds {
            let step = (seed.len() / PLACES).max(1);
            for at in (0..seed.len()).step_by(step) {
                run(&seed[..at]);
                let mut changed = seed.clone();
                changed[at] ^= 1 << (at % 8);
                run(&changed);
                changed[at] = 0xFF;
                run(&changed);
            }
        }
    }
}

/// Writes seeds into the folders of their targets in `corpus`.
///
/// # Panics
/// If the file system refuses.
pub fn write(corpus: &Path, seeds: Seeds) {
    for (target, seeds) in seeds {
        let folder = corpus.join(target);
        RealVfs.create_dir_all(&folder).expect("a folder");
        for (number, seed) in seeds.iter().enumerate() {
            let path = folder.join(format!("seed-{number}"));
            let file = RealVfs.open(&path, OpenMode::Create).expect("created");
            file.write_at(seed, 0).expect("written");
        }
    }
}
