//! One error type for the whole store: a kind that tells the caller what to do, the file and
//! offset where that matters, and a sentence for a human.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::conflict::Conflict;

/// The result of everything that can fail here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The input is wrong; mend it. Nothing was written.
    InvalidInput,
    /// The input is over a limit; split it or raise the limit. Nothing was written.
    TooLarge,
    /// The named thing is not there.
    NotFound,
    /// The thing that was to be new is there already. Nothing was written.
    AlreadyExists,
    /// A concurrent commit got in the way; try again. Nothing was written.
    Conflict,
    /// A queue is full; try again after [`Error::retry_after`]. Nothing was taken.
    Overloaded,
    /// Another process holds the store; try again later or open it read-only.
    Busy,
    /// The store, or its file system, takes no writes; reads go on.
    ReadOnly,
    /// The disk is full; the write did not happen, reads go on.
    StorageFull,
    /// A sync failed while this write was in flight: it may or may not be there after a reopen.
    OutcomeUnknown,
    /// Stored bytes are wrong; the error names file and offset. Verify, repair or restore.
    Corrupt,
    /// The files are of a newer format, or need a feature that this version lacks; upgrade.
    Unsupported,
    /// A file went away under a reader; refresh the view and try again.
    Stale,
    /// The changes that were asked for are no longer in the log, or are of another history: copy the store anew, and
    /// go on from there.
    Gone,
    /// The store was closed.
    Closed,
    /// The store met a fault of its own and gave up this one thing; please report it. Nothing was written.
    Internal,
    /// Any other failure of the operating system.
    Io,
}

impl ErrorKind {
    /// A stable, lower-case name for logs and wire formats.
    pub fn name(self) -> &'static str {
        match self {
            ErrorKind::InvalidInput => "invalid_input",
            ErrorKind::TooLarge => "too_large",
            ErrorKind::NotFound => "not_found",
            ErrorKind::AlreadyExists => "already_exists",
            ErrorKind::Conflict => "conflict",
            ErrorKind::Overloaded => "overloaded",
            ErrorKind::Busy => "busy",
            ErrorKind::ReadOnly => "read_only",
            ErrorKind::StorageFull => "storage_full",
            ErrorKind::OutcomeUnknown => "outcome_unknown",
            ErrorKind::Corrupt => "corrupt",
            ErrorKind::Unsupported => "unsupported",
            ErrorKind::Stale => "stale",
            ErrorKind::Gone => "gone",
            ErrorKind::Closed => "closed",
            ErrorKind::Internal => "internal",
            ErrorKind::Io => "io",
        }
    }
}

/// An error. Cheap to clone, since one failed sync fails every commit that waited for it.
#[derive(Clone)]
pub struct Error {
    inner: Arc<Inner>,
}

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    path: Option<PathBuf>,
    offset: Option<u64>,
    source: Option<Arc<io::Error>>,
    conflict: Option<Conflict>,
    retry_after: Option<Duration>,
}

impl Error {
    /// An error of `kind` with a sentence for a human.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let message = message.into();
        let inner = Inner {
            kind,
            message,
            path: None,
            offset: None,
            source: None,
            conflict: None,
            retry_after: None,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The input is wrong.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message)
    }

    /// Bytes of `path` at `offset` are not what was written.
    pub fn corrupt(path: impl AsRef<Path>, offset: u64, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, message).at(path).at_offset(offset)
    }

    /// A failed call of the operating system on `path`; the kind follows from the cause.
    pub fn io(action: &str, path: impl AsRef<Path>, source: io::Error) -> Self {
        let kind = match source.kind() {
            // Nothing lies below a file, so what was looked for there is missing.
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ErrorKind::NotFound,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ErrorKind::StorageFull,
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => ErrorKind::ReadOnly,
            _ => ErrorKind::Io,
        };
        let inner = Inner {
            kind,
            message: format!("cannot {action}"),
            path: Some(path.as_ref().to_owned()),
            offset: None,
            source: Some(Arc::new(source)),
            conflict: None,
            retry_after: None,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The same error, naming the file.
    #[must_use]
    pub fn at(self, path: impl AsRef<Path>) -> Self {
        self.change(|inner| inner.path = Some(path.as_ref().to_owned()))
    }

    /// The same error, naming the byte.
    #[must_use]
    pub fn at_offset(self, offset: u64) -> Self {
        self.change(|inner| inner.offset = Some(offset))
    }

    /// The same error, with what got in the way.
    #[must_use]
    pub(crate) fn because_of(self, conflict: Conflict) -> Self {
        self.change(|inner| inner.conflict = Some(conflict))
    }

    /// The same error, with a hint when to try again.
    #[must_use]
    pub fn with_retry_after(self, delay: Duration) -> Self {
        self.change(|inner| inner.retry_after = Some(delay))
    }

    /// The same cause seen by someone who can do something else about it.
    #[must_use]
    pub fn as_kind(self, kind: ErrorKind) -> Self {
        self.change(|inner| inner.kind = kind)
    }

    /// The same error, its message led by what was being done.
    #[must_use]
    pub fn context(self, doing: impl fmt::Display) -> Self {
        self.change(|inner| inner.message = format!("{doing}: {}", inner.message))
    }

    fn change(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.inner));
        self
    }

    /// What the caller can do.
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// The sentence for a human, without file and cause.
    pub fn message(&self) -> &str {
        &self.inner.message
    }

    /// The file concerned.
    pub fn path(&self) -> Option<&Path> {
        self.inner.path.as_deref()
    }

    /// What got in the way of a write or transaction, where that was another.
    pub fn conflict(&self) -> Option<&Conflict> {
        self.inner.conflict.as_ref()
    }

    /// How long to wait before it is worth to try again, where that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        self.inner.retry_after
    }

    /// The byte of that file concerned.
    pub fn offset(&self) -> Option<u64> {
        self.inner.offset
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.inner.message)?;
        if let Some(path) = &self.inner.path {
            write!(f, " ({}", path.display())?;
            if let Some(offset) = self.inner.offset {
                write!(f, " at byte {offset}")?;
            }
            f.write_str(")")?;
        }
        if let Some(source) = &self.inner.source {
            write!(f, ": {source}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.inner.kind)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.inner.source.as_deref().map(|source| source as _)
    }
}
