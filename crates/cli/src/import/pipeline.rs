//! Three at work: one reads and converts the next batch, one prepares and queues a batch, and the
//! caller waits for the oldest to be acknowledged.
//!
//! What always holds: acknowledgements are reported in the order of the rows; nothing is reported
//! behind a failure; and a failure is not held up by input that does not come, so the two threads are
//! left to themselves then.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use codegraph_vector::{
    CodeNode, CommitReceipt, Error, ErrorKind, PendingWrite, PersistentVectorStore, Result, Write,
};

use super::rows::Rows;
use crate::failure::Failure;

/// A commit that was acknowledged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Acknowledged {
    pub(crate) receipt: CommitReceipt,
    /// The first of its rows.
    pub(crate) first_row: u64,
    /// How many there are.
    pub(crate) rows: u64,
}

/// A batch that was queued.
struct Queued {
    write: Outcome,
    rows: u64,
}

enum Outcome {
    Pending(PendingWrite),
    /// It had to wait for another batch with one of its ids, and is through.
    Done(CommitReceipt),
}

/// Commits all rows, `commit_rows` at a time, and calls `report` for each acknowledgement.
pub(crate) fn commit_all(
    store: &PersistentVectorStore,
    rows: Rows,
    commit_rows: usize,
    mut report: impl FnMut(&Acknowledged) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let queue = start(store, rows, commit_rows)?;
    let mut first_row = 0;
    for queued in queue {
        let Queued { write, rows } = queued?;
        let receipt = match write {
            Outcome::Pending(pending) => {
                pending.wait().map_err(|error| name_rows(error, first_row, rows))?.receipt
            }
            Outcome::Done(receipt) => receipt,
        };
        report(&Acknowledged { receipt, first_row, rows })?;
        first_row += rows;
    }
    Ok(())
}

fn start(store: &PersistentVectorStore, rows: Rows, commit_rows: usize) -> Result<Receiver<Result<Queued>>> {
    // Without room: each side holds one batch while it waits for the other.
    let (batches_in, batches) = sync_channel(0);
    let (queue_in, queue) = sync_channel(0);
    let store = store.clone();
    spawn("cgv-read", move || read_all(rows, commit_rows, &batches_in))?;
    spawn("cgv-queue", move || queue_all(&store, &batches, &queue_in))?;
    Ok(queue)
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<()> {
    let spawned = thread::Builder::new().name(name.to_owned()).spawn(work);
    spawned.map(|_| ()).map_err(|cause| Error::io("start", "a thread", cause).as_kind(ErrorKind::Io))
}

/// Reads batches until the end, a failure, or until nobody wants more.
fn read_all(mut rows: Rows, commit_rows: usize, batches: &SyncSender<Result<Vec<CodeNode>>>) {
    loop {
        let batch = rows.next_batch(commit_rows);
        let is_last = batch.as_ref().map_or(true, Vec::is_empty);
        if batches.send(batch).is_err() || is_last {
            return;
        }
    }
}

/// Queues batches until the end, a failure, or until nobody wants to hear of it.
fn queue_all(
    store: &PersistentVectorStore,
    batches: &Receiver<Result<Vec<CodeNode>>>,
    queue: &SyncSender<Result<Queued>>,
) {
    let mut first_row = 0;
    for batch in batches {
        let queued = match batch {
            Ok(batch) if batch.is_empty() => return,
            Ok(batch) => submit(store, &batch, first_row),
            Err(error) => Err(error),
        };
        first_row += queued.as_ref().map_or(0, |queued| queued.rows);
        let failed = queued.is_err();
        if queue.send(queued).is_err() || failed {
            return;
        }
    }
}

fn submit(store: &PersistentVectorStore, batch: &[CodeNode], first_row: u64) -> Result<Queued> {
    let rows = batch.len() as u64;
    let write = match store.submit(&Write::Put(batch)) {
        // A batch before this one, with one of its ids, is not acknowledged yet: the caller waits for it meanwhile.
        Err(error) if error.kind() == ErrorKind::Conflict => {
            store.put_batch(batch).map(|outcome| Outcome::Done(outcome.receipt))
        }
        submitted => submitted.map(Outcome::Pending),
    };
    Ok(Queued { write: write.map_err(|error| name_rows(error, first_row, rows))?, rows })
}

fn name_rows(error: Error, first_row: u64, rows: u64) -> Error {
    error.context(format_args!("rows {first_row} to {}", first_row + rows.saturating_sub(1)))
}
