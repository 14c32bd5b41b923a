//! Read-modify-write transactions on one row, in our store and in others, all durable when they return.
//!
//! A row is the same bytes everywhere: a key of eight bytes, the vector, and the metadata as JSON, in which the counter is that the
//! transaction reads and writes.

use std::path::Path;

use codegraph_vector::{
    AttributeValue, CodeNode, Durability, IsolationLevel, NodeId, OpenOptions, PersistentVectorStore,
    Settings,
};
use fjall::{KeyspaceCreateOptions, OptimisticTxDatabase, OptimisticTxKeyspace, PersistMode, Readable};
use redb::{ReadableTable, TableDefinition};
use rusqlite::{Connection, TransactionBehavior, params};

use crate::data::{Vectors, node};
use crate::searching::Outcome;

/// Bytes of a memtable, or of what others call so: no flush within a round.
const MEMTABLE_BYTES: u64 = 512 << 20;
const TABLE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("nodes");

/// A database that transactions are measured in.
pub(super) trait Peer: Sync {
    fn name(&self) -> &'static str;

    /// What one thread works with.
    fn session(&self) -> Outcome<Box<dyn Session + '_>>;
}

pub(super) trait Session {
    /// Reads a row, adds one to its counter, writes it, and commits.
    fn bump(&mut self, id: u64) -> Outcome<()>;

    /// A row's counter.
    fn counter(&mut self, id: u64) -> Outcome<i64>;
}

/// The first row of a vector's.
pub(super) fn row(vectors: &Vectors, id: u64) -> CodeNode {
    let vector = vectors.row(id as usize % vectors.rows()).to_vec();
    node(NodeId::from(id), vector).with_attribute("counter", 0)
}

fn counter_of(node: &CodeNode) -> i64 {
    match node.attributes.get("counter") {
        Some(AttributeValue::Integer(counter)) => *counter,
        _ => 0,
    }
}

/// A row's bytes as others keep them.
fn encode(node: &CodeNode) -> Vec<u8> {
    let mut bytes: Vec<u8> = bytemuck::cast_slice(&node.embedding).to_vec();
    let lines = [node.start_line, node.end_line].map(Option::unwrap_or_default);
    let metadata = serde_json::json!({
        "path": node.path, "name": node.name, "kind": node.kind, "language": node.language,
        "lines": lines, "hash": node.content_hash,
    });
    bytes.extend(metadata.to_string().into_bytes());
    bytes.extend(counter_of(node).to_le_bytes());
    bytes
}

fn bumped(bytes: &[u8]) -> Outcome<Vec<u8>> {
    let counter = read_counter(bytes)?;
    let mut bytes = bytes.to_vec();
    let at = bytes.len() - 8;
    bytes[at..].copy_from_slice(&(counter + 1).to_le_bytes());
    Ok(bytes)
}

fn read_counter(bytes: &[u8]) -> Outcome<i64> {
    Ok(i64::from_le_bytes(*bytes.last_chunk().ok_or("a row without a counter")?))
}

fn missing(id: u64) -> String {
    format!("row {id} is not there")
}

/// Our store.
pub(super) struct Ours {
    pub(super) store: PersistentVectorStore,
    pub(super) level: IsolationLevel,
}

impl Ours {
    /// A new store of some rows.
    pub(super) fn new(path: &Path, vectors: &Vectors, rows: u64, durability: Durability) -> Outcome<Self> {
        let settings = Settings {
            durability,
            memtable_bytes: MEMTABLE_BYTES,
            max_wal_file_bytes: MEMTABLE_BYTES,
            ..Settings::default()
        };
        let options = OpenOptions {
            dimension: Some(vectors.dimension),
            settings: Some(settings),
            ..OpenOptions::default()
        };
        let store = PersistentVectorStore::open(path, options)?;
        let nodes: Vec<_> = (0..rows).map(|id| row(vectors, id)).collect();
        nodes.chunks(10_000).try_for_each(|batch| store.put_batch(batch).map(drop))?;
        Ok(Self { store, level: IsolationLevel::Serializable })
    }
}

impl Peer for Ours {
    fn name(&self) -> &'static str {
        "ours"
    }

    fn session(&self) -> Outcome<Box<dyn Session + '_>> {
        Ok(Box::new(self))
    }
}

impl Session for &Ours {
    fn bump(&mut self, id: u64) -> Outcome<()> {
        let mut txn = self.store.begin(self.level)?;
        let node = txn.get(NodeId::from(id))?.ok_or_else(|| missing(id))?;
        let counter = counter_of(&node) + 1;
        txn.put(node.with_attribute("counter", counter))?;
        txn.commit()?;
        Ok(())
    }

    fn counter(&mut self, id: u64) -> Outcome<i64> {
        Ok(counter_of(&self.store.get(NodeId::from(id))?.ok_or_else(|| missing(id))?))
    }
}

/// SQLite, with a connection for each thread.
pub(super) struct Sqlite {
    path: std::path::PathBuf,
}

