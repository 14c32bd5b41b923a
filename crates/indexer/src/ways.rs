//! Paths worked out by name alone, without a look at the file system.

use std::path::{Component, Path, PathBuf};

/// The path with its `.` and `..` worked out.
pub fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            other => normal.push(other),
        }
    }
    normal
}

/// How to get from one folder to another path, both absolute and [`normal`]; empty if they are the same. `None` if they
/// have nothing but the root of the file system in common.
pub fn way(from: &Path, to: &Path) -> Option<PathBuf> {
    let common = from.components().zip(to.components()).take_while(|(one, other)| one == other).count();
    if !from.components().take(common).any(|component| matches!(component, Component::Normal(_))) {
        return None;
    }
    let up = from.components().skip(common).map(|_| Component::ParentDir);
    Some(up.chain(to.components().skip(common)).collect())
}
