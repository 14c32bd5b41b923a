//! A stream of changes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use codegraph_vector_base::{Error, ErrorKind, Lsn, NodeId, Result, TxnId};
use codegraph_vector_storage::wal::{LogGroup, LogReader};

use super::cursor::{ChangesFrom, Cursor};
use super::feed::Hold;
use crate::consistency::{PreparedTransaction, PreparedTransactions};
use crate::node::CodeNode;
use crate::record::{CommitHead, PartView, deleted_ids};
use crate::record_prepared::CommitPrepared;
use crate::store::apply::{Assembler, Entry};
use crate::store::core::{Core, Handle};

/// A commit, as the log has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Names it: what to go on behind.
    pub cursor: Cursor,
    /// When it was committed, in µs since the Unix epoch; never before the one before it.
    pub commit_time_us: u64,
    /// Nodes that are stored, in place of those of the same ids; vectors as they were given, bit for bit, also where the
    /// store keeps less of them.
    pub puts: Vec<CodeNode>,
    /// Nodes that are deleted, before anything is put.
    pub deletes: Vec<NodeId>,
}

impl Change {
    fn of(timeline: u64, head: &CommitHead, parts: &[PartView<'_>]) -> Result<Self> {
        let cursor = Cursor { timeline, seqno: head.seqno };
        let (mut puts, mut deletes) = (Vec::new(), Vec::new());
        for part in parts {
            match part {
                PartView::Deletes(ids) => deletes.extend(deleted_ids(ids)),
                PartView::Rows(rows) => {
                    for row in rows.iter() {
                        let metadata = Arc::unwrap_or_clone(row.decoded()?);
                        puts.push(CodeNode::from_parts(row.head.id, row.floats().collect(), metadata));
                    }
                }
            }
        }
        Ok(Self { cursor, commit_time_us: head.commit_time_us, puts, deletes })
    }
}

/// The changes of a store, in order; see [`changes`](crate::PersistentVectorStore::changes).
///
/// As an iterator it ends where the store is, and goes on when asked again after there was more. An error that cannot be
/// got over ends it for good; any other is met again, or not, by asking again. It keeps the store open, as a
/// [`Snapshot`](crate::Snapshot) does.
pub struct Changes {
    core: Arc<Handle>,
    reader: LogReader,
    hold: Hold,
    cursor: Cursor,
    /// The group at hand, and the next record in it.
    group: Option<(LogGroup, usize)>,
    assembler: Assembler,
    /// What was prepared, and not decided yet where the stream is, as far as it came by.
    prepared: BTreeMap<TxnId, Arc<PreparedTransaction>>,
    /// Up to here the stream may meet decisions about what it has not seen prepared: it keeps the log before it.
    unsettled_to: Option<Lsn>,
    /// How many lines of history had begun in this process when it did.
    restores: u64,
    failed: Option<Error>,
}

impl std::fmt::Debug for Changes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Changes").field("cursor", &self.cursor).finish_non_exhaustive()
    }
}

impl Changes {
    pub(crate) fn open(core: &Arc<Handle>, from: ChangesFrom) -> Result<Self> {
        core.check_open()?;
        let restores = core.feed.restores();
        let cursor = core.cursor_of(from)?;
        let hold = core.feed.hold(); // Before anything is looked for, so that it stays.
        let start = core.locate(cursor.seqno)?;
        let (prepared, last_decision) = {
            let prepared = &core.head.lock().prepared;
            let before = prepared.undecided().filter(|transaction| transaction.lsn < start);
            let before = before.map(|transaction| (transaction.head.txn, transaction.clone()));
            (before.collect(), prepared.last_decision())
        };
        let unsettled_to = last_decision.filter(|decision| *decision >= start);
        if unsettled_to.is_none() {
            hold.move_to(start);
        }
        Ok(Self {
            core: core.clone(),
            reader: core.log_from(start),
            hold,
            cursor,
            group: None,
            assembler: Assembler::default(),
            prepared,
            unsettled_to,
            restores,
            failed: None,
        })
    }

    /// The last change that was given, or where the stream began.
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// The next change; waits for it if there is none yet. `None` if none came in time.
    ///
    /// In a store that was opened read-only, another thread's [`refresh`](crate::PersistentVectorStore::refresh) wakes it.
    ///
    /// # Errors
    /// As the iterator; `Closed` if the store is closed meanwhile.
    pub fn wait_next(&mut self, timeout: Duration) -> Result<Option<Change>> {
        let clock = self.core.environment.clock.clone();
        let deadline = clock.monotonic().saturating_add(timeout);
        loop {
            let seen = self.core.feed.end().lsn;
            if let Some(change) = self.advance()? {
                return Ok(Some(change));
            }
            let left = deadline.saturating_sub(clock.monotonic());
            if !self.core.feed.wait_beyond(seen, left) {
                return Ok(None);
            }
        }
    }

