//! One call: a request, its answer, and what to make of it if it fails.

use std::io;
use std::io::Read as _;
use std::time::Duration;

use codegraph_vector::{Error, ErrorKind, Result};
use ureq::http::{HeaderMap, Uri, header};
use ureq::{Agent, Body, Proxy};

use super::Limits;
use super::key::{COMMON_VARIABLE, Key, OWN_VARIABLE, is_this_machine};
use super::retry::Failure;
use super::wire;

/// Most bytes of a refusal that are read.
const MAX_REFUSAL_BYTES: u64 = 64 << 10;

/// Where vectors are asked for.
#[derive(Debug)]
pub(super) struct Endpoint {
    agent: Agent,
    /// The whole of it. Nothing secret is in it.
    url: String,
    key: Option<Key>,
    max_body_bytes: u64,
}

impl Endpoint {
    /// `base`: the URL before `/embeddings`. `variable` looks into the environment.
    pub(super) fn new(
        base: &str,
        limits: &Limits,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self> {
        let url = format!("{base}/embeddings");
        let uri: Uri = url.parse().map_err(|_| Error::invalid("that is no URL of an endpoint"))?;
        // A proxy cannot know this machine's own endpoints.
        let proxy = if is_this_machine(&uri) { None } else { Proxy::try_from_env() };
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            // Where it leads, the key would go along, or the body be lost.
            .max_redirects(0)
            .proxy(proxy)
            .user_agent(concat!("cgv/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(limits.connect_timeout))
            .timeout_connect(Some(limits.connect_timeout))
            .timeout_global(Some(limits.call_timeout))
            .max_idle_connections_per_host(limits.concurrency)
            .build()
            .new_agent();
        Ok(Self { agent, url, key: Key::find(&uri, variable)?, max_body_bytes: limits.max_body_bytes })
    }

    /// Sends a request, once. The bytes of the answer if it is a good one.
    pub(super) fn post(&self, body: &[u8]) -> Result<Vec<u8>, Failure> {
        let mut request = self.agent.post(&self.url).content_type("application/json");
        if let Some(key) = &self.key {
            request = request.header(header::AUTHORIZATION, key.header());
        }
        let mut response = request.send(body).map_err(|error| self.of_transport(error))?;
        let status = response.status();
        if status.is_success() {
            let body = response.body_mut().with_config().limit(self.max_body_bytes).read_to_vec();
            return body.map_err(|error| self.of_transport(error));
        }
        let message = self.refusal(response.body_mut());
        Err(self.of_status(status.as_u16(), response.headers(), &message))
    }

    /// An error about an answer that cannot be used.
    pub(super) fn bad_answer(&self, what: &str) -> Error {
        let what = self.public(what);
        Error::invalid(format!("the answer of {} cannot be used: {what}", self.url))
    }

    /// Whatever came from outside, fit for a message.
    fn public(&self, text: &str) -> String {
        match &self.key {
            Some(key) => wire::shorten(&key.hide_in(text)),
            None => wire::shorten(text),
        }
    }

    /// What the server says about its refusal, whole. If that cannot be read, the status alone must do.
    fn refusal(&self, body: &mut Body) -> String {
        let mut bytes = Vec::new();
        let _ = body.as_reader().take(MAX_REFUSAL_BYTES).read_to_end(&mut bytes);
        wire::message(&bytes)
    }

    fn of_status(&self, status: u16, headers: &HeaderMap, message: &str) -> Failure {
        let said = format!("{} answers {status}: {}", self.url, self.public(message));
        if wire::says_too_large(status, message) {
            return Failure::TooLarge(Error::new(ErrorKind::TooLarge, said));
        }
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let refused = |kind, hint: &str| Failure::Final(Error::new(kind, format!("{said}; {hint}")));
        match status {
            408 | 429 | 500..=599 => {
                let seconds = text(header::RETRY_AFTER).and_then(|value| value.trim().parse().ok());
                Failure::Passing { what: said, retry_after: seconds.map(Duration::from_secs) }
            }
            300..=399 => {
                let place =
                    self.public(&wire::message(text(header::LOCATION).unwrap_or_default().as_bytes()));
                let hint = format!("give the URL that it leads to: {place}");
                refused(ErrorKind::InvalidInput, &hint)
            }
            401 | 403 => refused(ErrorKind::InvalidInput, &self.key_hint()),
            404 | 405 => refused(
                ErrorKind::NotFound,
                "is the URL its base (mostly it ends in /v1), and does it have that model?",
            ),
            _ => Failure::Final(Error::invalid(said)),
        }
    }

    fn key_hint(&self) -> String {
        match &self.key {
            Some(key) => format!("it does not take the key in {}", key.variable),
            None => format!(
                "no key was sent; put one into the environment variable {OWN_VARIABLE} \
                 ({COMMON_VARIABLE} is for OpenAI and this machine only)"
            ),
        }
    }

    /// A call that had no answer, or only a part of one.
    fn of_transport(&self, error: ureq::Error) -> Failure {
        if let ureq::Error::BodyExceedsLimit(limit) = error {
            return Failure::Final(self.bad_answer(&format!("it is longer than {limit} bytes")));
        }
        let passes = match &error {
            // What the peer's certificate is does not change by asking again.
            ureq::Error::Io(cause) => cause.kind() != io::ErrorKind::InvalidData,
            ureq::Error::Timeout(_) | ureq::Error::ConnectionFailed | ureq::Error::HostNotFound => true,
            ureq::Error::Protocol(_) => true,
            _ => false,
        };
        let cause = match &error {
            ureq::Error::Io(cause) => cause.to_string(),
            other => other.to_string(),
        };
        let what = format!("{} cannot be reached, or broke off: {}", self.url, self.public(&cause));
        if passes {
            Failure::Passing { what, retry_after: None }
        } else {
            Failure::Final(Error::new(ErrorKind::Io, what))
        }
    }
}
