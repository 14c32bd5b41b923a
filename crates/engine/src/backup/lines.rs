//! Lines of history in a target: where each begins, what is archived of it, and which backups lead to a place on it.
//!
//! A store's first line is 0; each restore begins another, by a file that nobody else can put: `wal/<line>/begin`. Beside it lie the
//! pieces of the line's log, each under the Lsn that it begins with, so that two stores cannot both archive on one line.
//! `points/<name>` are places that somebody has named.

use codegraph_vector_base::{Error, ErrorKind, Lsn, Result, SeqNo};
use codegraph_vector_objects::{Put, Written, get_all};
use serde::{Deserialize, Serialize};

use super::format::BackupManifest;
use super::piece::{MAX_HEAD_BYTES, Piece, PieceHead, PieceWriter, last_commit};
use super::repository::{Repository, rfc3339};

const PIECE_SUFFIX: &str = ".log";
/// A piece of more bytes is none: a group has no more than a batch, and a piece is ended by the group that fills it.
const MAX_PIECE_BYTES: u64 = 4 << 30;
/// The small texts that begin a line or name a point.
const MAX_TEXT_BYTES: u64 = 64 << 10;

/// How a line of history began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Beginning {
    /// The line that it branched off from.
    pub(super) parent: u64,
    /// The backup that was restored.
    pub(super) backup_id: String,
    /// The last commit that it has of its parent.
    pub(super) seqno: u64,
    /// Where its own log begins, if it leads on from the backup.
    pub(super) lsn: Option<u64>,
    /// When, in UTC, for people.
    pub(super) begun_at: String,
}

/// A place in history with a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedPoint {
    /// Its name.
    pub name: String,
    /// The line of history that it is on.
    pub timeline: u64,
    /// The last commit before it.
    pub seqno: u64,
    /// When it was named, in UTC, as RFC 3339 writes it.
    pub created_at: String,
}

impl Repository {
    fn line_folder(&self, line: u64) -> String {
        self.name(&format!("wal/{line:010}/"))
    }

    fn piece_name(&self, line: u64, first: Lsn) -> String {
        format!("{}{first:020}{PIECE_SUFFIX}", self.line_folder(line))
    }

    /// All lines that something is known of, in order.
    pub(super) fn lines(&self) -> Result<Vec<u64>> {
        let folders = self.target.list(&self.name("wal/"))?.folders;
        let line = |folder: &String| folder.trim_end_matches('/').rsplit('/').next()?.parse().ok();
        let mut lines: Vec<u64> = folders.iter().filter_map(line).collect();
        lines.sort_unstable();
        Ok(lines)
    }

    /// Where the pieces of a line begin, in order.
    pub(super) fn pieces(&self, line: u64) -> Result<Vec<Lsn>> {
        let listed = self.target.list(&self.line_folder(line))?.objects;
        let first = |name: &str| name.rsplit('/').next()?.strip_suffix(PIECE_SUFFIX)?.parse().ok().map(Lsn);
        let mut pieces: Vec<Lsn> = listed.iter().filter_map(|object| first(&object.name)).collect();
        pieces.sort_unstable();
        Ok(pieces)
    }

    /// Clears away what the one store that archives on a line has not finished.
    pub(super) fn sweep_line(&self, line: u64) -> Result<()> {
        self.target.sweep(&self.line_folder(line))
    }

    /// Puts a piece.
    ///
    /// # Errors
    /// `Conflict` if another store has put one there; what the target says.
    pub(super) fn put_piece(&self, piece: PieceWriter, now_us: u64) -> Result<PieceHead> {
        let head = *piece.head();
        let name = self.piece_name(head.timeline, head.first);
        match self.target.put(&name, &piece.finish(now_us)?, Put::Create)? {
            Written::Created => Ok(head),
            Written::Existed => Err(self.somebody_else(&name)),
        }
    }

    /// A line of history has one store.
    fn somebody_else(&self, name: &str) -> Error {
        let message = "another store archives its log on this line of history: one of the two is a copy of the other's \
                       files; restore a backup instead, which begins a line of its own";
        Error::new(ErrorKind::Conflict, message).at(self.target.path_of(name))
    }

