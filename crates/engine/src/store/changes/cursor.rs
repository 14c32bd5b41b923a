//! Where a consumer of changes stands.

use std::fmt;
use std::str::FromStr;

use codegraph_vector_base::{Error, Result, SeqNo};

/// The last change that was seen. Its text, `TIMELINE:SEQNO`, is what to keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor {
    /// The line of history: restores and forks begin a new one.
    pub timeline: u64,
    /// The commit.
    pub seqno: SeqNo,
}

impl Cursor {
    /// Before the first commit, of any timeline.
    pub const fn start() -> Self {
        Self { timeline: 0, seqno: SeqNo(0) }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.timeline, self.seqno)
    }
}

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let number = |digits: &str| {
            let decimal = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            decimal.then(|| digits.parse().ok()).flatten()
        };
        let parts = text.split_once(':');
        let cursor = parts.and_then(|(timeline, seqno)| {
            Some(Self { timeline: number(timeline)?, seqno: SeqNo(number(seqno)?) })
        });
        cursor.ok_or_else(|| {
            Error::invalid(format!("{text:?} is no cursor, which is TIMELINE:SEQNO, as in 0:42"))
        })
    }
}

/// From where changes are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangesFrom {
    /// Behind the change that a cursor names.
    Cursor(Cursor),
    /// Behind this commit of the store's own timeline.
    SeqNo(SeqNo),
}

impl From<Cursor> for ChangesFrom {
    fn from(cursor: Cursor) -> Self {
        Self::Cursor(cursor)
    }
}

impl From<SeqNo> for ChangesFrom {
    fn from(seqno: SeqNo) -> Self {
        Self::SeqNo(seqno)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_from_its_text_and_from_no_other() {
        for cursor in [Cursor::start(), Cursor { timeline: 3, seqno: SeqNo(u64::MAX) }] {
            assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        }
        for wrong in ["", "7", ":", "0:", ":0", "0:+1", "0: 1", "0:1:2", "-1:0", "0:18446744073709551616"] {
            assert!(wrong.parse::<Cursor>().is_err(), "{wrong:?}");
        }
    }
}
