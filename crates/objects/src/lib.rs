//! Targets: where the objects of backups and of the log archive are kept.
//!
//! What always holds:
//! - an object appears whole under its name, or not at all; once [`ObjectTarget::put`] has returned it is durable;
//! - of many who create one name at once, one wins, and all others are told that it was taken;
//! - a name is never a way out of the target: [`check_name`].
//!
//! It does not know what a backup is: names and bytes are the engine's.

#[cfg(feature = "cloud")]
mod cloud;
mod local;
mod source;

use std::fmt::Debug;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use codegraph_vector_base::vfs::Vfs;
use codegraph_vector_base::{Error, ErrorKind, Random, Result};

#[cfg(feature = "cloud")]
pub use cloud::{CloudTarget, TargetOptions};
pub use local::LocalTarget;
pub use source::{FileSource, Source};

/// What becomes of an object that has the name already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It stays, and who puts is told so. One request puts all of it.
    Create,
    /// The same of an object whose name says what is in it, so that all who put it put the same: it never changes, and may go in
    /// parts.
    Content,
    /// It is replaced, at one moment.
    Replace,
}

/// How a put ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// The object is there, with what was put.
    Created,
    /// The name was taken by other content.
    Existed,
}

/// An object, without its content.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectInfo {
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
}

/// What lies in a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Its objects, by name.
    pub objects: Vec<ObjectInfo>,
    /// The names of the folders in it, which end in `/`, in order.
    pub folders: Vec<String>,
}

/// A place for objects. What comes out as an error is final: what may pass is tried again inside.
pub trait ObjectTarget: Send + Sync + Debug {
    /// Puts an object.
    ///
    /// # Errors
    /// `ReadOnly` where nothing can be put; `StorageFull`; what the target says.
    fn put(&self, name: &str, source: &dyn Source, how: Put) -> Result<Written>;

    /// That range of an object's bytes, cut at its end.
    ///
    /// # Errors
    /// `NotFound`; what the target says.
    fn get(&self, name: &str, range: Range<u64>) -> Result<Vec<u8>>;

    /// What is known of an object; `None` if there is none.
    fn info(&self, name: &str) -> Result<Option<ObjectInfo>>;

    /// What lies in a folder, which ends in `/`, or in the target itself (`""`); not what lies in the folders there.
    ///
    /// # Errors
    /// `Unsupported` where a target cannot list.
    fn list(&self, folder: &str) -> Result<Listing>;

    /// Clears away what puts into a folder that were cut short have left. Only while nobody puts anything there.
    ///
    /// # Errors
    /// What the target says.
    fn sweep(&self, folder: &str) -> Result<()>;

    /// Removes an object, if it is there; durably, when this returns.
    ///
    /// # Errors
    /// `ReadOnly`; what the target says.
    fn delete(&self, name: &str) -> Result<()>;

    /// Where it is, for people: without credentials.
    fn url(&self) -> &str;

    /// Whether objects can be put and deleted.
    fn is_writable(&self) -> bool;

    /// Where an object is, for people: a file's path, or the URL behind this one.
    fn path_of(&self, name: &str) -> PathBuf;
}

/// A whole object.
///
/// # Errors
/// As [`ObjectTarget::get`]; `TooLarge` if it has more than `most` bytes.
pub fn get_all(target: &dyn ObjectTarget, name: &str, most: u64) -> Result<Vec<u8>> {
    let bytes = target.get(name, 0..most.saturating_add(1))?;
    if bytes.len() as u64 > most {
        let message = format!("this object has more than {most} bytes, which no object of its kind has");
        return Err(Error::new(ErrorKind::TooLarge, message).at(target.path_of(name)));
    }
    Ok(bytes)
}

/// The target that a path or URL names: `file://`, and with the feature `cloud` `s3://`, `gs://`, `az://`, `https://`, `http://`.
///
/// # Errors
/// `Unsupported` for a scheme that is not built in; as [`CloudTarget::open`].
pub fn open(place: &Path, vfs: Arc<dyn Vfs>, random: Arc<dyn Random>) -> Result<Arc<dyn ObjectTarget>> {
    let text = place.to_string_lossy();
    match text.split_once("://") {
        None => Ok(Arc::new(LocalTarget::new(place, vfs, random))),
        Some(("file", path)) => Ok(Arc::new(LocalTarget::new(Path::new(path), vfs, random))),
        Some(_) => open_url(&text),
    }
}

#[cfg(feature = "cloud")]
fn open_url(url: &str) -> Result<Arc<dyn ObjectTarget>> {
    Ok(Arc::new(CloudTarget::open(url, TargetOptions::from_environment()?)?))
}

#[cfg(not(feature = "cloud"))]
fn open_url(url: &str) -> Result<Arc<dyn ObjectTarget>> {
    let scheme = url.split("://").next().unwrap_or_default();
    let message = format!(
        "{scheme}:// is no place for backups in this build, which lacks the feature `cloud`; a folder is"
    );
    Err(Error::new(ErrorKind::Unsupported, message))
}

/// Refuses what is no name of an object: parts of `a-z A-Z 0-9 . _ -` between single `/`, none of them `.` or `..`, none that
/// ends as an unfinished file does.
///
/// # Errors
/// `InvalidInput`.
pub fn check_name(name: &str) -> Result<()> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let is_part = |part: &str| {
        !part.is_empty()
            && part.bytes().all(is_allowed)
            && !part.bytes().all(|byte| byte == b'.')
            && !part.ends_with(codegraph_vector_base::vfs::TEMPORARY_SUFFIX)
    };
    match name.split('/').all(is_part) {
        true => Ok(()),
        false => Err(Error::invalid(format!("{name:?} is no name of an object"))),
    }
}
