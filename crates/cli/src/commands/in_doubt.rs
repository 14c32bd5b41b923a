//! `cgv in-doubt`: transactions that were prepared, and that nobody has decided about.

use clap::{Args, Subcommand};
use codegraph_vector::{InDoubt, TxnId};
use serde::Serialize;

use crate::args::Globals;
use crate::failure::Failure;
use crate::{location, output};

/// List transactions that were prepared and not decided; commit one, or roll it back
#[derive(Args, Debug)]
pub(crate) struct InDoubtArgs {
    #[command(subcommand)]
    decision: Option<Decision>,
}

#[derive(Debug, Subcommand)]
enum Decision {
    /// Commit a prepared transaction
    Commit {
        /// Its number, as listed
        id: u64,
    },
    /// Roll a prepared transaction back
    Rollback {
        /// Its number, as listed
        id: u64,
    },
}

#[derive(Serialize)]
struct Listed {
    in_doubt: Vec<Shown>,
}

#[derive(Serialize)]
struct Shown {
    transaction_id: u64,
    isolation_level: &'static str,
    prepared_us: u64,
    puts: u64,
    deletes: u64,
}

impl From<&InDoubt> for Shown {
    fn from(known: &InDoubt) -> Self {
        Self {
            transaction_id: known.transaction.0,
            isolation_level: known.isolation_level.name(),
            prepared_us: known.prepared_us,
            puts: known.rows,
            deletes: known.deletes,
        }
    }
}

#[derive(Serialize)]
struct Decided {
    transaction_id: u64,
    committed: bool,
    seqno: u64,
}

pub(crate) fn run(globals: &Globals, args: &InDoubtArgs) -> Result<(), Failure> {
    match args.decision {
        None => list(globals),
        Some(Decision::Commit { id }) => decide(globals, id, true),
        Some(Decision::Rollback { id }) => decide(globals, id, false),
    }
}

fn list(globals: &Globals) -> Result<(), Failure> {
    let store = location::open_reading(globals)?;
    let listed = Listed { in_doubt: store.in_doubt()?.iter().map(Shown::from).collect() };
    output::print(globals.json, &listed, |out| {
        for Shown { transaction_id, isolation_level, puts, deletes, .. } in &listed.in_doubt {
            writeln!(out, "{transaction_id}  {isolation_level}, puts {puts} and deletes {deletes}")?;
        }
        if listed.in_doubt.is_empty() {
            writeln!(out, "no transaction is in doubt")?;
        }
        Ok(())
    })
}

fn decide(globals: &Globals, id: u64, commit: bool) -> Result<(), Failure> {
    let store = location::open_writing(globals)?;
    if commit {
        store.commit_prepared(TxnId(id))?;
    } else {
        store.rollback_prepared(TxnId(id))?;
    }
    let seqno = store.stats()?.seqno.0;
    store.close()?;
    let document = Decided { transaction_id: id, committed: commit, seqno };
    output::print(globals.json, &document, |out| {
        let what = if commit { "committed" } else { "rolled back" };
        writeln!(out, "transaction {id} is {what}")
    })
}
