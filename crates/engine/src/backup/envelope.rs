//! What every file of a backup that is not a store's own begins with: what it is, how long, and its hash.
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 8 | magic |
//! | 8 | 4 | format version |
//! | 12 | 4 | zero |
//! | 16 | 8 | bytes of the body |
//! | 24 | 32 | BLAKE3 of the body |
//! | 56 | | body |

use codegraph_vector_base::{Error, ErrorKind, Result};

/// Bytes in front of a body.
pub(super) const HEAD_BYTES: usize = 56;

/// A kind of file.
pub(super) struct Kind {
    pub(super) magic: &'static [u8; 8],
    pub(super) version: u32,
    /// What it is called in an error.
    pub(super) name: &'static str,
}

impl Kind {
    /// An error about a file of this kind.
    pub(super) fn damaged(&self, what: &str) -> Error {
        Error::new(ErrorKind::Corrupt, format!("{} {what}", self.name))
    }

    /// A body with its head.
    pub(super) fn seal(&self, body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + body.len());
        bytes.extend(self.magic);
        bytes.extend(self.version.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend((body.len() as u64).to_le_bytes());
        bytes.extend(blake3::hash(body).as_bytes());
        bytes.extend(body);
        bytes
    }

    /// The body that all of `bytes` are.
    ///
    /// # Errors
    /// `Corrupt` unless they are what was sealed; `Unsupported` for a newer format.
    pub(super) fn open<'a>(&self, bytes: &'a [u8]) -> Result<&'a [u8]> {
        match self.open_front(bytes)? {
            (body, []) => Ok(body),
            _ => Err(self.damaged("is longer than it was written")),
        }
    }

    /// The body at the front of `bytes`, and what follows it.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(super) fn open_front<'a>(&self, bytes: &'a [u8]) -> Result<(&'a [u8], &'a [u8])> {
        let (head, rest) = bytes.split_at_checked(HEAD_BYTES).ok_or_else(|| self.damaged("is cut off"))?;
        if head[..8] != *self.magic {
            return Err(self.damaged("does not begin as one"));
        }
        let version = u32::from_le_bytes([head[8], head[9], head[10], head[11]]);
        if version > self.version {
            let message =
                format!("{} has a newer format; use a newer version of CodeGraph Vector", self.name);
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let len = u64::from_le_bytes(std::array::from_fn(|at| head[16 + at]));
        let split = usize::try_from(len).ok().and_then(|len| rest.split_at_checked(len));
        let (body, rest) = split.ok_or_else(|| self.damaged("is cut off"))?;
        if version != self.version || head[12..16] != [0; 4] || *blake3::hash(body).as_bytes() != head[24..] {
            return Err(self.damaged("is not what was written"));
        }
        Ok((body, rest))
    }
}
