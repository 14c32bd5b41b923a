//! `cgv mcp`: the index as tools for an assistant, by the Model Context Protocol over standard input and output.
//!
//! What always holds: nothing but the protocol goes to standard output; the store is opened to be read, and locked
//! against other writers only while a re-index runs; what a tool cannot do is an answer that says why, never the end
//! of the process; no answer is longer than about 100 KiB.

mod arguments;
mod found;
mod numbers;
mod reader;
mod refusal;
mod reindex;
mod reply;
mod shown;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use codegraph_vector::Error;
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::tool::schema_for_output;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{Implementation, ServerCapabilities, ServerConfig};
use rmcp::service::{RequestContext, RoleServer, ServerInitializeError};
use rmcp::{ServerHandler, ServiceExt, tool, tool_handler, tool_router};
use tokio::task::spawn_blocking;

use self::arguments::{GetNode, Nothing, SearchCode, SimilarCode};
use self::found::Found;
use self::numbers::Numbers;
use self::reader::Reader;
use self::refusal::Refusal;
use self::reindex::{Indexing, Reindexed};
use self::reply::Reply;
use self::shown::Shown;
use crate::failure::Failure;
use crate::workspace::Workspace;

/// The server's name, as clients show it.
const NAME: &str = "codegraph-vector";
/// What an assistant is told of the server as a whole.
const INSTRUCTIONS: &str = "Search over the definitions (functions, methods, types, modules) of the user's code. \
Use search_code to find code by what it does, or by its name, when you do not know its file; similar_code for more like a \
definition; get_node to read one whole. Paths are relative to the index's root. After files were edited, call \
reindex (only what changed is read again).";
/// How long a run of `reindex` may take to come to its end when the client is gone.
const END_WAIT: Duration = Duration::from_secs(2);

/// Serves one client, until it goes away.
pub(crate) fn serve(workspace: Workspace, folder: PathBuf) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|cause| Error::io("start", "the runtime", cause))?;
    let indexing = Arc::new(Indexing::new(workspace.clone(), folder));
    let server = Server {
        reader: Arc::new(Reader::new(workspace)),
        indexing: indexing.clone(),
        tool_router: Server::tool_router(),
    };
    let outcome = runtime.block_on(async {
        match server.serve(rmcp::transport::stdio()).await {
            Ok(running) => running.waiting().await.map(|_| ()).map_err(|error| error.to_string()),
            // It came, said nothing, and went.
            Err(ServerInitializeError::ConnectionClosed(_)) => Ok(()),
            Err(ServerInitializeError::ExpectedInitializeRequest(_)) => {
                Err("it did not begin with `initialize`".to_owned())
            }
            Err(error) => Err(error.to_string()),
        }
    });
    indexing.stop();
    // A read of standard input cannot be cancelled: it is left behind, as is a run that does not end in time.
    runtime.shutdown_timeout(END_WAIT);
    outcome.map_err(|error| Error::invalid(format!("the client broke the protocol: {error}")).into())
}

/// The tools, and what they work with.
struct Server {
    reader: Arc<Reader>,
    indexing: Arc<Indexing>,
    tool_router: ToolRouter<Self>,
}

#[tool_router]
impl Server {
    #[tool(
        description = "Find functions, methods, types and modules of the user's code by what they do, or by name. Use it \
            when you know what the code is about, or what it is called, but not its file; what is named exactly as asked \
            comes first. Use text search (grep) for exact strings. Gives path:line, kind, name, score and the best lines \
            of each, best first. Then read the file, or get_node.",
        output_schema = schema_for_output::<Found>(),
        annotations(title = "Search code", read_only_hint = true, idempotent_hint = true, open_world_hint = false)
    )]
    async fn search_code(
        &self,
        Parameters(arguments): Parameters<SearchCode>,
    ) -> Result<Reply<Found>, Refusal> {
        let question = arguments.check()?;
        self.read(move |reader| found::search(reader, &question)).await
    }

    #[tool(
        description = "Find definitions like a given one: other implementations, duplicates, callers of the same \
            pattern. Name it by node_id (from an earlier result) or by path and a line within it.",
        output_schema = schema_for_output::<Found>(),
        annotations(title = "Similar code", read_only_hint = true, idempotent_hint = true, open_world_hint = false)
    )]
    async fn similar_code(
        &self,
        Parameters(arguments): Parameters<SimilarCode>,
    ) -> Result<Reply<Found>, Refusal> {
        let (target, options) = arguments.check()?;
        self.read(move |reader| found::similar(reader, &target, &options)).await
    }

    #[tool(
        description = "Read one whole definition: its place, kind, name, and source text from the file as it is now \
            (at most 400 lines). Name it by node_id (from an earlier result) or by path and a line within it.",
        output_schema = schema_for_output::<Shown>(),
        annotations(title = "Get a definition", read_only_hint = true, idempotent_hint = true, open_world_hint = false)
    )]
    async fn get_node(&self, Parameters(arguments): Parameters<GetNode>) -> Result<Reply<Shown>, Refusal> {
        let (target, with_source) = arguments.check()?;
        self.read(move |reader| shown::get(reader, &target, with_source)).await
    }

    #[tool(
        description = "Bring the index up to date with the files, or make it if there is none. Reads only files that \
            changed. Use it after edits, when a result says that its file changed, or when there is no index yet.",
        annotations(
            title = "Re-index",
            read_only_hint = false,
            destructive_hint = false,
            idempotent_hint = true,
            open_world_hint = false
        )
    )]
    async fn reindex(
        &self,
        Parameters(Nothing {}): Parameters<Nothing>,
        context: RequestContext<RoleServer>,
    ) -> Result<Reply<Reindexed>, Refusal> {
        self.indexing.run(context).await.map(Reply)
    }

    #[tool(
        description = "What is in the index: its root, how many files and definitions by language and by kind, the \
            embedder, sizes. Use it to see whether some code is indexed at all.",
        output_schema = schema_for_output::<Numbers>(),
        annotations(title = "Index statistics", read_only_hint = true, idempotent_hint = true, open_world_hint = false)
    )]
    async fn stats(&self, Parameters(Nothing {}): Parameters<Nothing>) -> Result<Reply<Numbers>, Refusal> {
        self.read(numbers::stats).await
    }
}

impl Server {
    /// Reads, where it may take its time.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Reader) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<Reply<T>, Refusal> {
        let reader = self.reader.clone();
        match spawn_blocking(move || read(&reader)).await {
            Ok(outcome) => outcome.map(Reply),
            Err(_) => Err(Refusal::fault()),
        }
    }
}

#[tool_handler(router = self.tool_router)]
impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new(NAME, env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }
}
