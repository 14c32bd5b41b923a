//! Which part of a folder a run is about.

use std::collections::BTreeSet;
use std::path::Path;

use codegraph_vector::Filter;

/// Files and folders by their paths below the root, each with all that is below it; none is below another one.
/// The root itself is the empty path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Paths(BTreeSet<String>);

impl Paths {
    /// Adds a file or folder.
    pub(crate) fn insert(&mut self, path: String) {
        if self.covers(&path) {
            return;
        }
        let below: Vec<String> = self.below(&path).cloned().collect();
        for path in below {
            self.0.remove(&path);
        }
        self.0.insert(path);
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// All of them, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether a path is one of them, or below one.
    pub(crate) fn covers(&self, path: &str) -> bool {
        let folders = path.match_indices('/').map(|(at, _)| &path[..at]);
        folders.chain(["", path]).any(|path| self.0.contains(path))
    }

    /// Whether one of them is below a folder, so that the way to it leads through that.
    pub(crate) fn leads_through(&self, folder: &str) -> bool {
        self.below(folder).next().is_some()
    }

    /// The nodes of all files that they cover.
    pub(crate) fn filter(&self) -> Filter {
        if self.covers("") {
            return Filter::everything();
        }
        let below = self.iter().map(|path| Filter::path_prefix(format!("{path}/")));
        Filter::any_of("path", self.iter()).or(Filter::any(below))
    }

    fn below(&self, folder: &str) -> impl Iterator<Item = &String> {
        let start = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let after = self.0.range(start.clone()..);
        after.take_while(move |path| path.starts_with(&start)).filter(move |path| !path.is_empty())
    }
}

impl FromIterator<String> for Paths {
    fn from_iter<I: IntoIterator<Item = String>>(paths: I) -> Self {
        let mut all = Self::default();
        paths.into_iter().for_each(|path| all.insert(path));
        all
    }
}

/// A path below the root as a store names it: with `/` between its parts. `None` if it is not UTF-8, or is not below.
pub(crate) fn below(root: &Path, path: &Path) -> Option<String> {
    let path = path.strip_prefix(root).ok()?.to_str()?;
    Some(if cfg!(windows) { path.replace('\\', "/") } else { path.to_owned() })
}

#[cfg(test)]
mod tests {
    use codegraph_vector::NodeMetadata;

    use super::*;

    fn paths(paths: &[&str]) -> Paths {
        paths.iter().map(|path| (*path).to_owned()).collect()
    }

    #[test]
    fn what_is_below_another_is_not_kept() {
        let some = paths(&["a/b/c", "a/bc", "d", "a/b", "d/e"]);
        assert_eq!(some.iter().collect::<Vec<_>>(), ["a/b", "a/bc", "d"]);
        assert_eq!(paths(&["a", "b/c", ""]).iter().collect::<Vec<_>>(), [""]);
        assert!(paths(&["", "a"]).covers("a/b"));
    }

    #[test]
    fn they_cover_what_is_below_them_and_lead_through_what_is_above() {
        let some = paths(&["a/b", "a.rs"]);
        for (path, covered, above) in [
            ("", false, true),
            ("a", false, true),
            ("a/b", true, false),
            ("a/b/c.rs", true, false),
            ("a/bc", false, false),
            ("a.rs", true, false),
            ("a.r", false, false),
        ] {
            assert_eq!((some.covers(path), some.leads_through(path)), (covered, above), "{path:?}");
        }
        assert!(!Paths::default().covers("") && !Paths::default().leads_through(""));
    }

    #[test]
    fn the_filter_means_what_they_cover() {
        for some in [paths(&["a/b", "a.rs"]), paths(&[""]), Paths::default()] {
            for path in ["a/b", "a/b/c.rs", "a/bc", "a.rs", "a", "x/a.rs"] {
                let metadata = NodeMetadata { path: Some(path.to_owned()), ..NodeMetadata::default() };
                assert_eq!(some.filter().matches(1, &metadata), some.covers(path), "{some:?} {path}");
            }
        }
    }

    #[test]
    fn paths_are_named_from_the_root() {
        let root = Path::new("/code");
        assert_eq!(below(root, Path::new("/code/a/b.rs")).as_deref(), Some("a/b.rs"));
        assert_eq!(below(root, root).as_deref(), Some(""));
        assert_eq!(below(root, Path::new("/coder/a.rs")), None);
    }
}
