//! The ground floor: words, errors, checksums and the only doors to the outside world.
//!
//! What always holds:
//! - files are reached through [`vfs`] alone, so that a simulation can own every byte;
//! - time and randomness come in through [`Clock`] and [`Random`];
//! - bytes from disk are length-checked and checksummed before they are believed ([`frame`], [`wire`]);
//! - an [`Error`] says what its reader can do about it, and where the bad byte is.
//!
//! It knows nothing of logs, segments or vectors: those belong to the crates above.

mod checksum;
mod clock;
mod conflict;
mod error;
pub mod frame;
mod ids;
pub mod limits;
mod mmap;
mod random;
pub mod vfs;
pub mod wire;

pub use checksum::{Crc32c, RowChecksum, RowChecksumSum, crc32c, hash64, hash128};
pub use clock::{Clock, SystemClock};
pub use conflict::{Conflict, ConflictCause};
pub use error::{Error, ErrorKind, Result};
pub use ids::{Epoch, Generation, Lsn, NodeId, RowOrdinal, SegmentId, SeqNo, StoreId, TxnId};
pub use mmap::{AlignedBytes, Mapping};
pub use random::{Random, SystemRandom};
