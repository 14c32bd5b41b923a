//! `cgv changes`: what was committed, as lines of JSON, for whoever follows a store from a script.

use std::io::{self, Write};
use std::time::Duration;

use clap::Args;
use codegraph_vector::{
    Change, Changes, ChangesFrom, CodeNode, Cursor, Error, PersistentVectorStore, Result, SeqNo,
    node_id_to_json,
};
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::args::Globals;
use crate::failure::Failure;
use crate::formats::jsonl::NodeLine;
use crate::{location, output};

/// How often what another process has committed is looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Print the changes that were committed as lines of JSON, oldest first
///
/// A line has the change's "cursor", by which a later call goes on behind it, its time, the nodes that it stored ("puts")
/// and the ids that it deleted ("deletes", before the puts). It works beside a process that writes, but for --pin and
/// --unpin. The log keeps changes until they are in segments, and from a pin on.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    cgv changes --from 0:41               what came after the change with this cursor\n  \
    cgv changes --follow                  all that there is, and what comes\n  \
    cgv changes --pin webhook             what came since this was last called")]
pub(crate) struct ChangesArgs {
    /// Go on behind this change: a cursor, or the number of a commit [default: where the pin is, or the first commit]
    #[arg(long, value_name = "CURSOR", value_parser = from)]
    from: Option<ChangesFrom>,
    /// Go on as more changes come
    #[arg(long, conflicts_with = "pin")]
    follow: bool,
    /// Once all are printed, keep the log from there on under this name, for the next call
    #[arg(long, value_name = "NAME")]
    pin: Option<String>,
    /// Let go what was kept under this name, and print nothing of it
    #[arg(long, value_name = "NAME", conflicts_with_all = ["from", "follow", "pin", "vectors"])]
    unpin: Option<String>,
    /// Print the vectors, too
    #[arg(long)]
    vectors: bool,
}

/// A cursor, or a commit's number.
fn from(text: &str) -> std::result::Result<ChangesFrom, String> {
    if let Ok(number) = text.parse::<u64>() {
        return Ok(SeqNo(number).into());
    }
    let cursor: Result<Cursor> = text.parse();
    cursor
        .map(ChangesFrom::from)
        .map_err(|_| "expected a cursor, as in 0:41, or the number of a commit".to_owned())
}

#[derive(Serialize)]
struct Shown<'a> {
    cursor: String,
    commit_time_us: u64,
    puts: Vec<Put<'a>>,
    deletes: Vec<Value>,
}

/// A node with all that it says of itself, as it can be imported if its vector is wanted.
struct Put<'a> {
    node: &'a CodeNode,
    vector: bool,
}

impl Serialize for Put<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        if self.vector {
            return NodeLine { node: self.node, exact: true }.serialize(serializer);
        }
        let mut fields = self.node.metadata().to_json();
        if let Value::Object(fields) = &mut fields {
            fields.insert("node_id".to_owned(), node_id_to_json(self.node.id));
        }
        fields.serialize(serializer)
    }
}

impl<'a> Shown<'a> {
    fn of(change: &'a Change, vector: bool) -> Self {
        Self {
            cursor: change.cursor.to_string(),
            commit_time_us: change.commit_time_us,
            puts: change.puts.iter().map(|node| Put { node, vector }).collect(),
            deletes: change.deletes.iter().map(|id| node_id_to_json(*id)).collect(),
        }
    }
}

#[derive(Serialize)]
struct Unpinned {
    unpinned: bool,
}

pub(crate) fn run(globals: &Globals, args: &ChangesArgs) -> Result<(), Failure> {
    match (&args.unpin, &args.pin) {
        (Some(name), _) => unpin(globals, name),
        (None, Some(name)) => print_from_pin(globals, args, name),
        (None, None) => {
            let store = location::open_reading(globals)?;
            let mut changes = store.changes(args.from.unwrap_or(Cursor::start().into()))?;
            let again = args.follow.then_some(&store);
            print(&mut changes, args.vectors, again)
        }
    }
}

fn unpin(globals: &Globals, name: &str) -> Result<(), Failure> {
    let store = location::open_writing(globals)?;
    let unpinned = store.unpin_changes(name)?;
    store.close()?;
    output::print(globals.json, &Unpinned { unpinned }, |out| match unpinned {
        true => writeln!(out, "nothing is kept for {name} any more"),
        false => writeln!(out, "there was no pin {name}"),
    })
}

/// Moves the pin only once everything was printed: who is cut off sees changes twice rather than never.
fn print_from_pin(globals: &Globals, args: &ChangesArgs, name: &str) -> Result<(), Failure> {
    let store = location::open_writing(globals)?;
    let pinned = store.change_pins()?.into_iter().find(|pin| pin.name == name);
    let from = args.from.or(pinned.map(|pin| pin.cursor.into())).unwrap_or(Cursor::start().into());
    let mut changes = store.changes(from)?;
    print(&mut changes, args.vectors, None)?;
    store.pin_changes(name, changes.cursor())?;
    drop(changes);
    Ok(store.close()?)
}

/// Prints what there is, and what `store` gets from another process, if it is to be looked at again.
fn print(changes: &mut Changes, vectors: bool, store: Option<&PersistentVectorStore>) -> Result<(), Failure> {
    let mut failed = None;
    output::lines(|out| match print_to(out, changes, vectors, store) {
        Err(Stop::Output(error)) => Err(error),
        Err(Stop::Store(error)) => {
            failed = Some(error);
            Ok(())
        }
        Ok(()) => Ok(()),
    })?;
    failed.map_or(Ok(()), |error| Err(error.into()))
}

enum Stop {
    Output(io::Error),
    Store(Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

fn print_to(
    out: &mut dyn Write,
    changes: &mut Changes,
    vectors: bool,
    store: Option<&PersistentVectorStore>,
) -> std::result::Result<(), Stop> {
    loop {
        for change in changes.by_ref() {
            output::line(out, &Shown::of(&change?, vectors))?;
        }
        let Some(store) = store else { return Ok(()) };
        out.flush()?;
        store.refresh()?;
        if let Some(change) = changes.wait_next(LOOK_AGAIN)? {
            output::line(out, &Shown::of(&change, vectors))?;
        }
    }
}
