//! Randomness as something that is handed in.

use std::fmt::Debug;

use crate::{Error, ErrorKind, Result};

/// Where random bytes come from.
pub trait Random: Send + Sync + Debug {
    /// Fills `bytes`. Fails only where the operating system has no randomness to give.
    fn fill(&self, bytes: &mut [u8]) -> Result<()>;
}

/// The operating system's generator.
#[derive(Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    #[allow(clippy::disallowed_methods)] // This is the door that everyone else is sent to.
    fn fill(&self, bytes: &mut [u8]) -> Result<()> {
        getrandom::fill(bytes).map_err(|cause| {
            Error::new(ErrorKind::Io, format!("the operating system gave no random bytes: {cause}"))
        })
    }
}
