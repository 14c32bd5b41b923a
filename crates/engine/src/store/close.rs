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
        let outcome = self.settle_down();
        writer.log.shut(Error::new(ErrorKind::Closed, "this store was closed").at(self.layout.root()));
        {
            // A flush or merge at work would go on writing after another process has taken over.
            let _flush_is_over = writer.flushing.lock();
            let _merge_is_over = writer.merging.lock();
            let _install_is_over = self.manifests.lock();
            self.closed.store(true, Ordering::Release);
        }
        self.feed.close();
        // Who waits for them would wait for ever; nothing that they get comes to the log any more.
        let held = std::mem::take(&mut *writer.prepared.lock());
        drop(held);
        drop(writer.lock.lock().take()); // Others may write now, even while handles are left.
        outcome
    }

    fn settle_down(&self) -> Result<()> {
        let writer = self.writer()?;
        self.drain()?;
        let checkpoint = self.manifests.lock().current.checkpoint.lsn;
        let replay_bytes = self.head.lock().cut.lsn.0 - checkpoint.0;
        if replay_bytes > MAX_REPLAY_BYTES {
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
