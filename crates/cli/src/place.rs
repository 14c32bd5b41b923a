//! Paths between the folder that was indexed and the one that somebody stands in.
//!
//! What always holds: a store names files relative to its root; whoever types a path may mean it from the
//! working folder or from the root, and reads paths from the working folder.

use std::path::{Path, PathBuf};

use codegraph_vector::{Error, Result};
use codegraph_vector_indexer::{normal, way};

/// Where the root and the working folder are, both without links.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    root: PathBuf,
    here: PathBuf,
}

impl Place {
    /// A root, seen from a folder.
    ///
    /// # Errors
    /// `Io` if either cannot be found.
    pub(crate) fn new(root: &Path, here: &Path) -> Result<Self> {
        // A root that is gone is still what paths are relative to.
        let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        let here = here.canonicalize().map_err(|cause| Error::io("find the folder", here, cause))?;
        Ok(Self { root, here })
    }

    /// The folder that was indexed.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A file of the store as it is named from the working folder; in full where nothing is in common.
    pub(crate) fn shown(&self, path: &str) -> PathBuf {
        let full = self.root.join(path);
        match self.here.parent() {
            // Seen from the root of the file system there is nothing to go up from.
            None => full.strip_prefix(&self.here).unwrap_or(&full).to_owned(),
            Some(_) => way(&self.here, &full).unwrap_or(full),
        }
    }

    /// What a typed path may mean, as the store names it, the likeliest first: from the working folder, from the
    /// root. The root itself is empty. Nothing if it leads out of the root.
    pub(crate) fn meanings(&self, typed: &str) -> Vec<String> {
        let mut meanings = Vec::new();
        for base in [&self.here, &self.root] {
            let full = normal(&base.join(typed));
            let Ok(below) = full.strip_prefix(&self.root) else { continue };
            let names: Option<Vec<&str>> = below.iter().map(|name| name.to_str()).collect();
            let Some(path) = names.map(|names| names.join("/")) else { continue };
            if !meanings.contains(&path) {
                meanings.push(path);
            }
        }
        meanings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(root: &str, here: &str) -> Place {
        Place { root: root.into(), here: here.into() }
    }

    #[test]
    fn files_are_named_from_where_one_stands() {
        for (root, here, shown) in [
            ("/a/code", "/a/code", "src/x.rs"),
            ("/a/code", "/a/code/src", "x.rs"),
            ("/a/code", "/a/code/doc", "../src/x.rs"),
            ("/a/code", "/a", "code/src/x.rs"),
            ("/a/code", "/", "a/code/src/x.rs"),
            ("/a/code", "/b", "/a/code/src/x.rs"),
        ] {
            assert_eq!(place(root, here).shown("src/x.rs"), Path::new(shown), "{root} {here}");
        }
    }

    #[test]
    fn a_typed_path_is_meant_from_here_or_from_the_root() {
        let top = place("/a/code", "/a/code");
        assert_eq!(top.meanings("src/x.rs"), ["src/x.rs"]);
        assert_eq!(top.meanings("./src/../src/"), ["src"]);
        assert_eq!(top.meanings("."), [""]);
        assert!(top.meanings("..").is_empty() && top.meanings("/b").is_empty());
        let below = place("/a/code", "/a/code/src");
        assert_eq!(below.meanings("x.rs"), ["src/x.rs", "x.rs"]);
        assert_eq!(below.meanings("../x.rs"), ["x.rs"]);
        assert_eq!(below.meanings("/a/code/src/x.rs"), ["src/x.rs"]);
        assert_eq!(place("/a/code", "/b").meanings("src"), ["src"]);
    }
}
