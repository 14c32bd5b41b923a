//! The key: where it comes from, whom it is shown to, and that nobody else sees it.

use std::fmt;

use codegraph_vector::{Error, Result};
use ureq::http::{HeaderValue, Uri};

/// Our own variable: its key goes to any endpoint that is asked at all.
pub(super) const OWN_VARIABLE: &str = "CGV_OPENAI_API_KEY";

/// Everybody's variable. It is set on many a machine for another purpose, and a URL may come from a store that
/// somebody else made: so its key goes to OpenAI and to this machine only.
pub(super) const COMMON_VARIABLE: &str = "OPENAI_API_KEY";

/// What an endpoint knows its user by. Never printed.
pub(super) struct Key {
    secret: String,
    header: HeaderValue,
    /// The variable that it came from.
    pub(super) variable: &'static str,
}

impl fmt::Debug for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Key(of {})", self.variable)
    }
}

impl Key {
    /// The key for an endpoint, if there is one. `variable` looks into the environment.
    pub(super) fn find(uri: &Uri, variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>> {
        let set = |name: &'static str| {
            let value = variable(name)?.trim().to_owned();
            (!value.is_empty()).then_some((name, value))
        };
        let common = || set(COMMON_VARIABLE).filter(|_| is_known(uri));
        let Some((variable, secret)) = set(OWN_VARIABLE).or_else(common) else { return Ok(None) };
        let header = HeaderValue::try_from(format!("Bearer {secret}")).ok();
        let header = header.filter(|_| !secret.contains(char::is_whitespace));
        let mut header = header
            .ok_or_else(|| Error::invalid(format!("the key in {variable} has characters that no key has")))?;
        header.set_sensitive(true);
        Ok(Some(Self { secret, header, variable }))
    }

    /// The value of the `Authorization` header.
    pub(super) fn header(&self) -> HeaderValue {
        self.header.clone()
    }

    /// A text in which a server may have repeated the key, without it.
    pub(super) fn hide_in(&self, text: &str) -> String {
        text.replace(&self.secret, "[the key]")
    }
}

/// Whether an endpoint is nobody's who may have slipped it in: OpenAI's, or on the machine that asks.
pub(super) fn is_known(uri: &Uri) -> bool {
    is_openai(uri) || is_this_machine(uri)
}

fn is_openai(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().to_ascii_lowercase();
    uri.scheme_str() == Some("https") && (host == "openai.com" || host.ends_with(".openai.com"))
}

/// Whether an endpoint is on the machine that asks.
pub(super) fn is_this_machine(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let address = host.parse::<std::net::IpAddr>();
    address.is_ok_and(|address| address.is_loopback()) || host.eq_ignore_ascii_case("localhost")
}
