//! Structured parts of files and records, in bincode's wire format (fixed-width little-endian
//! integers, 64-bit lengths) through the maintained `wincode` crate.
//!
//! Decoding never panics and rejects trailing bytes. A length field may claim at most 4 MiB of
//! elements before the claim is checked against the bytes that are there; callers verify a
//! checksum first, so such a claim is not met outside of attacks.

use wincode::config::DefaultConfig;
use wincode::{SchemaRead, SchemaReadOwned, SchemaWrite};

use crate::{Error, ErrorKind, Result};

/// Bytes of `value`.
///
/// # Errors
/// `TooLarge` if a sequence is longer than the format can say.
pub fn encode<T>(value: &T) -> Result<Vec<u8>>
where
    T: SchemaWrite<DefaultConfig, Src = T>,
{
    wincode::serialize(value)
        .map_err(|cause| Error::new(ErrorKind::TooLarge, format!("cannot encode: {cause}")))
}

/// The value that `bytes` hold, all of them.
///
/// # Errors
/// `Corrupt` if they are not exactly one value.
pub fn decode<'de, T>(bytes: &'de [u8]) -> Result<T>
where
    T: SchemaRead<'de, DefaultConfig, Dst = T>,
{
    wincode::deserialize_exact(bytes)
        .map_err(|cause| Error::new(ErrorKind::Corrupt, format!("cannot decode: {cause}")))
}

/// The value that `bytes` begin with, and what follows it.
///
/// # Errors
/// `Corrupt` if they do not begin with one.
pub fn decode_front<T>(mut bytes: &[u8]) -> Result<(T, &[u8])>
where
    T: SchemaReadOwned<DefaultConfig, Dst = T>,
{
    let value = wincode::deserialize_from(&mut bytes)
        .map_err(|cause| Error::new(ErrorKind::Corrupt, format!("cannot decode: {cause}")))?;
    Ok((value, bytes))
}