    /// Refuses the last piece of a line, unless it holds what the same stretch of this store's log does.
    ///
    /// # Errors
    /// `Conflict`; as [`piece`](Self::piece).
    pub(super) fn check_same(&self, ours: &PieceWriter) -> Result<()> {
        let PieceHead { timeline, first, .. } = *ours.head();
        match self.piece(timeline, first)?.is_of(ours) {
            true => Ok(()),
            false => Err(self.somebody_else(&self.piece_name(timeline, first))),
        }
    }

    /// What a piece says of itself.
    ///
    /// # Errors
    /// `Corrupt`; `Unsupported` for a newer format; what the target says.
    pub(super) fn piece_head(&self, line: u64, first: Lsn) -> Result<PieceHead> {
        let name = self.piece_name(line, first);
        let head = PieceHead::decode(&self.target.get(&name, 0..MAX_HEAD_BYTES)?);
        self.check_piece(&name, line, first, head)
    }

    /// A piece.
    ///
    /// # Errors
    /// As [`piece_head`](Self::piece_head).
    pub(super) fn piece(&self, line: u64, first: Lsn) -> Result<Piece> {
        let name = self.piece_name(line, first);
        let piece = Piece::decode(get_all(&*self.target, &name, MAX_PIECE_BYTES)?);
        let piece = piece.map_err(|error| error.at(self.target.path_of(&name)))?;
        self.check_piece(&name, line, first, Ok(piece.head))?;
        Ok(piece)
    }

    fn check_piece(&self, name: &str, line: u64, first: Lsn, head: Result<PieceHead>) -> Result<PieceHead> {
        let path = self.target.path_of(name);
        let head = head.map_err(|error| error.at(&path))?;
        if head.store_id != self.store || head.timeline != line || head.first != first || head.end < first {
            return Err(Error::new(ErrorKind::Corrupt, "this is another piece of the log").at(path));
        }
        Ok(head)
    }

    /// The names of a line's pieces that lie before `floor`, or of all without one; but never of the last, which tells the store how far it came.
    pub(super) fn unneeded_pieces(&self, line: u64, floor: Option<Lsn>) -> Result<Vec<String>> {
        let pieces = self.pieces(line)?;
        let goes = |pair: &&[Lsn]| floor.is_none_or(|floor| pair[1] <= floor);
        Ok(pieces.windows(2).take_while(goes).map(|pair| self.piece_name(line, pair[0])).collect())
    }

    /// How a line began; `None` for the first, and for one that was begun where nothing could be put.
    pub(super) fn beginning(&self, line: u64) -> Result<Option<Beginning>> {
        self.text(&format!("{}begin", self.line_folder(line)))
    }

    /// Takes the next line of history, which nobody has taken, above `parent`, and above what is known of.
    ///
    /// # Errors
    /// What the target says; where nothing can be put nobody takes a line.
    pub(super) fn begin_line(&self, beginning: &Beginning) -> Result<u64> {
        if !self.target.is_writable() {
            return Ok(beginning.parent + 1);
        }
        let mut line = self.lines()?.last().copied().unwrap_or(0).max(beginning.parent);
        loop {
            line += 1;
            let name = format!("{}begin", self.line_folder(line));
            if self.target.info(&name)?.is_none() && self.put_text(&name, beginning)? == Written::Created {
                return Ok(line);
            }
        }
    }

    /// Names a place in history.
    ///
    /// # Errors
    /// `InvalidInput` if the name is taken; what the target says.
    pub(super) fn put_point(&self, point: &NamedPoint) -> Result<()> {
        let name = self.point_name(&point.name);
        match self.target.info(&name)?.is_none() && self.put_text(&name, point)? == Written::Created {
            true => Ok(()),
            false => Err(Error::invalid(format!("there is a restore point {} already", point.name))),
        }
    }

    /// Forgets a name; whether it was known.
    pub(super) fn delete_point(&self, name: &str) -> Result<bool> {
        let name = self.point_name(name);
        let was_there = self.target.info(&name)?.is_some();
        self.target.delete(&name)?;
        Ok(was_there)
    }

    /// All points, by name.
    pub(super) fn points(&self) -> Result<Vec<NamedPoint>> {
        let listed = self.target.list(&self.name("points/"))?.objects;
        let points = listed.iter().map(|object| self.text(&object.name));
        Ok(points.collect::<Result<Vec<Option<_>>>>()?.into_iter().flatten().collect())
    }

    fn point_name(&self, name: &str) -> String {
        self.name(&format!("points/{name}"))
    }

