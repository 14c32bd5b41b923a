//! The facade: [`PersistentVectorStore`], a handle on an open store.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use codegraph_vector_ann::Metric;
use codegraph_vector_ann::codec::{CodecSpec, Scope};
use codegraph_vector_base::{ErrorKind, NodeId, Result, SeqNo, StoreId, TxnId};

use crate::compression::{CompressProgress, CompressReport, CompressRequest, Compression, Keep};
use crate::consistency::{ConsistencyManager, IsolationLevel, Transaction, TransactionOptions, transact};
use crate::filter::Filter;
use crate::job::Job;
use crate::node::CodeNode;
use crate::options::{EmbedderId, OpenOptions, Settings};
use crate::store::core::Handle;
use crate::store::{
    CheckpointInfo, CommitReceipt, HybridRequest, InDoubt, Locking, Match, Mode, PendingWrite,
    RecoveryReport, SearchRequest, SearchResults, Snapshot, StoreStatistics, TextRequest, VectorMetadata,
    VerifyReport, Write, WriteOutcome,
};

/// What a store is, as its manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageHeader {
    /// The store's identity.
    pub store_id: StoreId,
    /// Version of the manifest's format.
    pub format_version: u32,
    /// The manifest's number.
    pub generation: u64,
    /// Dimension of the vectors.
    pub dimension: usize,
    /// How vectors are compared.
    pub metric: Metric,
    /// What made the vectors, if it was said.
    pub embedder: Option<EmbedderId>,
    /// When the store was created, in µs since the Unix epoch.
    pub created_us: u64,
    /// The commit up to which everything is in segments.
    pub checkpoint_seqno: SeqNo,
    /// Counts restores and forks: each begins a line of history.
    pub timeline: u64,
}

/// A store: one folder of code-graph nodes with their embeddings. Cloning gives another handle on
/// the same open store. It is closed when the last handle and [`Snapshot`] are gone, even while work in
/// the background still runs.
///
/// ```
/// # fn main() -> codegraph_vector::Result<()> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("vectors.db");
/// use codegraph_vector::{CodeNode, PersistentVectorStore, SearchRequest};
///
/// let store = PersistentVectorStore::new(&path, folder.path().join("backups"), 3)?;
/// let node = CodeNode::new(7, vec![0.1, 0.2, 0.3]).with_path("src/lib.rs").with_name("parse");
/// let outcome = store.put(node)?;
/// assert!(outcome.receipt.durable);
/// let results = store.search(&SearchRequest::new([0.1, 0.2, 0.3], 10))?;
/// assert_eq!(results.matches[0].node_id, 7);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct PersistentVectorStore {
    pub(crate) core: Arc<Handle>,
}

impl std::fmt::Debug for PersistentVectorStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PersistentVectorStore").field("path", &self.path()).finish_non_exhaustive()
    }
}

impl PersistentVectorStore {
    /// Opens the store at `path`, or creates it for vectors of `dimension`, compared by cosine.
    /// `backups` is where its backups go.
    ///
    /// # Errors
    /// `InvalidInput` if the store there has another dimension, or the folder is something else;
    /// `Busy` if it is open for writing elsewhere; `Corrupt` if its manifests or its log are damaged. Damaged segments are
    /// left out; see [`quarantined`](Self::quarantined).
    pub fn new(path: impl AsRef<Path>, backups: impl AsRef<Path>, dimension: usize) -> Result<Self> {
        let backups = Some(backups.as_ref().to_owned());
        Self::open(path, OpenOptions { dimension: Some(dimension), backups, ..OpenOptions::default() })
    }

    /// Opens, or creates, as the options say.
    ///
    /// # Errors
    /// As [`PersistentVectorStore::new`]; `NotFound` if it must exist and does not.
    pub fn open(path: impl AsRef<Path>, options: OpenOptions) -> Result<Self> {
        Ok(Self { core: Handle::new(crate::store::open(path.as_ref().to_owned(), &options)?) })
    }