    /// The next change, if there is one.
    fn advance(&mut self) -> Result<Option<Change>> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.core.check_open()?;
        let outcome = self.read();
        if let Err(error) = &outcome
            && matches!(error.kind(), ErrorKind::Gone | ErrorKind::Corrupt | ErrorKind::Unsupported)
        {
            self.failed = Some(error.clone());
        }
        outcome
    }

    fn read(&mut self) -> Result<Option<Change>> {
        if self.core.feed.restores() != self.restores {
            return Err(self.core.of_another_line(self.cursor));
        }
        loop {
            if let Some((group, at)) = &mut self.group {
                while let Some(record) = group.record(*at) {
                    *at += 1;
                    let mut change = None;
                    let mut meaning =
                        Meaning { core: &self.core, cursor: &mut self.cursor, prepared: &mut self.prepared };
                    self.assembler.feed(&record, self.core.dimension, |entry| {
                        change = meaning.take(entry)?;
                        Ok(())
                    })?;
                    if change.is_some() {
                        return Ok(change);
                    }
                }
                self.group = None;
                let here = self.reader.position();
                if self.unsettled_to.is_none_or(|decision| decision < here) {
                    self.hold.move_to(here);
                }
            }
            let limit = self.core.feed.end().lsn;
            let next = self.reader.next(limit).map_err(|error| match error.kind() {
                ErrorKind::Gone => self.core.gone(self.cursor.seqno),
                _ => error,
            })?;
            match next {
                Some(group) => self.group = Some((group, 0)),
                None => return Ok(None),
            }
        }
    }
}

impl Iterator for Changes {
    type Item = Result<Change>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed.is_some() {
            return None;
        }
        self.advance().transpose()
    }
}

/// What an entry of the log means to a stream.
struct Meaning<'a> {
    core: &'a Core,
    cursor: &'a mut Cursor,
    prepared: &'a mut BTreeMap<TxnId, Arc<PreparedTransaction>>,
}

impl Meaning<'_> {
    fn take(&mut self, entry: Entry<'_>) -> Result<Option<Change>> {
        match entry {
            Entry::Commit(commit) => {
                commit.check()?;
                self.change(&commit.head, || Ok(commit.parts))
            }
            Entry::Prepare(transaction) => {
                self.prepared.insert(transaction.head.txn, transaction);
                Ok(None)
            }
            Entry::CommitPrepared(CommitPrepared { txn, commit }) => {
                let known = self.prepared.remove(&txn);
                if commit.seqno <= self.cursor.seqno {
                    return Ok(None);
                }
                let transaction = match known {
                    Some(known) => known,
                    None => self.core.look_up_prepared(txn, self.cursor)?,
                };
                self.change(&commit, || transaction.writes())
            }
            Entry::RollbackPrepared(decision) => {
                self.prepared.remove(&decision.txn);
                Ok(None)
            }
        }
    }

    fn change<'p>(
        &mut self,
        head: &CommitHead,
        parts: impl FnOnce() -> Result<Vec<PartView<'p>>>,
    ) -> Result<Option<Change>> {
        if head.seqno <= self.cursor.seqno {
            return Ok(None); // Of the stretch before where the stream was to begin.
        }
        if head.seqno != self.cursor.seqno.next() {
            let message = format!("commit {} follows {} in the log", head.seqno, self.cursor.seqno);
            return Err(Error::corrupt(self.core.layout.wal_dir(), 0, message));
        }
        let change = Change::of(self.cursor.timeline, head, &parts()?)?;
        self.cursor.seqno = head.seqno;
        Ok(Some(change))
    }
}

impl Core {
    /// What a transaction writes that was prepared before the stream began: the two newest manifests, or the log before
    /// that place, have it.
    ///
    /// # Errors
    /// `Gone` if neither does.
    fn look_up_prepared(&self, txn: TxnId, cursor: &Cursor) -> Result<Arc<PreparedTransaction>> {
        let kept: Vec<Vec<Vec<u8>>> = {
            let manifests = self.manifests.lock();
            let kept = std::iter::once(&manifests.current).chain(&manifests.previous);
            kept.map(|manifest| manifest.prepared.clone()).collect()
        };
        for kept in &kept {
            if let Some(found) = PreparedTransactions::from_manifest(kept, self.dimension)?.get(txn) {
                return Ok(found.clone());
            }
        }
        let limit = self.feed.end().lsn;
        let oldest = self.log_files()?.first().copied().unwrap_or_default();
        let (mut reader, mut assembler, mut found) = (self.log_from(oldest), Assembler::default(), None);
        while let Some(group) = reader.next(limit)? {
            for record in group.records() {
                assembler.feed(&record, self.dimension, |entry| {
                    match entry {
                        Entry::Prepare(transaction) if transaction.head.txn == txn => {
                            found = Some(transaction)
                        }
                        _ => {}
                    }
                    Ok(())
                })?;
            }
            if let Some(found) = found {
                return Ok(found);
            }
        }
        Err(self.gone(cursor.seqno))
    }
}