    fn put_text(&self, name: &str, value: &impl Serialize) -> Result<Written> {
        let text = serde_json::to_vec_pretty(value)
            .map_err(|error| Error::new(ErrorKind::Internal, format!("cannot write {name}: {error}")))?;
        self.target.put(name, &text, Put::Create)
    }

    fn text<T: for<'de> Deserialize<'de>>(&self, name: &str) -> Result<Option<T>> {
        let bytes = match get_all(&*self.target, name, MAX_TEXT_BYTES) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            bytes => bytes?,
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            Error::new(ErrorKind::Corrupt, format!("cannot be read: {error}")).at(self.target.path_of(name))
        })
    }

    /// The backups from which the log of a line leads on, oldest first: its own, and the one that it began with.
    pub(super) fn bases<'b>(&self, line: u64, all: &'b [BackupManifest]) -> Result<Vec<&'b BackupManifest>> {
        let began = self.beginning(line)?;
        let leads_on = |backup: &&BackupManifest| {
            backup.manifest.timeline == line
                || began.as_ref().is_some_and(|began| {
                    began.backup_id == backup.id && began.lsn == Some(backup.manifest.checkpoint.lsn.0)
                })
        };
        let mut bases: Vec<_> = all.iter().filter(leads_on).collect();
        bases.sort_by_key(|backup| backup.seqno());
        Ok(bases)
    }

    /// The line that was last committed to, as far as backups and archive know: of the lines of a store and of its copies that
    /// were restored beside it, the one that is in use.
    pub(super) fn newest_line(&self, all: &[BackupManifest]) -> Result<u64> {
        let backups = all.iter().map(|backup| (backup.commit_time_us(), backup.manifest.timeline));
        let mut newest = backups.max().unwrap_or_default();
        for line in self.lines()? {
            let last = self.pieces(line)?.pop().map(|last| self.piece_head(line, last)).transpose()?;
            if let Some((_, commit)) = last.and_then(|last| last.commits) {
                newest = newest.max((commit.commit_time_us, line));
            }
        }
        Ok(newest.1)
    }

    /// The last commit that is archived of that line.
    pub(super) fn archived_seqno(&self) -> Result<Option<SeqNo>> {
        let line = self.newest_line(&self.readable()?)?;
        for first in self.pieces(line)?.into_iter().rev() {
            if let Some(seqno) = last_commit(&self.piece_head(line, first)?) {
                return Ok(Some(seqno));
            }
        }
        Ok(None)
    }

    /// The last backup that is not behind a place on a line, and the line whose log leads from it to that place: the line
    /// itself, or the one that it came from.
    ///
    /// # Errors
    /// `NotFound` if there is none.
    pub(super) fn base_of(
        &self,
        mut line: u64,
        all: &[BackupManifest],
        is_before: impl Fn(&BackupManifest) -> bool,
    ) -> Result<(BackupManifest, u64)> {
        loop {
            if let Some(base) = self.bases(line, all)?.into_iter().rfind(|base| is_before(base)) {
                return Ok((base.clone(), line));
            }
            match self.beginning(line)? {
                Some(began) if began.parent < line => line = began.parent,
                _ => {
                    let message = match all.first() {
                        None => "there is no backup".to_owned(),
                        Some(oldest) => format!(
                            "no backup is as old as that: the oldest has commit {} of {}",
                            oldest.seqno(),
                            rfc3339(oldest.commit_time_us())
                        ),
                    };
                    return Err(Error::new(ErrorKind::NotFound, message));
                }
            }
        }
    }

    /// The backups that named points, and lines without a backup of their own, cannot do without.
    pub(super) fn needed_bases(&self, all: &[BackupManifest]) -> Result<Vec<String>> {
        let mut needed = Vec::new();
        for point in self.points()? {
            if let Ok((base, _)) =
                self.base_of(point.timeline, all, |base| base.seqno() <= SeqNo(point.seqno))
            {
                needed.push(base.id);
            }
        }
        for line in self.lines()? {
            let has_own = all.iter().any(|backup| backup.manifest.timeline == line);
            if let Some(began) = self.beginning(line)?.filter(|began| !has_own && began.lsn.is_some())
                && !self.pieces(line)?.is_empty()
            {
                needed.push(began.backup_id);
            }
        }
        Ok(needed)
    }
}
