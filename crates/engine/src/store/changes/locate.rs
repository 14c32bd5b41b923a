//! Finds where in the log a stream begins.
//!
//! What it costs: nothing behind the last commit; behind one of the two newest checkpoints, the log from there is read by
//! the stream; else the first groups of so many log files as a binary search needs, which are remembered, and the stream
//! reads one file up to where it begins.

use codegraph_vector_base::{Error, ErrorKind, Lsn, Result, SeqNo, TxnId, wire};
use codegraph_vector_storage::wal::{LogReader, Record, wal_files};

use super::cursor::{ChangesFrom, Cursor};
use crate::record::{CommitHead, KIND_COMMIT};
use crate::record_prepared::{
    CommitPrepared, KIND_COMMIT_PREPARED, KIND_PREPARE, KIND_ROLLBACK_PREPARED, PrepareHead, RollbackPrepared,
};
use crate::store::core::Core;

/// How often the search starts over because another process trimmed the log.
const ATTEMPTS: usize = 3;

/// What a record means to somebody who looks for a place in the log.
pub(super) enum Mark {
    Commit(SeqNo),
    Prepare(TxnId),
    /// A transaction was decided; with the commit that it became, if it was not rolled back.
    Decision(TxnId, Option<SeqNo>),
    Part,
}

impl Mark {
    /// Reads the head of a record.
    pub(super) fn of(record: &Record<'_>) -> Result<Self> {
        let payload = record.payload;
        Ok(match record.kind {
            KIND_COMMIT => Mark::Commit(wire::decode::<CommitHead>(payload)?.seqno),
            KIND_PREPARE => Mark::Prepare(wire::decode::<PrepareHead>(payload)?.txn),
            KIND_COMMIT_PREPARED => {
                let CommitPrepared { txn, commit } = wire::decode(payload)?;
                Mark::Decision(txn, Some(commit.seqno))
            }
            KIND_ROLLBACK_PREPARED => Mark::Decision(wire::decode::<RollbackPrepared>(payload)?.txn, None),
            _ => Mark::Part,
        })
    }

    /// The commit that it is.
    pub(super) fn commit(&self) -> Option<SeqNo> {
        match self {
            Mark::Commit(seqno) | Mark::Decision(_, Some(seqno)) => Some(*seqno),
            Mark::Prepare(_) | Mark::Decision(_, None) | Mark::Part => None,
        }
    }
}

impl Core {
    /// A reader of the log from a group boundary on.
    pub(crate) fn log_from(&self, from: Lsn) -> LogReader {
        LogReader::new(self.environment.vfs.clone(), self.layout.wal_dir(), self.store_id, from)
    }

    /// Where the log files begin, oldest first.
    pub(crate) fn log_files(&self) -> Result<Vec<Lsn>> {
        wal_files(&*self.environment.vfs, &self.layout.wal_dir())
    }

    /// The line of history that the store is on.
    pub(crate) fn timeline(&self) -> u64 {
        self.manifests.lock().current.timeline
    }

    /// The commit behind which changes are wanted.
    ///
    /// # Errors
    /// `Gone` for another timeline.
    pub(super) fn cursor_of(&self, from: ChangesFrom) -> Result<Cursor> {
        let timeline = self.timeline();
        match from {
            ChangesFrom::SeqNo(seqno) => self.on_line(Cursor { timeline, seqno }),
            ChangesFrom::Cursor(cursor) if cursor.seqno == SeqNo(0) => {
                self.on_line(Cursor { timeline, ..cursor })
            }
            ChangesFrom::Cursor(cursor) if cursor.timeline == timeline => self.on_line(cursor),
            ChangesFrom::Cursor(cursor) => Err(self.of_another_line(cursor)),
        }
    }

    /// Refuses what lies before the restore that the store's line of history began with: the log there is of another line.
    fn on_line(&self, cursor: Cursor) -> Result<Cursor> {
        let began = self.manifests.lock().current.line_began();
        match began.is_some_and(|(began, _)| cursor.seqno < began) {
            true => Err(self.gone(cursor.seqno)),
            false => Ok(cursor),
        }
    }

    /// The store is not on the line of a cursor.
    pub(super) fn of_another_line(&self, cursor: Cursor) -> Error {
        let message = format!(
            "the cursor {cursor} is of timeline {}, and the store is on timeline {}, as a restore or fork began it: copy the \
             store anew",
            cursor.timeline,
            self.timeline()
        );
        Error::new(ErrorKind::Gone, message).at(self.layout.root())
    }

