//! How requests to a target behind a network are made: how long, how often, how fast.

use std::str::FromStr;
use std::time::Duration;

use codegraph_vector_base::{Error, Result};

const MIB: u64 = 1 << 20;

/// How a target behind a network is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetOptions {
    /// How long one request may take, its answer included; a request has at most 16 MiB. `CGV_TARGET_TIMEOUT_S`, in seconds.
    pub timeout: Duration,
    /// How often a request is made again that failed for a reason that may pass. `CGV_TARGET_RETRIES`.
    pub retries: u32,
    /// The wait before the first of them; it grows, by chance, to a hundred times as much.
    pub first_wait: Duration,
    /// Requests under way at once. `CGV_TARGET_REQUESTS`.
    pub requests: usize,
    /// At most so many bytes a second, up and down together; any number without. `CGV_TARGET_BYTES_PER_S`.
    pub bytes_per_second: Option<u64>,
    /// An object of more bytes that may be put in parts is.
    pub part_above_bytes: u64,
    /// Settings of the service besides those of the environment, by the names of the environment variables in lower case:
    /// `aws_endpoint_url`.
    pub settings: Vec<(String, String)>,
}

impl Default for TargetOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(60),
            retries: 8,
            first_wait: Duration::from_millis(100),
            requests: 8,
            bytes_per_second: None,
            part_above_bytes: 16 * MIB,
            settings: Vec::new(),
        }
    }
}

impl TargetOptions {
    /// Those that the environment asks for, and the usual ones besides.
    ///
    /// # Errors
    /// `InvalidInput` for what is no number.
    pub fn from_environment() -> Result<Self> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let usual = Self::default();
        let timeout_s = number(&variable, "CGV_TARGET_TIMEOUT_S")?;
        Ok(Self {
            timeout: timeout_s.map_or(usual.timeout, Duration::from_secs),
            retries: number(&variable, "CGV_TARGET_RETRIES")?.unwrap_or(usual.retries),
            requests: number(&variable, "CGV_TARGET_REQUESTS")?.unwrap_or(usual.requests),
            bytes_per_second: number(&variable, "CGV_TARGET_BYTES_PER_S")?,
            ..usual
        })
    }
}

/// What is set, if it is not 0 where that would mean nothing at all.
fn number<T: FromStr + PartialOrd + From<u8>>(
    variable: impl Fn(&str) -> Option<String>,
    name: &str,
) -> Result<Option<T>> {
    let least = T::from(u8::from(name != "CGV_TARGET_RETRIES"));
    let Some(text) = variable(name).filter(|text| !text.is_empty()) else { return Ok(None) };
    match text.parse::<T>() {
        Ok(number) if number >= least => Ok(Some(number)),
        _ => Err(Error::invalid(format!("{name} is {text:?}, which is no such number"))),
    }
}

#[cfg(test)]
mod tests {
    use codegraph_vector_base::ErrorKind;

    use super::*;

    #[test]
    fn the_environment_sets_what_it_names_and_nothing_else() {
        let all = |name: &str| (name != "CGV_TARGET_REQUESTS").then(|| "0007".to_owned());
        let read = TargetOptions::from_variables(all).unwrap();
        assert_eq!(
            read,
            TargetOptions {
                timeout: Duration::from_secs(7),
                retries: 7,
                bytes_per_second: Some(7),
                ..TargetOptions::default()
            }
        );
        assert_eq!(TargetOptions::from_variables(|_| None).unwrap(), TargetOptions::default());
        assert_eq!(TargetOptions::from_variables(|_| Some(String::new())).unwrap(), TargetOptions::default());
        for bad in ["x", "-1", "1.5"] {
            let error = TargetOptions::from_variables(|_| Some(bad.to_owned())).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{bad}");
        }
        let zero = |wanted: &'static str| move |name: &str| (name == wanted).then(|| "0".to_owned());
        assert_eq!(TargetOptions::from_variables(zero("CGV_TARGET_RETRIES")).unwrap().retries, 0);
        assert!(
            TargetOptions::from_variables(zero("CGV_TARGET_REQUESTS")).is_err(),
            "nothing would ever be done"
        );
    }
}