    /// The store's folder.
    pub fn path(&self) -> &Path {
        self.core.layout.root()
    }

    /// Where its backups go.
    pub fn backups(&self) -> &Path {
        &self.core.backups
    }

    /// What the store is.
    pub fn storage_header(&self) -> StorageHeader {
        let manifests = self.core.manifests.lock();
        let manifest = &manifests.current;
        StorageHeader {
            store_id: manifest.store_id,
            format_version: codegraph_vector_storage::manifest::FORMAT_VERSION,
            generation: manifest.generation.0,
            dimension: self.core.dimension,
            metric: self.core.metric,
            embedder: manifest.schema.embedder.clone(),
            created_us: manifest.created_us,
            checkpoint_seqno: manifest.checkpoint.seqno,
            timeline: manifest.timeline,
        }
    }

    /// Stores nodes, all or none; a node whose id is there is replaced. Awaiting gives the receipt;
    /// dropping the future does not take the write back.
    pub fn store_embeddings(&self, nodes: &[CodeNode]) -> Job<CommitReceipt> {
        let (store, nodes) = (self.clone(), nodes.to_vec());
        Job::run(move || Ok(store.put_batch(&nodes)?.receipt))
    }

    /// The `limit` nodes nearest to `query`, best first, with their metadata.
    pub fn search_similar(&self, query: &[f32], limit: usize) -> Job<Vec<Match>> {
        let (store, request) = (self.clone(), SearchRequest::new(query, limit));
        Job::run(move || Ok(store.search(&request)?.matches))
    }

    /// Carries out a write and waits until it is acknowledged.
    ///
    /// # Errors
    /// `InvalidInput` and `TooLarge` say what to mend; `StorageFull` and `ReadOnly`, that it did not
    /// happen; `OutcomeUnknown`, that a sync failed and it may be there after a reopen.
    pub fn write(&self, write: &Write<'_>) -> Result<WriteOutcome> {
        self.core.submit(write, Locking::Wait)?.wait()
    }

    /// Queues a write without waiting for it, nor for nodes that another queued write holds: those
    /// are a `Conflict`. [`PendingWrite::wait`] acknowledges it.
    pub fn submit(&self, write: &Write<'_>) -> Result<PendingWrite> {
        self.core.submit(write, Locking::Try)
    }

    /// Stores one node; see [`Write::Put`].
    pub fn put(&self, node: CodeNode) -> Result<WriteOutcome> {
        self.put_batch(&[node])
    }

    /// Stores nodes, all or none; see [`Write::Put`].
    pub fn put_batch(&self, nodes: &[CodeNode]) -> Result<WriteOutcome> {
        self.write(&Write::Put(nodes))
    }

    /// Replaces a node's vector and keeps its metadata; `NotFound` if it is missing.
    pub fn update_vector(&self, id: NodeId, vector: &[f32]) -> Result<WriteOutcome> {
        self.write(&Write::UpdateVector { id, vector })
    }

    /// Deletes a node; a missing one deletes 0.
    pub fn delete(&self, id: NodeId) -> Result<WriteOutcome> {
        self.delete_batch(&[id])
    }

    /// Deletes nodes, all or none; missing ones delete nothing.
    pub fn delete_batch(&self, ids: &[NodeId]) -> Result<WriteOutcome> {
        self.write(&Write::Delete(ids))
    }

    /// Deletes the nodes that match.
    pub fn delete_by_filter(&self, filter: &Filter) -> Result<WriteOutcome> {
        self.write(&Write::DeleteByFilter(filter))
    }

