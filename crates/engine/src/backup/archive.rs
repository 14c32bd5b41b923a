//! The archive of the log: what is committed goes to the target behind the backups, so that any commit can be restored.
//!
//! What always holds:
//! - only what is durable and visible is shipped, in whole groups, each piece where the one before ended;
//! - the log is kept until it is shipped, up to `max_pinned_log_bytes`; what was lost nevertheless is a gap, which is told, and over
//!   which nothing is restored;
//! - how far it came is what the target says, and nothing in the store: a store that is gone or cut short repeats nothing.

use std::sync::Arc;
use std::time::Duration;

use codegraph_vector_base::{Error, ErrorKind, Lsn, Result, SeqNo};
use parking_lot::Mutex;

use super::lines::NamedPoint;
use super::piece::{PieceHead, PieceWriter, last_commit};
use super::repository::{Repository, rfc3339};
use crate::store::changes::Hold;
use crate::store::core::{Core, Writer};
use crate::store::maintenance::{Alarm, Background};

/// A piece is ended by the group that makes it as long as this.
const PIECE_BYTES: u64 = 8 << 20;
/// Whether there is enough to ship is looked at so many times an interval.
const LOOKS: u32 = 10;
const LEAST_LOOK: Duration = Duration::from_millis(20);

/// What a store that is open for writing keeps of its archive.
#[derive(Debug, Default)]
pub(crate) struct Archiver {
    job: Background,
    alarm: Alarm,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Keeps the log that is not shipped.
    hold: Option<Hold>,
    /// Where the next piece begins, once that is known.
    next: Option<Lsn>,
    /// The last commit that was shipped.
    seqno: SeqNo,
    /// When everything was last seen shipped, in µs since the Unix epoch.
    whole_us: Option<u64>,
    /// When it was last tried.
    tried_us: u64,
    pieces: u64,
    bytes: u64,
    gap: Option<String>,
    failure: Option<String>,
}

/// The archive of the log, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArchiveStatistics {
    /// Whether the log is shipped.
    pub enabled: bool,
    /// The last commit that was shipped, as far as this process knows.
    pub seqno: SeqNo,
    /// Bytes of the log that are not shipped yet.
    pub lag_bytes: u64,
    /// How long ago everything was shipped, in µs; 0 if everything is, `None` if it never was in this process.
    pub lag_us: Option<u64>,
    /// Pieces that this process has shipped.
    pub pieces: u64,
    /// Bytes of the log in them.
    pub bytes: u64,
    /// What is missing in the archive: restores to commits behind it need a later backup.
    pub gap: Option<String>,
    /// Why shipping failed the last time, if it did.
    pub failure: Option<String>,
}

impl Core {
    /// Begins to keep the log for the archive, or ends it, and has it shipped in the background, as the settings say. Before the
    /// first call nothing may be trimmed.
    pub(crate) fn schedule_archive(self: &Arc<Self>) -> Result<()> {
        let Some(writer) = &self.writer else { return Ok(()) };
        let settings = self.settings();
        if !settings.archive.enabled {
            *writer.archiver.state.lock() = State::default();
            self.later(|writer| &writer.archiver.alarm, None, |_| ());
            return Ok(());
        }
        self.hold_for_archive(writer)?;
        let look = (Duration::from_millis(settings.archive.interval_ms) / LOOKS).max(LEAST_LOOK);
        self.later(
            |writer| &writer.archiver.alarm,
            settings.background.then_some(look),
            |core| {
                if core.is_archive_due() {
                    core.schedule(
                        |writer| &writer.archiver.job,
                        |core| core.ship_log().map(|_| ()),
                        |_| false,
                    );
                }
                // What fails here is shown by the shipping itself.
                let _ = core.schedule_archive();
            },
        );
        Ok(())
    }

    fn hold_for_archive(&self, writer: &Writer) -> Result<()> {
        let mut state = writer.archiver.state.lock();
        if state.hold.is_none() {
            let hold = self.feed.hold();
            hold.move_to(self.oldest_log()?);
            state.hold = Some(hold);
        }
        Ok(())
    }

    /// From where on the log is of the present line of history, and there.
    fn oldest_log(&self) -> Result<Lsn> {
        let began = self.manifests.lock().current.line_began().map(|(_, lsn)| lsn);
        Ok(self.log_files()?.first().copied().max(began).unwrap_or_default())
    }

    /// Another line of history has begun: its archive begins anew.
    pub(super) fn archive_other_line(&self) {
        if let Some(writer) = &self.writer {
            *writer.archiver.state.lock() = State::default();
        }
    }

    fn is_archive_due(&self) -> bool {
        let Some(writer) = &self.writer else { return false };
        let archive = self.settings().archive;
        let state = writer.archiver.state.lock();
        let (end, now_us) = (self.feed.end().lsn, self.environment.clock.now_us());
        let waited = now_us.saturating_sub(state.tried_us) >= archive.interval_ms.saturating_mul(1000);
        match state.next {
            None => waited,
            Some(next) => end > next && (waited || end.0 - next.0 >= archive.max_lag_bytes),
        }
    }

