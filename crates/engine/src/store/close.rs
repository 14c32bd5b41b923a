//! Closing: nothing is lost without it, but after it the next open replays nothing.

use std::sync::Weak;
use std::sync::atomic::Ordering;

use codegraph_vector_base::{Error, ErrorKind, Result};

use super::core::Core;

/// A log behind the checkpoint that is longer than this is flushed when the store is closed.
const MAX_REPLAY_BYTES: u64 = 256 << 10;

impl Core {
    /// Commits what is queued, makes the log durable, and marks the manifest as closed cleanly.
    /// A second call does nothing.
    pub(crate) fn close(&self) -> Result<()> {
        let Some(writer) = &self.writer else {
            self.closed.store(true, Ordering::Release);
            self.feed.close();
            return Ok(());
        };
        if self.closed.load(Ordering::Acquire) {
            return Ok(());
        }
        if let Some(this) = self.this.get().and_then(Weak::upgrade) {
            self.transactions.abandon_all(&this);
        }
        let outcome = self.settle_down().and_then(|()| self.archive_rest());
        writer.log.shut(Error::new(ErrorKind::Closed, "this store was closed").at(self.layout.root()));
        {
            // A flush or merge at work would go on writing after another process has taken over.
            let _flush_is_over = writer.flushing.lock();
            let _merge_is_over = writer.merging.lock();
            let _install_is_over = self.manifests.lock();
            let mut lock = writer.lock.lock();
            self.closed.store(true, Ordering::Release);
            drop(lock.take()); // Others may write now, even while handles are left.
        }
        self.feed.close();
        // Who waits for them would wait for ever; nothing that they get comes to the log any more.
        let held = std::mem::take(&mut *writer.prepared.lock());
        drop(held);
        outcome
    }

    /// Whether it was closed, so that it may be opened again: waits until whoever is closing it has given up `LOCK`.
    pub(crate) fn was_closed(&self) -> bool {
        let closed = self.closed.load(Ordering::Acquire);
        if let Some(writer) = self.writer.as_ref().filter(|_| closed) {
            drop(writer.lock.lock());
        }
        closed
    }

    /// Nobody uses the store for now, nor can begin to while this runs: what only its users need, to validate their writes by and
    /// to write in, goes. What is to be dropped is returned, since it may be much.
    pub(crate) fn rest(&self) -> Option<impl Sized + use<>> {
        let writer = self.writer.as_ref()?;
        writer.log.shrink();
        let visible = self.visible();
        Some(writer.log.with_state(|assigned| assigned.ring.forget(visible)))
    }

    /// Whether a flush or merge is at work, which closing would have to wait for or give up.
    pub(crate) fn is_at_work(&self) -> bool {
        self.writer.as_ref().is_some_and(|writer| writer.flushing.is_locked() || writer.merging.is_locked())
    }

    /// Ships what is not archived yet, if the settings ask for it.
    fn archive_rest(&self) -> Result<()> {
        if !self.settings.load().archive.enabled {
            return Ok(());
        }
        let shipped = self.ship_log().map(|_| ());
        shipped.map_err(|error| {
            error.context("the store is closed, and whole, but not all of its log is archived")
        })
    }

    fn settle_down(&self) -> Result<()> {
        let writer = self.writer()?;
        self.drain()?;
        let checkpoint = self.manifests.lock().current.checkpoint.lsn;
        let replay_bytes = self.head.lock().cut.lsn.0 - checkpoint.0;
        if replay_bytes > MAX_REPLAY_BYTES && self.version.load().missing.is_empty() {
            self.flush()?;
        }
        let synced = writer.log.sync()?;
        // Whatever comes in from here on would not be covered by the mark.
        writer.log.shut(Error::new(ErrorKind::Closed, "this store is being closed").at(self.layout.root()));
        let end = writer.log.appender(|appender| appender.end());
        if end != synced || self.manifests.lock().current.clean_close == Some(end) {
            return Ok(()); // A commit slipped in: the next open replays and re-proves it.
        }
        self.install(|next| {
            next.clean_close = Some(end);
            Ok(())
        })?;
        self.clear_away()
    }
}