    /// Makes exactly `nodes` the ones under `path`, atomically; see [`Write::ReplacePath`].
    pub fn replace_path(&self, path: &str, nodes: &[CodeNode]) -> Result<WriteOutcome> {
        self.write(&Write::ReplacePath { path, nodes })
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// `Conflict` if there are as many as there may be ([`TransactionConfig`](crate::TransactionConfig)), and none ends in
    /// time; `Closed`.
    pub fn begin(&self, level: IsolationLevel) -> Result<Transaction> {
        self.begin_with(TransactionOptions::new(level))
    }

    /// The same with time-outs of its own.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub fn begin_with(&self, options: TransactionOptions) -> Result<Transaction> {
        Transaction::begin(&self.core, options)
    }

    /// Runs `work` in a transaction and commits it. If that meets a conflict, it is rolled back and done again, after a
    /// pause, up to 32 times: `work` must have no effects elsewhere that may not be repeated, and must not prepare the
    /// transaction.
    ///
    /// # Errors
    /// Those of `work` and of the commit; the last `Conflict`.
    pub fn transact<R>(
        &self,
        level: IsolationLevel,
        work: impl FnMut(&mut Transaction) -> Result<R>,
    ) -> Result<R> {
        transact(&self.core, TransactionOptions::new(level), work)
    }

    /// Transactions by number: for callers that cannot keep a [`Transaction`].
    pub fn consistency_manager(&self) -> ConsistencyManager {
        ConsistencyManager::new(&self.core)
    }

    /// Prepared transactions that wait for their decision, by id: of this process, and of those before it. In a store that was
    /// opened read-only, as of its last [`refresh`](Self::refresh).
    ///
    /// # Errors
    /// `Closed`.
    pub fn in_doubt(&self) -> Result<Vec<InDoubt>> {
        self.core.in_doubt()
    }

    /// Commits a prepared transaction, durably, whatever the settings say. To do it again gives the same receipt, after a
    /// restart too; the last 1,024 decisions are known.
    ///
    /// # Errors
    /// `NotFound` if no such transaction is prepared; `InvalidInput` if it was rolled back; those of
    /// [`write`](Self::write), but never `Conflict`.
    pub fn commit_prepared(&self, transaction: TxnId) -> Result<CommitReceipt> {
        self.core.commit_in_doubt(transaction)
    }

    /// Rolls a prepared transaction back, durably. To do it again does nothing.
    ///
    /// # Errors
    /// `NotFound` if no such transaction is prepared; `InvalidInput` if it was committed; those of
    /// [`write`](Self::write), but never `Conflict`.
    pub fn rollback_prepared(&self, transaction: TxnId) -> Result<()> {
        self.core.rollback_in_doubt(transaction).map(|_| ())
    }

    /// The store as it is now, for ever.
    pub fn snapshot(&self) -> Result<Snapshot> {
        Snapshot::open(&self.core)
    }

    /// A node with its vector, bit for bit as it was given unless [`VectorMetadata::exact`] says otherwise.
    pub fn get(&self, id: NodeId) -> Result<Option<CodeNode>> {
        self.read(|snapshot| snapshot.get(id))
    }

    /// What is kept of a node's vector.
    pub fn vector_metadata(&self, id: NodeId) -> Result<Option<VectorMetadata>> {
        self.read(|snapshot| snapshot.vector_metadata(id))
    }

    /// The nearest nodes; see [`Snapshot::search`].
    pub fn search(&self, request: &SearchRequest) -> Result<SearchResults> {
        self.read(|snapshot| snapshot.search(request))
    }

    /// The nodes whose words fit a text best; see [`Snapshot::search_text`].
    pub fn search_text(&self, request: &TextRequest) -> Result<SearchResults> {
        self.read(|snapshot| snapshot.search_text(request))
    }

    /// The nodes that are near to a vector, fit a text, or both; see [`Snapshot::search_hybrid`].
    pub fn search_hybrid(&self, request: &HybridRequest) -> Result<SearchResults> {
        self.read(|snapshot| snapshot.search_hybrid(request))
    }

    /// Number of nodes that match.
    pub fn count(&self, filter: &Filter) -> Result<u64> {
        self.read(|snapshot| snapshot.count(filter))
    }