    /// Ships all of the log that is durable and visible; the last commit that is in the archive.
    ///
    /// # Errors
    /// `Conflict` if another store archives on this line of history; what the target says.
    pub(crate) fn ship_log(&self) -> Result<SeqNo> {
        let writer = self.writer()?;
        let repository = self.repository()?;
        let _all_stays_meanwhile = self.feed.hold();
        if self.settings().archive.enabled {
            self.hold_for_archive(writer)?;
        }
        let mut state = writer.archiver.state.lock();
        let now_us = self.environment.clock.now_us();
        let end = self.feed.end();
        state.tried_us = now_us;
        let shipped = self.ship(repository, &mut state, end.lsn);
        state.failure = shipped.as_ref().err().map(Error::to_string);
        match shipped {
            Ok(()) => {
                state.whole_us = Some(now_us);
                // What was trimmed before the archive began is in no piece, and in every backup from here on.
                state.seqno = end.seqno.unwrap_or(state.seqno);
            }
            // What the target has is looked up the next time.
            Err(_) => state.next = None,
        }
        shipped.map(|()| state.seqno)
    }

    /// Makes the log durable and ships all of it; the last commit that is in the archive.
    ///
    /// # Errors
    /// As [`ship_log`](Self::ship_log); those of a sync.
    pub(crate) fn archive_log(&self) -> Result<SeqNo> {
        let writer = self.writer()?;
        let synced = writer.log.sync()?;
        self.leave_note(writer, synced)?;
        self.ship_log()
    }

    fn ship(&self, repository: &Repository, state: &mut State, end: Lsn) -> Result<()> {
        let timeline = self.timeline();
        let mut next = match state.next {
            Some(next) => next,
            None => self.find_next(repository, timeline, end, state)?,
        };
        let mut reader = self.log_from(next);
        while next < end {
            let mut piece = PieceWriter::new(self.store_id, timeline, next);
            while piece.bytes() < PIECE_BYTES
                && let Some(group) = reader.next(end)?
            {
                piece.add(&group)?;
            }
            if piece.head().end == next {
                break;
            }
            let bytes = piece.bytes();
            let head = repository.put_piece(piece, self.environment.clock.now_us())?;
            next = head.end;
            state.seqno = last_commit(&head).unwrap_or(state.seqno);
            state.pieces += 1;
            state.bytes += bytes;
            state.next = Some(next);
            if let Some(hold) = &state.hold {
                hold.move_to(next);
            }
        }
        state.next = Some(next);
        Ok(())
    }

    /// Where the archive of a line goes on: where its last piece ends.
    fn find_next(&self, repository: &Repository, timeline: u64, end: Lsn, state: &mut State) -> Result<Lsn> {
        repository.sweep_line(timeline)?;
        let oldest = self.oldest_log()?;
        let Some(last) = repository.pieces(timeline)?.pop() else { return Ok(oldest) };
        let head = repository.piece_head(timeline, last)?;
        state.seqno = last_commit(&head).unwrap_or(state.seqno);
        if head.end > end {
            let message = format!(
                "the archive of this store goes up to Lsn {}, and the store to {end}: it is an old copy of its files; \
                 restore a backup instead, which begins a line of history of its own",
                head.end
            );
            return Err(Error::new(ErrorKind::Conflict, message).at(self.layout.root()));
        }
        if head.end < oldest {
            let message =
                format!("the log from Lsn {} to {oldest} was trimmed before it was archived", head.end);
            state.gap = Some(message);
            return Ok(oldest);
        }
        if head.first >= oldest {
            repository.check_same(&self.read_piece(&head)?)?;
        }
        Ok(head.end)
    }

    /// What the log has where a piece is of.
    fn read_piece(&self, head: &PieceHead) -> Result<PieceWriter> {
        let mut piece = PieceWriter::new(self.store_id, head.timeline, head.first);
        let mut reader = self.log_from(head.first);
        while piece.head().end < head.end
            && let Some(group) = reader.next(head.end)?
        {
            piece.add(&group)?;
        }
        Ok(piece)
    }

    /// Names the present place in history, so that the store can be restored to it; it is archived when this returns.
    pub(crate) fn create_restore_point(&self, name: &str) -> Result<NamedPoint> {
        crate::store::check_name("restore point", name)?;
        let repository = self.repository()?;
        if !self.settings().archive.enabled {
            let message = "the log of this store is not archived, so only backups can be restored: name a backup, or switch \
                           the archive on";
            return Err(Error::invalid(message));
        }
        let seqno = self.archive_log()?;
        let created_at = rfc3339(self.environment.clock.now_us());
        let point =
            NamedPoint { name: name.to_owned(), timeline: self.timeline(), seqno: seqno.0, created_at };
        repository.put_point(&point)?;
        Ok(point)
    }

    /// The archive in numbers.
    pub(crate) fn archive_statistics(&self) -> ArchiveStatistics {
        let enabled = self.settings().archive.enabled;
        let Some(writer) = self.writer.as_ref().filter(|_| enabled) else {
            return ArchiveStatistics { enabled, ..ArchiveStatistics::default() };
        };
        let state = writer.archiver.state.lock();
        let end = self.feed.end().lsn;
        let lag_bytes = end.0 - state.next.map_or(end.0, |next| next.0.min(end.0));
        let now_us = self.environment.clock.now_us();
        ArchiveStatistics {
            enabled,
            seqno: state.seqno,
            lag_bytes,
            lag_us: state.whole_us.map(|whole| if lag_bytes == 0 { 0 } else { now_us.saturating_sub(whole) }),
            pieces: state.pieces,
            bytes: state.bytes,
            gap: state.gap.clone(),
            failure: state.failure.clone(),
        }
    }
}
