//! Why a tool did not do what it was asked, in words that help whoever asked.
//!
//! All of it is an answer that says it is an error, arguments that make no sense too, as the protocol has it since
//! 2025-11-25: an assistant reads answers and mends what it asked; protocol errors it mostly never sees.

use codegraph_vector::{Error, ErrorKind};
use rmcp::ErrorData;
use rmcp::handler::server::tool::IntoCallToolResult;
use rmcp::model::{CallToolResponse, CallToolResult, ContentBlock};

/// Why not.
#[derive(Debug)]
pub(crate) struct Refusal(pub(crate) String);

impl Refusal {
    /// It could not be done.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// It makes no sense.
    pub(crate) fn arguments(message: impl AsRef<str>) -> Self {
        Self(format!("invalid arguments: {}", message.as_ref()))
    }

    /// It panicked, which the others survive.
    pub(crate) fn fault() -> Self {
        Self::failed("this failed by a fault of cgv; please report it")
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self(match error.kind() {
            ErrorKind::Busy => {
                "another process is indexing this store right now; try again when it is done. Searching works meanwhile"
                    .to_owned()
            }
            ErrorKind::Stale => format!("{error}; the store changed meanwhile, try again"),
            ErrorKind::Corrupt => format!("{error}. The user can see what is damaged with `cgv verify`"),
            ErrorKind::Unsupported => format!("{error}. The user needs a newer cgv"),
            _ => error.to_string(),
        })
    }
}

impl IntoCallToolResult for Refusal {
    fn into_call_tool_result(self) -> Result<CallToolResponse, ErrorData> {
        Ok(CallToolResult::error(vec![ContentBlock::text(self.0)]).into())
    }
}
