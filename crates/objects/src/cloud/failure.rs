//! What went wrong, for us and for people: without addresses that may hold credentials.

use std::error::Error as StdError;

use codegraph_vector_base::{Error, ErrorKind};
use object_store::client::{HttpError, HttpErrorKind};

/// Letters of a server's own words that are told.
const MOST_WORDS: usize = 300;
/// How `object_store`, which keeps the type to itself, begins the sentence about an answer; status and body follow.
const ANSWERED: &str = "Server returned non-2xx status code: ";

/// Why a request failed.
#[derive(Debug)]
pub(super) enum Failure {
    Service(object_store::Error),
    /// The answer had fewer bytes than it said.
    Truncated {
        got: u64,
        wanted: u64,
    },
}

impl From<object_store::Error> for Failure {
    fn from(error: object_store::Error) -> Self {
        Self::Service(error)
    }
}

impl Failure {
    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::Service(object_store::Error::NotFound { .. }))
    }

    /// The name is taken, or two want it at once.
    pub(super) fn is_taken(&self) -> bool {
        matches!(self, Self::Service(object_store::Error::AlreadyExists { .. }))
    }

    /// The range lies behind the object's end.
    pub(super) fn is_behind_end(&self) -> bool {
        self.status() == Some(416)
    }

    /// Whether the request may have been carried out nevertheless.
    pub(super) fn may_be_done(&self) -> bool {
        self.is_taken() || self.is_unanswered() || self.status().is_some_and(|status| status >= 500)
    }

    /// Whether an answer broke off, or did not come, and the request was not made again for that.
    pub(super) fn is_unanswered(&self) -> bool {
        matches!(self, Self::Truncated { .. })
            || matches!(
                self.http_kind(),
                Some(
                    HttpErrorKind::Timeout
                        | HttpErrorKind::Interrupted
                        | HttpErrorKind::Decode
                        | HttpErrorKind::Unknown
                )
            )
    }

    /// As an error of ours, of something that was to be done.
    pub(super) fn explain(&self, doing: &str) -> Error {
        use object_store::Error as Cause;
        let (kind, why) = match self {
            Self::Truncated { got, wanted } => {
                (ErrorKind::Io, format!("the answer broke off after {got} bytes of {wanted}"))
            }
            Self::Service(cause) => match cause {
                Cause::NotFound { .. } => (ErrorKind::NotFound, "there is no such object".to_owned()),
                Cause::AlreadyExists { .. } => (ErrorKind::AlreadyExists, "the name is taken".to_owned()),
                Cause::Precondition { .. } | Cause::NotModified { .. } => {
                    (ErrorKind::Stale, "it was changed meanwhile".to_owned())
                }
                Cause::PermissionDenied { .. } | Cause::Unauthenticated { .. } => {
                    let words = self.words();
                    (ErrorKind::Io, format!("the credentials of the environment do not allow it{words}"))
                }
                Cause::NotSupported { .. } | Cause::NotImplemented { .. } => {
                    (ErrorKind::Unsupported, "the service cannot do it".to_owned())
                }
                Cause::UnknownConfigurationKey { key, .. } => {
                    (ErrorKind::InvalidInput, format!("there is no setting {key}"))
                }
                _ => (ErrorKind::Io, self.reason()),
            },
        };
        Error::new(kind, format!("cannot {doing}: {why}"))
    }

    /// What the connection or the server says.
    fn reason(&self) -> String {
        if let Some(status) = self.status() {
            return format!("the server answers {status}{}", self.words());
        }
        let innermost = self.chain().last().map(ToString::to_string).unwrap_or_default();
        match self.http_kind() {
            Some(HttpErrorKind::Timeout) => "no answer came in time".to_owned(),
            Some(HttpErrorKind::Connect) => format!("no connection: {innermost}"),
            Some(_) => format!("the connection broke: {innermost}"),
            None => innermost,
        }
    }

    fn chain(&self) -> impl Iterator<Item = &(dyn StdError + 'static)> {
        let mut next: Option<&(dyn StdError + 'static)> = match self {
            Self::Service(error) => Some(error),
            Self::Truncated { .. } => None,
        };
        std::iter::from_fn(move || {
            let error = next?;
            next = error.source();
            Some(error)
        })
    }

    fn http_kind(&self) -> Option<HttpErrorKind> {
        self.chain().find_map(|error| error.downcast_ref::<HttpError>()).map(HttpError::kind)
    }

    /// The server's status, as `404 Not Found`, and its words.
    fn answer(&self) -> Option<(String, String)> {
        let texts = self.chain().map(ToString::to_string);
        let answer = texts.filter_map(|text| text.strip_prefix(ANSWERED).map(str::to_owned)).next()?;
        let (status, words) = answer.split_once(": ")?;
        Some((status.to_owned(), words.to_owned()))
    }

    fn status(&self) -> Option<u16> {
        self.answer()?.0.get(..3)?.parse().ok()
    }

    /// The server's own words, on one line.
    fn words(&self) -> String {
        let body = self.answer().map(|(_, words)| words).unwrap_or_default();
        let words: Vec<_> = body.split_whitespace().collect();
        match words[..] {
            [] => String::new(),
            _ => format!(": {}", words.join(" ").chars().take(MOST_WORDS).collect::<String>()),
        }
    }
}
