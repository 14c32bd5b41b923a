//! `cgv get`: one node.

use clap::Args;
use codegraph_vector::{CodeNode, Error, ErrorKind, NodeId, VectorMetadata, node_id_text, node_id_to_json};
use serde::Serialize;
use serde_json::Value;

use crate::args::{self, Globals};
use crate::failure::Failure;
use crate::{location, output};

/// Print a node as JSON: its metadata, what the store keeps of its vector, and the vector
#[derive(Args, Debug)]
pub(crate) struct GetArgs {
    /// A number, or a UUID
    #[arg(value_name = "ID", value_parser = args::node_id)]
    id: NodeId,
}

#[derive(Serialize)]
struct Shown<'a> {
    node_id: Value,
    metadata: Value,
    /// Whether the vector is what was given, bit for bit.
    exact: bool,
    vector_metadata: ShownVector<'a>,
    /// Last, since it is long.
    vector: &'a [f32],
}

#[derive(Serialize)]
struct ShownVector<'a> {
    seqno: u64,
    created_us: u64,
    updated_us: u64,
    norm: f32,
    /// What its code was made by; `f32` without one.
    codec: &'a str,
    vector_bytes: u64,
    metadata_bytes: u64,
    checksum: String,
}

pub(crate) fn run(globals: &Globals, args: &GetArgs) -> Result<(), Failure> {
    let store = location::open_reading(globals)?;
    let found = location::read(&store, |snapshot| {
        Ok(snapshot.get(args.id)?.zip(snapshot.vector_metadata(args.id)?))
    })?;
    let (node, kept) = found.ok_or_else(|| {
        Error::new(ErrorKind::NotFound, format!("there is no node {}", node_id_text(args.id)))
    })?;
    output::lines(|out| output::line(out, &Shown::of(&node, &kept)))
}

impl<'a> Shown<'a> {
    fn of(node: &'a CodeNode, kept: &'a VectorMetadata) -> Self {
        let vector_metadata = ShownVector {
            seqno: kept.seqno.0,
            created_us: kept.created_us,
            updated_us: kept.updated_us,
            norm: kept.norm,
            codec: kept.codec.as_deref().unwrap_or("f32"),
            vector_bytes: kept.vector_bytes,
            metadata_bytes: kept.metadata_bytes,
            checksum: format!("{:016x}{:016x}", kept.checksum.metadata, kept.checksum.vector),
        };
        let metadata = node.metadata().to_json();
        let (node_id, exact) = (node_id_to_json(node.id), kept.exact);
        Self { node_id, metadata, exact, vector_metadata, vector: &node.embedding }
    }
}
