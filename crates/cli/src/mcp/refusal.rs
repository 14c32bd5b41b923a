//! Why a tool did not do what it was asked, in words that help whoever asked.

use codegraph_vector::{Error, ErrorKind};
use rmcp::ErrorData;
use rmcp::handler::server::tool::IntoCallToolResult;
use rmcp::model::{CallToolResponse, CallToolResult, ContentBlock};

/// Why not.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The arguments make no sense: a protocol error, invalid params.
    Arguments(String),
    /// They do, but it failed: a result that says it is an error.
    Failed(String),
}

impl Refusal {
    pub(crate) fn arguments(message: impl Into<String>) -> Self {
        Self::Arguments(message.into())
    }

    /// A panic, which the engine survives.
    pub(crate) fn fault() -> Self {
        Self::failed("this failed by a fault of cgv; please report it")
    }

    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::Failed(message.into())
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Failed(match error.kind() {
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
        match self {
            Self::Arguments(message) => Err(ErrorData::invalid_params(message, None)),
            Self::Failed(message) => Ok(CallToolResult::error(vec![ContentBlock::text(message)]).into()),
        }
    }
}