impl Sqlite {
    pub(super) fn new(folder: &Path, vectors: &Vectors, rows: u64) -> Outcome<Self> {
        std::fs::create_dir_all(folder)?;
        let peer = Self { path: folder.join("nodes.sqlite") };
        let mut connection = peer.connect()?;
        connection.execute("CREATE TABLE nodes (id INTEGER PRIMARY KEY, row BLOB NOT NULL)", [])?;
        let transaction = connection.transaction()?;
        for id in 0..rows {
            transaction.execute(
                "INSERT INTO nodes VALUES (?1, ?2)",
                params![id as i64, encode(&row(vectors, id))],
            )?;
        }
        transaction.commit()?;
        Ok(peer)
    }

    fn connect(&self) -> Outcome<Connection> {
        let connection = Connection::open(&self.path)?;
        connection.busy_timeout(std::time::Duration::from_secs(60))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        Ok(connection)
    }
}

impl Peer for Sqlite {
    fn name(&self) -> &'static str {
        "SQLite"
    }

    fn session(&self) -> Outcome<Box<dyn Session + '_>> {
        Ok(Box::new(self.connect()?))
    }
}

impl Session for Connection {
    fn bump(&mut self, id: u64) -> Outcome<()> {
        // At once, or two that have read would wait for each other.
        let transaction = self.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let bytes: Vec<u8> = transaction
            .prepare_cached("SELECT row FROM nodes WHERE id = ?1")?
            .query_row([id as i64], |row| row.get(0))?;
        transaction
            .prepare_cached("UPDATE nodes SET row = ?2 WHERE id = ?1")?
            .execute(params![id as i64, bumped(&bytes)?])?;
        transaction.commit()?;
        Ok(())
    }

    fn counter(&mut self, id: u64) -> Outcome<i64> {
        let bytes: Vec<u8> =
            self.query_row("SELECT row FROM nodes WHERE id = ?1", [id as i64], |row| row.get(0))?;
        read_counter(&bytes)
    }
}

/// redb, which has one writer at a time.
pub(super) struct Redb(redb::Database);

impl Redb {
    pub(super) fn new(folder: &Path, vectors: &Vectors, rows: u64) -> Outcome<Self> {
        std::fs::create_dir_all(folder)?;
        let database = redb::Database::create(folder.join("nodes.redb"))?;
        let transaction = database.begin_write()?;
        {
            let mut table = transaction.open_table(TABLE)?;
            for id in 0..rows {
                table.insert(id, &encode(&row(vectors, id))[..])?;
            }
        }
        transaction.commit()?;
        Ok(Self(database))
    }
}

impl Peer for Redb {
    fn name(&self) -> &'static str {
        "redb"
    }

    fn session(&self) -> Outcome<Box<dyn Session + '_>> {
        Ok(Box::new(self))
    }
}

impl Session for &Redb {
    fn bump(&mut self, id: u64) -> Outcome<()> {
        // Immediate durability is what it has unless it is told otherwise.
        let transaction = self.0.begin_write()?;
        {
            let mut table = transaction.open_table(TABLE)?;
            let bytes = bumped(table.get(id)?.ok_or_else(|| missing(id))?.value())?;
            table.insert(id, &bytes[..])?;
        }
        transaction.commit()?;
        Ok(())
    }

    fn counter(&mut self, id: u64) -> Outcome<i64> {
        use redb::ReadableDatabase;
        let transaction = self.0.begin_read()?;
        let table = transaction.open_table(TABLE)?;
        read_counter(table.get(id)?.ok_or_else(|| missing(id))?.value())
    }
}

/// fjall, with optimistic transactions, each synced by `fdatasync`.
pub(super) struct Fjall {
    database: OptimisticTxDatabase,
    nodes: OptimisticTxKeyspace,
}

impl Fjall {
    pub(super) fn new(folder: &Path, vectors: &Vectors, rows: u64) -> Outcome<Self> {
        let database = OptimisticTxDatabase::builder(folder).open()?;
        let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
        let nodes = database.keyspace("nodes", options)?;
        for id in 0..rows {
            nodes.insert(id.to_be_bytes(), encode(&row(vectors, id)))?;
        }
        database.persist(PersistMode::SyncAll)?;
        Ok(Self { database, nodes })
    }
}

impl Peer for Fjall {
    fn name(&self) -> &'static str {
        "fjall"
    }

    fn session(&self) -> Outcome<Box<dyn Session + '_>> {
        Ok(Box::new(self))
    }
}

impl Session for &Fjall {
    fn bump(&mut self, id: u64) -> Outcome<()> {
        let key = id.to_be_bytes();
        loop {
            let mut transaction = self.database.write_tx()?.durability(Some(PersistMode::SyncData));
            let bytes = bumped(&transaction.get(&self.nodes, key)?.ok_or_else(|| missing(id))?)?;
            transaction.insert(&self.nodes, key, bytes);
            if transaction.commit()?.is_ok() {
                return Ok(());
            }
        }
    }

    fn counter(&mut self, id: u64) -> Outcome<i64> {
        read_counter(&self.nodes.get(id.to_be_bytes())?.ok_or_else(|| missing(id))?)
    }
}