    /// A group boundary before the first change after `seqno`, and as near as is easily found. The log must be held.
    ///
    /// # Errors
    /// `Gone` if the log does not reach back so far; `InvalidInput` if the store is not there yet.
    pub(super) fn locate(&self, seqno: SeqNo) -> Result<Lsn> {
        let end = self.feed.end();
        if end.seqno == Some(seqno) {
            return Ok(end.lsn);
        }
        if seqno > self.visible() {
            let message = format!(
                "commit {seqno} is ahead of the store, which is at {}: it is of another store, or this one was opened \
                 for reading and is to be refreshed",
                self.visible()
            );
            return Err(Error::invalid(message).at(self.layout.root()));
        }
        let checkpoint = {
            let manifests = self.manifests.lock();
            let kept = std::iter::once(&manifests.current).chain(&manifests.previous);
            let checkpoints = kept.map(|manifest| manifest.checkpoint);
            checkpoints.filter(|checkpoint| checkpoint.seqno <= seqno).map(|checkpoint| checkpoint.lsn).max()
        };
        match checkpoint {
            // Behind it the log is there in any case.
            Some(lsn) if lsn <= end.lsn => Ok(lsn),
            _ => self.patiently(|core| core.log_file_before(seqno, end.lsn)),
        }
    }

    /// Does again what met a log that was being trimmed.
    fn patiently<R>(&self, look: impl Fn(&Self) -> Result<R>) -> Result<R> {
        let mut attempt = 1;
        loop {
            match look(self) {
                Err(error) if error.kind() == ErrorKind::Gone && attempt < ATTEMPTS => attempt += 1,
                outcome => return outcome,
            }
        }
    }

    /// The last log file at whose beginning, or behind, the first commit is not after the one that is wanted.
    fn log_file_before(&self, seqno: SeqNo, limit: Lsn) -> Result<Lsn> {
        let files = self.log_files()?;
        self.feed.first_commits.lock().retain(|first, _| files.first().is_some_and(|oldest| first >= oldest));
        let (mut low, mut high) = (0, files.len());
        while low < high {
            let middle = (low + high) / 2;
            let first = self.first_commit(files[middle], limit)?;
            if first.is_some_and(|first| first <= seqno.next()) { low = middle + 1 } else { high = middle }
        }
        match low.checked_sub(1) {
            Some(at) => Ok(files[at]),
            None => Err(self.gone(seqno)),
        }
    }

    /// The log does not reach back to the change after `seqno`.
    pub(super) fn gone(&self, seqno: SeqNo) -> Error {
        let wanted = seqno.next();
        let message = match self.oldest_change() {
            Ok(oldest) => format!(
                "the log no longer has commit {wanted}, the oldest is {oldest}: copy the store anew, and follow its \
                 changes from there; a pin would have kept them"
            ),
            Err(_) => format!("the log no longer has commit {wanted}: copy the store anew"),
        };
        Error::new(ErrorKind::Gone, message).at(self.layout.root())
    }

    /// The oldest change that the log still has, or the next one if it has none.
    pub(super) fn oldest_change(&self) -> Result<SeqNo> {
        self.patiently(|core| {
            let limit = core.feed.end().lsn;
            let began = core.manifests.lock().current.line_began();
            let first = match core.log_files()?.first() {
                Some(first) => {
                    core.first_commit((*first).max(began.map_or(*first, |(_, lsn)| lsn)), limit)?
                }
                None => None,
            };
            // Without any, all that is durable is in the checkpoint.
            Ok(first.unwrap_or_else(|| core.manifests.lock().current.checkpoint.seqno.next()))
        })
    }

    /// The first commit from a position on.
    fn first_commit(&self, from: Lsn, limit: Lsn) -> Result<Option<SeqNo>> {
        if let Some(known) = self.feed.first_commits.lock().get(&from) {
            return Ok(Some(*known));
        }
        let mut reader = self.log_from(from);
        while let Some(group) = reader.next(limit)? {
            for record in group.records() {
                if let Some(seqno) = Mark::of(&record)?.commit() {
                    self.feed.first_commits.lock().insert(from, seqno);
                    return Ok(Some(seqno));
                }
            }
        }
        Ok(None)
    }
}