    /// Reads at the present moment; a read-only store whose files were cleared away moves on and
    /// reads again.
    fn read<T>(&self, read: impl Fn(&Snapshot) -> Result<T>) -> Result<T> {
        match read(&self.snapshot()?) {
            Err(error) if error.kind() == ErrorKind::Stale => {
                self.refresh()?;
                read(&self.snapshot()?)
            }
            outcome => outcome,
        }
    }

    /// Moves a store that was opened read-only on to the newest durable state.
    pub fn refresh(&self) -> Result<()> {
        self.core.refresh()
    }

    /// Writes everything committed so far into segments. Commits are durable without it; it makes
    /// the next open quicker and lets the log be trimmed.
    pub fn flush(&self) -> Result<()> {
        self.core.flush()
    }

    /// Makes a checkpoint: [`flush`](Self::flush)es, without stopping writes, and says what is there. The next recovery begins
    /// from it or a later one, and checks what it finds. With the setting `transactions.checkpoint_interval_ms`, one is made
    /// in the background time and again.
    ///
    /// # Errors
    /// Those of a flush.
    pub fn create_checkpoint(&self) -> Result<CheckpointInfo> {
        self.core.create_checkpoint()
    }

    /// The newest checkpoint. In a store that was opened read-only, as of its last [`refresh`](Self::refresh).
    ///
    /// # Errors
    /// `Closed`.
    pub fn latest_checkpoint(&self) -> Result<CheckpointInfo> {
        self.core.latest_checkpoint()
    }

    /// Merges all segments into one, without dead rows, and gives it its index; returns how many were merged.
    pub fn merge(&self) -> Result<usize> {
        self.core.merge_all()
    }

    /// Gives each segment the index that the settings ask for, and waits until it has it; returns how many were written
    /// anew for that. It is done in the background as well, while the store is open for writing.
    ///
    /// # Errors
    /// Those of a merge.
    pub fn build_indexes(&self) -> Result<usize> {
        self.core.build_indexes(Mode::ByHand)
    }

    /// Reads every manifest, block, row and log record of the store again and lists what is damaged, also
    /// where the store gets by without it.
    pub fn verify(&self) -> Result<VerifyReport> {
        self.core.verify()
    }

    /// Numbers about the store.
    pub fn stats(&self) -> Result<StoreStatistics> {
        self.core.stats()
    }

    /// What opening the store found and did.
    pub fn recovery_report(&self) -> RecoveryReport {
        self.core.recovery.lock().clone()
    }

    /// The settings of this moment.
    pub fn settings(&self) -> Settings {
        (*self.core.settings()).clone()
    }

    /// Changes settings, from now on and for later openings. Changes happen one after the other, so `change`
    /// must not call this again.
    ///
    /// # Errors
    /// `InvalidInput` names the setting that cannot be; nothing was changed then.
    pub fn configure(&self, change: impl FnOnce(&mut Settings)) -> Result<()> {
        self.core.configure(change)
    }

    /// Compresses vectors by product quantisation: `m` sub-quantisers of `nbits` bits (4 to 12) each. See
    /// [`enable_compression`](Self::enable_compression); vectors are kept in full beside their codes.
    pub fn enable_product_quantization(&self, m: usize, nbits: u8) -> Result<()> {
        self.enable_codec(CodecSpec::Product { m, nbits, rotate: false })
    }

    /// Compresses each component of a vector to `nbits` bits (4, 8, 16 or 32), at equal distances if `uniform`, else at
    /// quantiles of what was seen. See [`enable_compression`](Self::enable_compression); vectors are kept in full.
    pub fn enable_scalar_quantization(&self, nbits: u8, uniform: bool) -> Result<()> {
        self.enable_codec(CodecSpec::Scalar { nbits, uniform, scope: Scope::Dimension, brain: false })
    }

