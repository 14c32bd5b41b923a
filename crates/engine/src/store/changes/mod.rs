//! The change feed: committed changes in order, for replicas, caches, webhooks and archives.
//!
//! What always holds:
//! - a change shows once it is visible and durable, whatever the settings say of durability: nothing that was shown is ever
//!   taken back;
//! - changes come in the order of their SeqNos, each once, without a gap; a prepared transaction comes with its decision;
//! - reading takes no lock that a writer holds while it waits for the disk, and keeps one group of the log in memory;
//! - log files that a stream or a pin still has to read stay, up to `max_pinned_log_bytes`: whoever lags further is told
//!   ([`ErrorKind::Gone`](crate::ErrorKind::Gone)), rather than the disk filled.
//!
//! [`feed`] is what the writer tells and readers wait for, [`locate`] finds where to begin, [`stream`] reads, [`pins`] keeps.

mod cursor;
mod feed;
mod locate;
mod pins;
mod stream;

pub use cursor::{ChangesFrom, Cursor};
pub(crate) use feed::{Feed, Hold};
pub use pins::{ChangePin, ChangeStatistics};
pub use stream::{Change, Changes};

use codegraph_vector_base::Result;

use crate::persistent::PersistentVectorStore;

impl PersistentVectorStore {
    /// Streams the changes that were committed after `from`: a [`Cursor`], that is the last change that was seen, or a
    /// [`SeqNo`](crate::SeqNo) of this store. [`Cursor::start`] begins with the first commit.
    ///
    /// A copy is brought up to date so: read a [`snapshot`](Self::snapshot) and remember its SeqNo, then follow the
    /// changes from there, and keep the cursor of the last one that was carried out together with what it did.
    ///
    /// In a store that was opened read-only the stream goes up to the last [`refresh`](Self::refresh).
    ///
    /// To begin costs the first group of a few log files, and the reading of one of them: nothing if `from` is the last
    /// commit. While the stream is there, the log is not trimmed beyond where it is, up to the setting
    /// `max_pinned_log_bytes`.
    ///
    /// ```
    /// # fn main() -> codegraph_vector::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// use codegraph_vector::{CodeNode, Cursor, PersistentVectorStore};
    ///
    /// let store = PersistentVectorStore::new(folder.path().join("s"), folder.path().join("b"), 2)?;
    /// store.put(CodeNode::new(7, vec![0.5, 1.0]))?;
    /// store.delete(7)?;
    /// let mut changes = store.changes(Cursor::start())?;
    /// let first = changes.next().expect("a change")?;
    /// assert_eq!((first.puts[0].id, &first.puts[0].embedding[..]), (7, &[0.5, 1.0][..]));
    /// let cursor: Cursor = first.cursor.to_string().parse()?; // To be kept with what the change did.
    /// let rest: Vec<_> = store.changes(cursor)?.collect::<Result<_, _>>()?;
    /// assert_eq!(rest[0].deletes, [7]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Gone` if the log no longer reaches back so far (the message says how far it does), or the cursor is of another
    /// timeline: copy the store anew. `InvalidInput` if the cursor is ahead of the store.
    pub fn changes(&self, from: impl Into<ChangesFrom>) -> Result<Changes> {
        Changes::open(&self.core, from.into())
    }

    /// Keeps the log from a cursor on until `name` is moved on by another call or [unpinned](Self::unpin_changes), over
    /// restarts, too: for whoever follows the changes, but not all the time. It is durable when this returns. Moving a pin
    /// writes a manifest, so do it every so many changes.
    ///
    /// A name is 1 to 64 of `a-z`, `0-9`, `.`, `_` and `-`; there are up to 64 pins. One that would keep more than the
    /// setting `max_pinned_log_bytes` of log that nobody else needs is lost, and [says so](ChangePin::lost).
    ///
    /// # Errors
    /// As [`changes`](Self::changes); `InvalidInput` for what cannot be a name, `TooLarge` if there are too many,
    /// `ReadOnly`.
    pub fn pin_changes(&self, name: &str, from: impl Into<ChangesFrom>) -> Result<()> {
        self.core.pin_changes(name, from.into())
    }

    /// Lets the log go that a pin has kept; `false` if there is none of this name.
    ///
    /// # Errors
    /// `InvalidInput` for what cannot be a name, `ReadOnly`.
    pub fn unpin_changes(&self, name: &str) -> Result<bool> {
        self.core.unpin_changes(name)
    }

    /// All pins, by name. In a store that was opened read-only, as of its last [`refresh`](Self::refresh).
    ///
    /// # Errors
    /// `Unsupported` if a newer version made one of them.
    pub fn change_pins(&self) -> Result<Vec<ChangePin>> {
        self.core.change_pins()
    }
}