    /// Compresses each component of a vector to `bits` bits (1 to 8) by RaBitQ. See
    /// [`enable_compression`](Self::enable_compression); vectors are kept in full.
    pub fn enable_binary_quantization(&self, bits: u8) -> Result<()> {
        self.enable_codec(CodecSpec::Binary { bits })
    }

    fn enable_codec(&self, spec: CodecSpec) -> Result<()> {
        self.enable_compression(Compression { spec, keep: Keep::Full })
    }

    /// Compresses vectors from now on, and for later openings. Returns at once: when there are rows enough, a codec is
    /// trained in the background, and segments are encoded one after the other, while reads and writes go on.
    ///
    /// # Errors
    /// `InvalidInput` if vectors of this dimension cannot be compressed so, or if that would decode rows of which
    /// only codes are kept: [`compress`](Self::compress) does so if it is told to. Nothing was changed then.
    pub fn enable_compression(&self, compression: Compression) -> Result<()> {
        self.core.configure(|settings| settings.compress(Some(compression)))
    }

    /// Keeps vectors in full from now on. Returns at once; codes are taken out of segments in the background.
    ///
    /// # Errors
    /// As [`enable_compression`](Self::enable_compression).
    pub fn disable_compression(&self) -> Result<()> {
        self.core.configure(|settings| settings.compress(None))
    }

    /// Does all of it now, and waits: flushes, trains and measures a codec on the store's own rows, refuses it or takes
    /// it for the store, and encodes every segment. Reads and writes go on meanwhile. `progress` is told from several
    /// threads.
    ///
    /// With fewer rows than it takes to train a codec, a [`Target::Codec`](crate::Target::Codec) is trained later, as by
    /// [`enable_compression`](Self::enable_compression); then the report has no figures.
    ///
    /// # Errors
    /// `InvalidInput` for a codec that does not fit, one that falls short of the recall that is asked (with the
    /// figures), and one that cannot be measured for lack of rows; where rows of which only codes are kept would have to
    /// be decoded and `lossy` was not said. Nothing was changed then. Those of a flush or merge.
    pub fn compress(
        &self,
        request: &CompressRequest,
        progress: &(dyn Fn(&CompressProgress) + Sync),
    ) -> Result<CompressReport> {
        self.core.compress(request, progress)
    }

    /// From now on flushes memtables at so many bytes, where the settings say more; `None` leaves it to the settings
    /// again. Not kept in the store: it is for work that writes much and ought to take little memory.
    pub fn limit_memtables(&self, bytes: Option<u64>) {
        self.core.memtable_limit.store(bytes.unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// A property: a small text that belongs to the store and to no row, which whoever writes the store may
    /// set. In a read-only store, as of its last [`refresh`](Self::refresh).
    ///
    /// # Errors
    /// `InvalidInput` for what cannot be a name; `Closed`.
    pub fn property(&self, name: &str) -> Result<Option<String>> {
        self.core.property(name)
    }

    /// Sets a property, or removes it. It is durable when this returns, whatever
    /// [`Durability`](crate::Durability) says of writes; a reader elsewhere may see it a moment earlier. Setting
    /// what is there already writes nothing.
    ///
    /// A name is 1 to 64 of `a-z`, `0-9`, `.`, `_` and `-`; a value has up to 256 KiB; a store has up to 64 of
    /// them. Each change, flush and merge writes all of them anew.
    ///
    /// # Errors
    /// `InvalidInput` for what cannot be a name, `TooLarge` over a limit, `ReadOnly`, `Closed`: nothing was
    /// changed. `OutcomeUnknown`: it may or may not be there after a reopen, before which the store takes no
    /// more writes.
    pub fn set_property(&self, name: &str, value: Option<&str>) -> Result<()> {
        self.core.set_property(name, value)
    }

    /// Commits what is queued and closes the store, for all handles. Dropping the last handle does
    /// the same, but cannot tell of a failure.
    pub fn close(&self) -> Result<()> {
        self.core.close()
    }
}

pub(crate) fn default_backups(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".backups");
    name.into()
}
